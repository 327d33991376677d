"""How `weir reconcile` is read by people: the sums of each outcome, then every cell that does not match."""

from collections.abc import Iterator, Sequence

from tokenweir.billing.bill import Bill
from tokenweir.billing.our_side import Compared
from tokenweir.billing.reconcile import Cell, Difference, Group, Outcome, Result
from tokenweir.cli import show
from tokenweir.core.money import format_pico

#: Figures that are printed of a section; `--csv` and `--json` have all.
MOST_SHOWN = 200
#: Rows of the bill that a line names.
MOST_ROWS = 5
_SUM_COLUMNS = ("", "cells", "tokens, ours", "tokens, theirs", "ours", "theirs", "theirs – ours")
_COLUMNS = (
    "outcome",
    "period",
    "model",
    "of",
    "figure",
    "ours",
    "theirs",
    "theirs – ours",
    "rows of the bill",
)


def print_results(
    upstream: str, bill: Bill, results: Sequence[Result], compared: Sequence[Compared], tolerance_pico: int
) -> None:
    """Print all sections."""
    out = show.console()
    out.print(f"{bill.title}, beside the ledger's calls to {upstream}")
    if not bill.confirmed:
        out.print(
            "This format was made after a description, not after a bill: look at its rows (docs/billing.md)."
        )
    for name in bill.unread:
        out.print(f"Left unread, since it is no known table: {name}")
    for result, sides in zip(results, compared, strict=True):
        out.print()
        for line in _heading(result, sides, tolerance_pico):
            out.print(line, soft_wrap=True)
        show.print_table(_SUM_COLUMNS, _sums(result), right=frozenset(range(1, 7)))
        _print_cells(result)


def _heading(result: Result, sides: Compared, tolerance_pico: int) -> Iterator[str]:
    section = result.section
    grain = {"moment": "day", "hour": "day"}.get(section.grain, section.grain)
    yield f"{section.name}: by {grain} in {section.zone}; rows of the bill: {len(sides.theirs):,}, entries of ours: {sides.entries:,}"
    if section.has_money and section.decimals < 12:
        unit = format_pico(10 ** (12 - section.decimals))
        yield f"  amounts are rounded to {unit}: each row may be off by half of that"
    if tolerance_pico:
        yield f"  a difference of up to {format_pico(tolerance_pico)} in money counts as none"
    remarks = (
        (section.left_out, "rows about something else, left out"),
        (sides.outside, "rows that do not lie wholly in the span, left out"),
        (sides.unknown, "entries of ours with unknown usage, which counts as none"),
        (sides.estimated, "entries of ours with estimated usage"),
    )
    yield from (f"  {text}: {count:,}" for count, text in remarks if count)


def _sums(result: Result) -> Iterator[list[str]]:
    for outcome, group in result.groups.items():
        tokens = [f"{sum(side.tokens.values()):,}" for side in (group.ours, group.theirs)]
        yield [
            outcome.value,
            f"{len(group.cells):,}",
            *(tokens if result.section.counts else ["–", "–"]),
            *([show.money(side) or "–" for side in (group.ours.money, group.theirs.money)]),
            show.money(_more(group)) or "–",
        ]


def _more(group: Group) -> dict[str, int]:
    currencies = {**group.ours.money, **group.theirs.money}
    return {name: group.theirs.money.get(name, 0) - group.ours.money.get(name, 0) for name in currencies}


def _print_cells(result: Result) -> None:
    wrong = [
        cell
        for outcome, group in result.groups.items()
        if outcome is not Outcome.MATCHED
        for cell in group.cells
    ]
    rows = [_row(cell, figure) for cell in wrong for figure in _shown(cell)]
    if not rows:
        return
    show.console().print()
    show.print_table(_COLUMNS, rows[:MOST_SHOWN], right=frozenset({5, 6, 7}))
    if len(rows) > MOST_SHOWN:
        show.console().print(f"… and {len(rows) - MOST_SHOWN:,} more: --csv FILE and --json have all")


def _shown(cell: Cell) -> list[Difference]:
    """Of a cell that both sides have, only what differs."""
    figures = [figure for figure in cell.figures() if figure.ours or figure.theirs]
    if cell.outcome is not Outcome.DIFFERENT:
        return figures
    return [figure for figure in figures if figure.theirs_more] or figures


def _row(cell: Cell, figure: Difference) -> list[str]:
    lines = [str(line) for _, line in cell.rows]
    rows = ", ".join(lines[:MOST_ROWS]) + (
        f" and {len(lines) - MOST_ROWS:,} more" if len(lines) > MOST_ROWS else ""
    )
    unpriced = (
        f"{cell.ours.unpriced_tokens:,} tokens of ours are unpriced" if cell.ours.unpriced_tokens else ""
    )
    return [
        cell.outcome.value,
        cell.period.label,
        cell.model,
        cell.request or short(cell.item),
        figure.measure if figure.is_money else _counted(figure.measure, cell.item),
        *(_number(value, figure.is_money) for value in (figure.ours, figure.theirs, figure.theirs_more)),
        "; ".join(filter(None, (rows, unpriced))),
    ]


def _counted(measure: str, item: str) -> str:
    """The tokens of a count; those of all that the cell is about need no further word."""
    return "tokens" if measure in ("", item) else f"tokens {short(measure)}"


def _number(value: int, is_money: bool) -> str:
    return format_pico(value) if is_money else f"{value:,}"


def short(classes: str) -> str:
    """Names of classes, with cache writes of both lengths as one."""
    return classes.replace("cache_write_5m+cache_write_1h", "cache_write")
