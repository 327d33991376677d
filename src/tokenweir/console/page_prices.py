"""Prices: what upstreams ask for at the moment, what customers are charged, exchange rates and standing costs."""

from collections.abc import Mapping

from tokenweir.admin.problems import Problem, problem
from tokenweir.console.fields import moment_of, said
from tokenweir.console.outside import Deployment
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.page_keys import accounts_of
from tokenweir.console.price_words import price_now
from tokenweir.console.table import Column, Table
from tokenweir.core.money import format_pico
from tokenweir.core.sentence import say
from tokenweir.ledger.views.audit import charge_in_words, standing_in_words

_COSTS = (
    Column("model"),
    Column("deployment"),
    Column("input", "per_million"),
    Column("cache_read", "per_million"),
    Column("output", "per_million"),
    Column("currency"),
    Column("context", "number"),
    Column("remarks", "long"),
    Column("source", "long"),
)
_CHARGES = (Column("account"), Column("model"), Column("charged", "long"), Column("from", "time"))
_RATES = (Column("base"), Column("quote"), Column("rate"), Column("day"), Column("source", "long"))
_STANDING = (
    Column("id"),
    Column("upstream"),
    Column("costs", "long"),
    Column("from", "time"),
    Column("until", "time"),
    Column("note", "long"),
)


def show(visit: Visit) -> Outcome:
    """All four."""
    terms = visit.asked.terms
    costs = [
        _cost(visit, model.name, deployment)
        for model in visit.outside.served().models
        for deployment in model.deployments
    ]
    charges = [
        (
            account or visit.t("prices.everybody"),
            rule.model,
            visit.tell(charge_in_words(rule)),
            rule.valid_from_us or None,
        )
        for account, rules in sorted(terms.charges.items())
        for rule in rules
    ]
    rates = [
        (r.base, r.quote, format_pico(r.rate_pico), r.day, r.source or None) for r in terms.rates.values()
    ]
    standing = [
        (c.id, c.upstream, visit.tell(standing_in_words(c)), c.from_us or None, c.until_us, c.note or None)
        for c in terms.standing_costs.values()
    ]
    return shown(
        "prices.html",
        tables=(
            Table(name="costs", words="prices", columns=_COSTS, rows=costs),
            Table(name="charges", words="prices", columns=_CHARGES, rows=charges),
            Table(name="rates", words="prices", columns=_RATES, rows=rates),
            Table(name="standing", words="prices", columns=_STANDING, rows=standing),
        ),
        accounts=accounts_of(visit),
        rules=[(account, rule) for account, rules in sorted(terms.charges.items()) for rule in rules],
        charge_in_words=lambda rule: visit.tell(charge_in_words(rule)),
    )


def _cost(visit: Visit, model: str, deployment: Deployment) -> tuple[object, ...]:
    now = price_now(deployment.prices, visit.asked.now_us, visit.t, visit.format)
    texts = (now.input, now.cache_read, now.output, now.currency)
    return (model, deployment.name, *texts, deployment.context, now.remarks, now.source)


# --- forms


def charge(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Set what is charged: a mark-up in per cent, or a price of its own."""
    body: dict[str, object] = said(fields, "account", "model")
    if start := moment_of(fields.get("from", ""), visit.zone):
        body["valid_from"] = start
    if fields.get("input") or fields.get("output"):
        bracket = said(fields, "input", "output", "cache_read")
        body["price"] = {"currency": fields.get("currency", "").upper(), "brackets": [bracket]}
    if fields.get("markup"):
        try:
            body["markup_bp"] = round(float(fields["markup"]) * 100)
        except ValueError:
            return problem("wrong_form", say("A mark-up is a number of per cent."))
    return _done(visit, visit.do("put_charge", body=body))


def remove_charge(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Take the chosen rule away."""
    parts = fields.get("rule", "").split("|")
    if len(parts) != 3:
        return problem("wrong_form", say("Choose a rule."))
    account, model, valid_from = parts
    query = {"model": model, "valid_from": valid_from} | ({"account": account} if account else {})
    return _done(visit, visit.do("remove_charge", query=query))


def exchange(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Set an exchange rate."""
    body = said(fields, "day", "rate", "source")
    body |= {name: fields.get(name, "").upper() for name in ("base", "quote")}
    return _done(visit, visit.do("put_rate", body=body))


def standing(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Note a standing cost."""
    body = said(fields, "upstream", "amount", "per", "spread_by", "note")
    body["currency"] = fields.get("currency", "").upper()
    try:
        body["units"] = int(fields.get("units") or 1)
    except ValueError:
        return problem("wrong_form", say("Units are a whole number."))
    for name in ("starts", "ends"):
        if moment := moment_of(fields.get(name, ""), visit.zone):
            body[name] = moment
    return _done(visit, visit.do("put_standing_cost", id=fields.get("id", ""), body=body))


def _done(visit: Visit, outcome: object) -> Outcome:
    return outcome if isinstance(outcome, Problem) else Redirect(visit.to("/prices", done="saved"))
