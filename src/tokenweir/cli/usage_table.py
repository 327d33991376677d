"""How usage is shown: the table of `weir usage`, and what its rows are made of."""

from typing import TYPE_CHECKING

import msgspec

from tokenweir.cli import show
from tokenweir.core.money import format_pico
from tokenweir.ledger.views import UsageRow
from tokenweir.ledger.views.told import tokens_of

if TYPE_CHECKING:  # plain usage is shown without them, and sooner
    from tokenweir.ledger.terms import ExchangeRate
    from tokenweir.ledger.views.conversion import Converted
    from tokenweir.ledger.views.converted import ConvertedRow

#: A table names so many of the rates that were used.
MOST_RATES_SHOWN = 12


class RateUsed(msgspec.Struct, frozen=True):
    """A rate that was used; `inverse`: `quote` was converted into `base` by it."""

    base: str
    quote: str
    day: str
    rate: str
    source: str
    inverse: bool


class Shown(msgspec.Struct, frozen=True):
    """A row of the table: its sums, where it stands in a tree, and its money in one currency."""

    row: UsageRow
    money: "ConvertedRow | None" = None
    parent: str = ""
    depth: int | None = None


def rates_used(whole: Shown) -> tuple[RateUsed, ...]:
    """Every rate that a sum was converted by, once."""
    used = () if whole.money is None else whole.money.rates
    return tuple(
        RateUsed(quoted.base, quoted.quote, quoted.day, format_pico(quoted.rate_pico), quoted.source, inverse)
        for quoted, inverse in sorted(map(msgspec.structs.astuple, used), key=_by_pair_and_day)
    )


def _by_pair_and_day(used: "tuple[ExchangeRate, bool]") -> tuple[str, str, str, bool]:
    quoted, inverse = used
    return quoted.base, quoted.quote, quoted.day, inverse


def print_usage(groups: tuple[str, ...], shown: list[Shown], whole: Shown) -> None:
    """The table: rows, their sum, and the rates that money was converted by."""
    charged = bool(whole.row.charge_pico)
    apart = whole.money is not None and bool(whole.money.cost.apart or whole.money.charge.apart)
    counts = ["calls", "input", "cached", "written", "output", "reasoning"]
    amounts = ["cost", *(["charge", "margin"] if charged else []), *(["without a rate"] if apart else [])]
    columns = [*groups, *counts, *amounts, "remarks"]
    lines = [[*_named(part), *_cells(part, charged, apart)] for part in shown]
    if len(shown) > 1:
        lines.append(["total", *[""] * (len(groups) - 1), *_cells(whole, charged, apart)])
    show.print_table(columns, lines, right=frozenset(range(len(groups), len(columns) - 1)))
    out = show.console()
    if not shown:
        out.print("No calls yet.")
    rates = rates_used(whole)
    for rate in rates[:MOST_RATES_SHOWN]:
        source = f" ({rate.source})" if rate.source else ""
        out.print(f"1 {rate.base} = {rate.rate} {rate.quote} from {rate.day} on{source}", markup=False)
    if len(rates) > MOST_RATES_SHOWN:
        out.print(f"… and {len(rates) - MOST_RATES_SHOWN:,} more rates; --json names them all")


def _named(shown: Shown) -> list[str]:
    names = list(shown.row.by.values())
    return ["  " * shown.depth + names[0]] if shown.depth else names


def _cells(shown: Shown, charged: bool, apart: bool) -> list[str]:
    row, money = shown.row, shown.money
    counts = (row.calls, *msgspec.structs.astuple(tokens_of(row)))
    amounts = [row.cost_pico, row.charge_pico, row.margin_pico]
    if money is not None:
        converted = (money.cost, money.charge, money.margin)
        amounts = [_in_one(one, was) for one, was in zip(converted, amounts, strict=True)]
        amounts[2] |= money.margin.apart  # a part of a margin alone would be no margin
    cells = [show.money(amount) or "–" for amount in amounts[: 3 if charged else 1]]
    if apart and money is not None:
        parts = (("", money.cost.apart), ("charge ", money.charge.apart))
        cells.append(", ".join(word + show.money(pico) for word, pico in parts if pico) or "–")
    return [*(f"{count:,}" for count in counts), *cells, remarks(row)]


def _in_one(money: "Converted", was: dict[str, int]) -> dict[str, int]:
    """Nothing is told as nothing: what has no rate stands apart."""
    return {money.currency: money.pico} if money.rates or money.currency in was else {}


def remarks(row: UsageRow) -> str:
    """What must be known to read the numbers right."""
    parts = (
        (row.unpriced_calls, "unpriced"),
        (row.estimated_calls, "estimated"),
        (row.counted_calls, "counted here"),
        (row.unknown_calls, "of unknown usage"),
        (row.failed, "failed"),
        (row.refused, "refused"),
    )
    return ", ".join(f"{count:,} {word}" for count, word in parts if count)
