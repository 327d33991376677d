"""Credit: what was paid in advance, what is left of it, and plans."""

from collections.abc import Mapping

from tokenweir.admin.credit import OfAccount, list_balances, list_credits, list_plans
from tokenweir.admin.forms import MOST_ON_A_PAGE, micros
from tokenweir.admin.problems import Problem, problem
from tokenweir.catalog.charges import format_percent
from tokenweir.console.fields import moment_of, said
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.page_keys import accounts_of
from tokenweir.console.table import Badge, Column, Link, Table
from tokenweir.core.sentence import say
from tokenweir.ledger.views.credit import purses_now

_BALANCES = (
    Column("account", "link"),
    Column("balance", "money"),
    Column("set_aside", "money"),
    Column("available", "money"),
    Column("allowance"),
    Column("overage", "money"),
    Column("owed", "money"),
    Column("beyond"),
)
_CREDITS = (
    Column("account", "link"),
    Column("id"),
    Column("amount", "money"),
    Column("drawn", "money"),
    Column("left", "money"),
    Column("added", "time"),
    Column("expires", "time"),
    Column("note", "long"),
    Column("state", "badge"),
)
_PLANS = (
    Column("account", "link"),
    Column("name"),
    Column("fee"),
    Column("includes"),
    Column("overage_rate"),
    Column("starts", "time"),
)
_ALL = OfAccount(limit=MOST_ON_A_PAGE)


def show(visit: Visit) -> Outcome:
    """Balances, credits and plans."""
    asked = visit.asked
    purses = [purse for purse in purses_now(visit.db, asked.now_us) if asked.sees(purse.account)]
    told = {balance.account: balance for balance in list_balances(asked, _ALL).items}
    balances = [
        (
            _account(visit, purse.account),
            {purse.currency: purse.balance_pico},
            {purse.currency: purse.reserved_pico},
            {purse.currency: purse.available_pico},
            _allowance(visit, told.get(purse.account)),
            {purse.currency: purse.overage_pico},
            {purse.currency: purse.owed_pico},
            visit.t(f"accounts.beyond_{purse.beyond_credit}"),
        )
        for purse in purses
    ]
    credits = [
        (
            _account(visit, purse.account),
            now.credit.id,
            {now.credit.currency: now.credit.pico},
            {now.credit.currency: now.drawn_pico},
            {now.credit.currency: now.left_pico},
            now.credit.added_us,
            now.credit.expires_us,
            now.credit.note or None,
            Badge("ended", "", "credit.ended") if now.expired else Badge("good", "good", "credit.good"),
        )
        for purse in purses
        for now in purse.credits
    ]
    plans = [
        (
            _account(visit, plan.account),
            plan.name,
            f"{plan.fee} {plan.currency}",
            visit.format.grouped(f"{plan.allowance} {plan.allowance_unit}") if plan.allowance_unit else None,
            format_percent(plan.overage_bp) if plan.overage_bp else None,
            micros(plan.starts),
        )
        for plan in list_plans(asked, _ALL).items
    ]
    living = [credit for credit in list_credits(asked, _ALL).items if not credit.expired]
    return shown(
        "credit.html",
        tables=(
            Table(name="balances", words="credit", columns=_BALANCES, rows=balances),
            Table(name="credits", words="credit", columns=_CREDITS, rows=credits),
            Table(name="plans", words="credit", columns=_PLANS, rows=plans),
        ),
        accounts=accounts_of(visit),
        living=living,
    )


def _account(visit: Visit, id: str) -> Link:
    return Link(id, visit.to(f"/accounts/{id}"))


def _allowance(visit: Visit, balance: object) -> str | None:
    allowance = getattr(balance, "allowance", None)
    if allowance is None:
        return None
    text = visit.t("credit.left_of", left=allowance.left, amount=allowance.amount, unit=allowance.unit)
    return visit.format.grouped(text)


# --- forms


def add(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Top an account up."""
    body = said(fields, "account", "amount", "id", "note")
    body["currency"] = fields.get("currency", "").upper()
    if expires := moment_of(fields.get("expires", ""), visit.zone):
        body["expires"] = expires
    return _done(visit, visit.do("add_credit", body=body))


def end(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """What is left of the chosen one is void."""
    account, _, id = fields.get("credit", "").partition("|")
    if not id:
        return problem("wrong_form", say("Choose a credit."))
    return _done(visit, visit.do("end_credit", account=account, id=id))


def plan(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Give an account a plan."""
    body = said(fields, "name", "fee", "allowance")
    currency = fields.get("currency", "").upper()
    body |= {"currency": currency}
    if fields.get("allowance"):
        body["allowance_unit"] = "tokens" if fields.get("allowance_in") == "tokens" else currency
    if fields.get("overage"):
        try:
            body["overage_bp"] = round(float(fields["overage"]) * 100)
        except ValueError:
            return problem("wrong_form", say("What is charged beyond the plan is a number of per cent."))
    return _done(visit, visit.do("put_plan", account=fields.get("account", ""), body=body))


def remove_plan(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Take it away."""
    return _done(visit, visit.do("remove_plan", account=fields.get("account", "")))


def _done(visit: Visit, outcome: object) -> Outcome:
    return outcome if isinstance(outcome, Problem) else Redirect(visit.to("/credit", done="saved"))
