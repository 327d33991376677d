"""Which table of which format a file is, by its header, and where its values stand."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from itertools import islice
from zoneinfo import ZoneInfo

from tokenweir.billing.bill_files import DELIMITERS, Row, TextFile, rows
from tokenweir.catalog.bill_formats import BillFormat, Column, Item, RowFilter, Table, folded, label_of
from tokenweir.core.errors import BillError
from tokenweir.core.sentence import say

#: Rows that may stand above the header: titles of consoles.
HEADER_WITHIN = 20
#: What the first cell of a row of sums says.
_SUMS = frozenset(
    {"合计", "总计", "小计", "汇总", "total", "sum", "subtotal", "grandtotal", "total:", "合计:", "总计:"}
)


class Layout:
    """A table with the places of its columns in one file."""

    def __init__(self, table: Table, header: Sequence[str]) -> None:
        self.table = table
        self.width = len(header)
        self.zone = ZoneInfo(table.time.zone)
        self._places: dict[str, int] = {}
        self._found: dict[tuple[str, ...], int | None] = {}
        self._items: dict[str, Item | None] = {}
        for index, name in enumerate(header):
            self._places.setdefault(folded(name), index)
        self.matched = sum(self.has(column) for column in self._every())

    def place(self, names: Sequence[str]) -> int | None:
        """Where the first of these names stands."""
        asked = tuple(names)
        if asked not in self._found:
            places = (self._places.get(folded(name)) for name in asked)
            self._found[asked] = next((place for place in places if place is not None), None)
        return self._found[asked]

    def has(self, column: Column) -> bool:
        """Whether the file has the column."""
        return self.place(column.names) is not None

    @property
    def fits(self) -> bool:
        """Whether the header has every column that is not optional."""
        return all(self.has(column) for column in self.table.columns())

    def cell(self, cells: Sequence[str], names: Sequence[str]) -> str:
        """The whole cell; empty where there is none."""
        index = self.place(names)
        return cells[index].strip() if index is not None and index < len(cells) else ""

    def value(self, cells: Sequence[str], column: Column | None) -> str:
        """What the column's pattern takes of its cell; empty where it does not match."""
        if column is None:
            return ""
        text = self.cell(cells, column.names)
        if not column.pattern:
            return text
        match = re.search(column.pattern, text)
        return (match[1] or "").strip() if match else ""

    def is_left_out(self, cells: Sequence[str]) -> bool:
        """Whether a row is about something else, as the format says."""
        wanted = all(self._matches(cells, one) for one in self.table.only if self.has(one))
        return not wanted or any(self._matches(cells, one) for one in self.table.skip)

    def _matches(self, cells: Sequence[str], one: RowFilter) -> bool:
        value = folded(self.value(cells, one))
        return self.has(one) and any(fnmatchcase(value, folded(pattern)) for pattern in one.values)

    def is_sum(self, cells: Sequence[str]) -> bool:
        """Whether a row holds sums of others."""
        return folded(next((cell for cell in cells if cell.strip()), "")) in _SUMS

    def item_of(self, kind: str) -> Item | None:
        """What a row of this kind is about; None: nothing that the format knows."""
        if kind not in self._items:
            self._items[kind] = _item_of(self.table, kind)
        return self._items[kind]

    def _every(self) -> Iterator[Column]:
        yield from self.table.columns()
        yield from (c for c in (self.table.request, self.table.key) if c is not None)


def _item_of(table: Table, kind: str) -> Item | None:
    if table.kind is None:
        return table.item[0]
    word = folded(kind)
    fitting = (item for item in table.item if any(fnmatchcase(word, folded(k)) for k in item.kinds))
    everything = (item for item in table.item if not item.kinds)
    return next(fitting, None) or next(everything, None)


def item_label(item: Item | None, kind: str) -> str:
    """What the item is called: its classes, or the provider's own word."""
    return (kind or "other") if item is None else label_of(item.covered)


class Recognised:
    """A file of a known table: its layout, and the rows below the header."""

    def __init__(self, file: TextFile, form: BillFormat, layout: Layout, delimiter: str, header: Row) -> None:
        self.file = file.name
        self.format = form
        self.layout = layout
        self.left_out = 0
        self._text, self._delimiter, self._header = file, delimiter, header

    @property
    def body(self) -> Iterator[Row]:
        """Rows below the header, without those of sums."""
        for row in rows(self._text, self._delimiter):
            if row.line > self._header.line and not self.layout.is_sum(row.cells):
                yield row


def recognise(file: TextFile, formats: Sequence[BillFormat], preferred: Sequence[str]) -> Recognised | None:
    """Which table the file is; None: no known one. Raises BillError where it could be of several providers.

    A table that no public source confirms is looked for in preferred formats alone: its header may be anybody's.
    """
    for delimiter in DELIMITERS:
        found = list(_candidates(file, delimiter, formats, preferred))
        liked = [one for one in found if one.format.id in preferred] or found
        ids = sorted({one.format.id for one in liked})
        if len(ids) > 1:
            raise BillError(
                say(
                    "{name}: it could be a bill of {ids}; name it with --provider",
                    name=file.name,
                    ids=" or ".join(ids),
                )
            )
        if liked:
            return max(liked, key=lambda one: one.layout.matched)
    return None


def _candidates(
    file: TextFile, delimiter: str, formats: Sequence[BillFormat], preferred: Sequence[str]
) -> Iterator[Recognised]:
    for row in islice(rows(file, delimiter), HEADER_WITHIN):
        for form in formats:
            for table in form.table:
                if table.confirmed or form.id in preferred:
                    layout = Layout(table, row.cells)
                    if layout.fits:
                        yield Recognised(file, form, layout, delimiter, row)
