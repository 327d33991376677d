"""Who changed what, in words: sentences that can be told in other languages, too. Pure."""

from collections.abc import Callable

from tokenweir.catalog.charges import ChargeRule, format_percent
from tokenweir.core.money import format_per_mtok, format_pico
from tokenweir.core.sentence import Sentence, listed, say
from tokenweir.ledger import terms as t
from tokenweir.ledger.amount_text import format_allowance
from tokenweir.ledger.limit_text import limit_in_words
from tokenweir.ledger.terms import COUNTED_UNITS, Change
from tokenweir.ledger.views.reader import iso_time


def in_words(change: Change) -> Sentence:
    """A change as a sentence without its end; no secret, nor the hash of one."""
    return _WORDS[type(change)](change)


#: What a token of a class costs, in the order of the classes.
_RATES = {
    "input": "{rate} in",
    "cache_read": "{rate} cached",
    "cache_write_5m": "{rate} written",
    "output": "{rate} out",
    "reasoning": "{rate} reasoning",
}


def charge_in_words(rule: ChargeRule) -> Sentence:
    """What a rule charges: `+25 %`, or `4 in, 16 out CNY per million`."""
    if rule.price is None:
        return Sentence(format_percent(rule.markup_bp)) if rule.markup_bp else say("what it costs")
    brackets = rule.price.brackets
    rates = {name: getattr(brackets[0].rates, name) for name in _RATES}
    parts = listed(
        say(_RATES[name], rate=format_per_mtok(rate)) for name, rate in rates.items() if rate is not None
    )
    told = say("{rates} {currency} per million", rates=parts, currency=rule.price.currency)
    return listed((told, say("more for long prompts") if len(brackets) > 1 else ""))


def plan_in_words(plan: t.Plan) -> Sentence:
    """`99 CNY a month with 10000000 tokens, beyond it +20 %`."""
    fee = f"{format_pico(plan.fee_pico)} {plan.currency}"
    if plan.allowance_unit:
        included = format_allowance(plan.allowance, plan.allowance_unit)
        text = say("{fee} a month with {included}", fee=fee, included=included)
    else:
        text = say("{fee} a month", fee=fee)
    beyond = say("beyond it {percent}", percent=format_percent(plan.overage_bp)) if plan.overage_bp else ""
    return listed((text, beyond))


_PER = {"month": "{amount} a month", "hour": "{amount} an hour"}
_EACH = {"month": "{amount} a month each of {units}", "hour": "{amount} an hour each of {units}"}
_BY = {"tokens": "by tokens", "time": "by time"}


def standing_in_words(cost: t.StandingCost) -> Sentence:
    """`199 CNY a month, by tokens`; of several units, `20 CNY an hour each of 8, by time`."""
    amount = f"{format_pico(cost.pico)} {cost.currency}"
    forms = _EACH if cost.units > 1 else _PER
    return listed((say(forms[cost.per], amount=amount, units=cost.units), say(_BY[cost.spread_by])))


def _detail(template: str, value: object) -> str:
    """What is not said is left out."""
    return say(template, value=value) if value else ""


def _moment(at_us: int | None) -> str:
    return "" if not at_us else iso_time(at_us)[:19] + "Z"


def _account(change: t.SetAccount) -> Sentence:
    account = change.account
    return listed(
        (
            say("account {id}", id=account.id),
            _detail("under {value}", account.parent),
            f'"{account.name}"' if account.name else "",
            _detail("time zone {value}", account.time_zone),
            say("bills beyond credit") if account.beyond_credit == "bill" else "",
            _detail("closed {value}", _moment(account.closed_us)),
        )
    )


def _key(change: t.SetKey) -> Sentence:
    key = change.key
    return listed(
        (
            say("key {id} ({name}) of {account}", id=key.id, name=key.name, account=key.account),
            f"{key.hint}…",
            _detail("run {value}", key.run),
            _detail("models {value}", " ".join(key.models)),
            _detail("dialects {value}", " ".join(key.dialects)),
            _detail("expires {value}", _moment(key.expires_us)),
            _detail("role {value}", key.role),
            _detail(
                "its secret before good until {value}", _moment(key.old_until_us) if key.old_hash else ""
            ),
            _detail("the text of its calls is kept for {value} s", key.keep_text_s),
        )
    )


def _limit(change: t.SetLimit) -> Sentence:
    limit, scope = limit_in_words(change.limit), change.scope
    if change.limit.model:
        return say("limit {limit} of {model} on {scope}", limit=limit, model=change.limit.model, scope=scope)
    return say("limit {limit} on {scope}", limit=limit, scope=scope)


def _no_limit(change: t.RemoveLimit) -> Sentence:
    window = say("in total") if change.window == "total" else say(change.window)
    unit, scope = say(change.unit) if change.unit in COUNTED_UNITS else change.unit, change.scope
    if change.model:
        return say(
            "no limit of {unit} {window} of {model} on {scope}",
            unit=unit,
            window=window,
            model=change.model,
            scope=scope,
        )
    return say("no limit of {unit} {window} on {scope}", unit=unit, window=window, scope=scope)


def _credit(change: t.AddCredit) -> Sentence:
    credit = change.credit
    amount = f"{format_pico(credit.pico)} {credit.currency}"
    text = say("credit {id} of {amount} for {account}", id=credit.id, amount=amount, account=credit.account)
    return listed((text, _detail("expires {value}", _moment(credit.expires_us)), credit.note))


def _plan(change: t.SetPlan) -> Sentence:
    plan = change.plan
    if plan is None:
        return say("no plan for {account}", account=change.account)
    words = plan_in_words(plan)
    text = say("plan {name} for {account}: {words}", name=plan.name, account=change.account, words=words)
    return listed((text, _detail("from {value}", _moment(plan.from_us))))


def _charge(change: t.SetCharge) -> Sentence:
    rule, whom = change.rule, change.account or say("everybody")
    text = say(
        "{whom} is charged {words} for {model}", whom=whom, words=charge_in_words(rule), model=rule.model
    )
    return listed((text, _detail("from {value}", _moment(rule.valid_from_us))))


def _no_charge(change: t.RemoveCharge) -> Sentence:
    whom = change.account or say("everybody")
    text = say("no charge of its own for {model} to {whom}", model=change.model, whom=whom)
    return listed((text, _detail("from {value}", _moment(change.valid_from_us))))


def _rate(change: t.SetRate) -> Sentence:
    return rate_in_words(change.rate)


def rate_in_words(rate: t.ExchangeRate) -> Sentence:
    """`1 USD = 7.1 CNY from 2026-11-01 (source)`."""
    values = {"base": rate.base, "rate": format_pico(rate.rate_pico), "quote": rate.quote, "day": rate.day}
    if rate.source:
        return say("1 {base} = {rate} {quote} from {day} ({source})", **values, source=rate.source)
    return say("1 {base} = {rate} {quote} from {day}", **values)


def _standing(change: t.SetStandingCost) -> Sentence:
    cost, words = change.cost, standing_in_words(change.cost)
    text = say("standing cost {id} of {upstream}: {words}", id=cost.id, upstream=cost.upstream, words=words)
    return listed(
        (
            text,
            _detail("from {value}", _moment(cost.from_us)),
            _detail("until {value}", _moment(cost.until_us)),
            cost.note,
        )
    )


def _invoice(change: t.IssueInvoice) -> Sentence:
    invoice = change.invoice
    totals = listed(f"{format_pico(pico)} {currency}" for currency, pico in invoice.totals)
    return say(
        "invoice {id} to {account} for {month}: {totals}",
        id=invoice.id,
        account=invoice.account,
        month=invoice.month,
        totals=totals or say("nothing"),
    )


def _password(change: t.SetPassword) -> Sentence:
    if change.hash:
        return say("password of key {id} for the console", id=change.key)
    return say("no password of key {id} for the console", id=change.key)


def _drain(change: t.DrainUpstream) -> Sentence:
    drained = change.drained
    return listed((say("upstream {upstream} gets no new calls", upstream=drained.upstream), drained.note))


def _note(change: t.NoteCorrection) -> Sentence:
    return say(
        "correction {id} ({kind}) of {entries:,} entries: {what}",
        id=change.id,
        kind=change.kind,
        entries=change.entries,
        what=change.what,
    )


def _setting(change: t.ChangeSetting) -> Sentence:
    values = {"name": change.name, "value": change.value or "–", "before": change.before or "–"}
    if change.by_default:
        return say("setting {name} as by default: {value}, before {before}", **values)
    return say("setting {name}: {value}, before {before}", **values)


_WORDS: dict[type, Callable[..., Sentence]] = {
    t.SetAccount: _account,
    t.SetKey: _key,
    t.RevokeKey: lambda change: say("key {id} revoked", id=change.id),
    t.SetLimit: _limit,
    t.RemoveLimit: _no_limit,
    t.AddCredit: _credit,
    t.EndCredit: lambda change: say("credit {id} of {account} ended", id=change.id, account=change.account),
    t.SetPlan: _plan,
    t.SetCharge: _charge,
    t.RemoveCharge: _no_charge,
    t.SetRate: _rate,
    t.SetStandingCost: _standing,
    t.IssueInvoice: _invoice,
    t.SetPassword: _password,
    t.DrainUpstream: _drain,
    t.RestoreUpstream: lambda change: say("upstream {upstream} gets calls again", upstream=change.upstream),
    t.NoteCorrection: _note,
    t.ChangeSetting: _setting,
}
