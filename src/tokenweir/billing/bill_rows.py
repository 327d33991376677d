"""One row of a bill: its values, or what is wrong with it."""

import re
from collections.abc import Sequence
from datetime import tzinfo

import msgspec

from tokenweir.billing.bill import Period
from tokenweir.billing.bill_files import Row
from tokenweir.billing.bill_layout import Layout, item_label
from tokenweir.billing.bill_numbers import ReadAmount, read_amount, read_count, read_currency, says_nothing
from tokenweir.billing.periods import day_of, month_of, read_time, span_of
from tokenweir.catalog.bill_formats import Column, Count, Item, folded, label_of
from tokenweir.core.sentence import Sentence, as_sentence, say

#: Of a cell that an error quotes.
QUOTED = 60
#: What may be a secret in a file that is no bill, or a cell that a missing quote has moved.
_SECRET = re.compile(r"\b(?:sk|ak|pk)-[\w-]{4,}|(?<==)\S+|\bBearer\s+\S+", re.IGNORECASE)


def masked(text: str) -> str:
    """Text for an error, without what may be a secret."""
    return _SECRET.sub("…", text)


class Fault(msgspec.Struct, frozen=True):
    """A cell that cannot be read."""

    file: str
    line: int
    column: str
    text: str
    expected: Sentence

    @property
    def told(self) -> Sentence:
        """Where it is, what stands there and what should."""
        text = masked(self.text)
        found = text if len(text) <= QUOTED else f"{text[:QUOTED]}…"
        values = {"file": self.file, "line": self.line, "found": found, "expected": self.expected}
        if self.column:
            return say(
                "{file}, row {line}, column {column!r}: found {found!r}, expected {expected}",
                **values,
                column=self.column,
            )
        return say("{file}, row {line}: found {found!r}, expected {expected}", **values)


class ReadRow(msgspec.Struct, frozen=True, kw_only=True):
    """The values of a row."""

    line: int
    period: Period
    zone: tzinfo  # in which its time stands
    model: str
    kind: str
    item: str
    tokens: dict[str, int]
    amount_pico: int | None
    currency: str
    decimals: int
    exact: bool
    request: str
    key: str


class _CellError(Exception):
    """A value that is not what its column holds; becomes a Fault."""

    def __init__(self, column: str, text: str, expected: Sentence) -> None:
        self.column, self.text, self.expected = column, text, expected
        super().__init__(expected)


def read_row(file: str, layout: Layout, row: Row) -> ReadRow | Fault | None:
    """The row's values; None: it holds neither money nor tokens, such as a day without use."""
    try:
        return _read(layout, row)
    except _CellError as error:
        return Fault(file, row.line, error.column, error.text, error.expected)


def _read(layout: Layout, row: Row) -> ReadRow | None:
    table, cells = layout.table, row.cells
    kind = layout.value(cells, table.kind)
    item = layout.item_of(kind)
    tokens = _tokens(layout, cells, item)
    money = _money(layout, cells)
    if not tokens and money is None:
        return None
    period, zone = _period(layout, cells)
    currency = _currency(layout, cells, money) if money else ""
    return ReadRow(
        line=row.line,
        period=period,
        zone=zone,
        model=layout.value(cells, table.model),
        kind=kind,
        item=item_label(item, kind) if table.kind else "",
        tokens=tokens,
        amount_pico=None if money is None else money.pico,
        currency=currency,
        decimals=money.decimals if money else 0,
        exact=money.exact if money else True,
        request=layout.value(cells, table.request),
        key=layout.value(cells, table.key),
    )


def _period(layout: Layout, cells: Sequence[str]) -> tuple[Period, tzinfo]:
    times = layout.table.time
    text = layout.value(cells, times)
    try:
        start = read_time(text, times.forms, layout.zone)
        zone = start.tzinfo or layout.zone
        if times.until is not None and times.grain == "span":
            last = read_time(layout.value(cells, times.until), times.forms, layout.zone)
            return span_of(start, last), zone
        return (month_of(start) if times.grain == "month" else day_of(start)), zone
    except ValueError as error:
        raise _CellError(_title(layout, times), layout.cell(cells, times.names), as_sentence(error)) from None


def _tokens(layout: Layout, cells: Sequence[str], item: Item | None) -> dict[str, int]:
    found = {}
    for count in item.counts if item else ():
        unit = _unit(layout, cells, count)
        text = layout.value(cells, count)
        if unit is None or says_nothing(text):
            continue
        try:
            found[label_of(count.classes)] = read_count(text, unit)
        except ValueError as error:
            raise _CellError(_title(layout, count), text, as_sentence(error)) from None
    return found


def _unit(layout: Layout, cells: Sequence[str], count: Count) -> int | None:
    """Tokens in one of what is counted; None: something else than tokens is."""
    named = layout.cell(cells, count.unit_names)
    if not named:
        return count.unit
    return {folded(name): unit for name, unit in count.units.items()}.get(folded(named))


def _money(layout: Layout, cells: Sequence[str]) -> ReadAmount | None:
    amount = layout.table.amount
    if amount is None:
        return None
    parts = [_amount(layout, cells, amount, amount.unit)]
    parts += [_amount(layout, cells, Column(names=(name,)), amount.unit) for name in amount.plus]
    said = [part for part in parts if part is not None]
    if not said:
        return None
    return ReadAmount(
        pico=sum(part.pico for part in said),
        decimals=max(part.decimals for part in said),
        currency=said[0].currency,
        exact=all(part.exact for part in said),
    )


def _amount(layout: Layout, cells: Sequence[str], column: Column, unit: str) -> ReadAmount | None:
    text = layout.value(cells, column)
    if says_nothing(text):
        return None
    try:
        return read_amount(text, unit)
    except ValueError as error:
        raise _CellError(_title(layout, column), text, as_sentence(error)) from None


def _currency(layout: Layout, cells: Sequence[str], money: ReadAmount) -> str:
    """That of the column, that of the mark beside the amount, or the table's own; two that differ are a fault."""
    told = layout.table.currency
    text = layout.cell(cells, told.names)
    try:
        named = "" if says_nothing(text) else read_currency(text)
    except ValueError as error:
        raise _CellError(told.names[0], text, as_sentence(error)) from None
    if named and money.currency and named != money.currency:
        raise _CellError(
            told.names[0],
            text,
            say("{currency}, the currency that the amount is marked with", currency=money.currency),
        )
    currency = named or money.currency or told.default
    if not currency:
        raise _CellError(told.names[0], text, say("a currency, such as CNY or USD"))
    return currency


def _title(layout: Layout, column: Column) -> str:
    """The name that the file gives the column."""
    return next((name for name in column.names if layout.place((name,)) is not None), column.names[0])
