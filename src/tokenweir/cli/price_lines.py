"""Prices as commands show them: with dates, windows of the day, brackets, classes, currency and source."""

from collections.abc import Iterable, Sequence

import msgspec

from tokenweir.catalog.price import Bracket, DayWindow, Price
from tokenweir.catalog.pricing import price_at, window_at
from tokenweir.core.money import format_per_mtok
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.views import iso_time

_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


class BracketLine(msgspec.Struct, frozen=True):
    """Rates of prompts with more than `above` tokens: exact decimals per million tokens, by class."""

    above: int
    rates: dict[str, str]


class WindowLine(msgspec.Struct, frozen=True):
    """Hours of local time ("09:00") on weekdays (0 is Monday) with brackets of their own."""

    weekdays: tuple[int, ...]
    start: str
    end: str
    brackets: tuple[BracketLine, ...]
    now: bool


class PriceLine(msgspec.Struct, frozen=True):
    """A dated price. `brackets` hold outside `windows`; `now` is whether they apply at this moment."""

    currency: str
    ref: str
    valid_from: str | None
    time_zone: str
    brackets: tuple[BracketLine, ...]
    windows: tuple[WindowLine, ...]
    now: bool


def price_lines(prices: Sequence[Price], now_us: int) -> tuple[PriceLine, ...]:
    """The JSON form of dated prices, oldest first."""
    in_force = price_at(prices, now_us)
    return tuple(_line(price, now_us, price is in_force) for price in prices)


def _line(price: Price, now_us: int, in_force: bool) -> PriceLine:
    window = window_at(price, now_us) if price.windows else -1
    return PriceLine(
        currency=price.currency,
        ref=price.ref,
        valid_from=iso_time(price.valid_from_us) if price.valid_from_us else None,
        time_zone=price.time_zone,
        brackets=_brackets(price.brackets),
        windows=tuple(_window(w, in_force and number == window) for number, w in enumerate(price.windows)),
        now=in_force and window < 0,
    )


def _window(window: DayWindow, now: bool) -> WindowLine:
    start, end = _clock(window.start_minute), _clock(window.end_minute)
    return WindowLine(window.weekdays, start, end, _brackets(window.brackets), now)


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _brackets(brackets: Iterable[Bracket]) -> tuple[BracketLine, ...]:
    return tuple(BracketLine(bracket.above, _rates(bracket)) for bracket in brackets)


def _rates(bracket: Bracket) -> dict[str, str]:
    """The classes that have a rate of their own."""
    named = ((name, getattr(bracket.rates, name)) for name in TOKEN_CLASSES)
    return {name: format_per_mtok(rate) for name, rate in named if rate is not None}


COLUMNS = ("from", "when", "prompt", "input", "cached", "written", "output", "per million", "source")
RIGHT = frozenset({3, 4, 5, 6})
UNPRICED = ["", "", "", "", "", "", "", "unpriced", ""]


def price_cells(line: PriceLine) -> list[list[str]]:
    """A row for each window and bracket, COLUMNS wide; an asterisk marks what applies at this moment."""
    rows = []
    for window in line.windows:
        rows += _rows(
            f"{_days(window.weekdays)} {window.start}–{window.end}", window.brackets, line, window.now
        )
    rows += _rows("other hours" if line.windows else "", line.brackets, line, line.now)
    rows[0][0] = (line.valid_from or "")[:10]
    rows[0][-1] = line.ref
    if line.windows:
        rows[-1][-1] = f"hours of {line.time_zone}"
    return rows


def _rows(when: str, brackets: tuple[BracketLine, ...], line: PriceLine, now: bool) -> list[list[str]]:
    marked = f"{when} *".lstrip() if now else when
    rows = []
    for index, bracket in enumerate(brackets):
        prompt = "" if len(brackets) == 1 else f"> {bracket.above:,}"
        classes = ("input", "cache_read", "cache_write_5m", "output")
        rates = [bracket.rates.get(name, "") for name in classes]
        rows.append(["", "" if index else marked, prompt, *rates, line.currency, ""])
    return rows


def _days(weekdays: tuple[int, ...]) -> str:
    if len(weekdays) == len(_WEEKDAYS):
        return "daily"
    whole = weekdays == tuple(range(weekdays[0], weekdays[-1] + 1))
    shown = [_WEEKDAYS[day] for day in weekdays]
    return f"{shown[0]}–{shown[-1]}" if whole and len(shown) > 1 else ", ".join(shown)
