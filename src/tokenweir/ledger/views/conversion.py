"""Amounts of one currency told in another, by dated rates. Pure, and exact but for one rounding.

Rates are days of UTC. Of the rates between two currencies, in either direction, the latest at or before the day counts;
on one day the direct one. Rates are not chained: what has none of its own stays in its own currency.
"""

from bisect import bisect_right
from collections.abc import Iterable
from fractions import Fraction

import msgspec

from tokenweir.core.money import PICO
from tokenweir.ledger.terms import ExchangeRate


class Rate(msgspec.Struct, frozen=True):
    """How one currency was converted into another: by `quoted` as it stands, or by what it is turned round."""

    quoted: ExchangeRate
    inverse: bool

    def convert(self, pico: int) -> int:
        """The amount in the other currency: the exact product or quotient, rounded to a whole pico, half to even."""
        rate = Fraction(self.quoted.rate_pico, PICO)
        return round(pico / rate if self.inverse else pico * rate)


class Converted(msgspec.Struct, frozen=True):
    """An amount by currency, told in `currency` as far as there are rates; `apart` is what has none, as it was."""

    currency: str
    pico: int
    apart: dict[str, int]
    rates: tuple[Rate, ...]  # that were used


class RateBook:
    """Rates, made quick to look up."""

    def __init__(self, rates: Iterable[ExchangeRate]) -> None:
        both: dict[tuple[str, str], list[Rate]] = {}
        for rate in rates:
            both.setdefault((rate.base, rate.quote), []).append(Rate(rate, inverse=False))
            both.setdefault((rate.quote, rate.base), []).append(Rate(rate, inverse=True))
        # Of one day the direct rate comes last, so that it is found.
        self._rates = {
            pair: sorted(known, key=lambda rate: (rate.quoted.day, not rate.inverse))
            for pair, known in both.items()
        }

    def find(self, base: str, quote: str, day: str) -> Rate | None:
        """The rate for amounts of `base` on a day ("2026-11-25"); None: there is none yet."""
        known = self._rates.get((base, quote), [])
        found = bisect_right(known, day, key=lambda rate: rate.quoted.day)
        return known[found - 1] if found else None

    def convert(self, amounts: dict[str, int], currency: str, day: str) -> Converted:
        """Amounts of a day, by currency, in one of them as far as there are rates."""
        pico, apart, used = amounts.get(currency, 0), {}, []
        for base, amount in amounts.items():
            rate = self.find(base, currency, day) if base != currency else None
            if rate is not None:
                pico += rate.convert(amount)
                used.append(rate)
            elif base != currency:
                apart[base] = amount
        return Converted(currency, pico, apart, tuple(used))


def add(one: Converted, other: Converted) -> Converted:
    """Both, of different days or groups but in one currency; each rate that either used, once."""
    assert one.currency == other.currency
    apart = dict(one.apart)
    for currency, pico in other.apart.items():
        apart[currency] = apart.get(currency, 0) + pico
    rates = tuple(dict.fromkeys((*one.rates, *other.rates)))
    return Converted(one.currency, one.pico + other.pico, apart, rates)
