"""Who changed what, in words. Pure."""

from collections.abc import Callable

from tokenweir.catalog.charges import ChargeRule, format_percent
from tokenweir.core.money import format_per_mtok, format_pico
from tokenweir.ledger import terms as t
from tokenweir.ledger.amount_text import format_allowance
from tokenweir.ledger.limit_text import format_limit
from tokenweir.ledger.terms import Change
from tokenweir.ledger.views.reader import iso_time


def in_words(change: Change) -> str:
    """A change as a sentence without its end; no secret, nor the hash of one."""
    return _WORDS[type(change)](change)


def charge_in_words(rule: ChargeRule) -> str:
    """What a rule charges: `+25 %`, or `4 in, 16 out CNY per million`."""
    if rule.price is None:
        return format_percent(rule.markup_bp) if rule.markup_bp else "what it costs"
    brackets = rule.price.brackets
    rates = brackets[0].rates
    named = (
        ("in", rates.input),
        ("cached", rates.cache_read),
        ("written", rates.cache_write_5m),
        ("out", rates.output),
        ("reasoning", rates.reasoning),
    )
    parts = ", ".join(f"{format_per_mtok(rate)} {name}" for name, rate in named if rate is not None)
    more = ", more for long prompts" if len(brackets) > 1 else ""
    return f"{parts} {rule.price.currency} per million{more}"


def plan_in_words(plan: t.Plan) -> str:
    """`99 CNY a month with 10000000 tokens, beyond it +20 %`."""
    text = f"{format_pico(plan.fee_pico)} {plan.currency} a month"
    if plan.allowance_unit:
        text += f" with {format_allowance(plan.allowance, plan.allowance_unit)}"
    return f"{text}, beyond it {format_percent(plan.overage_bp)}" if plan.overage_bp else text


def standing_in_words(cost: t.StandingCost) -> str:
    """`199 CNY a month, by tokens`; of several units, `20 CNY an hour each of 8, by time`."""
    each = f" each of {cost.units}" if cost.units > 1 else ""
    article = "an" if cost.per == "hour" else "a"
    return f"{format_pico(cost.pico)} {cost.currency} {article} {cost.per}{each}, by {cost.spread_by}"


def _details(*parts: tuple[str, str]) -> str:
    """`, under acme, until 2026-12-01`: what is not said is left out."""
    return "".join(f", {name} {value}" if name else f", {value}" for name, value in parts if value)


def _moment(at_us: int | None) -> str:
    return "" if not at_us else iso_time(at_us)[:19] + "Z"


def _account(change: t.SetAccount) -> str:
    account = change.account
    return f"account {account.id}" + _details(
        ("under", account.parent),
        ("", f'"{account.name}"' if account.name else ""),
        ("time zone", account.time_zone),
        ("", "bills beyond credit" if account.beyond_credit == "bill" else ""),
        ("closed", _moment(account.closed_us)),
    )


def _key(change: t.SetKey) -> str:
    key = change.key
    return f"key {key.id} ({key.name}) of {key.account}, {key.hint}…" + _details(
        ("run", key.run),
        ("models", " ".join(key.models)),
        ("dialects", " ".join(key.dialects)),
        ("expires", _moment(key.expires_us)),
        ("role", key.role),
        ("its secret before good until", _moment(key.old_until_us) if key.old_hash else ""),
        ("", f"the text of its calls is kept for {key.keep_text_s} s" if key.keep_text_s else ""),
    )


def _limit(change: t.SetLimit) -> str:
    return f"limit {format_limit(change.limit)}{_of(change.limit.model)} on {change.scope}"


def _no_limit(change: t.RemoveLimit) -> str:
    window = "in total" if change.window == "total" else change.window
    return f"no limit of {change.unit} {window}{_of(change.model)} on {change.scope}"


def _of(model: str) -> str:
    return f" of {model}" if model else ""


def _credit(change: t.AddCredit) -> str:
    credit = change.credit
    text = f"credit {credit.id} of {format_pico(credit.pico)} {credit.currency} for {credit.account}"
    return text + _details(("expires", _moment(credit.expires_us)), ("", credit.note))


def _plan(change: t.SetPlan) -> str:
    plan = change.plan
    if plan is None:
        return f"no plan for {change.account}"
    return f"plan {plan.name} for {change.account}: {plan_in_words(plan)}" + _details(
        ("from", _moment(plan.from_us))
    )


def _charge(change: t.SetCharge) -> str:
    rule = change.rule
    whom = change.account or "everybody"
    return f"{whom} is charged {charge_in_words(rule)} for {rule.model}" + _details(
        ("from", _moment(rule.valid_from_us))
    )


def _no_charge(change: t.RemoveCharge) -> str:
    whom = change.account or "everybody"
    return f"no charge of its own for {change.model} to {whom}" + _details(
        ("from", _moment(change.valid_from_us))
    )


def _rate(change: t.SetRate) -> str:
    return rate_in_words(change.rate)


def rate_in_words(rate: t.ExchangeRate) -> str:
    """`1 USD = 7.1 CNY from 2026-11-01 (source)`."""
    source = f" ({rate.source})" if rate.source else ""
    return f"1 {rate.base} = {format_pico(rate.rate_pico)} {rate.quote} from {rate.day}{source}"


def _standing(change: t.SetStandingCost) -> str:
    cost = change.cost
    text = f"standing cost {cost.id} of {cost.upstream}: {standing_in_words(cost)}"
    return text + _details(
        ("from", _moment(cost.from_us)), ("until", _moment(cost.until_us)), ("", cost.note)
    )


def _invoice(change: t.IssueInvoice) -> str:
    invoice = change.invoice
    totals = ", ".join(f"{format_pico(pico)} {currency}" for currency, pico in invoice.totals)
    return f"invoice {invoice.id} to {invoice.account} for {invoice.month}: {totals or 'nothing'}"


def _note(change: t.NoteCorrection) -> str:
    return f"correction {change.id} ({change.kind}) of {change.entries:,} entries: {change.what}"


_WORDS: dict[type, Callable[..., str]] = {
    t.SetAccount: _account,
    t.SetKey: _key,
    t.RevokeKey: lambda change: f"key {change.id} revoked",
    t.SetLimit: _limit,
    t.RemoveLimit: _no_limit,
    t.AddCredit: _credit,
    t.EndCredit: lambda change: f"credit {change.id} of {change.account} ended",
    t.SetPlan: _plan,
    t.SetCharge: _charge,
    t.RemoveCharge: _no_charge,
    t.SetRate: _rate,
    t.SetStandingCost: _standing,
    t.IssueInvoice: _invoice,
    t.SetPassword: lambda change: (
        f"{'password' if change.hash else 'no password'} of key {change.key} for the console"
    ),
    t.DrainUpstream: lambda change: (
        f"upstream {change.drained.upstream} gets no new calls" + _details(("", change.drained.note))
    ),
    t.RestoreUpstream: lambda change: f"upstream {change.upstream} gets calls again",
    t.NoteCorrection: _note,
}
