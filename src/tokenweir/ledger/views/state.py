"""Limits and credit as the writer would decide by them now, read beside it."""

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.ledger.database import FAULTS, Connection
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.store import load_state


def state_now(connection: Connection, now_us: int) -> tuple[LedgerState, int]:
    """The state, and the ledger's time by it, which never steps back. Raises LedgerError.

    All of it is read in one transaction: terms, sums and calls under way are of the same moment.
    """
    try:
        connection.execute(connection.database.begin_reading)
        try:
            state, _ = load_state(connection)
        finally:
            connection.execute("ROLLBACK")
    except (*FAULTS, msgspec.MsgspecError) as error:
        raise LedgerError(f"the state of limits and credit cannot be read: {error}") from error
    return state, max(now_us, state.latest_us)
