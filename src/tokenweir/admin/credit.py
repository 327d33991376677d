"""Credit: what was paid in advance, what is left of it, and plans with what they include."""

from typing import Annotated

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
    amount_of,
    amount_text,
    micros,
    micros_or_none,
    moment,
    moment_or_none,
    page_of,
)
from tokenweir.admin.problems import Problem, not_found, problem
from tokenweir.core.money import format_pico, parse_amount
from tokenweir.core.sentence import say, whole
from tokenweir.ledger import terms as t
from tokenweir.ledger.checks import MOST_BP
from tokenweir.ledger.terms import AddCredit, EndCredit, SetPlan
from tokenweir.ledger.views.credit import AllowanceNow, CreditNow, PurseNow, purses_now


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan includes this month, in `unit`: tokens, or the balance's currency."""

    unit: str
    amount: str
    drawn: str
    left: str
    renews: Moment


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What an account with credit or a plan has. Accounts below it draw on it too, unless they have their own."""

    account: str
    currency: str  # of every amount; empty where there is neither credit nor an allowance
    balance: str  # of credit and an allowance of money what is left, less debts
    reserved: str  # of that, by calls under way
    available: str  # what the next call may set aside; less than nothing with debts
    allowance: Allowance | None
    overage: str  # this month, beyond what it has, to be billed
    owed: str  # ever, beyond what it had
    beyond_credit: str
    days_in: str


class Credit(msgspec.Struct, frozen=True, kw_only=True):
    """A prepaid amount. Nothing is left of an expired one."""

    id: str
    account: str
    amount: str
    currency: str
    drawn: str
    left: str
    added: Moment
    expires: Moment | None
    expired: bool
    note: str


class CreditBody(Body, frozen=True, kw_only=True):
    """A credit to be added. The same `id` twice is refused, so that a request sent again adds nothing."""

    account: Name
    amount: Amount
    currency: Currency
    id: Name | None = None
    expires: Moment | None = None
    note: Words = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A month of an account: a fee, what is included for it, and what is charged beyond that."""

    account: str
    name: str
    currency: str
    fee: str
    allowance_unit: str  # the plan's currency or "tokens"; empty: nothing is included
    allowance: str
    overage_bp: int  # on top of the charge beyond the allowance, in basis points
    starts: Moment  # the month that holds this moment is the first


class PlanBody(Body, frozen=True, kw_only=True):
    """A plan to be given. `starts`: now, where it is left out."""

    name: Words
    currency: Currency
    fee: Amount = "0"
    allowance_unit: Annotated[str, Meta(max_length=6)] = ""
    allowance: Amount = "0"
    overage_bp: Annotated[int, Meta(ge=-10_000, le=MOST_BP)] = 0
    starts: Moment | None = None


class OfAccount(PageQuery, frozen=True, kw_only=True):
    """`account`: only its own."""

    account: Name | None = None


# --- balances and credits


def list_balances(asked: Asked, query: OfAccount) -> Page[Balance]:
    """What accounts with credit or a plan have left, by account."""
    page = page_of(_purses(asked, query.account), lambda purse: purse.account, query)
    return Page(tuple(map(_balance, page.items)), page.next)


def list_credits(asked: Asked, query: OfAccount) -> Page[Credit]:
    """Credits, by account and id, with what is left of each."""
    shown = [credit for purse in _purses(asked, query.account) for credit in purse.credits]
    page = page_of(shown, lambda now: f"{now.credit.account} | {now.credit.id}", query)
    return Page(tuple(map(_credit, page.items)), page.next)


def add_credit(asked: Asked, body: CreditBody) -> Credit | Problem:
    """Top an account up. From its first credit on an account is held to what it has."""
    id = body.id or f"credit_{asked.desk.random_bytes(8).hex()}"
    if id in asked.terms.credits.get(body.account, {}):
        return problem(
            "exists", say("There is a credit {id!r} of {account} already.", id=id, account=body.account)
        )
    credit = t.Credit(
        id,
        body.account,
        body.currency,
        parse_amount(body.amount),
        asked.now_us,
        micros_or_none(body.expires),
        body.note,
    )
    return asked.change([AddCredit(credit)]) or _credit_now(asked, body.account, id)


def end_credit(asked: Asked, account: str, id: str) -> Credit | Problem:
    """End a credit: what is left of it is void from now on."""
    if id not in asked.terms.credits.get(account, {}):
        return not_found(say("credit {id!r} of {account!r}", id=id[:100], account=account[:100]))
    return asked.change([EndCredit(account, id, asked.now_us)]) or _credit_now(asked, account, id)


def _credit_now(asked: Asked, account: str, id: str) -> Credit:
    """One that was made: none is ever taken out of the terms."""
    found = (credit for purse in purses_now(asked.db, asked.now_us, account) for credit in purse.credits)
    return _credit(next(now for now in found if now.credit.id == id))


def _purses(asked: Asked, account: str | None) -> list[PurseNow]:
    found = purses_now(asked.db, asked.now_us, account or "")
    return [purse for purse in found if asked.sees(purse.account)]


def _balance(purse: PurseNow) -> Balance:
    return Balance(
        account=purse.account,
        currency=purse.currency,
        balance=format_pico(purse.balance_pico),
        reserved=format_pico(purse.reserved_pico),
        available=format_pico(purse.available_pico),
        allowance=None if purse.allowance is None else _allowance(purse.allowance),
        overage=format_pico(purse.overage_pico),
        owed=format_pico(purse.owed_pico),
        beyond_credit=purse.beyond_credit,
        days_in=purse.zone,
    )


def _allowance(now: AllowanceNow) -> Allowance:
    return Allowance(
        unit=now.unit,
        amount=amount_text(now.unit, now.amount),
        drawn=amount_text(now.unit, now.drawn),
        left=amount_text(now.unit, now.left),
        renews=moment(now.renews_at_us),
    )


def _credit(now: CreditNow) -> Credit:
    credit = now.credit
    return Credit(
        id=credit.id,
        account=credit.account,
        amount=format_pico(credit.pico),
        currency=credit.currency,
        drawn=format_pico(now.drawn_pico),
        left=format_pico(now.left_pico),
        added=moment(credit.added_us),
        expires=moment_or_none(credit.expires_us),
        expired=now.expired,
        note=credit.note,
    )


# --- plans


def list_plans(asked: Asked, query: OfAccount) -> Page[Plan]:
    """Plans, by account."""
    shown = [
        told_plan(account, plan)
        for account, plan in asked.terms.plans.items()
        if query.account in (None, account) and asked.sees(account)
    ]
    return page_of(shown, lambda plan: plan.account, query)


def put_plan(asked: Asked, account: str, body: PlanBody) -> Plan | Problem:
    """Give an account a plan, in place of the one it has."""
    try:
        allowance = amount_of(body.allowance_unit, body.allowance)
    except ValueError as error:
        return problem("refused", whole(error))
    plan = t.Plan(
        name=body.name,
        currency=body.currency,
        fee_pico=parse_amount(body.fee),
        allowance=allowance,
        allowance_unit=body.allowance_unit,
        overage_bp=body.overage_bp,
        from_us=asked.now_us if body.starts is None else micros(body.starts),
    )
    return asked.change([SetPlan(account, plan)]) or told_plan(account, plan)


def remove_plan(asked: Asked, account: str) -> Problem | None:
    """Take an account's plan away."""
    if account not in asked.terms.plans:
        return not_found(say("plan of {account!r}", account=account[:100]))
    return asked.change([SetPlan(account, None)])


def told_plan(account: str, plan: t.Plan) -> Plan:
    """A plan as it is shown."""
    return Plan(
        account=account,
        name=plan.name,
        currency=plan.currency,
        fee=format_pico(plan.fee_pico),
        allowance_unit=plan.allowance_unit,
        allowance=amount_text(plan.allowance_unit, plan.allowance),
        overage_bp=plan.overage_bp,
        starts=moment(plan.from_us),
    )
