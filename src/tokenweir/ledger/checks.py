"""What is wrong with a change of terms, in words that say what to do. Pure.

The writer asks before it takes a change, whoever sent it: the command line and the admin API refuse the same things.
"""

import re
from collections.abc import Callable

from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import Price
from tokenweir.core.money import PICO, check_currency
from tokenweir.ledger import terms as t
from tokenweir.ledger.terms import COUNTED_UNITS, Change, Terms
from tokenweir.ledger.windows import WINDOWS, is_zone

#: The most a limit, a credit or a fee can be: so that it and what is reserved beside it stay within 64 bits.
MOST_UNITS = 9_000_000
MOST_COUNT = 2**62
ROLES = ("owner", "admin", "member", "auditor")
MODES = ("hard", "soft")
BEYOND = ("refuse", "bill")
#: A discount of a hundred per cent, and a mark-up of a thousandfold.
MOST_BP = 10_000_000
DAY_MINUTES = 24 * 60
_ID = re.compile(r"\w[\w.@+-]{0,63}")
_SCOPE = re.compile(r"(account|key|run)/(.{1,128})")


def wrong_with(terms: Terms, change: Change) -> str:
    """Why these terms cannot change so; empty where they can."""
    return _CHECKS[type(change)](terms, change)


def wrong_id(id: str, what: str) -> str:
    """What is wrong with a name that people chose."""
    if _ID.fullmatch(id):
        return ""
    return f"{id!r} cannot be the id of {what}: use up to 64 letters, digits and . _ @ + -, beginning with a letter or digit"


def _account(terms: Terms, change: t.SetAccount) -> str:
    account = change.account
    wrong = wrong_id(account.id, "an account")
    if wrong:
        return wrong
    if account.parent and account.parent not in terms.accounts:
        return f"there is no account {account.parent!r} to stand under; make it first"
    above = list(terms.chain(account.parent)) if account.parent else []
    if account.id in above:
        return f"{account.id} cannot stand under {account.parent}, which stands under it"
    if len(above) >= t.MAX_DEPTH - 1:
        return f"{account.id} would stand {len(above)} accounts deep; at most {t.MAX_DEPTH - 1} are possible"
    if account.time_zone and not is_zone(account.time_zone):
        return f"{account.time_zone!r} is no time zone; such as Asia/Shanghai or UTC"
    return _one_of(account.beyond_credit, BEYOND, "what happens beyond credit")


def _key(terms: Terms, change: t.SetKey) -> str:
    key = change.key
    if not key.id or len(key.hash) != 32:
        return "a key needs an id and the SHA-256 of its secret"
    known = terms.keys.get(key.id)
    if known is not None and known.revoked_us is not None and key.revoked_us is None:
        return f"the key {key.id} is revoked, for good"
    for other in terms.keys.values():
        if other.id != key.id and key.hash in (other.hash, other.old_hash):
            return "another key has the same secret"
    return wrong_id(key.account, "an account") or (_one_of(key.role, ROLES, "a role") if key.role else "")


def _revoke(terms: Terms, change: t.RevokeKey) -> str:
    return "" if change.id in terms.keys else f"there is no key {change.id!r}"


def _limit(terms: Terms, change: t.SetLimit) -> str:
    limit, scope = change.limit, _SCOPE.fullmatch(change.scope)
    if scope is None:
        return f"{change.scope!r} is nothing that a limit can stand on: account/ID, key/ID or run/ID"
    if scope[1] == "key" and scope[2] not in terms.keys:
        return f"there is no key {scope[2]!r}"
    if scope[1] == "account" and wrong_id(scope[2], "an account"):
        return wrong_id(scope[2], "an account")
    if limit.window not in WINDOWS:
        return f"{limit.window!r} is no window of a limit: {', '.join(WINDOWS)}"
    if limit.window == "at once" and (limit.unit != "calls" or limit.mode != "hard"):
        return "what is under way at once is limited in calls, and hard"
    if limit.unit == "tool calls" and scope[1] != "run":
        return "tool calls are known of runs alone: limit them on run/ID"
    wrong = _one_of(limit.mode, MODES, "a mode")
    if not wrong and limit.unit not in COUNTED_UNITS:
        wrong = _currency(limit.unit)
    if wrong:
        return wrong
    most = MOST_COUNT if limit.unit in COUNTED_UNITS else MOST_UNITS * PICO
    return (
        ""
        if 0 <= limit.amount <= most
        else f"a limit of {limit.unit} is at least 0 and at most {_most(limit.unit)}"
    )


def _no_limit(terms: Terms, change: t.RemoveLimit) -> str:
    if (change.model, change.unit, change.window) in terms.limits.get(change.scope, {}):
        return ""
    return f"there is no such limit on {change.scope}"


def _credit(terms: Terms, change: t.AddCredit) -> str:
    credit = change.credit
    if credit.id in terms.credits.get(credit.account, {}):
        return f"there is a credit {credit.id!r} of {credit.account} already"
    purse = {c.currency for c in terms.credits.get(credit.account, {}).values()}
    plan = terms.plans.get(credit.account)
    if plan is not None and plan.allowance_unit:
        purse.add(plan.currency)
    if purse - {credit.currency}:
        return f"the credit of {credit.account} is in {purse.pop()}; two currencies are never added"
    if credit.expires_us is not None and credit.expires_us <= credit.added_us:
        return "a credit must expire after it begins"
    wrong = wrong_id(credit.id, "a credit") or wrong_id(credit.account, "an account")
    return wrong or _currency(credit.currency) or _amount(credit.pico, "a credit", least=1)


def _end_credit(terms: Terms, change: t.EndCredit) -> str:
    known = terms.credits.get(change.account, {}).get(change.id)
    if known is None:
        return f"{change.account} has no credit {change.id!r}"
    ended = known.expires_us is not None and known.expires_us <= change.at_us
    return f"the credit {change.id!r} of {change.account} has ended already" if ended else ""


def _plan(terms: Terms, change: t.SetPlan) -> str:
    plan = change.plan
    if plan is None:
        return "" if change.account in terms.plans else f"{change.account} has no plan"
    wrong = wrong_id(change.account, "an account") or _currency(plan.currency)
    wrong = wrong or _amount(plan.fee_pico, "a fee") or _basis_points(plan.overage_bp)
    if wrong:
        return wrong
    if plan.allowance_unit not in ("", "tokens", plan.currency):
        return f"an allowance is in tokens or in the plan's currency, not in {plan.allowance_unit!r}"
    credit = {c.currency for c in terms.credits.get(change.account, {}).values()}
    if plan.allowance_unit and credit - {plan.currency}:
        return f"the credit of {change.account} is in {credit.pop()}; two currencies are never added"
    if plan.allowance_unit == "tokens":
        return "" if 0 <= plan.allowance <= MOST_COUNT else "an allowance cannot be less than nothing"
    return _amount(plan.allowance, "an allowance")


def _charge(terms: Terms, change: t.SetCharge) -> str:
    rule: ChargeRule = change.rule
    if rule.price is not None and rule.markup_bp:
        return "a rule has a price of its own or a mark-up, not both"
    wrong = wrong_id(change.account, "an account") if change.account else ""
    wrong = wrong or ("" if rule.model else "a rule needs a model, or * for all")
    return wrong or _basis_points(rule.markup_bp) or ("" if rule.price is None else wrong_price(rule.price))


def wrong_price(price: Price) -> str:
    """Why a price that people wrote cannot be used; empty where it can."""
    if not is_zone(price.time_zone):
        return f"{price.time_zone!r} is no time zone; such as Asia/Shanghai or UTC"
    for brackets in (price.brackets, *(window.brackets for window in price.windows)):
        borders = [bracket.above for bracket in brackets]
        if borders[:1] != [0] or borders != sorted(set(borders)):
            return "the brackets of a price begin above 0 tokens and rise"
    for window in price.windows:
        if not 0 <= window.start_minute < window.end_minute <= DAY_MINUTES:
            return "a window of the day ends after it begins; one over midnight is two"
        if not window.weekdays or not set(window.weekdays) <= set(range(7)):
            return "a window of the day is of some weekdays: 0 is Monday, 6 is Sunday"
    wrong = _one_of(price.priced_at, ("start", "end"), "when a price is looked up")
    return wrong or _currency(price.currency)


def _no_charge(terms: Terms, change: t.RemoveCharge) -> str:
    rules = terms.charges.get(change.account, ())
    known = any((r.model, r.valid_from_us) == (change.model, change.valid_from_us) for r in rules)
    return "" if known else f"there is no such rule for {change.account or 'everybody'}"


def _rate(terms: Terms, change: t.SetRate) -> str:
    rate = change.rate
    if rate.base == rate.quote:
        return "an exchange rate is between two currencies"
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", rate.day):
        return f"{rate.day!r} is no day such as 2026-11-25"
    return _currency(rate.base) or _currency(rate.quote) or _amount(rate.rate_pico, "a rate", least=1)


def _standing_cost(terms: Terms, change: t.SetStandingCost) -> str:
    cost = change.cost
    if not cost.upstream:
        return "a standing cost needs the upstream that it is for"
    if cost.until_us is not None and cost.until_us <= cost.from_us:
        return "a standing cost must end after it begins"
    if cost.units < 1:
        return "a standing cost is for at least one unit"
    wrong = wrong_id(cost.id, "a standing cost") or _currency(cost.currency) or _amount(cost.pico, "a cost")
    wrong = wrong or _one_of(cost.per, ("month", "hour"), "what it is reckoned by")
    return wrong or _one_of(cost.spread_by, ("tokens", "time"), "what it is spread by")


def _invoice(terms: Terms, change: t.IssueInvoice) -> str:
    if change.invoice.id in terms.invoices:
        return f"the invoice {change.invoice.id} has been issued"
    if change.invoice.number != len(terms.invoices) + 1:
        return (
            "another invoice was issued in the meantime; reckon this one anew"  # it may hold the same entries
        )
    return wrong_id(change.invoice.id, "an invoice")


def _password(terms: Terms, change: t.SetPassword) -> str:
    key = terms.keys.get(change.key)
    if key is None or key.revoked_us is not None:
        return f"there is no key {change.key!r} that lives"
    if not change.hash:
        return "" if change.key in terms.passwords else f"{change.key} has no password"
    if not key.role:
        return f"{change.key} is for calls; give it a role first"
    if not change.hash.startswith("$argon2id$"):
        return "a password is kept as a hash of Argon2id"
    others = (terms.keys[id] for id in terms.passwords if id != change.key)
    same = next((other for other in others if other.name == key.name and other.revoked_us is None), None)
    return (
        "" if same is None else f"{same.id} is called {key.name!r} too and has a password; rename one of them"
    )


def _drain(terms: Terms, change: t.DrainUpstream) -> str:
    if not change.drained.upstream:
        return "name the upstream that is to get no new calls"
    known = change.drained.upstream in terms.drained
    return f"{change.drained.upstream} is drained already" if known else ""


def _restore(terms: Terms, change: t.RestoreUpstream) -> str:
    return "" if change.upstream in terms.drained else f"{change.upstream!r} is not drained"


def _note(terms: Terms, change: t.NoteCorrection) -> str:
    return "" if change.id else "a correction needs an id"


_CHECKS: dict[type, Callable[..., str]] = {
    t.SetAccount: _account,
    t.SetKey: _key,
    t.RevokeKey: _revoke,
    t.SetLimit: _limit,
    t.RemoveLimit: _no_limit,
    t.AddCredit: _credit,
    t.EndCredit: _end_credit,
    t.SetPlan: _plan,
    t.SetCharge: _charge,
    t.RemoveCharge: _no_charge,
    t.SetRate: _rate,
    t.SetStandingCost: _standing_cost,
    t.IssueInvoice: _invoice,
    t.SetPassword: _password,
    t.DrainUpstream: _drain,
    t.RestoreUpstream: _restore,
    t.NoteCorrection: _note,
}


# --- parts


def _one_of(word: str, words: tuple[str, ...], what: str) -> str:
    return "" if word in words else f"{word!r} is not {what}: {', '.join(words)}"


def _currency(code: str) -> str:
    try:
        check_currency(code)
    except ValueError as error:
        return str(error)
    return ""


def _amount(pico: int, what: str, least: int = 0) -> str:
    if least <= pico <= MOST_UNITS * PICO:
        return ""
    return f"{what} is {'more than' if least else 'at least'} 0 and at most {MOST_UNITS:,}"


def _basis_points(value: int) -> str:
    return "" if -10_000 <= value <= MOST_BP else "a mark-up is at least -100 % and at most 100,000 %"


def _most(unit: str) -> str:
    return f"{MOST_COUNT:,}" if unit in COUNTED_UNITS else f"{MOST_UNITS:,}"
