"""What an agent says that it cost, beside what was metered."""

import msgspec
import pytest
from test_run_words import START

from tokenweir.agents.costs import cost_differences
from tokenweir.agents.records import Run, RunEnd
from tokenweir.agents.verdict import Check, Ending, Verdict

END = RunEnd(
    ended_us=1, duration_us=1, verdict=Verdict.DONE, ending=Ending.FINISHED, check=Check.NONE, exit_code=0,
    cost={"USD": "0.1"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("own", "difference", "words"),
    [
        ("0.12 USD", "0.02", "0.12 USD as the agent says, 0.1 metered: 0.02 more (20.0%)"),
        ("0.05 USD", "-0.05", "0.05 USD as the agent says, 0.1 metered: 0.05 less (50.0%)"),
        ("0.1 USD", "0", "0.1 USD as the agent says and as metered"),
        ("0.1000000000000000055 USD", "0", "0.1000000000000000055 USD as the agent says and as metered"),
        ("0.1 CNY", None, "0.1 CNY as the agent says, 0.1 USD metered: they cannot be compared"),
    ],
)
def test_the_difference_is_told_in_the_agents_currency(own: str, difference: str | None, words: str) -> None:
    (found,) = cost_differences(Run(START, msgspec.structs.replace(END, own_cost=own)))
    assert (found.difference, found.words) == (difference, words)


def test_an_agent_that_says_nothing_has_no_difference() -> None:
    assert cost_differences(Run(START, END)) == cost_differences(Run(START, None)) == ()
