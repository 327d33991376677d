"""Models side by side: what each was used for in a span of time, its place, and its place in the span before."""

from collections.abc import Callable, Collection, Mapping

import msgspec

from tokenweir.ledger.database import Connection
from tokenweir.ledger.views.figures import Figures, figures_by_model
from tokenweir.ledger.views.spans import Span


class Ranked(msgspec.Struct, frozen=True):
    """A model. `place` is 1 for the first; `place_then` in the other span, None where it had none there."""

    model: str
    now: Figures
    then: Figures
    place: int
    place_then: int | None


class Measure(msgspec.Struct, frozen=True):
    """What models are ranked by: `of` is None for a model that it says nothing of, which then has the last places."""

    of: Callable[[Figures], float | None]
    is_least_first: bool = False


def money_in(
    amounts: Callable[[Figures], Mapping[str, int]], currency: str
) -> Callable[[Figures], float | None]:
    """An amount in one currency, as something to rank by."""
    return lambda figures: amounts(figures).get(currency)


#: By tokens, speed and cache. Money is ranked within one currency: `money_in`.
MEASURES: dict[str, Measure] = {
    "tokens": Measure(lambda figures: figures.tokens or None),
    "calls": Measure(lambda figures: figures.calls or None),
    "speed": Measure(lambda figures: figures.output_per_s),
    "ttft": Measure(lambda figures: figures.ttft_ms(0.5), is_least_first=True),
    "cache": Measure(lambda figures: figures.cache_share),
}


def models(
    connection: Connection,
    span: Span,
    measure: Measure,
    *,
    accounts: Collection[str] | None = None,
    compared: Span | None = None,
) -> list[Ranked]:
    """Every model that was asked for in a span, the first first, beside `compared`: else the span just before."""
    now, then = figures_by_model(connection, [span, compared or span.before], accounts)
    return ranked(now, then, measure)


def ranked(now: Mapping[str, Figures], then: Mapping[str, Figures], measure: Measure) -> list[Ranked]:
    """The same, of figures that were read. Pure."""
    places_then = {model: place for place, model in enumerate(_order(then, measure), 1)}
    return [
        Ranked(
            model, now[model], then.get(model, Figures(by={"model": model})), place, places_then.get(model)
        )
        for place, model in enumerate(_order(now, measure), 1)
    ]


def _order(figures: Mapping[str, Figures], measure: Measure) -> list[str]:
    """Names, the first first; those that are alike by their names."""
    values = {model: measure.of(row) for model, row in figures.items()}
    known = sorted(model for model, value in values.items() if value is not None)
    known.sort(key=lambda model: values[model] or 0, reverse=not measure.is_least_first)
    return known + sorted(model for model, value in values.items() if value is None)
