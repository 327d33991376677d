"""What of a run is under way at this moment."""

import msgspec

from tokenweir.core.ids import uuid_text
from tokenweir.core.usage import NO_USAGE, Usage
from tokenweir.ledger.database import Connection
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.terms import COUNTED_UNITS
from tokenweir.ledger.views.reader import COLUMNS, read_entry

_NEWEST = f"SELECT {COLUMNS} FROM entries WHERE call = ? AND kind = 'checkpoint' ORDER BY seq DESC LIMIT 1"


class CallNow(msgspec.Struct, frozen=True, kw_only=True):
    """A call of a run that has not ended."""

    call: str
    opened_us: int
    account: str
    model: str
    usage: Usage  # as far as was noted
    reserved_pico: dict[str, int]  # the dearest that it can still become, by currency


def calls_under_way(connection: Connection, state: LedgerState, run: str) -> list[CallNow]:
    """Those of a run, in the order in which they were opened."""
    found = []
    for call, record in state.open_calls.items():
        if record.run != run:
            continue
        noted = connection.execute(_NEWEST, (call,)).fetchone()
        found.append(
            CallNow(
                call=uuid_text(call),
                opened_us=record.opened_us,
                account=record.account,
                model=record.model,
                usage=NO_USAGE if noted is None else read_entry(noted)[1].usage,
                reserved_pico={c: pico for c, pico in record.reserves.items() if c not in COUNTED_UNITS},
            )
        )
    return sorted(found, key=lambda now: (now.opened_us, now.call))
