"""Attempts of one call share what was set aside for it."""

from hypothesis import given
from hypothesis import strategies as st

from tokenweir.gateway.admission import still_granted
from tokenweir.ledger.budgets import Spent
from tokenweir.ledger.messages import CostBound, OpenCall


def asked(input_tokens: int, input_pico: int, output_pico: int) -> OpenCall:
    bounds = (CostBound("CNY", input_tokens * input_pico, output_pico),)
    return OpenCall(1, b"c" * 16, 0, "k", "a", "", "m", "chat", bounds, False, input_tokens, 0)


@given(st.data())
def test_a_further_attempt_stays_within_what_was_set_aside(data: st.DataObject) -> None:
    input_tokens, granted = data.draw(st.integers(0, 500)), data.draw(st.integers(1, 500))
    each_input, each_output = data.draw(st.integers(0, 9)), data.draw(st.integers(0, 9))
    used = [
        (data.draw(st.integers(0, input_tokens)), data.draw(st.integers(0, granted)))
        for _ in range(data.draw(st.integers(0, 3)))
    ]
    spent = [Spent(i + o, i * each_input + o * each_output, "CNY") for i, o in used]
    call = asked(input_tokens, each_input, each_output)
    left = still_granted(call, granted, spent)
    if left >= 0:
        most_tokens = input_tokens + left + sum(what.tokens for what in spent)
        most_pico = input_tokens * each_input + left * each_output + sum(what.pico for what in spent)
        assert most_tokens <= input_tokens + granted
        assert most_pico <= input_tokens * each_input + granted * each_output
    if not any(what.tokens for what in spent):
        assert left == granted


def test_money_in_another_currency_is_not_counted() -> None:
    assert still_granted(asked(10, 2, 3), 100, [Spent(0, 60, "USD")]) == 100
    assert still_granted(asked(10, 2, 3), 100, [Spent(0, 60, "CNY")]) == 80
    assert still_granted(asked(10, 2, 0), 100, [Spent(0, 1, "CNY")]) == -1
