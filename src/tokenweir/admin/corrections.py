"""Prices set right afterwards, and standing costs laid on calls. What is done stands in the audit with its reason."""

from typing import Annotated, Literal

from msgspec import Meta

from tokenweir.admin.charges import Price, price_of
from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Body, Moment, Month, Words, micros, moment
from tokenweir.admin.problems import Problem, not_found, only_tries, refused
from tokenweir.admin.rights import may_write
from tokenweir.billing.correction_answer import RerateAnswer, SpreadAnswer, rerate_answer, spread_answer
from tokenweir.billing.rerate import BY, Request, reason, rerate
from tokenweir.billing.rerating import prices_by_pattern
from tokenweir.billing.spread import spread
from tokenweir.core.sentence import say
from tokenweir.ledger.checks import wrong_price
from tokenweir.ledger.views.standing import Asked as Which

_ALL = Which()


class PriceBody(Body, frozen=True, kw_only=True):
    """What deployments cost from a moment on; the first whose `deployment` fits counts, by its newest at the time."""

    deployment: Annotated[Words, Meta(min_length=1)] = "*"  # upstream/model; * and ? as in file names
    valid_from: Moment = moment(0)
    price: Price


class RerateBody(Body, frozen=True, kw_only=True):
    """Which attempts, by when they ended; `account`: it and those below it. What is left out is for all.

    `price`: those that settings and catalog name now, or the catalog's also where the settings name others. With `prices`,
    by these alone; what has none of them stays as it is.
    """

    since: Moment | None = None
    until: Moment | None = None
    model: Words = ""  # * and ? as in file names
    upstream: Words = ""
    account: Words = ""
    price: Literal["settings", "catalog"] = "settings"
    prices: Annotated[tuple[PriceBody, ...], Meta(max_length=200)] = ()
    dry_run: bool = False


class SpreadBody(Body, frozen=True, kw_only=True):
    """A month that is over, in UTC."""

    month: Month  # 2026-11
    dry_run: bool = False


def rerate_calls(asked: Asked, body: RerateBody) -> RerateAnswer | Problem:
    """Price a span of the ledger anew: what differs is corrected by further entries. Done twice, the second finds nothing.

    An auditor may try it, with `dry_run`.
    """
    which = Which(
        since_us=_ALL.since_us if body.since is None else micros(body.since),
        until_us=_ALL.until_us if body.until is None else micros(body.until),
        upstream=body.upstream,
        model=body.model,
    )
    if not (body.dry_run or may_write(asked.actor)):
        return only_tries()
    own = [(one.deployment, price_of(one.price, micros(one.valid_from), "corrected")) for one in body.prices]
    wrong = next(filter(None, (wrong_price(price) for _, price in own)), "")
    if wrong:
        return refused(wrong)
    desk, words = asked.desk, "" if body.price == "settings" else body.price
    by = "by prices that were sent with it" if own else BY[words]
    request = Request(which, body.account, reason(by, which, body.account))
    prices = prices_by_pattern(own) if own else desk.lookups.prices(words)
    try:
        found = rerate(desk.data_dir, request, prices, desk.clock, asked.actor.id, dry_run=body.dry_run)
    except ValueError as error:
        return refused(error)
    return rerate_answer(found, body.dry_run)


def spread_standing_cost(asked: Asked, id: str, body: SpreadBody) -> SpreadAnswer | Problem:
    """Lay a month of a standing cost, with the others of its upstream, on the calls that used it; what stands already stays.

    An auditor may try it, with `dry_run`.
    """
    if id not in asked.terms.standing_costs:
        return not_found(say("standing cost {id!r}", id=id[:100]))
    if not (body.dry_run or may_write(asked.actor)):
        return only_tries()
    desk = asked.desk
    try:
        found = spread(desk.data_dir, id, body.month, desk.clock, asked.actor.id, dry_run=body.dry_run)
    except ValueError as error:
        return refused(error)
    return spread_answer(found, body.dry_run)
