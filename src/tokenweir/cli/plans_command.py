"""`weir plans`: what a month costs, what it includes, and what is charged beyond that."""

from pathlib import Path

import msgspec

from tokenweir.catalog.charges import format_percent
from tokenweir.cli import show
from tokenweir.cli.moments import parse_month
from tokenweir.cli.terms_words import change, find_account, terms_to_change
from tokenweir.core.clock import Clock
from tokenweir.core.money import Money, format_pico
from tokenweir.ledger.amount_text import format_allowance, parse_allowance, parse_money, parse_percent
from tokenweir.ledger.terms import Plan, SetPlan, Terms
from tokenweir.ledger.views import iso_time
from tokenweir.ledger.views.audit import plan_in_words
from tokenweir.ledger.views.terms import terms_now
from tokenweir.ledger.windows import window_of


class PlanLine(msgspec.Struct, frozen=True):
    """A plan in `--json`. The fee is an exact decimal of `currency`, the allowance of `allowance_unit`."""

    account: str
    name: str
    currency: str
    fee: str
    allowance: str
    allowance_unit: str
    overage_percent: str
    since: str


class PlansAnswer(msgspec.Struct, frozen=True):
    """`weir plans list --json`."""

    plans: tuple[PlanLine, ...]


class PlanWords(msgspec.Struct, frozen=True):
    """What the command line says of a plan."""

    name: str
    fee: str
    include: str
    overage: str
    month: str


def plan_line(account: str, plan: Plan) -> PlanLine:
    """The JSON form of a plan."""
    allowance, unit = "", plan.allowance_unit
    if unit:
        allowance = format_allowance(plan.allowance, unit).split(" ")[0]
    overage = format_percent(plan.overage_bp).removesuffix(" %").removeprefix("+")
    fee, since = format_pico(plan.fee_pico), iso_time(plan.from_us)
    return PlanLine(account, plan.name, plan.currency, fee, allowance, unit, overage, since)


def set_plan(directory: Path, account: str, words: PlanWords, as_json: bool, clock: Clock) -> None:
    """Give an account a plan. Raises ValueError for wrong words, LedgerError."""
    terms = terms_to_change(directory)
    account = find_account(terms, account)
    plan = _plan(terms, account, words, clock.now_us())
    change(directory, [SetPlan(account, plan)], clock)
    if as_json:
        show.print_json(plan_line(account, plan))
        return
    month = _month(terms, account, plan)
    print(f"{account} has the plan {plan.name} from {month} on: {plan_in_words(plan)}.")
    record = terms.accounts.get(account)
    if plan.allowance_unit and (record is None or record.beyond_credit == "refuse"):
        print(
            "Beyond that its calls are paid from its credit, if it has any, and then refused; "
            f"`weir accounts set {account} --beyond-credit bill` puts them on its bill."
        )


def _plan(terms: Terms, account: str, words: PlanWords, now_us: int) -> Plan:
    zone = terms.time_zone(account)
    from_us = parse_month(words.month, zone) if words.month else window_of("month", zone, now_us)[0]
    fee = parse_money(words.fee) if words.fee else None
    allowance, unit = parse_allowance(words.include) if words.include else (0, "")
    overage_bp = parse_percent(words.overage) if words.overage else 0
    currency = _currency(terms, account, fee, unit)
    if unit not in ("", "tokens", currency):
        raise ValueError(f"the fee is in {currency} and what is included in {unit}; a plan has one currency")
    return Plan(words.name, currency, fee.pico if fee else 0, allowance, unit, overage_bp, from_us)


def _currency(terms: Terms, account: str, fee: Money | None, unit: str) -> str:
    """That of the fee, of what is included, or of the credit that the account has."""
    if fee is not None:
        return fee.currency
    if unit not in ("", "tokens"):
        return unit
    known = [credit.currency for credit in terms.credits.get(account, {}).values()]
    if not known:
        raise ValueError('say what a month costs, and so in which currency: --fee "¥99", or --fee "¥0"')
    return known[0]


def remove(directory: Path, account: str, as_json: bool, clock: Clock) -> None:
    """Take an account's plan away. Raises ValueError for wrong words, LedgerError."""
    account = find_account(terms_to_change(directory), account)
    change(directory, [SetPlan(account, None)], clock)
    if as_json:
        show.print_json({"account": account, "plan": None})
    else:
        print(f"{account} has no plan any more; what it drew from it stays on its bill.")


def show_all(directory: Path, as_json: bool) -> None:
    """List plans. Raises LedgerError."""
    terms = terms_now(directory)
    plans = sorted(terms.plans.items())
    if as_json:
        show.print_json(PlansAnswer(tuple(plan_line(account, plan) for account, plan in plans)))
        return
    if not plans:
        show.console().print('No plans. `weir plans set ID --name team --fee "¥99"` gives one.', markup=False)
        return
    rows = [_cells(terms, account, plan) for account, plan in plans]
    columns = ("account", "plan", "fee a month", "included", "beyond it", "from")
    show.print_table(columns, rows, right=frozenset({2, 3, 4}))


def _cells(terms: Terms, account: str, plan: Plan) -> list[str]:
    included = format_allowance(plan.allowance, plan.allowance_unit) if plan.allowance_unit else "–"
    fee = f"{format_pico(plan.fee_pico)} {plan.currency}"
    return [account, plan.name, fee, included, format_percent(plan.overage_bp), _month(terms, account, plan)]


def _month(terms: Terms, account: str, plan: Plan) -> str:
    """The plan's first month, by the account's calendar."""
    _, end_us = window_of("month", terms.time_zone(account), plan.from_us)
    # Midnight at the end of a month is at most 14 hours before it in UTC, 12 after: two days earlier is safely within.
    return iso_time(end_us - 2 * 86_400_000_000)[:7]
