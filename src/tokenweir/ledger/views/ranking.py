"""Models, or anything else that has a name, side by side: each one's place, and its place in the span before. Pure."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

import msgspec

from tokenweir.ledger.views.figures import Figures

What = TypeVar("What")


class Ranked(msgspec.Struct, Generic[What], frozen=True):
    """One of them. `place` is 1 for the first; `then` and `place_then` are of the other span, None where it was not there."""

    name: str
    now: What
    then: What | None
    place: int
    place_then: int | None


class Measure(msgspec.Struct, Generic[What], frozen=True):
    """What is ranked by: `of` is None where it says nothing of one, which then has the last places."""

    of: Callable[[What], float | None]
    is_least_first: bool = False


#: Of figures, but for money, which is ranked within one currency.
MEASURES: dict[str, Measure[Figures]] = {
    "tokens": Measure(lambda figures: figures.tokens),
    "calls": Measure(lambda figures: figures.calls),
    "speed": Measure(lambda figures: figures.output_per_s),
    "ttft": Measure(lambda figures: figures.ttft_ms(0.5), is_least_first=True),
    "cache": Measure(lambda figures: figures.cache_share),
}


def ranked(now: Mapping[str, What], then: Mapping[str, What], measure: Measure[What]) -> list[Ranked[What]]:
    """Every one of a span, the first first; those that are alike by their names."""
    places_then = {name: place for place, name in enumerate(_order(then, measure), 1)}
    return [
        Ranked(name, now[name], then.get(name), place, places_then.get(name))
        for place, name in enumerate(_order(now, measure), 1)
    ]


def _order(rows: Mapping[str, What], measure: Measure[What]) -> list[str]:
    values = {name: measure.of(row) for name, row in rows.items()}
    known = sorted(name for name, value in values.items() if value is not None)
    known.sort(key=lambda name: values[name] or 0, reverse=not measure.is_least_first)
    return known + sorted(name for name, value in values.items() if value is None)
