"""Makes a ledger longer by its own days: what stands in it is added again some hours later, under other ids and other runs.

Going through the journal takes some 80 µs of processor a call; this takes a tenth. The sums and what counts against limits are those
of the entries, as if each had been written in its turn, and `weir ledger verify` says so.
"""

import math
from pathlib import Path

from bench.ledger_size import CALLS_OF_RUN, START_US
from tokenweir.ledger import rollups
from tokenweir.ledger.database import Connection
from tokenweir.ledger.schema import ENTRY_COLUMNS
from tokenweir.ledger.sqlite import connect

_HOUR_US = 3_600_000_000
_AT_ONCE = 200_000  # entries
_RUN = "CASE WHEN run = '' THEN '' ELSE printf('run-%06d', substr(run, 5) + :runs) END"
#: What is another in the copy of an entry.
_CHANGED = {
    "seq": "seq + :seq",
    "at_us": "at_us + :us",
    "call": "later(call, :us)",
    "attempt": "later(attempt, :us)",
    "run": _RUN,
}
_COPY = (
    f"INSERT INTO entries ({', '.join(ENTRY_COLUMNS)}) SELECT {', '.join(_CHANGED.get(c, c) for c in ENTRY_COLUMNS)} "
    "FROM entries WHERE seq <= :last ORDER BY seq"
)
_BLOCK = rollups.ADDED._replace(table="block")
_ADD = (
    f"INSERT INTO {rollups.ADDED.table} SELECT hour + :hours, "
    + ", ".join(_RUN if name == "run" else name for name in _BLOCK.names)
    + f", {', '.join(_BLOCK.sums)} FROM block"
)
#: A call counts in the month it was opened in, two seconds before its end.
_SPENT = """
    INSERT INTO spent SELECT 'key/' || key, '', currency, 'month',
        unixepoch(strftime('%Y-%m-01', (at_us - 2000000 + :us) / 1000000, 'unixepoch')) * 1000000 AS month,
        sum(cost_pico) / 1000000000000, sum(cost_pico) % 1000000000000
    FROM entries WHERE seq <= :last AND cost_pico > 0 GROUP BY key, currency, month
    ON CONFLICT DO UPDATE SET
        amount_high = amount_high + excluded.amount_high + (amount_low + excluded.amount_low) / 1000000000000,
        amount_low = (amount_low + excluded.amount_low) % 1000000000000
"""


def later(name: bytes, us: int) -> bytes:
    """A UUIDv7 of a later moment."""
    if not name:
        return name
    return (int.from_bytes(name[:6], "big") + us // 1000).to_bytes(6, "big") + name[6:]


def lengthen(data: Path, last: int, calls: int, times: int) -> int:
    """Add what the first `last` entries hold, which are of so many calls, so many times; when the next call may be opened."""
    db = connect(data, "os")
    try:
        db.create_function("later", 2, later, deterministic=True)  # type: ignore[attr-defined]
        rollups.prepare(db)
        rollups.make_own(db, _BLOCK)
        for after in range(0, last, _AT_ONCE):
            rollups.add_entries(db, after, min(after + _AT_ONCE, last), (_BLOCK,))
        for _ in range(times):
            _again(db, last, calls)
        return START_US + _hours(db) * _HOUR_US
    finally:
        db.close()


def _hours(db: Connection) -> int:
    """Whole hours from the first call until after the last entry."""
    ended_us = db.execute("SELECT at_us FROM entries ORDER BY seq DESC LIMIT 1").fetchone()[0]
    return int(ended_us - START_US) // _HOUR_US + 1


def _again(db: Connection, last: int, calls: int) -> None:
    written = db.execute("SELECT max(seq) FROM entries").fetchone()[0]
    known = db.execute("SELECT count(*) FROM entries WHERE kind IN ('opened', 'refused')").fetchone()[0]
    hours = _hours(db)
    shift = {
        "seq": written,
        "us": hours * _HOUR_US,
        "runs": math.ceil(known / 4 / CALLS_OF_RUN),
        "last": last,
    }
    db.execute("BEGIN IMMEDIATE")
    db.execute(_COPY, shift)
    db.execute(_ADD, {"hours": hours, "runs": shift["runs"]})
    rollups.add_entries(
        db, written, written
    )  # no entry more: what stands in its own table goes into all sums
    db.execute(_SPENT, shift)
    db.execute("INSERT OR REPLACE INTO meta VALUES ('open_since_seq', ?)", (written + last + 1,))
    db.execute("COMMIT")
