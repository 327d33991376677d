"""Sums over entries, kept so that a million calls are read in a moment. One definition, in SQL, for all who need it:
the transaction that writes entries, the replay that verifies, and the migration that rebuilds.

Of an attempt counts the last entry that says what it used and cost: a correction (`late`, `repriced`, `repriced_attempt`)
takes away what the entry in whose place it stands had added, from the very rows that it had been added to.
"""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from tokenweir.core.money import PICO

_HOUR_US = 3_600_000_000


class Rollup(NamedTuple):
    """A table of sums: its name, the length of its periods (counted from 1970-01-01 UTC), and what a row is about."""

    table: str
    period: str
    period_us: int
    names: tuple[str, ...]  # columns of `entries`

    @property
    def keys(self) -> tuple[str, ...]:
        """Its primary key."""
        return (self.period, *self.names)


_DAY_US = 24 * _HOUR_US
_CURRENCIES = ("currency", "charge_currency")
_NAMES = ("account", "key", "run", "model", "upstream", "deployment", "dialect", *_CURRENCIES)
#: The finest: every other one could be made of it.
HOURLY = Rollup("hourly", "hour", _HOUR_US, _NAMES)
HOURLY_MODELS = Rollup("hourly_models", "hour", _HOUR_US, ("model", *_CURRENCIES))
#: Without runs: these live for minutes, and would make rows of their own for every day.
DAILY = Rollup("daily", "day", _DAY_US, tuple(name for name in _NAMES if name != "run"))
DAILY_RUNS = Rollup("daily_runs", "day", _DAY_US, ("run", "key", "model", *_CURRENCIES))
ROLLUPS = (HOURLY, HOURLY_MODELS, DAILY, DAILY_RUNS)

_ENDS = "kind IN ('settled', 'late', 'repriced')"
#: What is summed, as expressions over an entry of the kinds that count. Money is whole units and pico beyond them.
SUMS = {
    "calls": _ENDS,  # that ended
    "attempts": "kind <> 'refused' AND upstream <> ''",
    "refused": "kind = 'refused'",
    "failed": f"{_ENDS} AND outcome IS NOT 'ok'",
    # Calls without a cost, but for those where nothing was sent.
    "unpriced_calls": f"{_ENDS} AND cost_pico IS NULL AND outcome IS NOT 'failed'",
    "counted_calls": f"{_ENDS} AND provenance = 'counted'",
    "estimated_calls": f"{_ENDS} AND provenance = 'estimated'",
    "unknown_calls": f"{_ENDS} AND provenance = 'unknown'",
    "input": "input",
    "cache_read": "cache_read",
    "cache_write_5m": "cache_write_5m",
    "cache_write_1h": "cache_write_1h",
    "output": "output",
    "reasoning": "reasoning",
    "cost_units": f"coalesce(cost_pico, 0) / {PICO}",
    "cost_pico": f"coalesce(cost_pico, 0) % {PICO}",
    "charge_units": f"coalesce(charge_pico, 0) / {PICO}",
    "charge_pico": f"coalesce(charge_pico, 0) % {PICO}",
    # Calls with a cost that are charged to nobody by a price of their own: what they cost is what is paid.
    "uncharged_calls": f"{_ENDS} AND charge_price = ''",
    "ttft_count": f"{_ENDS} AND ttft_us IS NOT NULL",
    "ttft_us": f"iif({_ENDS}, coalesce(ttft_us, 0), 0)",
    "duration_us": f"iif({_ENDS}, coalesce(duration_us, 0), 0)",
}

#: Sums of money, each in two columns: whole units and pico beyond them.
MONEY = (("cost_units", "cost_pico"), ("charge_units", "charge_pico"))

#: The entry that a correction (`c`) takes the place of.
REPLACED = """
    SELECT max(earlier.seq) FROM entries AS earlier WHERE earlier.call = c.call AND earlier.seq < c.seq AND iif(
        c.kind = 'repriced_attempt',
        earlier.kind IN ('attempt', 'repriced_attempt') AND earlier.attempt = c.attempt,
        earlier.kind IN ('settled', 'late', 'repriced')
    )
"""
CORRECTIONS = "kind IN ('late', 'repriced', 'repriced_attempt')"


def counted(where: str) -> str:
    """A table expression `counted`: entries of a span that count, once; and with -1 each that a correction stands for."""
    return f"""
    WITH counted AS (
        SELECT 1 AS sign, entries.* FROM entries
        WHERE {where} AND kind IN ('attempt', 'settled', 'late', 'repriced', 'repriced_attempt', 'refused')
        UNION ALL
        SELECT -1, past.* FROM (SELECT * FROM entries WHERE {where} AND {CORRECTIONS}) AS c
        JOIN entries AS past ON past.seq = ({REPLACED})
    )
    """


_COUNTED = counted("seq > :after AND seq <= :upto")


def _floor_div(value: str, by: int) -> str:
    """SQL for the floor of a quotient; SQLite's own truncates."""
    return f"({value} - (({value} % {by}) + {by}) % {by}) / {by}"


def _sum_statement() -> str:
    """What entries add, in rows of the finest rollup."""
    sums = {name: f"sum(sign * ({expression}))" for name, expression in SUMS.items()}
    for units, pico in MONEY:
        sums[units] += f" + {_floor_div(sums[pico], PICO)}"
        sums[pico] = f"({sums[pico]} % {PICO} + {PICO}) % {PICO}"
    return (
        f"{_COUNTED} INSERT INTO {_ADDED.table} ({', '.join((*HOURLY.keys, *SUMS))})\n"
        f"SELECT at_us / {HOURLY.period_us}, {', '.join(HOURLY.names)}, {', '.join(sums.values())}\n"
        f"FROM counted GROUP BY at_us / {HOURLY.period_us}, {', '.join(HOURLY.names)}"
    )


def _add_statement(rollup: Rollup, source: Rollup) -> str:
    """Rows of `source`, which is as fine as the finest, added to a rollup."""
    sums = {name: f"sum({name})" for name in SUMS}
    added = {name: f"{name} = {name} + excluded.{name}" for name in SUMS}
    for units, pico in MONEY:  # they carry, so that neither leaves SQLite's 64 bits
        sums[units] += f" + sum({pico}) / {PICO}"
        sums[pico] += f" % {PICO}"
        added[units] += f" + ({pico} + excluded.{pico}) / {PICO}"
        added[pico] = f"{pico} = ({pico} + excluded.{pico}) % {PICO}"
    period = f"hour / {rollup.period_us // HOURLY.period_us}"
    return (
        f"INSERT INTO {rollup.table} ({', '.join((*rollup.keys, *SUMS))})\n"
        f"SELECT {period}, {', '.join(rollup.names)}, {', '.join(sums.values())}\n"
        f"FROM {source.table} WHERE true GROUP BY {period}, {', '.join(rollup.names)}\n"
        f"ON CONFLICT ({', '.join(rollup.keys)}) DO UPDATE SET {', '.join(added.values())}"
    )


#: Entries are read and summed once, into a table of the connection's own; from there few rows go into each rollup.
_ADDED = HOURLY._replace(table="temp.added")
_SUM = _sum_statement()
_ADD = {rollup: _add_statement(rollup, _ADDED) for rollup in ROLLUPS}


def ddl(rollup: Rollup) -> str:
    """The statement that makes a rollup's table."""
    return (
        f"CREATE TABLE {rollup.table} (\n    {rollup.period} INTEGER NOT NULL,\n    "
        + ",\n    ".join(f"{name} TEXT NOT NULL" for name in rollup.names)
        + ",\n    "
        + ",\n    ".join(f"{name} INTEGER NOT NULL" for name in SUMS)
        + f",\n    PRIMARY KEY ({', '.join(rollup.keys)})\n) STRICT, WITHOUT ROWID;\n"
    )


def prepare(db: sqlite3.Connection) -> None:
    """Make the connection's own table that `add_entries` sums in."""
    db.execute(f"DROP TABLE IF EXISTS {_ADDED.table}")
    db.execute(ddl(_ADDED))


def add_entries(db: sqlite3.Connection, after: int, upto: int, to: Sequence[Rollup] = ROLLUPS) -> None:
    """Add the entries numbered from after + 1 to upto to rollups; within the caller's transaction."""
    db.execute(_SUM, {"after": after, "upto": upto})
    for rollup in to:
        db.execute(_ADD[rollup])
    db.execute(f"DELETE FROM {_ADDED.table}")


def coarsen(db: sqlite3.Connection) -> None:
    """Make every other rollup, which has to be empty, of the finest."""
    for rollup in ROLLUPS[1:]:
        db.execute(_add_statement(rollup, HOURLY))


def rebuild(db: sqlite3.Connection, at_once: int = 1_000_000) -> None:
    """Every rollup anew from the entries; within the caller's transaction."""
    prepare(db)
    for rollup in ROLLUPS:
        db.execute(f"DELETE FROM {rollup.table}")
    last = int(db.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0])
    for after in range(0, last, at_once):
        add_entries(db, after, min(after + at_once, last), (HOURLY,))
    coarsen(db)
