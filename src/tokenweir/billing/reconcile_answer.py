"""A comparison as JSON has it: every cell, in exact decimals."""

import msgspec

from tokenweir.billing.our_side import Compared
from tokenweir.billing.reconcile import Cell, Group, Outcome, Result, Side
from tokenweir.billing.reconciling import Comparison
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
    since: str
    until: str
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
    """The whole; `unread` are files of the bill whose tables are not known."""

    upstream: str
    format: str
    confirmed: bool
    tolerance: str
    agrees: bool
    sections: tuple[SectionAnswer, ...]
    unread: tuple[str, ...]


def reconcile_answer(upstream: str, compared: Comparison) -> ReconcileAnswer:
    """The JSON form."""
    return ReconcileAnswer(
        upstream=upstream,
        format=compared.bill.format,
        confirmed=compared.bill.confirmed,
        tolerance=format_pico(compared.tolerance_pico),
        agrees=compared.agrees,
        sections=tuple(map(_section, compared.results, compared.sides)),
        unread=compared.bill.unread,
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
    return SideAnswer(
        side.tokens,
        {currency: format_pico(pico) for currency, pico in sorted(side.money.items())},
        side.unpriced_tokens,
    )


def _cell(cell: Cell) -> CellAnswer:
    figures = cell.figures()
    difference = SideAnswer(
        {figure.measure: figure.theirs_more for figure in figures if not figure.is_money},
        {figure.measure: format_pico(figure.theirs_more) for figure in figures if figure.is_money},
    )
    return CellAnswer(
        outcome=cell.outcome.value,
        period=cell.period.label,
        since=iso_time(cell.period.start_us),
        until=iso_time(cell.period.end_us),
        model=cell.model,
        item=cell.item,
        request=cell.request,
        ours=_side(cell.ours),
        theirs=_side(cell.theirs),
        difference=difference,
        rows=rows_to_see(cell),
    )


def rows_to_see(cell: Cell) -> tuple[tuple[str, int], ...]:
    """Rows that somebody has to look at: a month of requests that match has a hundred thousand others."""
    return () if cell.outcome is Outcome.MATCHED else cell.rows
