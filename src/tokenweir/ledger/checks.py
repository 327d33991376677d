"""What is wrong with a change of terms, in words that say what to do. Pure.

The writer asks before it takes a change, whoever sent it: the command line and the admin API refuse the same things.
"""

import re
from collections.abc import Callable

from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import Price
from tokenweir.core.money import PICO, check_currency
from tokenweir.core.sentence import FINE, Sentence, as_sentence, say
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


def wrong_with(terms: Terms, change: Change) -> Sentence:
    """Why these terms cannot change so; empty where they can."""
    return _CHECKS[type(change)](terms, change)


def wrong_id(id: str, what: Sentence) -> Sentence:
    """What is wrong with a name that people chose."""
    if _ID.fullmatch(id):
        return FINE
    return say(
        "{id!r} cannot be the id of {what}: use up to 64 letters, digits and . _ @ + -, beginning with a letter or digit",
        id=id,
        what=what,
    )


def _account(terms: Terms, change: t.SetAccount) -> Sentence:
    account = change.account
    wrong = wrong_id(account.id, say("an account"))
    if wrong:
        return wrong
    if account.parent and account.parent not in terms.accounts:
        return say("there is no account {parent!r} to stand under; make it first", parent=account.parent)
    above = list(terms.chain(account.parent)) if account.parent else []
    if account.id in above:
        return say(
            "{id} cannot stand under {parent}, which stands under it", id=account.id, parent=account.parent
        )
    if len(above) >= t.MAX_DEPTH - 1:
        return say(
            "{id} would stand {depth} accounts deep; at most {most} are possible",
            id=account.id,
            depth=len(above),
            most=t.MAX_DEPTH - 1,
        )
    if account.time_zone and not is_zone(account.time_zone):
        return say("{time_zone!r} is no time zone; such as Asia/Shanghai or UTC", time_zone=account.time_zone)
    return _one_of(account.beyond_credit, BEYOND, say("what happens beyond credit"))


def _key(terms: Terms, change: t.SetKey) -> Sentence:
    key = change.key
    if not key.id or len(key.hash) != 32:
        return say("a key needs an id and the SHA-256 of its secret")
    known = terms.keys.get(key.id)
    if known is not None and known.revoked_us is not None and key.revoked_us is None:
        return say("the key {id} is revoked, for good", id=key.id)
    for other in terms.keys.values():
        if other.id != key.id and key.hash in (other.hash, other.old_hash):
            return say("another key has the same secret")
    return wrong_id(key.account, say("an account")) or (
        _one_of(key.role, ROLES, say("a role")) if key.role else FINE
    )


def _revoke(terms: Terms, change: t.RevokeKey) -> Sentence:
    return FINE if change.id in terms.keys else say("there is no key {id!r}", id=change.id)


def _limit(terms: Terms, change: t.SetLimit) -> Sentence:
    limit, scope = change.limit, _SCOPE.fullmatch(change.scope)
    if scope is None:
        return say(
            "{scope!r} is nothing that a limit can stand on: account/ID, key/ID or run/ID", scope=change.scope
        )
    if scope[1] == "key" and scope[2] not in terms.keys:
        return say("there is no key {id!r}", id=scope[2])
    if scope[1] == "account" and wrong_id(scope[2], say("an account")):
        return wrong_id(scope[2], say("an account"))
    if limit.window not in WINDOWS:
        return say(
            "{window!r} is no window of a limit: {windows}", window=limit.window, windows=", ".join(WINDOWS)
        )
    if limit.window == "at once" and (limit.unit != "calls" or limit.mode != "hard"):
        return say("what is under way at once is limited in calls, and hard")
    if limit.unit == "tool calls" and scope[1] != "run":
        return say("tool calls are known of runs alone: limit them on run/ID")
    wrong = _one_of(limit.mode, MODES, say("a mode"))
    if not wrong and limit.unit not in COUNTED_UNITS:
        wrong = _currency(limit.unit)
    if wrong:
        return wrong
    most = MOST_COUNT if limit.unit in COUNTED_UNITS else MOST_UNITS * PICO
    return (
        FINE
        if 0 <= limit.amount <= most
        else say(
            "a limit of {unit} is at least 0 and at most {most}", unit=limit.unit, most=_most(limit.unit)
        )
    )


def _no_limit(terms: Terms, change: t.RemoveLimit) -> Sentence:
    if (change.model, change.unit, change.window) in terms.limits.get(change.scope, {}):
        return FINE
    return say("there is no such limit on {scope}", scope=change.scope)


def _credit(terms: Terms, change: t.AddCredit) -> Sentence:
    credit = change.credit
    if credit.id in terms.credits.get(credit.account, {}):
        return say("there is a credit {id!r} of {account} already", id=credit.id, account=credit.account)
    purse = {c.currency for c in terms.credits.get(credit.account, {}).values()}
    plan = terms.plans.get(credit.account)
    if plan is not None and plan.allowance_unit:
        purse.add(plan.currency)
    if purse - {credit.currency}:
        return say(
            "the credit of {account} is in {currency}; two currencies are never added",
            account=credit.account,
            currency=purse.pop(),
        )
    if credit.expires_us is not None and credit.expires_us <= credit.added_us:
        return say("a credit must expire after it begins")
    wrong = wrong_id(credit.id, say("a credit")) or wrong_id(credit.account, say("an account"))
    return wrong or _currency(credit.currency) or _amount(credit.pico, say("a credit"), least=1)


def _end_credit(terms: Terms, change: t.EndCredit) -> Sentence:
    known = terms.credits.get(change.account, {}).get(change.id)
    if known is None:
        return say("{account} has no credit {id!r}", account=change.account, id=change.id)
    ended = known.expires_us is not None and known.expires_us <= change.at_us
    return (
        say("the credit {id!r} of {account} has ended already", id=change.id, account=change.account)
        if ended
        else FINE
    )


def _plan(terms: Terms, change: t.SetPlan) -> Sentence:
    plan = change.plan
    if plan is None:
        return FINE if change.account in terms.plans else say("{account} has no plan", account=change.account)
    wrong = wrong_id(change.account, say("an account")) or _currency(plan.currency)
    wrong = wrong or _amount(plan.fee_pico, say("a fee")) or _basis_points(plan.overage_bp)
    if wrong:
        return wrong
    if plan.allowance_unit not in ("", "tokens", plan.currency):
        return say(
            "an allowance is in tokens or in the plan's currency, not in {allowance_unit!r}",
            allowance_unit=plan.allowance_unit,
        )
    credit = {c.currency for c in terms.credits.get(change.account, {}).values()}
    if plan.allowance_unit and credit - {plan.currency}:
        return say(
            "the credit of {account} is in {currency}; two currencies are never added",
            account=change.account,
            currency=credit.pop(),
        )
    if plan.allowance_unit == "tokens":
        return FINE if 0 <= plan.allowance <= MOST_COUNT else say("an allowance cannot be less than nothing")
    return _amount(plan.allowance, say("an allowance"))


def _charge(terms: Terms, change: t.SetCharge) -> Sentence:
    rule: ChargeRule = change.rule
    if rule.price is not None and rule.markup_bp:
        return say("a rule has a price of its own or a mark-up, not both")
    wrong = wrong_id(change.account, say("an account")) if change.account else FINE
    wrong = wrong or (FINE if rule.model else say("a rule needs a model, or * for all"))
    return wrong or _basis_points(rule.markup_bp) or (FINE if rule.price is None else wrong_price(rule.price))


def wrong_price(price: Price) -> Sentence:
    """Why a price that people wrote cannot be used; empty where it can."""
    if not is_zone(price.time_zone):
        return say("{time_zone!r} is no time zone; such as Asia/Shanghai or UTC", time_zone=price.time_zone)
    for brackets in (price.brackets, *(window.brackets for window in price.windows)):
        borders = [bracket.above for bracket in brackets]
        if borders[:1] != [0] or borders != sorted(set(borders)):
            return say("the brackets of a price begin above 0 tokens and rise")
    for window in price.windows:
        if not 0 <= window.start_minute < window.end_minute <= DAY_MINUTES:
            return say("a window of the day ends after it begins; one over midnight is two")
        if not window.weekdays or not set(window.weekdays) <= set(range(7)):
            return say("a window of the day is of some weekdays: 0 is Monday, 6 is Sunday")
    wrong = _one_of(price.priced_at, ("start", "end"), say("when a price is looked up"))
    return wrong or _currency(price.currency)


def _no_charge(terms: Terms, change: t.RemoveCharge) -> Sentence:
    rules = terms.charges.get(change.account, ())
    known = any((r.model, r.valid_from_us) == (change.model, change.valid_from_us) for r in rules)
    if known:
        return FINE
    return say("there is no such rule for {account}", account=change.account or say("everybody"))


def _rate(terms: Terms, change: t.SetRate) -> Sentence:
    rate = change.rate
    if rate.base == rate.quote:
        return say("an exchange rate is between two currencies")
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", rate.day):
        return say("{day!r} is no day such as 2026-11-25", day=rate.day)
    return _currency(rate.base) or _currency(rate.quote) or _amount(rate.rate_pico, say("a rate"), least=1)


def _standing_cost(terms: Terms, change: t.SetStandingCost) -> Sentence:
    cost = change.cost
    if not cost.upstream:
        return say("a standing cost needs the upstream that it is for")
    if cost.until_us is not None and cost.until_us <= cost.from_us:
        return say("a standing cost must end after it begins")
    if cost.units < 1:
        return say("a standing cost is for at least one unit")
    wrong = (
        wrong_id(cost.id, say("a standing cost"))
        or _currency(cost.currency)
        or _amount(cost.pico, say("a cost"))
    )
    wrong = wrong or _one_of(cost.per, ("month", "hour"), say("what it is reckoned by"))
    return wrong or _one_of(cost.spread_by, ("tokens", "time"), say("what it is spread by"))


def _invoice(terms: Terms, change: t.IssueInvoice) -> Sentence:
    if change.invoice.id in terms.invoices:
        return say("the invoice {id} has been issued", id=change.invoice.id)
    if change.invoice.number != len(terms.invoices) + 1:
        return (
            say(
                "another invoice was issued in the meantime; reckon this one anew"
            )  # it may hold the same entries
        )
    return wrong_id(change.invoice.id, say("an invoice"))


def _password(terms: Terms, change: t.SetPassword) -> Sentence:
    key = terms.keys.get(change.key)
    if key is None or key.revoked_us is not None:
        return say("there is no key {id!r} that lives", id=change.key)
    if not change.hash:
        return FINE if change.key in terms.passwords else say("{key} has no password", key=change.key)
    if not key.role:
        return say("{key} is for calls; give it a role first", key=change.key)
    if not change.hash.startswith("$argon2id$"):
        return say("a password is kept as a hash of Argon2id")
    others = (terms.keys[id] for id in terms.passwords if id != change.key)
    same = next((other for other in others if other.name == key.name and other.revoked_us is None), None)
    return (
        FINE
        if same is None
        else say(
            "{id} is called {name!r} too and has a password; rename one of them", id=same.id, name=key.name
        )
    )


def _drain(terms: Terms, change: t.DrainUpstream) -> Sentence:
    if not change.drained.upstream:
        return say("name the upstream that is to get no new calls")
    known = change.drained.upstream in terms.drained
    return say("{upstream} is drained already", upstream=change.drained.upstream) if known else FINE


def _restore(terms: Terms, change: t.RestoreUpstream) -> Sentence:
    return (
        FINE
        if change.upstream in terms.drained
        else say("{upstream!r} is not drained", upstream=change.upstream)
    )


def _note(terms: Terms, change: t.NoteCorrection) -> Sentence:
    return FINE if change.id else say("a correction needs an id")


def _setting(terms: Terms, change: t.ChangeSetting) -> Sentence:
    return FINE if change.name else say("name the setting")


_CHECKS: dict[type, Callable[..., Sentence]] = {
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
    t.ChangeSetting: _setting,
}


# --- parts


def _one_of(word: str, words: tuple[str, ...], what: Sentence) -> Sentence:
    return (
        FINE
        if word in words
        else say("{word!r} is not {what}: {words}", word=word, what=what, words=", ".join(words))
    )


def _currency(code: str) -> Sentence:
    try:
        check_currency(code)
    except ValueError as error:
        return as_sentence(error)
    return FINE


def _amount(pico: int, what: Sentence, least: int = 0) -> Sentence:
    if least <= pico <= MOST_UNITS * PICO:
        return FINE
    if least:
        return say("{what} is more than 0 and at most {most:,}", what=what, most=MOST_UNITS)
    return say("{what} is at least 0 and at most {most:,}", what=what, most=MOST_UNITS)


def _basis_points(value: int) -> Sentence:
    return FINE if -10_000 <= value <= MOST_BP else say("a mark-up is at least -100 % and at most 100,000 %")


def _most(unit: str) -> str:
    return f"{MOST_COUNT if unit in COUNTED_UNITS else MOST_UNITS:,}"
