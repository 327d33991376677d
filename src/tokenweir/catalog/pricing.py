"""From a price and tokens to money. Integers throughout, so that every cost is exact."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from tokenweir.catalog.price import AppliedPrice, Bracket, Price, Rates, SpreadCost
from tokenweir.core.usage import TOKEN_CLASSES, Usage

#: A class without a rate of its own is priced as the class that it specialises.
_FALLS_BACK_TO = {
    "cache_read": "input",
    "cache_write_5m": "input",
    "cache_write_1h": "input",
    "reasoning": "output",
}
_INPUT_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h")
_OUTPUT_CLASSES = ("output", "reasoning")
_ENCODER = msgspec.json.Encoder(order="deterministic")


class Line(msgspec.Struct, frozen=True):
    """One class of a cost: `pico` = `tokens` × `pico_each`."""

    token_class: str
    tokens: int
    pico_each: int
    pico: int


def price_at(prices: Sequence[Price], at_us: int) -> Price | None:
    """The price in force at a moment; `prices` is sorted by `valid_from_us`. None: unpriced."""
    found = None
    for price in prices:
        if price.valid_from_us > at_us:
            break
        found = price
    return found


def from_now_on(prices: Sequence[Price], now_us: int) -> tuple[Price, ...]:
    """The price in force and those to come; `prices` is sorted by `valid_from_us`."""
    past = [price for price in prices if price.valid_from_us <= now_us]
    return (*past[-1:], *prices[len(past) :])


def price_call(
    prices: Sequence[Price], prompt_tokens: int, *, begun_us: int, ended_us: int
) -> AppliedPrice | None:
    """The rates for a call that was sent and answered at these moments; None: unpriced.

    Each price is asked at the moment by which its vendor prices. `prices` is sorted by `valid_from_us`.
    """
    for price in reversed(prices):
        moment_us = ended_us if price.priced_at == "end" else begun_us
        if price.valid_from_us <= moment_us:
            return apply(price, prompt_tokens, moment_us)
    return None


def apply(price: Price, prompt_tokens: int, at_us: int) -> AppliedPrice:
    """The rates for a call with that many tokens of prompt, at the moment its vendor prices it."""
    window = window_at(price, at_us) if price.windows else -1
    brackets = price.brackets if window < 0 else price.windows[window].brackets
    if len(brackets) == 1:
        return _applied(price, window, 0)
    chosen = 0
    for number, bracket in enumerate(brackets):
        if prompt_tokens > bracket.above:
            chosen = number
    return _applied(price, window, chosen)


def cost(applied: AppliedPrice, usage: Usage) -> int:
    """Pico of the price's currency: the sum of its `lines`."""
    into, read, write_5m, write_1h, output, reasoning = each_class(applied.rates)
    return (
        usage.input * into
        + usage.cache_read * read
        + usage.cache_write_5m * write_5m
        + usage.cache_write_1h * write_1h
        + usage.output * output
        + usage.reasoning * reasoning
    )


@lru_cache(maxsize=4096)
def each_class(rates: Rates) -> tuple[int, ...]:
    """Pico per token, in the order of TOKEN_CLASSES."""
    return tuple(rate(rates, name) for name in TOKEN_CLASSES)


def lines(applied: AppliedPrice, usage: Usage) -> tuple[Line, ...]:
    """The arithmetic of a cost: one line for each class that has tokens."""
    found = []
    for name in TOKEN_CLASSES:
        tokens: int = getattr(usage, name)
        if tokens:
            each = rate(applied.rates, name)
            found.append(Line(name, tokens, each, tokens * each))
    return tuple(found)


def rate(rates: Rates, token_class: str) -> int:
    """Pico per token of a class."""
    own: int | None = getattr(rates, token_class)
    return rate(rates, _FALLS_BACK_TO[token_class]) if own is None else own


def cache_saves(applied: AppliedPrice | SpreadCost) -> int:
    """Pico that a token costs less when it is read from a cache than as input. What is spread knows no tokens: nothing."""
    if isinstance(applied, SpreadCost):
        return 0
    return rate(applied.rates, "input") - rate(applied.rates, "cache_read")


def dearest(prices: Sequence[Price]) -> tuple[tuple[str, int, int], ...]:
    """For each currency the dearest a token of input and of output can be, over all brackets and times."""
    found: dict[str, tuple[int, int]] = {}
    for price in prices:
        for bracket in _all_brackets(price):
            into = max(rate(bracket.rates, name) for name in _INPUT_CLASSES)
            out = max(rate(bracket.rates, name) for name in _OUTPUT_CLASSES)
            known = found.get(price.currency, (0, 0))
            found[price.currency] = (max(known[0], into), max(known[1], out))
    return tuple((currency, *amounts) for currency, amounts in sorted(found.items()))


@lru_cache(maxsize=4096)
def price_id(applied: AppliedPrice | SpreadCost) -> tuple[str, bytes]:
    """An applied price's id, made of its content, and that content as JSON."""
    body = _ENCODER.encode(applied)
    return hashlib.blake2b(body, digest_size=16).hexdigest(), body


def _all_brackets(price: Price) -> tuple[Bracket, ...]:
    return price.brackets + tuple(b for window in price.windows for b in window.brackets)


def window_at(price: Price, at_us: int) -> int:
    """The index of the day window that holds a moment; -1 where none does."""
    local = datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(ZoneInfo(price.time_zone))
    minute = local.hour * 60 + local.minute
    for number, window in enumerate(price.windows):
        if local.weekday() in window.weekdays and window.start_minute <= minute < window.end_minute:
            return number
    return -1


@lru_cache(maxsize=4096)
def _applied(price: Price, window: int, bracket: int) -> AppliedPrice:
    brackets = price.brackets if window < 0 else price.windows[window].brackets
    chosen = brackets[bracket]
    notes = []
    if window >= 0:
        span = price.windows[window]
        notes.append(f"{_clock(span.start_minute)} to {_clock(span.end_minute)} {price.time_zone}")
    if len(brackets) > 1:
        notes.append(f"prompts of more than {chosen.above} tokens")
    return AppliedPrice(price.ref, price.currency, chosen.rates, ", ".join(notes))


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
