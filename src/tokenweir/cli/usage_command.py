"""`weir usage`: what was used and what it cost, by group."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from tokenweir.cli import show
from tokenweir.cli.usage_table import RateUsed, Shown, print_usage, rates_used
from tokenweir.core.clock import Clock
from tokenweir.core.money import check_currency, decimals, format_pico
from tokenweir.ledger.views import GROUPS, UsageRow, iso_time, open_reader, total, usage, whole_hours
from tokenweir.ledger.views.told import Tokens, usage_members

if TYPE_CHECKING:
    from tokenweir.ledger.views.converted import ConvertedRow


class ConvertedLine(msgspec.Struct, frozen=True):
    """What a row costs and is charged in one currency; `…_apart` has no rate, and is in neither."""

    currency: str
    cost: str
    charge: str
    margin: str
    cost_apart: dict[str, str]
    charge_apart: dict[str, str]
    margin_apart: dict[str, str]


class UsageLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """One row of `--json`. Money is exact decimal strings by currency."""

    by: dict[str, str]
    calls: int
    tokens: Tokens
    cost: dict[str, str]
    unpriced_calls: int
    estimated_calls: int
    counted_calls: int
    unknown_calls: int
    refused: int
    failed: int
    attempts: int
    charge: dict[str, str]  # where accounts are charged by a price of their own …
    margin: dict[str, str]  # … and by how much that is above the cost of these calls
    converted: ConvertedLine | None = None  # with --in
    parent: str | None = None  # with --tree: the account above; the sums are those of all below too
    depth: int | None = None


class UsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The whole of `--json`. Bounds are whole UTC hours; null: none."""

    rows: tuple[UsageLine, ...]
    since: str | None
    until: str | None
    rates: tuple[RateUsed, ...] = ()  # with --in


class UsageWords(msgspec.Struct, frozen=True):
    """What the command line asks for."""

    by: str = "model"
    since: str = ""
    until: str = ""
    tree: bool = False
    currency: str = ""


def usage_line(row: UsageRow) -> UsageLine:
    """The JSON form of a row."""
    return UsageLine(**usage_members(row))


def _shown_line(shown: Shown) -> UsageLine:
    line = usage_line(shown.row)
    if shown.money is not None:
        line = msgspec.structs.replace(line, converted=_converted_line(shown.money))
    if shown.depth is not None:
        line = msgspec.structs.replace(line, parent=shown.parent, depth=shown.depth)
    return line


def _converted_line(money: "ConvertedRow") -> ConvertedLine:
    return ConvertedLine(
        currency=money.cost.currency,
        cost=format_pico(money.cost.pico),
        charge=format_pico(money.charge.pico),
        margin=format_pico(money.margin.pico),
        cost_apart=decimals(money.cost.apart),
        charge_apart=decimals(money.charge.apart),
        margin_apart=decimals(money.margin.apart),
    )


def parse_groups(text: str) -> tuple[str, ...]:
    """Groups from `model` or `model,day`. Raises ValueError."""
    groups = tuple(part.strip() for part in text.split(","))
    for group in groups:
        if group not in GROUPS:
            from tokenweir.cli.settings_file import nearest

            raise ValueError(f"usage has no {group!r}; {nearest(group, GROUPS)}")
    return groups


def _moment(text: str, clock: Clock) -> int | None:
    if not text:
        return None
    from tokenweir.cli.moments import parse_moment

    return parse_moment(text, clock.now_us())


def run(directory: Path, words: UsageWords, as_json: bool, clock: Clock) -> None:
    """Print usage. Raises ValueError for wrong words, LedgerError."""
    groups, currency = parse_groups(words.by), words.currency.upper()
    if words.tree and groups != ("account",):
        raise ValueError("a tree is of accounts: --by account --tree")
    if currency:
        check_currency(currency)
    since_us, until_us = (_moment(text, clock) for text in (words.since, words.until))
    if currency or words.tree:
        from tokenweir.cli import usage_arranged

        arrangement = usage_arranged.Arrangement(groups, words.tree, currency)
        shown, whole = usage_arranged.read(directory, arrangement, since_us, until_us)
    else:
        with closing(open_reader(directory)) as connection:
            rows = usage(connection, groups, since_us, until_us)
        shown, whole = [Shown(row) for row in rows], Shown(total(rows))
    if as_json:
        first, last = (None if us is None else iso_time(us) for us in whole_hours(since_us, until_us))
        show.print_json(UsageAnswer(tuple(map(_shown_line, shown)), first, last, rates_used(whole)))
        return
    print_usage(groups, shown, whole)
