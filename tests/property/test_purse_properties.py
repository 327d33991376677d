"""Money of a purse under calls that outlive credit and months: nothing is overdrawn, and nothing is refused that could be given."""

from itertools import permutations

from hypothesis import assume, given
from hypothesis import strategies as st

from tokenweir.ledger.budgets import NOTHING, OWED, Purse, Spent
from tokenweir.ledger.terms import Credit, Plan
from tokenweir.ledger.windows import window_of

DAY_US = 86_400_000_000
START_US = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z
CREDITS = st.lists(st.tuples(st.integers(1, 40), st.none() | st.integers(1, 100)), max_size=4)
#: A call is opened, with so much of what it may set aside (in tenths); or one ends, and uses that; or days pass.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open"), st.integers(1, 10)),
        st.tuples(st.just("open"), st.just(10)),
        st.tuples(st.just("end"), st.integers(0, 10)),
        st.tuples(st.just("wait"), st.sampled_from((1, 9, 30))),
    ),
    max_size=12,
)


class Play:
    """Lots as plain lists, beside the purse."""

    def __init__(self, credits: list[tuple[int, int | None]], allowance: int) -> None:
        self.now_us = START_US
        self.purse = Purse("a", "UTC")
        for number, (pico, days) in enumerate(credits):
            expires_us = None if days is None else START_US + days * DAY_US
            self.purse.set_credit(Credit(f"c{number}", "a", "CNY", pico, START_US, expires_us))
        if allowance:
            self.purse.set_plan(Plan("p", "CNY", 0, allowance, "CNY", 0, START_US))
        self.calls: list[tuple[int, int]] = []  # opened, set aside

    def owes(self, order: tuple[tuple[int, int], ...]) -> int:
        """What would be owed if these ended in this order, each with all that it has set aside; undone afterwards."""
        rows = [
            row
            for opened_us, amount in order
            for row in self.purse.draw(NOTHING, Spent(0, amount, "CNY"), opened_us)
        ]
        owed = sum(self.purse.beyond(OWED).values())
        for row in reversed(rows):
            self.purse.undo(row)
        return owed

    def fits(self, more: int) -> bool:
        wanted = (*self.calls, (self.now_us, more))
        return all(self.owes(order) == 0 for order in permutations(wanted))

    def step(self, what: str, value: int) -> None:
        if what == "open" and len(self.calls) < 4:
            left = self.purse.left("CNY", self.now_us)
            assert left >= 0
            assert self.fits(left)
            assert not self.fits(left + 1)
            amount = left * value // 10
            self.purse.hold("CNY", amount, self.now_us)
            self.calls.append((self.now_us, amount))
        elif what == "end" and self.calls:
            opened_us, amount = self.calls.pop(value % len(self.calls))
            list(self.purse.draw(NOTHING, Spent(0, amount * value // 10, "CNY"), opened_us))
            self.purse.hold("CNY", -amount, opened_us)
        elif what == "wait":
            self.now_us += value * DAY_US


@given(credits=CREDITS, allowance=st.integers(0, 30), steps=STEPS)
def test_what_is_left_is_all_that_can_be_given_and_no_more(
    credits: list[tuple[int, int | None]], allowance: int, steps: list[tuple[str, int]]
) -> None:
    assume(credits or allowance)
    play = Play(credits, allowance)
    for what, value in steps:
        play.step(what, value)
    assert play.owes(tuple(play.calls)) == 0
    for opened_us, amount in play.calls:
        play.purse.hold("CNY", -amount, opened_us)
    assert not play.purse.is_held


def test_a_call_of_last_month_keeps_the_credit_that_one_of_this_month_would_draw_first() -> None:
    """Credit that ends this month is drawn before this month's allowance, on which a call of last month cannot draw."""
    play = Play([(100, 45)], 60)
    for _ in range(2):
        play.step("open", 10)
    assert [amount for _, amount in play.calls] == [160, 0]
    play.step("wait", 30)
    assert window_of("month", "UTC", play.now_us)[0] == play.now_us
    assert (
        play.purse.left("CNY", play.now_us) == 0
    )  # it would take the credit, and last month's call have nothing
    play.calls.clear()
    play.purse.hold("CNY", -160, START_US)
    assert play.purse.left("CNY", play.now_us) == 160
