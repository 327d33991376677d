"""Exchange rates, and what upstreams cost however much they are used."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import (
    Amount,
    Body,
    Currency,
    Moment,
    Name,
    Page,
    PageQuery,
    Words,
    micros,
    micros_or_none,
    moment,
    moment_or_none,
    page_of,
)
from tokenweir.admin.problems import Problem
from tokenweir.core.money import format_pico, parse_amount
from tokenweir.ledger import terms as t
from tokenweir.ledger.terms import SetRate, SetStandingCost


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """From `day` (UTC) on, until a later rate, one unit of `base` is worth `rate` units of `quote`."""

    base: str
    quote: str
    day: str
    rate: str
    source: str


class RateBody(Body, frozen=True, kw_only=True):
    """A rate to be set, in place of one of the same currencies and day."""

    base: Currency
    quote: Currency
    day: date
    rate: Amount
    source: Words = ""


class StandingCost(msgspec.Struct, frozen=True, kw_only=True):
    """What an upstream costs by the month or the hour. It is spread over the calls that used the upstream."""

    id: str
    upstream: str
    amount: str  # per month, or per hour of one unit
    currency: str
    per: str  # "month" or "hour"
    units: int  # GPUs, seats
    spread_by: str  # "tokens" or "time"
    starts: Moment
    ends: Moment | None
    note: str


class StandingCostBody(Body, frozen=True, kw_only=True):
    """A standing cost to be noted, in place of what had the same id. `starts`: now, where it is left out."""

    upstream: Name
    amount: Amount
    currency: Currency
    per: Literal["month", "hour"]
    units: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    spread_by: Literal["tokens", "time"] = "tokens"
    starts: Moment | None = None
    ends: Moment | None = None
    note: Words = ""


def list_rates(asked: Asked, query: PageQuery) -> Page[Rate]:
    """Exchange rates, by currencies and day."""
    shown = map(told_rate, asked.terms.rates.values())
    return page_of(shown, lambda rate: f"{rate.base} {rate.quote} {rate.day}", query)


def put_rate(asked: Asked, body: RateBody) -> Rate | Problem:
    """Set an exchange rate."""
    rate = t.ExchangeRate(body.base, body.quote, body.day.isoformat(), parse_amount(body.rate), body.source)
    return asked.change([SetRate(rate)]) or told_rate(rate)


def list_standing_costs(asked: Asked, query: PageQuery) -> Page[StandingCost]:
    """Standing costs, by their ids."""
    shown = map(told_standing_cost, asked.terms.standing_costs.values())
    return page_of(shown, lambda cost: cost.id, query)


def put_standing_cost(asked: Asked, id: str, body: StandingCostBody) -> StandingCost | Problem:
    """Note what an upstream costs however much it is used."""
    cost = t.StandingCost(
        id=id,
        upstream=body.upstream,
        currency=body.currency,
        pico=parse_amount(body.amount),
        per=body.per,
        units=body.units,
        spread_by=body.spread_by,
        from_us=asked.now_us if body.starts is None else micros(body.starts),
        until_us=micros_or_none(body.ends),
        note=body.note,
    )
    return asked.change([SetStandingCost(cost)]) or told_standing_cost(cost)


def told_rate(rate: t.ExchangeRate) -> Rate:
    """A rate as it is shown."""
    return Rate(
        base=rate.base,
        quote=rate.quote,
        day=rate.day,
        rate=format_pico(rate.rate_pico),
        source=rate.source,
    )


def told_standing_cost(cost: t.StandingCost) -> StandingCost:
    """A standing cost as it is shown."""
    return StandingCost(
        id=cost.id,
        upstream=cost.upstream,
        amount=format_pico(cost.pico),
        currency=cost.currency,
        per=cost.per,
        units=cost.units,
        spread_by=cost.spread_by,
        starts=moment(cost.from_us),
        ends=moment_or_none(cost.until_us),
        note=cost.note,
    )
