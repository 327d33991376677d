"""How providers write their bills: data, so that another provider's CSV is a few lines of TOML.

Those that ship lie in `data/bills/`; a user's own file has the same members. Reading is `billing/bill_reader.py`'s.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from tokenweir.core.errors import CatalogError
from tokenweir.core.money import check_currency, parse_amount
from tokenweir.core.usage import TOKEN_CLASSES

Grain = Literal["moment", "hour", "day", "month", "span"]
#: A time's form beside those of strptime: ISO 8601, and seconds since 1970 UTC.
ISO, UNIX = "iso", "unix"


class Column(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a value stands: under the first of `names` that the header has, whatever their case and spaces."""

    names: tuple[str, ...]
    pattern: str = ""  # a regular expression whose one group is the value; empty: all of the cell


class Times(Column, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a row is about, or from when (`until` says up to when: it is the last second or day, included)."""

    forms: tuple[str, ...]  # of strptime, "iso" or "unix"; the first that fits counts
    grain: Grain  # what a row is about. Moments and hours are compared by the day
    zone: str = "UTC"  # IANA name, for times that do not state an offset of their own
    until: Column | None = None


class Amount(Column, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Money of a row, in `unit` of its currency ("0.01" for cents)."""

    unit: str = "1"
    decimals: int | None = None  # to which the bill rounds; None: as the row of the file that shows most
    plus: tuple[str, ...] = ()  # of a column that is added, where there is one: given money beside paid money


class Currency(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The currency of a table's amounts: that of a column, else `default`."""

    names: tuple[str, ...] = ()
    default: str = ""


class Count(Column, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A count of tokens, which together are what the ledger keeps in `classes`."""

    classes: tuple[str, ...]
    unit: int = 1  # tokens in one of what is counted
    unit_names: tuple[str, ...] = ()  # of a column that names the unit …
    units: dict[str, int] = {}  # … and what these are; rows of other units have no count
    optional: bool = False  # some exports lack the column


class Item(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What rows of certain kinds are about."""

    kinds: tuple[str, ...] = ()  # of the column `kind`, with `*`; none: every row
    classes: tuple[
        str, ...
    ] = ()  # that its money is for; none: those of its counts, and every one without counts
    counts: tuple[Count, ...] = ()

    @property
    def covered(self) -> tuple[str, ...]:
        """The classes of tokens that it is about."""
        counted = tuple(name for count in self.counts for name in count.classes)
        return self.classes or counted or TOKEN_CLASSES


class RowFilter(Column, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Rows whose cell matches one of `values` (with `*`); rows of a file without the column match nothing."""

    values: tuple[str, ...]


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One kind of CSV of a provider. It is known by its header: every column that is not optional must be there.

    `request` and `key` always are optional; so is `currency` where it has a default.
    """

    name: str
    confirmed: bool  # whether a public source shows the header, or it was made after a description
    time: Times
    item: tuple[Item, ...]
    model: Column | None = None
    kind: Column | None = None
    amount: Amount | None = None
    currency: Currency = Currency()
    request: Column | None = None  # id of a request
    key: Column | None = None  # name of a key, never the key
    only: tuple[RowFilter, ...] = ()  # every other row is left out
    skip: tuple[RowFilter, ...] = ()

    def columns(self) -> Iterator[Column]:
        """Those that the header must have."""
        yield self.time
        yield from (c for c in (self.time.until, self.model, self.kind, self.amount) if c is not None)
        if self.amount and self.currency.names and not self.currency.default:
            yield Column(names=self.currency.names)
        yield from (count for item in self.item for count in item.counts if not count.optional)


class ModelNames(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a bill's names of models and ours become the same: lower case, `replace`, `strip`, then `alias`."""

    replace: dict[str, str] = {}  # pieces of text
    strip: tuple[str, ...] = ()  # regular expressions of what goes, such as a date at the end
    alias: dict[str, str] = {}  # whole names, as they are after the rest


class BillFormat(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The exports of one provider."""

    title: str
    table: tuple[Table, ...]
    upstreams: tuple[str, ...] = ()  # ids of catalog providers and kinds of `[[upstream]]` that it is for
    encodings: tuple[str, ...] = ("utf-8", "gb18030")  # tried in order
    models: ModelNames = ModelNames()
    id: str = ""  # the file's name


def label_of(classes: Sequence[str]) -> str:
    """What classes are called together: "output+reasoning"; "" for every one."""
    return "" if set(classes) == set(TOKEN_CLASSES) else "+".join(classes)


def folded(text: str) -> str:
    """Text as headers and kinds are compared: one width and case, without spaces and marks of order."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().replace("\ufeff", "").split())


def same_model(names: ModelNames, model: str) -> str:
    """The name by which a model of a bill and one of ours are compared."""
    name = unicodedata.normalize("NFKC", model).strip().lower()
    for old, new in names.replace.items():
        name = name.replace(old, new)
    for pattern in names.strip:
        name = re.sub(pattern, "", name)
    return names.alias.get(name, name)


def read_bill_format(body: bytes, id: str) -> BillFormat:
    """From a file's bytes. Raises CatalogError with the member that is wrong."""
    try:
        read = msgspec.toml.decode(body, type=BillFormat)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CatalogError(f"the format of bills {id!r} cannot be read: {error}") from None
    for fault in _faults(read):
        raise CatalogError(f"the format of bills {id!r}: {fault}")
    return msgspec.structs.replace(read, id=id)


@cache
def shipped_bill_formats() -> dict[str, BillFormat]:
    """Those that ship, by id."""
    folder = resources.files("tokenweir.catalog").joinpath("data/bills")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".toml")), key=lambda f: f.name)
    names = [file.name.removesuffix(".toml") for file in files]
    return {name: read_bill_format(file.read_bytes(), name) for name, file in zip(names, files, strict=True)}


def _faults(read: BillFormat) -> Iterator[str]:
    if not read.table:
        yield "it has no [[table]]"
    for pattern in read.models.strip:
        yield from (f"[models] strip: {text}" for text in _pattern_faults(pattern, groups=False))
    for encoding in read.encodings:
        if encoding not in ("utf-8", "gb18030", "utf-16"):
            yield f"encoding {encoding!r} is none of utf-8, gb18030, utf-16"
    for table in read.table:
        yield from (f"[[table]] {table.name!r}: {text}" for text in _table_faults(table))


def _table_faults(table: Table) -> Iterator[str]:
    times = table.time
    try:
        ZoneInfo(times.zone)
    except (ZoneInfoNotFoundError, ValueError):
        yield f"there is no time zone {times.zone!r}"
    if not times.forms:
        yield "time.forms is empty"
    if times.grain == "span" and times.until is None:
        yield 'a grain of "span" needs time.until'
    for column in _every_column(table):
        if not column.names:
            yield "a column has no names"
        yield from _pattern_faults(column.pattern, groups=True) if column.pattern else ()
    yield from _money_faults(table)
    yield from _item_faults(table)


def _every_column(table: Table) -> Iterator[Column]:
    optional = (table.time.until, table.model, table.kind, table.amount, table.request, table.key)
    yield table.time
    yield from (column for column in optional if column is not None)
    yield from (count for item in table.item for count in item.counts)
    yield from (*table.only, *table.skip)


def _pattern_faults(pattern: str, *, groups: bool) -> Iterator[str]:
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        yield f"{pattern!r} is no regular expression: {error}"
        return
    if groups and compiled.groups != 1:
        yield f"the pattern {pattern!r} must have exactly one group"


def _money_faults(table: Table) -> Iterator[str]:
    if table.amount is None:
        return
    if not table.currency.names and not table.currency.default:
        yield "an amount needs a currency: a column or a default"
    try:
        if table.currency.default:
            check_currency(table.currency.default)
        if parse_amount(table.amount.unit) <= 0:
            yield "amount.unit must be above zero"
    except ValueError as error:
        yield str(error)
    if table.amount.decimals is not None and not 0 <= table.amount.decimals <= 12:
        yield "amount.decimals must be from 0 to 12"


def _item_faults(table: Table) -> Iterator[str]:
    if not table.item:
        yield "it has no item: say what its rows are about"
    if table.amount is None and not any(item.counts for item in table.item):
        yield "it has neither an amount nor a count"
    if table.kind is None and (len(table.item) > 1 or any(item.kinds for item in table.item)):
        yield "items of certain kinds need a column `kind`"
    seen: set[str] = set()
    for item in table.item:
        yield from _class_faults(item.covered, seen)
        counted: set[str] = set()
        for count in item.counts:
            yield from _class_faults(count.classes, counted)
            if not count.classes or count.unit < 1 or any(unit < 1 for unit in count.units.values()):
                yield "a count needs classes, and units above zero"
        if not counted <= set(item.covered):
            yield "an item counts classes that its money is not for"


def _class_faults(classes: Sequence[str], seen: set[str]) -> Iterator[str]:
    """Classes that there are not, or that stand twice: nothing may be compared twice."""
    for name in classes:
        if name not in TOKEN_CLASSES:
            yield f"{name!r} is no class of tokens; there are {', '.join(TOKEN_CLASSES)}"
        elif name in seen:
            yield f"the class {name!r} stands twice"
        seen.add(name)
