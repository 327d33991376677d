"""Charges: the price book. What customers are charged for models, by a price of its own or a mark-up on the cost."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import (
    Body,
    Currency,
    Moment,
    Page,
    PageQuery,
    PerMillion,
    Query,
    Words,
    micros,
    moment,
    page_of,
)
from tokenweir.admin.problems import Problem, not_found
from tokenweir.catalog import price as p
from tokenweir.catalog.charges import ChargeRule
from tokenweir.core.money import format_per_mtok, pico_per_token
from tokenweir.core.sentence import say
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.checks import MOST_BP
from tokenweir.ledger.terms import RemoveCharge, SetCharge

Minute = Annotated[int, Meta(ge=0, le=1440)]
Weekdays = Annotated[tuple[Annotated[int, Meta(ge=0, le=6)], ...], Meta(min_length=1, max_length=7)]
_FROM_THE_START = moment(0)


class Bracket(Body, frozen=True, kw_only=True):
    """Rates of calls whose prompt has more than `above` tokens. A class without one is priced as the one it is part of."""

    above: Annotated[int, Meta(ge=0, le=2**40)] = 0
    input: PerMillion
    output: PerMillion
    cache_read: PerMillion | None = None
    cache_write_5m: PerMillion | None = None
    cache_write_1h: PerMillion | None = None
    reasoning: PerMillion | None = None


Brackets = Annotated[tuple[Bracket, ...], Meta(min_length=1, max_length=20)]


class DayWindow(Body, frozen=True, kw_only=True):
    """Minutes of the local day, on some weekdays (0 is Monday), that have brackets of their own."""

    weekdays: Weekdays = (0, 1, 2, 3, 4, 5, 6)
    start_minute: Minute
    end_minute: Minute
    brackets: Brackets


class Price(Body, frozen=True, kw_only=True):
    """Rates per million tokens: by the length of the prompt, and by the time of day where there are `windows`."""

    currency: Currency
    brackets: Brackets
    windows: Annotated[tuple[DayWindow, ...], Meta(max_length=20)] = ()
    time_zone: Words = "UTC"
    priced_at: Literal["start", "end"] = "start"
    ref: Words = ""  # where it comes from


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What calls of a model are charged from a moment on: `price`, or what they cost and `markup_bp` more."""

    account: str  # it and those below it; empty: everybody
    model: str
    valid_from: Moment
    price: Price | None
    markup_bp: int


class ChargeBody(Body, frozen=True, kw_only=True):
    """A rule to be set, in place of one of the same account, model and moment.

    `markup_bp` is in basis points: 2,500 are 25 %, less than nothing is a discount. Without an `account` it is for everybody.
    """

    account: Words = ""
    model: Annotated[Words, Meta(min_length=1)] = "*"
    valid_from: Moment = _FROM_THE_START
    price: Price | None = None
    markup_bp: Annotated[int, Meta(ge=-10_000, le=MOST_BP)] = 0


class ChargeName(Query, frozen=True, kw_only=True):
    """Which rule."""

    account: Words = ""
    model: Words = "*"
    valid_from: Moment = _FROM_THE_START


class ChargesQuery(PageQuery, frozen=True, kw_only=True):
    """`account`: only its own, "" for those of everybody."""

    account: Words | None = None


def list_charges(asked: Asked, query: ChargesQuery) -> Page[Charge]:
    """Rules, by account, model and moment."""
    shown = [
        told_charge(account, rule)
        for account, rules in asked.terms.charges.items()
        for rule in rules
        if query.account in (None, account)
    ]
    return page_of(shown, lambda c: f"{c.account} | {c.model} | {c.valid_from.isoformat()}", query)


def put_charge(asked: Asked, body: ChargeBody) -> Charge | Problem:
    """Set what is charged. Calls that have ended stay as they were charged."""
    rule = ChargeRule(
        body.model,
        micros(body.valid_from),
        None if body.price is None else price_of(body.price, micros(body.valid_from), "price book"),
        body.markup_bp,
    )
    return asked.change([SetCharge(body.account, rule)]) or told_charge(body.account, rule)


def remove_charge(asked: Asked, query: ChargeName) -> Problem | None:
    """Take a rule away."""
    valid_from_us = micros(query.valid_from)
    rules = asked.terms.charges.get(query.account, ())
    if not any((rule.model, rule.valid_from_us) == (query.model, valid_from_us) for rule in rules):
        return not_found(say("such rule"))
    return asked.change([RemoveCharge(query.account, query.model, valid_from_us)])


def told_charge(account: str, rule: ChargeRule) -> Charge:
    """A rule as it is shown."""
    return Charge(
        account=account,
        model=rule.model,
        valid_from=moment(rule.valid_from_us),
        price=None if rule.price is None else _told_price(rule.price),
        markup_bp=rule.markup_bp,
    )


def price_of(price: Price, valid_from_us: int, ref: str) -> p.Price:
    """A price as calls are priced by it; `ref` where it does not say itself where it comes from."""
    return p.Price(
        ref=price.ref or ref,
        currency=price.currency,
        brackets=_brackets(price.brackets),
        valid_from_us=valid_from_us,
        windows=tuple(
            p.DayWindow(w.weekdays, w.start_minute, w.end_minute, _brackets(w.brackets))
            for w in price.windows
        ),
        time_zone=price.time_zone,
        priced_at=price.priced_at,
    )


def _brackets(brackets: tuple[Bracket, ...]) -> tuple[p.Bracket, ...]:
    return tuple(p.Bracket(bracket.above, _rates(bracket)) for bracket in brackets)


def _rates(bracket: Bracket) -> p.Rates:
    named = {name: getattr(bracket, name) for name in TOKEN_CLASSES}
    return p.Rates(**{name: pico_per_token(text) for name, text in named.items() if text is not None})


def _told_price(price: p.Price) -> Price:
    return Price(
        currency=price.currency,
        brackets=_told_brackets(price.brackets),
        windows=tuple(
            DayWindow(
                weekdays=w.weekdays,
                start_minute=w.start_minute,
                end_minute=w.end_minute,
                brackets=_told_brackets(w.brackets),
            )
            for w in price.windows
        ),
        time_zone=price.time_zone,
        priced_at="end" if price.priced_at == "end" else "start",
        ref=price.ref,
    )


def _told_brackets(brackets: tuple[p.Bracket, ...]) -> tuple[Bracket, ...]:
    told = []
    for bracket in brackets:
        rates = {name: getattr(bracket.rates, name) for name in TOKEN_CLASSES}
        texts = {name: format_per_mtok(rate) for name, rate in rates.items() if rate is not None}
        told.append(Bracket(above=bracket.above, **texts))
    return tuple(told)
