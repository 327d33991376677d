"""Prices as vendors publish them, where models.dev has no room for them: currency, brackets, times of day.

`data/vendor_prices.toml` holds them with their dates and sources.
"""

from collections.abc import Iterable
from datetime import datetime
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from tokenweir.catalog.hosts import CatalogRates
from tokenweir.catalog.price import Bracket, DayWindow, Price, Rates
from tokenweir.core.money import check_currency, pico_per_token

_DAYS = {"every day": (0, 1, 2, 3, 4, 5, 6), "Monday to Friday": (0, 1, 2, 3, 4)}


class Peak(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Hours of local time ("09:00") with rates of their own."""

    time_zone: str
    days: str
    hours: tuple[tuple[str, str], ...]
    priced_at: Literal["start", "end"]  # a call's moment by which the vendor prices: sent, or complete
    rates: tuple[CatalogRates, ...]


class VendorPrice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One `[[price]]` of the file."""

    host: str
    models: tuple[str, ...]
    since: datetime
    currency: str
    source: str
    rates: tuple[CatalogRates, ...]
    peak: Peak | None = None
    context: int = 0  # of models that the catalog lacks


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    price: tuple[VendorPrice, ...]


@cache
def vendor_prices() -> tuple[VendorPrice, ...]:
    """Those that ship."""
    body = resources.files("tokenweir.catalog").joinpath("data/vendor_prices.toml").read_bytes()
    return read_vendor_prices(body)


def read_vendor_prices(body: bytes) -> tuple[VendorPrice, ...]:
    """From the file's bytes, oldest first."""
    return tuple(sorted(msgspec.toml.decode(body, type=_File).price, key=lambda price: price.since))


def price_of(vendor: VendorPrice, model: str) -> Price:
    """The price of one of its models. Raises ValueError or KeyError."""
    peak = vendor.peak
    return Price(
        ref=f"{vendor.source}, {vendor.since:%Y-%m-%d}, {vendor.host}/{model}",
        currency=check_currency(vendor.currency),
        brackets=brackets_of(vendor.rates),
        valid_from_us=int(vendor.since.timestamp()) * 1_000_000,
        windows=() if peak is None else _windows(peak),
        time_zone="UTC" if peak is None else peak.time_zone,
        priced_at="start" if peak is None else peak.priced_at,
    )


def _windows(peak: Peak) -> tuple[DayWindow, ...]:
    brackets = brackets_of(peak.rates)
    return tuple(DayWindow(_DAYS[peak.days], _minute(a), _minute(b), brackets) for a, b in peak.hours)


def _minute(clock: str) -> int:
    hours, _, minutes = clock.partition(":")
    return int(hours) * 60 + int(minutes)


def brackets_of(rates: Iterable[CatalogRates]) -> tuple[Bracket, ...]:
    """Decimal texts as pico per token. A written cache costs the same for five minutes and for an hour."""
    return tuple(Bracket(r.above, _pico(r)) for r in rates)


def _pico(rates: CatalogRates) -> Rates:
    def optional(text: str) -> int | None:
        return pico_per_token(text) if text else None

    written = optional(rates.cache_write)
    return Rates(
        input=pico_per_token(rates.input),
        output=pico_per_token(rates.output),
        cache_read=optional(rates.cache_read),
        cache_write_5m=written,
        cache_write_1h=written,
        reasoning=optional(rates.reasoning),
    )
