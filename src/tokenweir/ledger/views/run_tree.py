"""A run as a tree: its calls, the tools that each asked for, what came of them, and which sub-agent works for which."""

from collections.abc import Sequence

import msgspec

from tokenweir.core.ids import parse_uuid
from tokenweir.ledger.database import Connection
from tokenweir.ledger.run_steps import Placed, Purpose, Seen, arrange, depths
from tokenweir.ledger.views.calls import CallRow, call_detail
from tokenweir.ledger.views.reader import last_seq
from tokenweir.protocol.steps import Step

_STEP: msgspec.json.Decoder[Step] = msgspec.json.Decoder(Step)


class ToolNode(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call. What came of it is None where no request has brought it."""

    number: int  # 1, 2, 3 … in its answer
    id: str
    name: str
    digest: str  # of its arguments
    bytes: int  # of its arguments
    files: tuple[str, ...]
    commands: tuple[str, ...]
    result_bytes: int | None
    failed: bool | None  # None also where the dialect does not say
    took_us: int | None  # from the end of the answer that asked for it to the request that brought its result


class StepNode(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the run. `parent` and `parent_tool`: of a sub-agent, the number of the step and of its tool call it works for."""

    number: int  # 1, 2, 3 … in the order in which they were opened
    purpose: Purpose
    why: str
    depth: int
    parent: int | None
    parent_tool: int | None
    row: CallRow
    turns: int | None  # of its conversation; None: not known
    tools: tuple[ToolNode, ...]
    more_tools: int  # asked for beyond those
    withheld: bool  # its answer was not handed on: it asked for more tools than were left


class RunTree(msgspec.Struct, frozen=True):
    """All of it, in the order in which calls were opened."""

    run: str
    steps: tuple[StepNode, ...]


def run_tree(connection: Connection, run: str, after_seq: int = 0, upto_seq: int | None = None) -> RunTree:
    """The tree of a run whose entries are in a span of the ledger (None: to its end). Calls under way are not in it."""
    upto = last_seq(connection) if upto_seq is None else upto_seq
    query = "SELECT DISTINCT call FROM entries WHERE run = ? AND seq > ? AND seq <= ?"
    found = connection.execute(query, (run, after_seq, upto)).fetchall()
    return tree_of_calls(connection, run, [call for (call,) in found])


def tree_of_calls(connection: Connection, run: str, calls: Sequence[bytes]) -> RunTree:
    """The tree of a run whose calls are known; those under way are not in it."""
    found = [call_detail(connection, call) for call in calls]
    rows = [detail.row for detail in found if detail is not None and detail.row is not None]
    rows.sort(key=lambda row: (row.at_us, row.call))
    steps = dict(connection.execute("SELECT call, step FROM steps WHERE run = ?", (run,)).fetchall())
    known = [_STEP.decode(steps[call]) if (call := parse_uuid(row.call)) in steps else None for row in rows]
    return tree_of(run, rows, known)


def tree_of(run: str, rows: Sequence[CallRow], known: Sequence[Step | None]) -> RunTree:
    """The tree of calls in the order of their opening, and what is known of each."""
    seen = [
        Seen(row.at_us, row.at_us + (row.duration_us or 0), step)
        for row, step in zip(rows, known, strict=True)
    ]
    placed = arrange(seen)
    nodes = zip(rows, known, placed, depths(placed), seen, strict=True)
    return RunTree(run, tuple(_node(number, *node) for number, node in enumerate(nodes, 1)))


def _node(number: int, row: CallRow, step: Step | None, place: Placed, depth: int, seen: Seen) -> StepNode:
    parent = place.parent
    return StepNode(
        number=number, purpose=place.purpose, why=place.why, depth=depth, row=row,
        parent=None if parent is None else parent[0] + 1, parent_tool=None if parent is None else parent[1] + 1,
        turns=None if step is None else step.turns, tools=tuple(_tools(place, seen.ended_us)),
        more_tools=0 if step is None else step.more_asked, withheld=step is not None and step.withheld,
    )  # fmt: skip


def _tools(place: Placed, ended_us: int) -> list[ToolNode]:
    return [
        ToolNode(
            number=number, id=tool.asked.id, name=tool.asked.name, digest=tool.asked.digest, bytes=tool.asked.bytes,
            files=tool.asked.files, commands=tool.asked.commands,
            result_bytes=None if tool.result is None else tool.result.bytes,
            failed=None if tool.result is None else tool.result.failed,
            took_us=None if tool.answered_us is None else max(0, tool.answered_us - ended_us),
        )
        for number, tool in enumerate(place.tools, 1)
    ]  # fmt: skip
