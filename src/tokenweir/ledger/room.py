"""How much of a call fits under a limit or into a purse, and what is told of one where it does not. Pure."""

from tokenweir.ledger.budgets import Budget, Purse
from tokenweir.ledger.messages import CostBound, LimitState, OpenCall
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.windows import NEVER_US

#: A call is refused rather than cut to fewer tokens of output than this (or than it asked for, if that is less).
LEAST_OUTPUT = 16
#: In place of a window: what was refused by credit, or an allowance of money.
CREDIT = "credit"


def state_of(budget: Budget, at_us: int) -> LimitState:
    """A limit as who is refused by it is told."""
    window = budget.at(at_us)
    renews = window.end_us if window.end_us != NEVER_US else None
    return LimitState(budget.limit, window.spent, window.reserved, renews, budget.scope, budget.zone)


def state_of_purse(purse: Purse, at_us: int) -> LimitState:
    """Credit as who is refused by it is told."""
    amount, spent = purse.total(at_us)
    limit = Limit(purse.currency, amount, CREDIT)
    return LimitState(limit, spent, purse.reserved_pico(at_us), None, purse.scope, purse.zone)


def cannot_bound(asked: OpenCall, currencies: frozenset[str]) -> str:
    """Why a limit in money cannot hold for this call: a price that is unknown or in another currency."""
    if asked.unpriced:
        return "unpriced"
    for bound in asked.bounds:
        if bound.currency not in currencies and (bound.input_pico or bound.output_pico):
            return "currency"
    return ""


def room_in(budget: Budget, asked: OpenCall, wanted: int) -> int:
    """How many of the tokens of output wanted a limit has room for; -1 when not even the input fits."""
    limit, window = budget.limit, budget.at(asked.at_us)
    if limit.mode == "soft":
        return wanted if window.spent < limit.amount else -1
    fixed, per_token = _bound(limit.unit, asked)
    left = limit.amount - window.spent - window.reserved - fixed
    if left < 0:
        return -1
    return wanted if per_token == 0 else min(wanted, left // per_token)


def room_in_purse(purse: Purse, asked: OpenCall, wanted: int) -> tuple[int, str]:
    """The same of a purse, or why it cannot hold: by its tokens if all of the call fits into these, else by its money."""
    tokens = purse.left("tokens", asked.at_us) - asked.input_tokens
    if tokens >= wanted:
        return wanted, ""
    refused = cannot_bound(asked, frozenset({purse.currency}))
    if refused:
        return tokens, "" if tokens >= LEAST_OUTPUT else refused
    fixed, per_token = _bound(purse.currency, asked)
    left = purse.left(purse.currency, asked.at_us) - fixed
    money = -1 if left < 0 else wanted if per_token == 0 else min(wanted, left // per_token)
    return max(tokens, money), ""


def _bound(unit: str, asked: OpenCall) -> tuple[int, int]:
    """What the call sets aside of a unit whatever it is granted, and what each token of output does."""
    if unit in (
        "calls",
        "tool calls",
    ):  # of tools it is not known how many an answer asks for: there must be one left
        return 1, 0
    if unit == "tokens":
        return asked.input_tokens, 1
    own: list[CostBound] = [bound for bound in asked.bounds if bound.currency == unit]
    return max((b.input_pico for b in own), default=0), max((b.output_pico for b in own), default=0)
