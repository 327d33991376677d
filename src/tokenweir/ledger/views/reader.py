"""Reading the ledger beside its writer: the connection, and entries as they are stored."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.database import FAULTS, Connection, database_of
from tokenweir.ledger.entries import Entry
from tokenweir.ledger.schema import ENTRY_COLUMNS, check_version

COLUMNS = ", ".join(ENTRY_COLUMNS)
#: By how much openings of several workers may stand out of order; their clocks are one, and a commit takes seconds at most.
OUT_OF_ORDER_US = 600_000_000
#: Entries that are read in one read transaction.
AT_ONCE = 10_000


def open_reader(data_dir: Path) -> Connection:
    """A read-only connection that works beside the writer. Raises LedgerError."""
    database = database_of(data_dir)
    connection = database.connect_reader(data_dir)
    try:
        connection.execute(database.read_only)
        check_version(connection)
    except FAULTS as error:
        connection.close()
        raise LedgerError(f"the ledger in {data_dir} cannot be read: {error}") from None
    except LedgerError:
        connection.close()
        raise
    return connection


def last_seq(connection: Connection) -> int:
    """The number of the newest entry; 0 for none."""
    return int(connection.execute("SELECT COALESCE(MAX(seq), 0) FROM entries").fetchone()[0])


def seq_before(connection: Connection, at_us: int) -> int:
    """An entry behind which every entry of that moment or later lies: there a search by time may begin.

    Openings stand nearly in the order of their times; what was corrected later stands behind them, and so do ends.
    """
    low, high = 0, last_seq(connection)
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(
            "SELECT seq, at_us FROM entries WHERE seq > ? AND seq <= ? AND kind = 'opened' ORDER BY seq LIMIT 1",
            (middle, high),
        ).fetchone()
        if found is None or found[1] >= at_us - OUT_OF_ORDER_US:
            high = middle
        else:
            low = found[0]
    return low


def entries(
    connection: Connection, since_us: int | None = None, until_us: int | None = None
) -> Iterator[tuple[int, Entry]]:
    """Every entry in the ledger's order, up to the newest there is now.

    Read a few thousand at a time: a reader that held one view of a long ledger would keep its write-ahead log
    from being folded, and entries do not change in between.
    """
    query = (
        f"SELECT {COLUMNS} FROM entries WHERE seq > ? AND seq <= ? AND at_us >= ? AND at_us < ? ORDER BY seq"
    )
    bounds = (0 if since_us is None else since_us, 2**62 if until_us is None else until_us)
    last = last_seq(connection)
    for after in range(0, last, AT_ONCE):
        upto = min(after + AT_ONCE, last)
        yield from map(read_entry, connection.execute(query, (after, upto, *bounds)).fetchall())


def read_entry(record: Sequence[object]) -> tuple[int, Entry]:
    """`seq` and the entry of a row of ENTRY_COLUMNS."""
    fields = dict(zip(ENTRY_COLUMNS, record, strict=True))
    counts = {name: fields.pop(name) for name in (*TOKEN_CLASSES, "provenance")}
    seq = fields.pop("seq")
    assert isinstance(seq, int)
    return seq, msgspec.convert({**fields, "usage": counts}, Entry)


def iso_time(at_us: int) -> str:
    """UTC, to the millisecond: 2026-11-23T08:15:30.250Z."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
