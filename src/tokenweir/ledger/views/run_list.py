"""Runs of a span of time, from the sums; and where in the ledger the calls of one lie."""

from collections.abc import Collection

from tokenweir.ledger.database import Connection
from tokenweir.ledger.rollups import DAILY_RUNS, HOURLY
from tokenweir.ledger.views.reader import last_seq
from tokenweir.ledger.views.spans import HOUR_US, Span
from tokenweir.ledger.views.usage import DAY_HOURS, SUM_ORDER, UsageRow, add_sums

MOST_RUNS = 100
#: Longer than any ledger.
_ALWAYS = Span(0, 2**40)


class RunSums(UsageRow, kw_only=True):
    """What the calls of a run used and cost, as far as they ended in the span; `first_hour` and `last_hour` are those of its ends."""

    run: str = ""
    accounts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    first_hour: int = 0
    last_hour: int = 0


def runs(
    connection: Connection,
    span: Span,
    accounts: Collection[str] | None = None,
    *,
    limit: int = MOST_RUNS,
    skip: int = 0,
) -> list[RunSums]:
    """Runs with calls that ended, or were refused, in a span; those that ended last first. `accounts`: calls of these alone."""
    if accounts is not None and not accounts:
        return []
    values = tuple(sorted(accounts or ()))
    of = f" AND account IN ({_marks(values)})" if values else ""
    chosen = _newest(connection, span, of, values, limit + skip)[skip:]
    found = {run: RunSums(by={}, run=run, first_hour=last, last_hour=last) for run, last in chosen}
    within = _hours(connection, span, found)
    if within is None:
        return []
    names = ("run", "account", "key", "model", "currency", "charge_currency")
    query = (
        f"SELECT {', '.join(names)}, min(hour), {', '.join(f'sum({name})' for name in SUM_ORDER)} FROM {HOURLY.table} "
        f"WHERE hour >= ? AND hour < ? AND run IN ({_marks(found)}){of} GROUP BY {', '.join(names)}"
    )
    for run, account, key, model, cost_in, charge_in, first, *sums in connection.execute(
        query, (within.first, within.end, *found, *values)
    ):
        row = found[run]
        row.accounts, row.keys, row.models = (
            have if name in have else (*have, name)
            for have, name in ((row.accounts, account), (row.keys, key), (row.models, model))
        )
        row.first_hour = min(row.first_hour, first)
        add_sums(row, (cost_in, charge_in), sums)
    return list(found.values())


def _newest(
    connection: Connection, span: Span, of: str, values: tuple[str, ...], count: int
) -> list[tuple[str, int]]:
    """The runs that ended last, with the hour that they did: of the span's last day, of its last two, four … until there are enough."""
    query = (
        f"SELECT run, max(hour) AS last_hour FROM {HOURLY.table} WHERE hour >= ? AND hour < ? AND run <> ''{of} "
        "GROUP BY run HAVING sum(calls) + sum(attempts) + sum(refused) > 0 ORDER BY last_hour DESC, run LIMIT ?"
    )
    back = DAY_HOURS
    while True:
        first = max(span.first, span.end - back)
        found = connection.execute(query, (first, span.end, *values, count)).fetchall()
        if len(found) >= count or first == span.first:
            return found
        back *= 2


def _hours(connection: Connection, span: Span, names: Collection[str]) -> Span | None:
    """The hours of a span between which all is that these runs have; None: they have nothing in it. Read from the sums by day."""
    if not names:
        return None
    query = f"SELECT min(day), max(day) FROM {DAILY_RUNS.table} WHERE day >= ? AND day <= ? AND run IN ({_marks(names)})"
    first, last = connection.execute(
        query, (span.first // DAY_HOURS, (span.end - 1) // DAY_HOURS, *names)
    ).fetchone()
    if first is None:
        return None
    return Span(max(span.first, first * DAY_HOURS), min(span.end, (last + 1) * DAY_HOURS))


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))


def entries_between(connection: Connection, since_us: int, until_us: int) -> tuple[int, int]:
    """After which entry, and up to which, calls were opened between two moments. Openings stand in the order of their time."""
    return _opened_before(connection, since_us), _opened_before(connection, until_us)


def run_calls(connection: Connection, run: str, after_seq: int = 0) -> list[bytes]:
    """Every call of a run that has ended or was refused; of one that is known to have begun after an entry, those opened since.

    Sums say in which hours they ended, and how many, so that a long ledger is not searched from its beginning to its end.
    """
    within = _hours(connection, _ALWAYS, (run,))
    if within is None:
        return []
    query = (
        f"SELECT min(hour), max(hour), coalesce(sum(calls) + sum(refused), 0) FROM {HOURLY.table} "
        "WHERE hour >= ? AND hour < ? AND run = ?"
    )
    first, last, ended = connection.execute(query, (within.first, within.end, run)).fetchone()
    if first is None:
        return []
    after, upto = entries_between(connection, first * HOUR_US, (last + 1) * HOUR_US)
    if after_seq:  # whatever belongs to it was opened since, and before the last of it ended
        return sorted(_calls_between(connection, run, after_seq, upto))
    found = _calls_between(connection, run, after, upto)
    if sum(found.values()) != ended:
        # One was opened before that time, and its end came later than it was: its worker had been cut off from the ledger.
        found = _calls_between(connection, run, 0, last_seq(connection))
    return sorted(found)


def _calls_between(connection: Connection, run: str, after: int, upto: int) -> dict[bytes, int]:
    """Calls of a run with an entry in a span of the ledger; 1 for those that end in it."""
    query = (
        "SELECT call, max(CASE WHEN kind IN ('settled', 'late', 'repriced', 'refused') THEN 1 ELSE 0 END) FROM entries "
        "WHERE run = ? AND seq > ? AND seq <= ? GROUP BY call"
    )
    return dict(connection.execute(query, (run, after, upto)).fetchall())


def _opened_before(connection: Connection, at_us: int) -> int:
    """The number before that of the first call that was opened, or refused, at a moment or later; else of the newest entry."""
    low, high = 0, int(connection.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0])
    query = "SELECT seq, at_us FROM entries WHERE seq > ? AND seq <= ? AND kind IN ('opened', 'refused') ORDER BY seq LIMIT 1"
    while low < high:
        middle = (low + high) // 2
        found = connection.execute(query, (middle, high)).fetchone()
        if found is None or found[1] >= at_us:
            high = middle
        else:
            low = found[0]
    return low
