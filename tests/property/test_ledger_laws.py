"""The laws of limits against a plain model: what is set aside and spent never passes a limit, and nothing leaks."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from made_terms import key_with

from tokenweir.core.usage import Usage
from tokenweir.ledger.budgets import Spent
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.messages import CostBound, OpenCall
from tokenweir.ledger.room import LEAST_OUTPUT
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.windows import NEVER_US, window_of

DAY_US = 86_400_000_000
LIMITS = (Limit("CNY", 10_000, "day"), Limit("tokens", 2_000, "month"), Limit("calls", 40, "total"))


def state_with(limits: tuple[Limit, ...] = LIMITS) -> LedgerState:
    state = LedgerState()
    for change in key_with(limits).changes:
        state.change(change, 0, lambda *_: 0)
    return state


def asks(number: int, at_us: int, input_tokens: int, output_tokens: int, currency: str = "CNY") -> OpenCall:
    bounds = (CostBound(currency, input_tokens * 2, 3),)
    return OpenCall(number, number.to_bytes(16, "big"), at_us, "k", "a", "", "m", "chat", bounds, False, input_tokens, output_tokens)  # fmt: skip


class Laws(RuleBasedStateMachine):
    """Opens, settlements, undone opens, days that pass and clocks that step back."""

    def __init__(self) -> None:
        super().__init__()
        self.state = state_with()
        self.now_us = 20_000 * DAY_US
        self.number = 0
        self.open: dict[bytes, tuple[int, int]] = {}

    @rule(input_tokens=st.integers(0, 400), output_tokens=st.integers(1, 400))
    def open_call(self, input_tokens: int, output_tokens: int) -> None:
        self.number += 1
        asked = asks(self.number, self.now_us, input_tokens, output_tokens)
        room = self._room(input_tokens)
        result = self.state.decide_open(asked)
        if result.refused:
            assert room < min(output_tokens, LEAST_OUTPUT)
        else:
            assert result.output_tokens == min(output_tokens, room)
            self.open[asked.call] = (input_tokens, result.output_tokens)
            assert self.state.decide_open(asked).output_tokens == result.output_tokens  # twice is once

    def _room(self, input_tokens: int) -> int:
        left = {}
        for limit in LIMITS:
            window = self.state.budgets["key/k", *limit.name].at(max(self.now_us, self.state.latest_us))
            left[limit.unit] = limit.amount - window.spent - window.reserved
        if left["calls"] < 1 or left["CNY"] < 2 * input_tokens or left["tokens"] < input_tokens:
            return -1
        return min((left["CNY"] - 2 * input_tokens) // 3, left["tokens"] - input_tokens)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), undone=st.booleans())
    def end(self, data: st.DataObject, undone: bool) -> None:
        call = data.draw(st.sampled_from(sorted(self.open)))
        most_input, most_output = self.open.pop(call)
        if undone:
            self.state.undo_open(call)
            return
        usage = Usage(
            input=data.draw(st.integers(0, most_input)), output=data.draw(st.integers(0, most_output))
        )
        self.state.spend(call, Spent(usage.total, usage.input * 2 + usage.output * 3, "CNY"))
        self.state.close(call)
        assert self.state.close(call) == []  # an end happens once

    @rule(days=st.integers(-2, 40))
    def time_passes(self, days: int) -> None:
        self.now_us += days * DAY_US

    @invariant()
    def no_limit_is_passed(self) -> None:
        for budget in self.state.budgets.values():
            held = budget.at(self.state.latest_us)
            assert held.reserved >= 0
            assert held.spent + held.reserved <= budget.limit.amount

    @invariant()
    def nothing_stays_reserved(self) -> None:
        if not self.open:
            assert all(
                budget.at(self.state.latest_us).reserved == 0 for budget in self.state.budgets.values()
            )


Laws.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestLaws = Laws.TestCase


def test_of_500_on_a_limit_that_fits_100_exactly_100_are_opened() -> None:
    state = state_with((Limit("CNY", 100 * (2 * 10 + 3 * 20), "day"),))
    results = [state.decide_open(asks(n, DAY_US, 10, 20)) for n in range(1, 501)]
    opened = [n for n, result in enumerate(results, 1) if not result.refused and result.output_tokens == 20]
    assert opened == list(range(1, 101))
    for number in opened:
        call = number.to_bytes(16, "big")
        state.spend(call, Spent(20, 50, "CNY"))
        state.close(call)
    again = [state.decide_open(asks(n, DAY_US, 10, 20)) for n in range(501, 701)]
    assert sum(not result.refused and result.output_tokens == 20 for result in again) == 100 * 30 // 80


def test_a_limit_in_money_refuses_what_it_cannot_bound() -> None:
    state = state_with((Limit("CNY", 100, "day"),))
    assert state.decide_open(asks(1, DAY_US, 1, 1, currency="USD")).refused == "currency"
    unpriced = OpenCall(2, b"2" * 16, DAY_US, "k", "a", "", "m", "chat", (), True, 1, 1)
    assert state.decide_open(unpriced).refused == "unpriced"


def test_windows_renew_at_their_borders() -> None:
    december, _ = window_of("month", "UTC", 1_797_000_000_000_000)
    before, end = window_of("month", "UTC", december - 1)
    assert before < end == december
    assert window_of("day", "UTC", DAY_US) == (DAY_US, 2 * DAY_US)
    assert window_of("total", "UTC", 0) == (0, NEVER_US)
