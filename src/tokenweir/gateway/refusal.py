"""What a client is told whom a limit stops."""

from tokenweir.core.money import format_pico
from tokenweir.ledger.messages import LimitState, OpenResult
from tokenweir.ledger.terms import COUNTED_UNITS
from tokenweir.ledger.windows import SHORT
from tokenweir.protocol import problems
from tokenweir.protocol.problems import Problem

_WHOSE = {"key": "This key's limit", "run": "The limit of this run", "account": "The limit of account {id}"}
_UNBOUNDED = {
    "unpriced": "The model asked for has no known price, so the limit cannot hold for it. Set a price in weir.toml.",
    "currency": "The model asked for is priced in another currency, so the limit cannot hold for it. "
    "Set a limit in that currency beside it.",
}


def refusal(result: OpenResult, spent_status: int, now_us: int) -> Problem:
    """What a refused client is told, with the numbers of the limit that refused it."""
    state = result.limit
    if result.refused == "account_closed":
        return problems.account_closed()
    if state is None:
        return problems.unauthorized()
    told = _told(state)
    if result.refused in _UNBOUNDED:
        return problems.not_priced(f"{told} {_UNBOUNDED[result.refused]}")
    if state.limit.window in SHORT:
        renews_us = now_us + 1_000_000 if state.limit.window == "at once" else state.renews_at_us or now_us
        return problems.rate_limited(f"{told} Try again later.", -(-(renews_us - now_us) // 1_000_000))
    renews = (
        "" if state.renews_at_us is None else f" It renews at {state.renews_at_us // 1_000_000} (Unix time)."
    )
    return problems.budget_exceeded(f"{told} This call could cost more than is left.{renews}", spent_status)


def _told(state: LimitState) -> str:
    limit = state.limit
    kind, _, id = state.scope.partition("/")
    if limit.window == "credit":
        return f"Account {id} has {_amount(state, limit.amount)} of credit; {_spent(state)}."
    whose = _WHOSE.get(kind, _WHOSE["key"]).format(id=id)
    of_model = f" for {limit.model}" if limit.model else ""
    if limit.window == "at once":
        return f"{whose}{of_model} is {limit.amount} calls at once; {state.reserved} are under way."
    zone = f" ({state.zone})" if limit.window in ("day", "month") else ""
    window = "in total" if limit.window == "total" else f"per {limit.window}{zone}"
    return f"{whose}{of_model} is {_amount(state, limit.amount)} {window}; {_spent(state)}."


def _spent(state: LimitState) -> str:
    spent, reserved = (_number(state, value) for value in (state.spent, state.reserved))
    return f"{spent} are spent and {reserved} reserved by calls under way"


def _amount(state: LimitState, value: int) -> str:
    return f"{_number(state, value)} {state.limit.unit}"


def _number(state: LimitState, value: int) -> str:
    return str(value) if state.limit.unit in COUNTED_UNITS else format_pico(value)
