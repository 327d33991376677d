"""Tables and charts as values: what a page shows, what its CSV holds, and what it is sorted by, from the same rows. Pure."""

import csv
import io
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from tokenweir.console.numbers import Format
from tokenweir.core.money import format_pico
from tokenweir.ledger.terms import COUNTED_UNITS


class Link(msgspec.Struct, frozen=True):
    """A text that leads somewhere; in a tree, so many steps below its root."""

    text: str
    href: str
    depth: int = 0


class Badge(msgspec.Struct, frozen=True):
    """A state: a word of the console's (`word`) or a text as it is, in a tone: "good", "warn", "bad" or ""."""

    text: str
    tone: str = ""
    word: str = ""


class Bar(msgspec.Struct, frozen=True):
    """How much of a limit is spent and reserved. `limit` 0: nothing may be spent."""

    spent: int
    reserved: int
    limit: int
    unit: str  # a currency (amounts are pico), "tokens", "calls" or "tool calls"

    @property
    def left(self) -> int:
        """What may still be spent; never less than nothing."""
        return max(0, self.limit - self.spent - self.reserved)

    def percent(self, amount: int) -> int:
        """A part of the limit in whole per cent, 0 to 100; something is at least 1."""
        if self.limit <= 0:
            return 100 if amount else 0
        return min(100, max(1, round(amount * 100 / self.limit))) if amount > 0 else 0


class Quantity(msgspec.Struct, frozen=True):
    """An amount of a limit's unit."""

    amount: int
    unit: str  # a currency (pico), "tokens", "calls" or "tool calls"

    @property
    def exact(self) -> str:
        """In the unit, to the last digit."""
        return str(self.amount) if self.unit in COUNTED_UNITS else format_pico(self.amount)


Cell = object
#: What labels of charts are called where they are moments.
TIMES = frozenset({"hour", "day", "month"})
#: Kinds whose columns stand to the right.
RIGHT = frozenset({"number", "tokens", "money", "ms", "share", "per_million", "quantity"})


class Column(msgspec.Struct, frozen=True):
    """`kind`: text, long, code, number, tokens, money (pico by currency), time (µs), ms, share (0 to 1), per_million, quantity, link, badge or bar."""

    id: str
    kind: str = "text"
    label: str = ""  # a key of words; empty: `WORDS.col_ID`, else `col.ID`
    text: str = ""  # its head as it is, where that is no word of ours
    sortable: bool = True

    @property
    def css(self) -> str:
        """The class of its cells: numbers stand to the right, long texts are broken into lines."""
        return "right" if self.kind in RIGHT else "long" if self.kind == "long" else ""


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of cells, one for each column; None: nothing is known. `words` names the file of words that heads its columns."""

    name: str
    words: str
    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Cell]]
    total: Sequence[Cell] = ()  # a last row
    sort: str = ""  # as it was sorted: `cost`, or `-cost` from the largest on
    sorts: bool = True  # False: it is one page of a longer list
    next: str = ""  # the query of the page that follows

    def sorted_by(self, wanted: str) -> "Table":
        """The same by a column, `-` in front from the largest on; as it is where there is no such column."""
        name = wanted.removeprefix("-")
        ids = [column.id for column in self.columns]
        if not self.sorts or name not in ids:
            return self
        place = ids.index(name)
        known = [row for row in self.rows if row[place] is not None]
        unknown = [row for row in self.rows if row[place] is None]
        known.sort(key=lambda row: sort_key(row[place]), reverse=wanted.startswith("-"))
        return msgspec.structs.replace(self, rows=[*known, *unknown], sort=wanted)


def without_empty(table: Table, ids: Collection[str]) -> Table:
    """Without those of the named columns in which nothing is known of any row."""
    kept = [
        place
        for place, column in enumerate(table.columns)
        if column.id not in ids or any(row[place] is not None for row in table.rows)
    ]
    columns, rows = tuple(table.columns[p] for p in kept), [[row[p] for p in kept] for row in table.rows]
    return msgspec.structs.replace(table, columns=columns, rows=rows)


class Series(msgspec.Struct, frozen=True):
    """A line, or the bars of one colour. A value for each label; None where there is none."""

    name: str
    values: Sequence[int | float | None]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """`kind`: "bar", "stack", "hbar" or "line". `title` is a key of words. Money is in units, for the eye alone: its table is exact."""

    name: str
    title: str
    kind: str
    labels: Sequence[str]
    series: Sequence[Series]
    unit: str = ""  # as it stands on the axis
    label_column: str = "day"  # the key in `col.` that heads the labels

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to draw."""
        return not any(value for series in self.series for value in series.values)

    @property
    def table(self) -> Table:
        """The same as a table."""
        columns = (
            Column("label", "text", f"col.{self.label_column}"),
            *(Column(f"series_{i}", "number", text=series.name) for i, series in enumerate(self.series)),
        )
        rows = [
            (label, *(series.values[index] for series in self.series))
            for index, label in enumerate(self.labels)
        ]
        return Table(name=self.name, words="col", columns=columns, rows=rows, sorts=False)

    def spec(self, format: Format) -> dict[str, object]:
        """What the script draws; moments are in the zone of who looks, and so it stands on the axis."""
        series = [{"name": s.name, "values": list(s.values)} for s in self.series]
        return {
            "name": self.name,
            "kind": self.kind,
            "labels": list(self.labels),
            "series": series,
            "unit": self.unit,
            "steps": format.steps,
            "zone": format.zone.key if self.label_column in TIMES else "",
        }


def sort_key(cell: Cell) -> tuple[object, ...]:
    """What a cell is sorted by; cells of one column are of one kind."""
    match cell:
        case Link(text=text) | Badge(text=text):
            return (text.casefold(),)
        case Bar():
            return (cell.spent / cell.limit if cell.limit else 0.0,)
        case Quantity():
            return (cell.unit, cell.amount)
        case Mapping():
            return tuple((currency, cell[currency]) for currency in sorted(cell))
        case str():
            return (cell.casefold(),)
        case _:
            return (cell,)


# --- CSV ---------------------------------------------------------------------------------------------------


def as_csv(table: Table, heads: Sequence[str], format: Format) -> str:
    """The rows as CSV (RFC 4180): exact amounts, a column for each currency, moments with their zone's offset."""
    out = io.StringIO()
    writer = csv.writer(out)
    parts = [_parts(table, place) for place in range(len(table.columns))]
    writer.writerow(
        _safe(f"{head} {name}".rstrip()) for head, names in zip(heads, parts, strict=True) for name in names
    )
    for row in table.rows:
        cells: list[object] = []
        for column, names, cell in zip(table.columns, parts, row, strict=True):
            cells += _told(column, names, cell, format)
        writer.writerow(map(_safe, cells))
    return out.getvalue()


def _parts(table: Table, place: int) -> list[str]:
    """What a column becomes: one, or one for each currency, or the parts of a bar."""
    kind = table.columns[place].kind
    if kind == "money":
        found = {currency for row in table.rows for currency in _amounts(row[place])}
        return sorted(found) or [""]
    return list(_BAR) if kind == "bar" else [""]


#: Parts of a bar, in its unit.
_BAR: dict[str, Callable[[Bar], int]] = {
    "spent": lambda bar: bar.spent,
    "reserved": lambda bar: bar.reserved,
    "limit": lambda bar: bar.limit,
}


def _amounts(cell: Cell) -> Mapping[str, int]:
    return cell if isinstance(cell, Mapping) else {}


def _told(column: Column, names: list[str], cell: Cell, format: Format) -> list[object]:
    if column.kind == "money":
        amounts = _amounts(cell)
        return [format_pico(amounts[name]) if name in amounts else "" for name in names]
    if cell is None:
        return [""] * len(names)
    match cell:
        case Bar():
            money = cell.unit not in COUNTED_UNITS
            values = [read(cell) for read in _BAR.values()]
            return [format_pico(value) if money else value for value in values]
        case Link(text=text) | Badge(text=text):
            return [text]
        case Quantity():
            return [f"{cell.exact} {cell.unit}"]
        case int() if column.kind == "time":
            return [format.iso(cell)]
        case _:
            return [cell]


def _safe(cell: object) -> object:
    """A spreadsheet takes a text that begins so for a formula."""
    return (
        f"'{cell}"
        if isinstance(cell, str) and cell[:1] in ("=", "+", "-", "@", "\t", "\r") and not _is_number(cell)
        else cell
    )


def _is_number(text: str) -> bool:
    return text.removeprefix("-").replace(".", "", 1).isdigit()
