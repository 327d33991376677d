"""Usage with its money in one currency, converted day by day. Pure."""

from collections.abc import Iterable, Sequence
from functools import reduce

import msgspec

from tokenweir.ledger.views.conversion import Converted, Rate, RateBook, add
from tokenweir.ledger.views.usage import UsageRow, total


class ConvertedRow(msgspec.Struct, frozen=True):
    """Sums of a group as they were used, and what they cost and are charged in one currency."""

    row: UsageRow
    cost: Converted
    charge: Converted
    margin: Converted

    @property
    def rates(self) -> tuple[Rate, ...]:
        """Every rate that was used, once."""
        return tuple(dict.fromkeys((*self.cost.rates, *self.charge.rates)))


def with_days(groups: Sequence[str]) -> tuple[str, ...]:
    """What usage has to be grouped by to be converted."""
    return tuple(groups) if {"day", "hour"} & set(groups) else (*groups, "day")


def converted(
    rows: Iterable[UsageRow], groups: Sequence[str], currency: str, book: RateBook
) -> list[ConvertedRow]:
    """Rows by `groups`, from rows by `with_days(groups)`: each day's money at the rates of that day."""
    found: dict[tuple[str, ...], list[ConvertedRow]] = {}
    for row in rows:
        day = row.by.get("day") or row.by["hour"][:10]
        amounts = (row.cost_pico, row.charge_pico, row.margin_pico)
        cost, charge, margin = (book.convert(pico, currency, day) for pico in amounts)
        group = tuple(row.by[name] for name in groups)
        found.setdefault(group, []).append(ConvertedRow(row, cost, charge, margin))
    summed = []
    for group, parts in found.items():
        whole = total_converted(parts, currency)
        whole.row.by = dict(zip(groups, group, strict=True))
        summed.append(whole)
    return summed


def total_converted(rows: Sequence[ConvertedRow], currency: str) -> ConvertedRow:
    """The sum of all: what has been rounded in its parts is not rounded again, so that a table adds up."""
    nothing = Converted(currency, 0, {}, ())
    cost = reduce(add, (row.cost for row in rows), nothing)
    charge = reduce(add, (row.charge for row in rows), nothing)
    margin = reduce(add, (row.margin for row in rows), nothing)
    return ConvertedRow(total(row.row for row in rows), cost, charge, margin)
