"""The steps of runs beside the entries: each belongs to a call of its run, and each tool call that an entry counts is there."""

from collections.abc import Iterator

import msgspec

from tokenweir.core.ids import uuid_text
from tokenweir.ledger.database import Connection
from tokenweir.protocol.steps import Step

_AT_ONCE = 5_000
_STEP: msgspec.json.Decoder[Step] = msgspec.json.Decoder(Step)
_STEPS = "SELECT call, run, step FROM steps WHERE call > ? ORDER BY call LIMIT ?"
_END = "SELECT seq, run, tool_calls FROM entries WHERE call = ? AND kind IN ('settled', 'late') ORDER BY seq DESC LIMIT 1"
_WITHOUT = (
    "SELECT seq, call, tool_calls FROM entries WHERE tool_calls > 0 AND kind IN ('settled', 'late') "
    "AND NOT EXISTS (SELECT 1 FROM steps WHERE steps.call = entries.call) ORDER BY seq"
)


def wrong_steps(db: Connection) -> Iterator[str]:
    """What is wrong with them."""
    last = b""
    while rows := db.execute(_STEPS, (last, _AT_ONCE)).fetchall():
        for call, run, text in rows:
            yield from _wrong(db, call, run, text)
        last = rows[-1][0]
    for seq, call, count in db.execute(_WITHOUT):
        yield f"entry {seq}: {count} tool calls of call {uuid_text(call)}, of which no step tells"


def _wrong(db: Connection, call: bytes, run: str, text: str) -> Iterator[str]:
    end = db.execute(_END, (call,)).fetchone()
    if end is None or end[1] != run:
        yield f"a step of run {run} tells of call {uuid_text(call)}, which is no ended call of that run"
        return
    try:
        asked = _STEP.decode(text).tool_calls
    except msgspec.MsgspecError as error:
        yield f"the step of call {uuid_text(call)} cannot be read: {error}"
        return
    if asked != end[2]:
        yield f"entry {end[0]}: {end[2]} tool calls of call {uuid_text(call)}, its step tells of {asked}"
