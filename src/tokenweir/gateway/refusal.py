"""What a client is told whom a limit stops."""

from tokenweir.core.money import format_pico
from tokenweir.ledger.messages import OpenResult
from tokenweir.protocol import problems
from tokenweir.protocol.problems import Problem


def refusal(result: OpenResult, spent_status: int) -> Problem:
    """What a refused client is told, with the numbers of the limit that refused it."""
    state = result.limit
    if result.refused == "key_revoked" or state is None:
        return problems.unauthorized()
    limit = state.limit

    def amount(value: int) -> str:
        return str(value) if limit.unit in ("tokens", "calls") else format_pico(value)

    window = "in total" if limit.window == "total" else f"per {limit.window} (UTC)"
    told = f"This key's limit is {amount(limit.amount)} {limit.unit} {window}; {amount(state.spent)} are spent and {amount(state.reserved)} reserved by calls under way."
    if result.refused == "unpriced":
        return problems.not_priced(
            f"{told} The model asked for has no known price, so the limit cannot hold for it. Set a price in weir.toml."
        )
    if result.refused == "currency":
        return problems.not_priced(
            f"{told} The model asked for is priced in another currency, so the limit cannot hold for it."
        )
    renews = (
        "" if state.renews_at_us is None else f" It renews at {state.renews_at_us // 1_000_000} (Unix time)."
    )
    return problems.budget_exceeded(f"{told} This call could cost more than is left.{renews}", spent_status)
