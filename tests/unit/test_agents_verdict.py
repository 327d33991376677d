"""How a run ended, what is said of its work, and when an agent is asked to end."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.agents.intervals import wilson
from tokenweir.agents.stopping import GRACE_US, PATIENCE_US, Standing, Step, step
from tokenweir.agents.verdict import Check, Ending, Facts, Verdict, ending, verdict


@pytest.mark.parametrize(
    ("facts", "end"),
    [
        (Facts(exit_code=0, calls=3, answered=3), Ending.FINISHED),
        (Facts(exit_code=0), Ending.FINISHED),
        (Facts(exit_code=1, calls=3, answered=3), Ending.FAILED),
        (Facts(exit_code=1, calls=3, answered=2, out_of_budget=True), Ending.OUT_OF_BUDGET),
        (Facts(exit_code=0, calls=0, out_of_budget=True), Ending.OUT_OF_BUDGET),
        (Facts(exit_code=-15, calls=3, answered=3, out_of_time=True), Ending.OUT_OF_TIME),
        (Facts(exit_code=-2, calls=1, answered=0, interrupted=True, out_of_time=True), Ending.INTERRUPTED),
        (Facts(exit_code=127, never_began=True), Ending.NEVER_BEGAN),
        (Facts(exit_code=1, unservable=True), Ending.UNSERVED),
        (Facts(exit_code=1, calls=2, answered=0), Ending.UNSERVED),
        (Facts(exit_code=1, calls=5, answered=4, last_failed=True), Ending.UNSERVED),
        (Facts(exit_code=0, calls=5, answered=4, last_failed=True), Ending.FINISHED),
    ],
)
def test_how_a_run_ended(facts: Facts, end: Ending) -> None:
    assert ending(facts) is end


@pytest.mark.parametrize(
    ("end", "check", "said"),
    [
        (Ending.FINISHED, Check.NONE, Verdict.DONE),
        (Ending.FINISHED, Check.PASSED, Verdict.SOLVED),
        (Ending.FINISHED, Check.FAILED, Verdict.FAILED),
        (Ending.FINISHED, Check.BROKEN, Verdict.INFRASTRUCTURE),
        (Ending.FAILED, Check.PASSED, Verdict.SOLVED),
        (Ending.FAILED, Check.FAILED, Verdict.AGENT_ERROR),
        (Ending.OUT_OF_BUDGET, Check.PASSED, Verdict.SOLVED),
        (Ending.OUT_OF_BUDGET, Check.FAILED, Verdict.OUT_OF_BUDGET),
        (Ending.OUT_OF_TIME, Check.NONE, Verdict.OUT_OF_BUDGET),
        (Ending.UNSERVED, Check.FAILED, Verdict.INFRASTRUCTURE),
        (Ending.NEVER_BEGAN, Check.NONE, Verdict.INFRASTRUCTURE),
        (Ending.INTERRUPTED, Check.NONE, Verdict.INTERRUPTED),
    ],
)
def test_what_is_said_of_a_run(end: Ending, check: Check, said: Verdict) -> None:
    assert verdict(end, check) is said


def test_nothing_is_solved_that_was_not_checked() -> None:
    for end, check in itertools.product(Ending, Check):
        assert (verdict(end, check) is Verdict.SOLVED) <= (check is Check.PASSED)


@pytest.mark.parametrize(
    ("standing", "what"),
    [
        (Standing(now_us=10), Step.WAIT),
        # It is told 402, and ends by itself: it has a while for that.
        (Standing(now_us=10, refused_us=10, refused=1), Step.WAIT),
        (Standing(now_us=10 + PATIENCE_US, refused_us=10, refused=1), Step.ASK),
        # It goes on asking the gateway.
        (Standing(now_us=11, refused_us=10, refused=2), Step.ASK),
        (Standing(now_us=12, refused_us=10, refused=3, asked_us=11, refused_then=2), Step.WAIT),
        (Standing(now_us=12, refused_us=10, refused=4, asked_us=11, refused_then=2), Step.END),
        # Five calls at once were refused together: that is no insisting.
        (Standing(now_us=12, refused_us=10, refused=5, asked_us=11, refused_then=5), Step.WAIT),
        (Standing(now_us=11 + GRACE_US, refused_us=10, refused=2, asked_us=11), Step.END),
        # Its time is up, or the user said stop.
        (Standing(now_us=10, overdue_us=10), Step.ASK),
        (Standing(now_us=11, overdue_us=10, asked_us=10), Step.WAIT),
        (Standing(now_us=10 + GRACE_US, overdue_us=10, asked_us=10), Step.END),
        (Standing(now_us=11, overdue_us=10, asked_us=10, hurried=True), Step.END),
    ],
)
def test_when_an_agent_is_asked_and_ended(standing: Standing, what: Step) -> None:
    assert step(standing) is what


def test_an_interval_of_few_trials_is_wide() -> None:
    assert wilson(4, 5) == pytest.approx((0.3755346, 0.9637758), abs=1e-6)
    assert wilson(0, 5) == pytest.approx((0.0, 0.4344825), abs=1e-6)
    assert wilson(50, 100) == pytest.approx((0.4038315, 0.5961685), abs=1e-6)
    assert wilson(0, 0) == (0.0, 1.0)
    with pytest.raises(ValueError, match="cannot have succeeded"):
        wilson(3, 2)


@given(st.integers(0, 1000), st.integers(1, 1000))
def test_an_interval_holds_its_share_and_stays_within_bounds(successes: int, more: int) -> None:
    trials = successes + more - 1 or 1
    successes = min(successes, trials)
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = wilson(trials - successes, trials)
    assert mirrored == pytest.approx((1 - high, 1 - low))
