"""Usage by group, over sums that are kept per UTC hour and day."""

from collections.abc import Iterable, Iterator, Sequence
from operator import attrgetter

import msgspec

from tokenweir.core.money import PICO
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.database import Connection, Cursor
from tokenweir.ledger.rollups import DAILY, DAILY_RUNS, HOURLY, HOURLY_MODELS, MONEY, SUMS, Rollup
from tokenweir.ledger.views.reader import iso_time

HOUR_US = HOURLY.period_us
DAY_HOURS = DAILY.period_us // HOURLY.period_us
#: What usage can be grouped by.
GROUPS = ("model", "key", "account", "run", "day", "hour", "upstream", "deployment", "dialect")
#: By their size: usage is read from the first that knows all groups asked for.
_SMALLEST_FIRST = (DAILY, DAILY_RUNS, HOURLY_MODELS, HOURLY)
_MONEY = tuple(name for pair in MONEY for name in pair)
_COUNTS = tuple(name for name in SUMS if name not in _MONEY)
#: The order in which sums are read: counts, then money.
SUM_ORDER = (*_COUNTS, *_MONEY)


class UsageRow(msgspec.Struct, kw_only=True):
    """Sums over one group. Tokens are in disjoint classes; money is by currency.

    `cost_pico` is what calls cost. `charge_pico` is what accounts are charged for those that have a price of their own;
    `uncharged_calls` have none. `margin_pico` is what these charges are above the cost of the calls they are for; in
    each currency by itself, so it is less than nothing where the cost is in another currency than the charge.
    """

    by: dict[str, str]
    calls: int = 0
    attempts: int = 0
    refused: int = 0
    failed: int = 0
    unpriced_calls: int = 0
    counted_calls: int = 0
    estimated_calls: int = 0
    unknown_calls: int = 0
    uncharged_calls: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    ttft_count: int = 0
    ttft_us: int = 0
    duration_us: int = 0
    cost_pico: dict[str, int] = {}
    charge_pico: dict[str, int] = {}
    margin_pico: dict[str, int] = {}

    @property
    def tokens(self) -> int:
        """Every token."""
        return sum(getattr(self, name) for name in TOKEN_CLASSES)

    @property
    def paid_pico(self) -> dict[str, int]:
        """What accounts pay, by currency: the charge of calls that have one, the cost of the others."""
        paid = dict(self.cost_pico)
        for currency, pico in self.margin_pico.items():
            paid[currency] = paid.get(currency, 0) + pico
        return {currency: pico for currency, pico in paid.items() if pico}

    @property
    def is_something(self) -> bool:
        """False for a group whose calls were all moved elsewhere by corrections."""
        return any(getattr(self, name) for name in _COUNTS) or any(
            (*self.cost_pico.values(), *self.charge_pico.values())
        )


def whole_hours(since_us: int | None, until_us: int | None) -> tuple[int | None, int | None]:
    """The bounds that `usage` uses: sums are kept per UTC hour, so `since` moves down and `until` up."""
    since = None if since_us is None else since_us // HOUR_US * HOUR_US
    until = None if until_us is None else -(-until_us // HOUR_US) * HOUR_US
    return since, until


def usage(
    connection: Connection,
    by: Sequence[str],
    since_us: int | None = None,
    until_us: int | None = None,
) -> list[UsageRow]:
    """Sums by the groups named (of GROUPS), in whole UTC hours, sorted."""
    rows: dict[tuple[object, ...], UsageRow] = {}
    for rollup, first, end in _spans(by, *whole_hours(since_us, until_us)):
        for record in _summed(connection, rollup, by, first, end):
            group = record[: len(by)]
            row = rows.get(group)
            currencies, sums = record[len(by) : len(by) + 2], record[len(by) + 2 :]
            if row is None:  # the one record of most groups
                row = rows[group] = UsageRow(by=_named(by, group), **dict(zip(_COUNTS, sums, strict=False)))
                _add_money(row, currencies, sums[len(_COUNTS) :])
            else:
                add_sums(row, currencies, sums)
    shown = [group for group, row in rows.items() if row.is_something]
    return [rows[group] for group in sorted(shown, key=lambda g: tuple(map(str, g)))]


def callers(
    connection: Connection, since_us: int | None = None, until_us: int | None = None
) -> set[tuple[str, str]]:
    """Accounts and keys with calls that ended, in whole UTC hours."""
    counts: dict[tuple[str, str], int] = {}
    by = ("account", "key")
    for rollup, first, end in _spans(by, *whole_hours(since_us, until_us)):
        where, values = _bounds(rollup, first, end)
        query = f"SELECT account, key, sum(calls) FROM {rollup.table} WHERE {where} GROUP BY account, key"
        for account, key, ended in connection.execute(query, values):
            counts[account, key] = counts.get((account, key), 0) + ended
    return {who for who, ended in counts.items() if ended}


def _expressions(rollup: Rollup) -> dict[str, str]:
    """The groups that a rollup knows, as expressions over its columns."""
    periods = {"day": "day"} if rollup.period == "day" else {"hour": "hour", "day": f"hour / {DAY_HOURS}"}
    return periods | {name: name for name in rollup.names}


def _spans(
    by: Sequence[str], since_us: int | None, until_us: int | None
) -> Iterator[tuple[Rollup, int | None, int | None]]:
    """Which periods of which rollup make up the time asked for: whole days where there are any, hours around them."""
    best = next(rollup for rollup in _SMALLEST_FIRST if set(by) <= _expressions(rollup).keys())
    first = None if since_us is None else since_us // HOUR_US
    end = None if until_us is None else until_us // HOUR_US
    if best.period == "hour":
        yield best, first, end
        return
    first_day = None if first is None else -(-first // DAY_HOURS)
    end_day = None if end is None else end // DAY_HOURS
    if first_day is not None and end_day is not None and first_day >= end_day:
        yield HOURLY, first, end
        return
    yield best, first_day, end_day
    if first is not None and first_day is not None and first < first_day * DAY_HOURS:
        yield HOURLY, first, first_day * DAY_HOURS
    if end is not None and end_day is not None and end_day * DAY_HOURS < end:
        yield HOURLY, end_day * DAY_HOURS, end


def _summed(
    connection: Connection, rollup: Rollup, by: Sequence[str], first: int | None, end: int | None
) -> Cursor:
    """Rows of the groups named, the currencies of cost and charge, and every sum."""
    expressions = _expressions(rollup)
    grouped = ", ".join([*(expressions[name] for name in by), "currency", "charge_currency"])
    sums = ", ".join(f"sum({name})" for name in SUM_ORDER)
    where, values = _bounds(rollup, first, end)
    query = f"SELECT {grouped}, {sums} FROM {rollup.table} WHERE {where} GROUP BY {grouped}"
    return connection.execute(query, values)


def _bounds(rollup: Rollup, first: int | None, end: int | None) -> tuple[str, list[int]]:
    """A condition on a rollup's periods, and its parameters."""
    bounds = ((f"{rollup.period} >= ?", first), (f"{rollup.period} < ?", end))
    conditions = [(text, value) for text, value in bounds if value is not None]
    return " AND ".join(text for text, _ in conditions) or "1 = 1", [value for _, value in conditions]


def _named(by: Sequence[str], group: Sequence[object]) -> dict[str, str]:
    return {name: _shown(name, value) for name, value in zip(by, group, strict=True)}


def _shown(name: str, value: object) -> str:
    if name == "day" and isinstance(value, int):
        return iso_time(value * 24 * HOUR_US)[:10]
    if name == "hour" and isinstance(value, int):
        return iso_time(value * HOUR_US)[:13] + ":00Z"
    return str(value)


def add_sums(row: UsageRow, currencies: Sequence[str], sums: Sequence[int]) -> None:
    """Add sums of entries with these currencies, of cost and charge, in the order of SUM_ORDER."""
    for name, value in zip(_COUNTS, sums, strict=False):
        setattr(row, name, getattr(row, name) + value)
    _add_money(row, currencies, sums[len(_COUNTS) :])


def _add_money(row: UsageRow, currencies: Sequence[str], sums: Sequence[int]) -> None:
    cost_units, cost, charge_units, charge = sums
    for currency, mine, pico in zip(
        currencies,
        (row.cost_pico, row.charge_pico),
        (cost_units * PICO + cost, charge_units * PICO + charge),
        strict=True,
    ):
        if currency:
            mine[currency] = mine.get(currency, 0) + pico
            if currencies[1]:  # it is charged
                sign = 1 if mine is row.charge_pico else -1
                row.margin_pico[currency] = row.margin_pico.get(currency, 0) + sign * pico


def total(rows: Iterable[UsageRow]) -> UsageRow:
    """The sum of all groups."""
    all_rows = list(rows)
    whole = UsageRow(by={}, **{name: sum(map(attrgetter(name), all_rows)) for name in _COUNTS})
    for name in ("cost_pico", "charge_pico", "margin_pico"):
        mine: dict[str, int] = getattr(whole, name)
        for amounts in map(attrgetter(name), all_rows):
            for currency, pico in amounts.items():
                mine[currency] = mine.get(currency, 0) + pico
    return whole
