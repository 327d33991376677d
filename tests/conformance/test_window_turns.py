"""BerriAI/litellm#35570 and #34492: a limit's window turns over while a call runs. The call counts where it was opened, once."""

from made_terms import key_with

from tokenweir.ledger.budgets import Spent
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.messages import OpenCall
from tokenweir.ledger.terms import Limit

DAY_US = 86_400_000_000


def opens(number: int, at_us: int) -> OpenCall:
    """A call that may use the whole limit."""
    return OpenCall(number, number.to_bytes(16, "big"), at_us, "k", "a", "", "m", "chat", (), False, 50, 50)


def test_a_call_that_crosses_midnight_counts_in_the_day_in_which_it_began() -> None:
    state, midnight = LedgerState(), 20_000 * DAY_US
    for change in key_with((Limit("tokens", 100, "day"),)).changes:
        state.change(change, 0, lambda *_: 0)
    yesterday, today = opens(1, midnight - 1), opens(2, midnight)
    assert not state.decide_open(yesterday).refused
    assert state.decide_open(opens(3, midnight - 1)).refused == "limit"
    assert not state.decide_open(today).refused, "what yesterday's call set aside is not today's"
    _, counted = state.spend(yesterday.call, Spent(100, 0, ""))
    assert [(row.start_us, row.amount) for row in counted] == [(midnight - DAY_US, 100)]
    assert state.close(yesterday.call) == []
    # All of today's limit is today's call's, to the last token, and nothing more.
    _, counted = state.spend(today.call, Spent(100, 0, ""))
    assert [(row.start_us, row.amount) for row in counted] == [(midnight, 100)]
    state.close(today.call)
    assert state.decide_open(opens(4, midnight + DAY_US - 1)).refused == "limit"
    assert not state.decide_open(opens(5, midnight + DAY_US)).refused
