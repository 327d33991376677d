"""A provider's bill in its middle form: what the reader makes of any provider's CSV, and what is compared with the ledger."""

from datetime import tzinfo

import msgspec

from tokenweir.catalog.bill_formats import Grain, ModelNames


class Period(msgspec.Struct, frozen=True, order=True):
    """A span of time that a row is about, in microseconds since 1970 UTC; `label` is how people call it."""

    start_us: int
    end_us: int
    label: str


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a bill."""

    period: Period
    model: str  # as the provider calls it; "" where the bill does not say
    item: str  # what it is about: classes of tokens, as `label_of` calls them, or the provider's own word
    tokens: dict[str, int]  # by the classes counted together; empty: the bill does not say
    amount_pico: int | None
    currency: str
    slack_pico: int  # how far the amount may be off because the bill rounds
    file: str
    row: int  # the line of the file on which it begins; the header is line 1
    request: str = ""
    key: str = ""  # its name


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of one kind, which are compared with the ledger on their own: no figure counts twice within it.

    `items` and `counts` have the classes of tokens of each; `items` is empty where rows are about every class.
    """

    name: str
    grain: Grain
    zone: tzinfo
    by_model: bool
    items: dict[str, tuple[str, ...]]
    counts: dict[str, tuple[str, ...]]
    has_money: bool
    decimals: int  # to which amounts are rounded; 12: not at all
    lines: tuple[BillLine, ...]
    left_out: int  # rows about something else, as the format says


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A whole file, or a ZIP of several."""

    format: str  # its id
    title: str
    confirmed: bool  # whether all of its tables are known from public sources
    models: ModelNames
    sections: tuple[Section, ...]
    unread: tuple[str, ...]  # files of a ZIP that are something else
