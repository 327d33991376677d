"""What requests and answers are made of: moments, exact decimals, pages. Pure."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Generic, TypeVar

import msgspec
from msgspec import Meta

from tokenweir.core.money import format_pico, parse_amount
from tokenweir.core.sentence import say
from tokenweir.ledger.terms import COUNTED_UNITS

#: Without control characters; the pattern is one of both Python and ECMAScript.
_PLAIN = r"^(?![\s\S]*[\x00-\x1f\x7f-\x9f])"
DEFAULT_PAGE = 100
MOST_ON_A_PAGE = 1_000

Moment = Annotated[datetime, Meta(tz=True)]
Name = Annotated[str, Meta(min_length=1, max_length=128, pattern=_PLAIN)]
Words = Annotated[str, Meta(max_length=200, pattern=_PLAIN)]
LongWords = Annotated[str, Meta(max_length=4_000, pattern=_PLAIN)]
Amount = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,20}(\.[0-9]{1,12})?$",
        max_length=40,
        description="An exact decimal, in units of the currency beside it",
    ),
]
PerMillion = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,6}(\.[0-9]{1,6})?$",
        max_length=20,
        description="An exact decimal, in units of the currency per million tokens",
    ),
]
Month = Annotated[
    str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}$", max_length=7, description="A month, such as 2026-11")
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$", max_length=3, description="ISO 4217")]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)
_FIRST_US = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _US
_LAST_US = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _US

T = TypeVar("T")


class Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request says; an unknown member is refused."""


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a request asks for behind the `?`; an unknown parameter is refused."""


class PageQuery(Query, frozen=True, kw_only=True):
    """A page of a list: at most `limit` items, behind the one that `next` of the page before named."""

    limit: Annotated[int, Meta(ge=1, le=MOST_ON_A_PAGE)] = DEFAULT_PAGE
    after: Annotated[str, Meta(max_length=400)] = ""


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some items; `next` is the `after` of the page that follows, null on the last."""

    items: tuple[T, ...]
    next: str | None


def page_of(items: Iterable[T], name: Callable[[T], str], query: PageQuery) -> Page[T]:
    """A page of items in the order of their names, which are distinct."""
    behind = sorted((item for item in items if name(item) > query.after), key=name)
    shown = tuple(behind[: query.limit])
    return Page(shown, name(shown[-1]) if len(behind) > len(shown) else None)


def moment(at_us: int) -> datetime:
    """To the microsecond: what is known by its moment can be named by it. The years 1 to 9999 are all there are."""
    return _EPOCH + min(max(at_us, _FIRST_US), _LAST_US) * _US


def moment_or_none(at_us: int | None) -> datetime | None:
    """The same where there may be none."""
    return None if at_us is None else moment(at_us)


def micros(at: datetime) -> int:
    """Microseconds since 1970-01-01 UTC; what its zone puts outside of the years 1 to 9999 is at their ends."""
    return min(max((at - _EPOCH) // _US, _FIRST_US), _LAST_US)


def micros_or_none(at: datetime | None) -> int | None:
    """The same where there may be none."""
    return None if at is None else micros(at)


def amount_text(unit: str, amount: int) -> str:
    """An amount in its unit: money is pico, tokens and calls are whole."""
    return str(amount) if unit in COUNTED_UNITS else format_pico(amount)


def amount_of(unit: str, text: str) -> int:
    """The other way round. Raises ValueError."""
    if unit not in COUNTED_UNITS:
        return parse_amount(text)
    if "." in text:
        raise ValueError(say("{unit} are whole, and {text!r} is not", unit=unit, text=text))
    return int(text)
