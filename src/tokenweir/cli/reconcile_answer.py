"""What `weir reconcile` gives to other programs: JSON, and a CSV of every figure."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tokenweir.billing.bill import Bill
from tokenweir.billing.our_side import Compared
from tokenweir.billing.reconcile import Cell, Group, Outcome, Result, Side
from tokenweir.cli import show
from tokenweir.core.errors import BillError
from tokenweir.core.money import format_pico
from tokenweir.ledger.views import iso_time


class SideAnswer(msgspec.Struct, frozen=True):
    """One side: tokens by classes, money as exact decimals by currency."""

    tokens: dict[str, int]
    money: dict[str, str]
    unpriced_tokens: int = 0


class CellAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared at once. `difference` is theirs less ours; `rows` are lines of the bill's files, unless it matched."""

    outcome: str
    period: str
    model: str
    item: str
    request: str
    ours: SideAnswer
    theirs: SideAnswer
    difference: SideAnswer
    rows: tuple[tuple[str, int], ...]


class GroupAnswer(msgspec.Struct, frozen=True):
    """Cells of one outcome, summed."""

    cells: int
    ours: SideAnswer
    theirs: SideAnswer


class SectionAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A table of the bill. `decimals` is what its amounts are rounded to."""

    section: str
    grain: str
    zone: str
    since: str
    until: str
    decimals: int | None
    lines: int
    outside: int
    left_out: int
    entries: int
    unknown_entries: int
    estimated_entries: int
    groups: dict[str, GroupAnswer]
    cells: tuple[CellAnswer, ...]


class ReconcileAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """`weir reconcile --json`."""

    upstream: str
    format: str
    confirmed: bool
    tolerance: str
    agrees: bool
    sections: tuple[SectionAnswer, ...]
    unread: tuple[str, ...]


def print_answer(
    upstream: str, bill: Bill, results: Sequence[Result], compared: Sequence[Compared], tolerance_pico: int
) -> None:
    """Print the whole as one line of JSON."""
    show.print_json(
        ReconcileAnswer(
            upstream=upstream,
            format=bill.format,
            confirmed=bill.confirmed,
            tolerance=format_pico(tolerance_pico),
            agrees=all(result.agrees for result in results),
            sections=tuple(map(_section, results, compared)),
            unread=bill.unread,
        )
    )


def _section(result: Result, sides: Compared) -> SectionAnswer:
    section = result.section
    return SectionAnswer(
        section=section.name,
        grain=section.grain,
        zone=str(section.zone),
        since=iso_time(sides.since_us),
        until=iso_time(sides.until_us),
        decimals=section.decimals if section.has_money else None,
        lines=len(sides.theirs),
        outside=sides.outside,
        left_out=section.left_out,
        entries=sides.entries,
        unknown_entries=sides.unknown,
        estimated_entries=sides.estimated,
        groups={outcome.value: _group(group) for outcome, group in result.groups.items()},
        cells=tuple(_cell(cell) for group in result.groups.values() for cell in group.cells),
    )


def _group(group: Group) -> GroupAnswer:
    return GroupAnswer(len(group.cells), _side(group.ours), _side(group.theirs))


def _side(side: Side) -> SideAnswer:
    return SideAnswer(side.tokens, show.decimals(side.money), side.unpriced_tokens)


def _cell(cell: Cell) -> CellAnswer:
    figures = cell.figures()
    difference = SideAnswer(
        {figure.measure: figure.theirs_more for figure in figures if not figure.is_money},
        {figure.measure: format_pico(figure.theirs_more) for figure in figures if figure.is_money},
    )
    return CellAnswer(
        outcome=cell.outcome.value,
        period=cell.period.label,
        model=cell.model,
        item=cell.item,
        request=cell.request,
        ours=_side(cell.ours),
        theirs=_side(cell.theirs),
        difference=difference,
        rows=_rows(cell),
    )


def _rows(cell: Cell) -> tuple[tuple[str, int], ...]:
    """Rows that somebody has to look at: a month of requests that match has a hundred thousand others."""
    return () if cell.outcome is Outcome.MATCHED else cell.rows


COLUMNS = (
    "section",
    "outcome",
    "period",
    "model",
    "item",
    "request",
    "measure",
    "ours",
    "theirs",
    "difference",
    "rows",
)


def write_csv(target: Path, results: Sequence[Result]) -> None:
    """Write every figure of every cell to `target`, which is replaced only once it is complete. Raises BillError."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(row for result in results for row in _csv_rows(result))
        unfinished.replace(target)
    except OSError as error:
        raise BillError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)


def _csv_rows(result: Result) -> Iterator[tuple[str, ...]]:
    for outcome, group in result.groups.items():
        for cell in group.cells:
            what = (
                result.section.name,
                outcome.value,
                cell.period.label,
                cell.model,
                cell.item,
                cell.request,
            )
            rows = " ".join(str(line) for _, line in _rows(cell))
            for figure in cell.figures():
                values = (figure.ours, figure.theirs, figure.theirs_more)
                shown = (format_pico(v) if figure.is_money else str(v) for v in values)
                yield (
                    *what,
                    figure.measure if figure.is_money else f"tokens {figure.measure}".strip(),
                    *shown,
                    rows,
                )
