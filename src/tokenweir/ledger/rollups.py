"""Sums over entries, kept so that a million calls are read in a moment. Their definition, in SQL, for all who sum entries
that lie in the ledger: the replay that verifies, and the migration that rebuilds. `summing` sums those that are about to.

Of an attempt counts the last entry that says what it used and cost: a correction (`late`, `repriced`, `repriced_attempt`)
takes away what the entry in whose place it stands had added, from the very rows that it had been added to.
"""

from collections.abc import Callable, Sequence
from functools import cache
from itertools import pairwise
from typing import NamedTuple

from tokenweir.core.money import PICO
from tokenweir.ledger.database import Connection
from tokenweir.ledger.entries import Outcome

_ENDS = "kind IN ('settled', 'late', 'repriced')"


def one_where(condition: str) -> str:
    """SQL for 1 where something holds, else 0."""
    return f"CASE WHEN {condition} THEN 1 ELSE 0 END"


def units_of(pico: str) -> tuple[str, str]:
    """SQL for an amount as it is summed: whole units, and pico beyond them."""
    return f"coalesce({pico}, 0) / {PICO}", f"coalesce({pico}, 0) % {PICO}"


#: What is summed, as expressions over an entry of the kinds that count. Money is whole units and pico beyond them.
SUMS = {
    "calls": one_where(_ENDS),  # that ended
    "attempts": one_where("kind <> 'refused' AND upstream <> ''"),
    "refused": one_where("kind = 'refused'"),
    "failed": one_where(f"{_ENDS} AND coalesce(outcome, '') <> 'ok'"),
    # Calls without a cost, but for those where nothing was sent.
    "unpriced_calls": one_where(f"{_ENDS} AND cost_pico IS NULL AND coalesce(outcome, '') <> 'failed'"),
    "counted_calls": one_where(f"{_ENDS} AND provenance = 'counted'"),
    "estimated_calls": one_where(f"{_ENDS} AND provenance = 'estimated'"),
    "unknown_calls": one_where(f"{_ENDS} AND provenance = 'unknown'"),
    "input": "input",
    "cache_read": "cache_read",
    "cache_write_5m": "cache_write_5m",
    "cache_write_1h": "cache_write_1h",
    "output": "output",
    "reasoning": "reasoning",
    **dict(zip(("cost_units", "cost_pico"), units_of("cost_pico"), strict=True)),
    **dict(zip(("charge_units", "charge_pico"), units_of("charge_pico"), strict=True)),
    # Calls with a cost that are charged to nobody by a price of their own: what they cost is what is paid.
    "uncharged_calls": one_where(f"{_ENDS} AND charge_price = ''"),
    "ttft_count": one_where(f"{_ENDS} AND ttft_us IS NOT NULL"),
    "ttft_us": f"CASE WHEN {_ENDS} THEN coalesce(ttft_us, 0) ELSE 0 END",
    "duration_us": f"CASE WHEN {_ENDS} THEN coalesce(duration_us, 0) ELSE 0 END",
}

#: Where the classes of time to first token begin, in ms; the last one has no end. Each is at most half as long again as
#: the one before, or twice as long where nobody looks closely.
TTFT_FROM_MS = (
    0, 50, 75, 100, 150, 200, 300, 400, 600, 800, 1_200, 1_600, 2_400, 3_200, 4_800, 6_400, 9_600, 12_800, 25_600, 51_200,
)  # fmt: skip
#: The outcomes that a call can end with when it is not well.
FAILURES = tuple(outcome for outcome in Outcome if outcome not in (Outcome.OK, Outcome.REFUSED))


def _ttft_sums() -> dict[str, str]:
    bounds = [*(ms * 1_000 for ms in TTFT_FROM_MS), 2**62]
    return {
        f"ttft_from_{first // 1_000}_ms": one_where(f"ttft_us >= {first} AND ttft_us < {end} AND {_ENDS}")
        for first, end in pairwise(bounds)
    }


#: Calls that ended well with usage that is known: what they said, and how long it took.
_WELL = f"outcome = 'ok' AND provenance <> 'unknown' AND duration_us IS NOT NULL AND {_ENDS}"
_SAVED = "cache_read * coalesce(priced.cache_saves_pico, 0)"
_CHARGE_SAVED = "cache_read * coalesce(charged.cache_saves_pico, 0)"
#: Calls by time to first token: one sum for each class of TTFT_FROM_MS.
TTFT = _ttft_sums()
#: What only some rollups have beside that.
DETAILS = {
    **{f"ended_{outcome}": one_where(f"outcome = '{outcome}' AND {_ENDS}") for outcome in FAILURES},
    **TTFT,
    "well_output": f"CASE WHEN {_WELL} THEN output + reasoning ELSE 0 END",
    "well_us": f"CASE WHEN {_WELL} THEN duration_us ELSE 0 END",
    # What tokens read from a cache would have cost more as input, by each entry's own price; the same of what is charged.
    "saved_units": f"{_SAVED} / {PICO}",
    "saved_pico": f"{_SAVED} % {PICO}",
    "charge_saved_units": f"{_CHARGE_SAVED} / {PICO}",
    "charge_saved_pico": f"{_CHARGE_SAVED} % {PICO}",
}
_EXPRESSIONS = SUMS | DETAILS

#: What is paid for an entry, and in what: the charge where there is one, else the cost.
PAID = "CASE WHEN charge_price <> '' THEN charge_pico ELSE cost_pico END"
PAID_IN = "CASE WHEN charge_price <> '' THEN charge_currency ELSE currency END"

#: Sums of money, each in two columns: whole units and pico beyond them.
MONEY = (("cost_units", "cost_pico"), ("charge_units", "charge_pico"))
DETAIL_MONEY = (("saved_units", "saved_pico"), ("charge_saved_units", "charge_saved_pico"))
_ALL_MONEY = MONEY + DETAIL_MONEY


class Rollup(NamedTuple):
    """A table of sums: its name, the length of its periods (counted from 1970-01-01 UTC), what a row is about, its sums."""

    table: str
    period: str
    period_us: int
    names: tuple[str, ...]  # columns of `entries`
    sums: tuple[str, ...] = tuple(SUMS)
    first: tuple[str, ...] = ()  # of its names, those that its primary key begins with, before the period

    @property
    def keys(self) -> tuple[str, ...]:
        """Its primary key."""
        return (*self.first, self.period, *(name for name in self.names if name not in self.first))

    @property
    def money(self) -> tuple[tuple[str, str], ...]:
        """Those of its sums that are money."""
        return tuple(pair for pair in _ALL_MONEY if pair[0] in self.sums)


_HOUR_US = 3_600_000_000
_DAY_US = 24 * _HOUR_US
_CURRENCIES = ("currency", "charge_currency")
_NAMES = ("account", "key", "run", "model", "upstream", "deployment", "dialect", *_CURRENCIES)
_FULL = tuple(_EXPRESSIONS)
HOURLY = Rollup("hourly", "hour", _HOUR_US, _NAMES)
#: With details. Who may see some accounts only reads these alone, from a table that lies in that order.
HOURLY_ACCOUNTS = Rollup(
    "hourly_accounts", "hour", _HOUR_US, ("account", "model", *_CURRENCIES), _FULL, ("account",)
)
HOURLY_MODELS = Rollup("hourly_models", "hour", _HOUR_US, ("model", *_CURRENCIES), _FULL)
#: Without runs: these live for minutes, and would make rows of their own for every day.
DAILY = Rollup("daily", "day", _DAY_US, tuple(name for name in _NAMES if name != "run"))
DAILY_RUNS = Rollup("daily_runs", "day", _DAY_US, ("run", "key", "model", *_CURRENCIES))
ROLLUPS = (HOURLY, HOURLY_ACCOUNTS, HOURLY_MODELS, DAILY, DAILY_RUNS)
#: Of which other ones each can be made; the finest, of none.
_FINER = {HOURLY_MODELS: HOURLY_ACCOUNTS, DAILY: HOURLY, DAILY_RUNS: HOURLY}
FINEST = tuple(rollup for rollup in ROLLUPS if rollup not in _FINER)

#: The entry that a correction (`c`) takes the place of.
REPLACED = """
    SELECT max(earlier.seq) FROM entries AS earlier WHERE earlier.call = c.call AND earlier.seq < c.seq
    AND CASE WHEN c.kind = 'repriced_attempt'
        THEN earlier.kind IN ('attempt', 'repriced_attempt') AND earlier.attempt = c.attempt
        ELSE earlier.kind IN ('settled', 'late', 'repriced') END
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


def whole_sum(expression: str) -> str:
    """SQL for a sum that divides as the 64-bit integers do that it is of."""
    return f"CAST(sum({expression}) AS BIGINT)"


def _floor_div(value: str, by: int) -> str:
    """SQL for the floor of a quotient; its own division truncates."""
    return f"({value} - (({value} % {by}) + {by}) % {by}) / {by}"


def _sum_statement() -> str:
    """What entries add, in rows as fine as the finest."""
    sums = {name: whole_sum(f"sign * ({expression})") for name, expression in _EXPRESSIONS.items()}
    for units, pico in ADDED.money:
        sums[units] += f" + {_floor_div(sums[pico], PICO)}"
        sums[pico] = f"({sums[pico]} % {PICO} + {PICO}) % {PICO}"
    names = [f"counted.{name}" for name in ADDED.names]
    return (
        f"{_COUNTED} INSERT INTO {ADDED.table} ({', '.join((*ADDED.keys, *ADDED.sums))})\n"
        f"SELECT at_us / {ADDED.period_us}, {', '.join(names)}, {', '.join(sums.values())}\n"
        "FROM counted LEFT JOIN prices AS priced ON priced.id = price LEFT JOIN prices AS charged ON charged.id = charge_price\n"
        f"GROUP BY at_us / {ADDED.period_us}, {', '.join(names)}"
    )


@cache
def _add_statement(rollup: Rollup, source: Rollup) -> str:
    """Rows of `source`, which is finer, added to a rollup."""
    sums = {name: whole_sum(name) for name in rollup.sums}
    for units, pico in rollup.money:  # they carry, so that neither leaves 64 bits
        sums[units] += f" + {sums[pico]} / {PICO}"
        sums[pico] += f" % {PICO}"
    period = f"hour / {rollup.period_us // source.period_us}"
    return _added(
        rollup,
        f"SELECT {period}, {', '.join(rollup.names)}, {', '.join(sums.values())}\n"
        f"FROM {source.table} WHERE true GROUP BY {period}, {', '.join(rollup.names)}",
    )


def _added(rollup: Rollup, rows: str) -> str:
    """The statement that adds rows, as SQL of their period, names and sums, to those that are there."""
    added = {name: f"{name} = {rollup.table}.{name} + excluded.{name}" for name in rollup.sums}
    for units, pico in rollup.money:
        both = f"({rollup.table}.{pico} + excluded.{pico})"
        added[units] += f" + {both} / {PICO}"
        added[pico] = f"{pico} = {both} % {PICO}"
    return (
        f"INSERT INTO {rollup.table} ({', '.join((rollup.period, *rollup.names, *rollup.sums))})\n{rows}\n"
        f"ON CONFLICT ({', '.join(rollup.keys)}) DO UPDATE SET {', '.join(added.values())}"
    )


#: Entries are read and summed once, into a table of the connection's own; from there few rows go into each rollup.
ADDED = HOURLY._replace(table="added", sums=_FULL)
_SUM = _sum_statement()
Place = Callable[[Rollup], Rollup]


def ddl(rollup: Rollup) -> str:
    """The statement that makes a rollup's table, with the names of what differs between databases in braces."""
    return (
        f"CREATE TABLE {rollup.table} (\n    {rollup.period} {{integer}} NOT NULL,\n    "
        + ",\n    ".join(f"{name} {{text}} NOT NULL" for name in rollup.names)
        + ",\n    "
        + ",\n    ".join(f"{name} {{integer}} NOT NULL" for name in rollup.sums)
        + f",\n    PRIMARY KEY ({', '.join(rollup.keys)})\n) {{keyed}};\n"
    )


def make_own(db: Connection, rollup: Rollup) -> None:
    """Make a rollup's table as one of the connection's own."""
    made = ddl(rollup).format(**db.database.ddl)
    db.execute(f"DROP TABLE IF EXISTS {rollup.table}")
    db.execute(made.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1))


def prepare(db: Connection) -> None:
    """Make the connection's own table that `add_entries` sums in."""
    make_own(db, ADDED)


def add_entries(db: Connection, after: int, upto: int, to: Sequence[Rollup] = ROLLUPS) -> None:
    """Add the entries numbered from after + 1 to upto to rollups; within the caller's transaction."""
    db.execute(_SUM, {"after": after, "upto": upto})
    for rollup in to:
        db.execute(_add_statement(rollup, ADDED))
    db.execute(db.database.empty.format(ADDED.table))


@cache
def upsert(rollup: Rollup) -> str:
    """The statement that adds one row to a rollup: its period, names and sums."""
    return _added(rollup, f"VALUES ({', '.join('?' * (1 + len(rollup.names) + len(rollup.sums)))})")


def coarsen(db: Connection, place: Place = lambda rollup: rollup) -> None:
    """Make every other rollup, which has to be empty, of the finest; `place` says in which tables they lie."""
    for rollup, finer in _FINER.items():
        db.execute(_add_statement(place(rollup), place(finer)))


def rebuild(db: Connection, at_once: int = 1_000_000) -> None:
    """Every rollup anew from the entries; within the caller's transaction."""
    prepare(db)
    for rollup in ROLLUPS:
        db.execute(f"DELETE FROM {rollup.table}")
    last = int(db.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0])
    for after in range(0, last, at_once):
        add_entries(db, after, min(after + at_once, last), FINEST)
    coarsen(db)
