"""Limits: as they stand, with what is used of them now."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import (
    Amount,
    Body,
    Moment,
    Name,
    Page,
    PageQuery,
    Query,
    Words,
    amount_of,
    amount_text,
    moment_or_none,
    page_of,
)
from tokenweir.admin.problems import Problem, not_found, problem
from tokenweir.admin.rights import sees_scope
from tokenweir.core.sentence import say, whole
from tokenweir.ledger import terms as t
from tokenweir.ledger.limit_text import parse_limit
from tokenweir.ledger.terms import RemoveLimit, SetLimit
from tokenweir.ledger.views.limits import LimitNow, limits_now

Scope = Annotated[str, Meta(min_length=5, max_length=140, description="account/ID, key/ID or run/ID")]
Window = Literal["at once", "minute", "hour", "day", "month", "total"]


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A limit, in its own unit: a currency, "tokens" or "calls". `left` is what the next call may set aside."""

    scope: str
    model: str  # only calls of this model (`*` and `?` as in file names); empty: of all
    unit: str
    window: str
    mode: str  # "hard": never passed; "soft": refuses once it is reached
    amount: str
    spent: str
    reserved: str  # by calls under way
    left: str
    renews: Moment | None  # null: never
    days_in: str  # the time zone of its days and months
    text: str  # as people write it


class LimitBody(Body, frozen=True, kw_only=True):
    """A limit to be set, in place of one of the same scope, model, unit and window.

    Either `text` ("¥5/day", "2M tokens/month soft", "4 calls at once"), or `unit`, `amount`, `window` and `mode`.
    """

    scope: Scope
    model: Words = ""
    text: Words | None = None
    unit: Annotated[str, Meta(min_length=3, max_length=6)] | None = None
    amount: Amount | None = None
    window: Window | None = None
    mode: Literal["hard", "soft"] | None = None


class LimitName(Query, frozen=True, kw_only=True):
    """Which limit."""

    scope: Scope
    unit: Name
    window: Window
    model: Words = ""


class LimitsQuery(PageQuery, frozen=True, kw_only=True):
    """`scope`: only what stands on it."""

    scope: Scope | None = None


def told_limit(now: LimitNow) -> Limit:
    """A limit as it is shown."""
    unit = now.limit.unit
    return Limit(
        scope=now.scope,
        model=now.limit.model,
        unit=unit,
        window=now.limit.window,
        mode=now.limit.mode,
        amount=amount_text(unit, now.limit.amount),
        spent=amount_text(unit, now.spent),
        reserved=amount_text(unit, now.reserved),
        left=amount_text(unit, now.left),
        renews=moment_or_none(now.renews_at_us),
        days_in=now.zone,
        text=now.text,
    )


def list_limits(asked: Asked, query: LimitsQuery) -> Page[Limit]:
    """Limits, by what they stand on, with what is spent, set aside and left of each at this moment."""
    found = limits_now(asked.db, asked.now_us, query.scope or "")
    page = page_of((now for now in found if sees_scope(asked.terms, asked.actor, now.scope)), _name, query)
    return Page(tuple(map(told_limit, page.items)), page.next)


def put_limit(asked: Asked, body: LimitBody) -> Limit | Problem:
    """Set a limit. In the middle of a minute, hour, day or month it counts what that has seen."""
    limit = _limit(body)
    if isinstance(limit, Problem):
        return limit
    refused = asked.change([SetLimit(body.scope, limit)])
    if refused:
        return refused
    found = limits_now(asked.db, asked.now_us, body.scope)
    made = LimitNow(scope=body.scope, limit=limit, spent=0, reserved=0, renews_at_us=None, zone="UTC")
    return told_limit(next((now for now in found if now.limit.name == limit.name), made))  # lifted by now


def remove_limit(asked: Asked, query: LimitName) -> Problem | None:
    """Lift a limit."""
    if (query.model, query.unit, query.window) not in asked.terms.limits.get(query.scope, {}):
        return not_found(say("such limit"))
    return asked.change([RemoveLimit(query.scope, query.model, query.unit, query.window)])


def _limit(body: LimitBody) -> t.Limit | Problem:
    parts = (body.unit, body.amount, body.window)
    try:
        if body.text is not None:
            if any(part is not None for part in (*parts, body.mode)):
                return problem("wrong_form", say("A limit is said by `text`, or by its parts, not by both."))
            return msgspec.structs.replace(parse_limit(body.text), model=body.model)
        if body.unit is None or body.amount is None or body.window is None:
            return problem("wrong_form", say("A limit needs `text`, or `unit`, `amount` and `window`."))
        amount = amount_of(body.unit, body.amount)
    except ValueError as error:
        return problem("refused", whole(error))
    return t.Limit(body.unit, amount, body.window, body.mode or "hard", body.model)


def _name(now: LimitNow) -> str:
    return " | ".join((now.scope, *now.limit.name))
