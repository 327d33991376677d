"""A price in words: what is asked for at a moment, and what else it may become by the time of day and the length of a prompt."""

from collections.abc import Sequence

import msgspec

from tokenweir.catalog.price import Bracket, DayWindow, Price, Rates
from tokenweir.catalog.pricing import price_at, rate, window_at
from tokenweir.console.numbers import Format
from tokenweir.console.words import Words
from tokenweir.core.money import format_per_mtok


class PriceNow(msgspec.Struct, frozen=True):
    """Per million tokens of a short prompt at one moment; None: unpriced."""

    input: str | None = None
    cache_read: str | None = None
    output: str | None = None
    currency: str | None = None
    remarks: str | None = None  # what else it may be
    source: str | None = None


def price_now(prices: Sequence[Price], now_us: int, t: Words, format: Format) -> PriceNow:
    """The price in force, with every bracket and span of the day that it has."""
    price = price_at(prices, now_us)
    if price is None:
        return PriceNow(remarks=t("prices.unpriced"))
    here = window_at(price, now_us) if price.windows else -1
    first, *longer = price.brackets if here < 0 else price.windows[here].brackets
    remarks = [t("prices.now_by_hour", span=_span(price, price.windows[here], t))] if here >= 0 else []
    remarks += [_longer(bracket, t) for bracket in longer]
    remarks += [
        t("prices.at_hours", span=_span(price, window, t), rates=_pair(window.brackets[0].rates))
        for number, window in enumerate(price.windows)
        if number != here
    ]
    if here >= 0:
        remarks.append(t("prices.else", rates=_pair(price.brackets[0].rates)))
    remarks += [
        t("prices.changes", day=format.day(p.valid_from_us)) for p in prices if p.valid_from_us > now_us
    ][:1]
    into, read, out = (format_per_mtok(rate(first.rates, name)) for name in ("input", "cache_read", "output"))
    return PriceNow(into, read, out, price.currency, "; ".join(remarks) or None, price.ref)


def _longer(bracket: Bracket, t: Words) -> str:
    return t("prices.beyond", tokens=f"{bracket.above:,}", rates=_pair(bracket.rates))


def _pair(rates: Rates) -> str:
    """Input and output."""
    return f"{format_per_mtok(rate(rates, 'input'))} / {format_per_mtok(rate(rates, 'output'))}"


def _span(price: Price, window: DayWindow, t: Words) -> str:
    """`00:30–08:30 Asia/Shanghai`, with the days where it is not every day."""
    days = (
        ""
        if len(set(window.weekdays)) == 7
        else " ".join(t(f"prices.day_{d}") for d in sorted(set(window.weekdays))) + " "
    )
    return f"{days}{_clock(window.start_minute)}–{_clock(window.end_minute)} {price.time_zone}"


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
