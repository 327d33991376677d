"""`weir usage`: what was used and what it cost, by group."""

from contextlib import closing
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.moments import parse_moment
from tokenweir.cli.settings_file import nearest
from tokenweir.core.clock import Clock
from tokenweir.core.money import check_currency, format_pico
from tokenweir.ledger.terms import ExchangeRate, Terms
from tokenweir.ledger.views import GROUPS, UsageRow, iso_time, open_reader, total, usage, whole_hours
from tokenweir.ledger.views.accounts import account_tree
from tokenweir.ledger.views.conversion import Converted, RateBook
from tokenweir.ledger.views.converted import ConvertedRow, converted, total_converted, with_days
from tokenweir.ledger.views.terms import terms_now

#: A table names so many of the rates that were used.
MOST_RATES_SHOWN = 12


class Tokens(msgspec.Struct, frozen=True):
    """Disjoint classes; cache writes of every length together."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


class ConvertedLine(msgspec.Struct, frozen=True):
    """What a row costs and is charged in one currency; `…_apart` has no rate, and is in neither."""

    currency: str
    cost: str
    charge: str
    cost_apart: dict[str, str]
    charge_apart: dict[str, str]


class RateUsed(msgspec.Struct, frozen=True):
    """A rate that was used; `inverse`: `quote` was converted into `base` by it."""

    base: str
    quote: str
    day: str
    rate: str
    source: str
    inverse: bool


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
    charge: dict[str, str]  # where accounts are charged by a price of their own
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


class Shown(msgspec.Struct, frozen=True):
    """A row of the table: its sums, where it stands in a tree, and its money in one currency."""

    row: UsageRow
    money: ConvertedRow | None = None
    parent: str = ""
    depth: int | None = None


def usage_line(row: UsageRow) -> UsageLine:
    """The JSON form of a row."""
    return UsageLine(
        by=row.by,
        calls=row.calls,
        tokens=tokens_of(row),
        cost=show.decimals(row.cost_pico),
        unpriced_calls=row.unpriced_calls,
        estimated_calls=row.estimated_calls,
        counted_calls=row.counted_calls,
        unknown_calls=row.unknown_calls,
        refused=row.refused,
        failed=row.failed,
        attempts=row.attempts,
        charge=show.decimals(row.charge_pico),
    )


def _shown_line(shown: Shown) -> UsageLine:
    line = usage_line(shown.row)
    if shown.money is not None:
        line = msgspec.structs.replace(line, converted=_converted_line(shown.money))
    if shown.depth is not None:
        line = msgspec.structs.replace(line, parent=shown.parent, depth=shown.depth)
    return line


def _converted_line(money: ConvertedRow) -> ConvertedLine:
    return ConvertedLine(
        currency=money.cost.currency,
        cost=format_pico(money.cost.pico),
        charge=format_pico(money.charge.pico),
        cost_apart=show.decimals(money.cost.apart),
        charge_apart=show.decimals(money.charge.apart),
    )


def tokens_of(row: UsageRow) -> Tokens:
    """The five classes that are shown."""
    written = row.cache_write_5m + row.cache_write_1h
    return Tokens(row.input, row.cache_read, written, row.output, row.reasoning)


def parse_groups(text: str) -> tuple[str, ...]:
    """Groups from `model` or `model,day`. Raises ValueError."""
    groups = tuple(part.strip() for part in text.split(","))
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"usage has no {group!r}; {nearest(group, GROUPS)}")
    return groups


def run(directory: Path, words: UsageWords, as_json: bool, clock: Clock) -> None:
    """Print usage. Raises ValueError for wrong words, LedgerError."""
    groups, currency = parse_groups(words.by), words.currency.upper()
    if words.tree and groups != ("account",):
        raise ValueError("a tree is of accounts: --by account --tree")
    if currency:
        check_currency(currency)
    now_us = clock.now_us()
    since_us = parse_moment(words.since, now_us) if words.since else None
    until_us = parse_moment(words.until, now_us) if words.until else None
    with closing(open_reader(directory)) as connection:
        rows = usage(connection, with_days(groups) if currency else groups, since_us, until_us)
    terms = terms_now(directory) if currency or words.tree else Terms()
    if currency:
        book = RateBook(terms.rates.values())
        flat = [Shown(money.row, money) for money in converted(rows, groups, currency, book)]
    else:
        flat = [Shown(row) for row in rows]
    shown = _tree(flat, terms, currency) if words.tree else flat
    if as_json:
        first, last = (None if us is None else iso_time(us) for us in whole_hours(since_us, until_us))
        show.print_json(UsageAnswer(tuple(map(_shown_line, shown)), first, last, _rates_used(flat)))
        return
    _print(groups, shown, _whole(flat, currency))


def _tree(flat: list[Shown], terms: Terms, currency: str) -> list[Shown]:
    """Accounts under the ones above them, each with all below it."""
    known = {shown.row.by["account"]: shown for shown in flat}
    tree = account_tree(terms, known)
    found = []
    for branch in tree:
        whole = _whole([known[id] for id in branch.below if id in known], currency)
        whole.row.by = {"account": branch.id}
        record = terms.accounts.get(branch.id)
        parent = record.parent if record is not None else ""
        found.append(Shown(whole.row, whole.money, parent, branch.depth))
    return found


def _whole(parts: list[Shown], currency: str) -> Shown:
    """The sum of rows."""
    if not currency:
        return Shown(total(part.row for part in parts))
    money = total_converted([part.money for part in parts if part.money is not None], currency)
    return Shown(money.row, money)


def _rates_used(shown: list[Shown]) -> tuple[RateUsed, ...]:
    used = {rate for part in shown if part.money is not None for rate in part.money.rates}
    return tuple(
        RateUsed(quoted.base, quoted.quote, quoted.day, format_pico(quoted.rate_pico), quoted.source, inverse)
        for quoted, inverse in sorted(map(msgspec.structs.astuple, used), key=_by_pair_and_day)
    )


def _by_pair_and_day(used: tuple[ExchangeRate, bool]) -> tuple[str, str, str, bool]:
    quoted, inverse = used
    return quoted.base, quoted.quote, quoted.day, inverse


def _print(groups: tuple[str, ...], shown: list[Shown], whole: Shown) -> None:
    charged = bool(whole.row.charge_pico)
    apart = whole.money is not None and bool(whole.money.cost.apart or whole.money.charge.apart)
    counts = ["calls", "input", "cached", "written", "output", "reasoning"]
    amounts = ["cost", *(["charge"] if charged else []), *(["without a rate"] if apart else [])]
    columns = [*groups, *counts, *amounts, "remarks"]
    lines = [[*_named(part), *_cells(part, charged, apart)] for part in shown]
    if len(shown) > 1:
        lines.append(["total", *[""] * (len(groups) - 1), *_cells(whole, charged, apart)])
    show.print_table(columns, lines, right=frozenset(range(len(groups), len(columns) - 1)))
    out = show.console()
    if not shown:
        out.print("No calls yet.")
    rates = _rates_used([whole])
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
    cost, charge = row.cost_pico, row.charge_pico
    if money is not None:
        # Nothing is told as nothing: what has no rate stands apart.
        cost, charge = _in_one(money.cost, cost), _in_one(money.charge, charge)
    amounts = [show.money(cost) or "–", *([show.money(charge) or "–"] if charged else [])]
    if apart and money is not None:
        parts = (("", money.cost.apart), ("charge ", money.charge.apart))
        amounts.append(", ".join(word + show.money(pico) for word, pico in parts if pico) or "–")
    return [*(f"{count:,}" for count in counts), *amounts, remarks(row)]


def _in_one(money: Converted, was: dict[str, int]) -> dict[str, int]:
    return {money.currency: money.pico} if was.keys() - money.apart.keys() else {}


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
