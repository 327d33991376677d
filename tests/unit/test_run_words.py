"""The words of `weir run`: what cannot be carried out is told before anything is made."""

import msgspec
import pytest

from tokenweir.cli.durations import format_duration, parse_duration
from tokenweir.cli.run_command import Asked, plans_of
from tokenweir.core.errors import AgentError
from tokenweir.ledger.terms import Limit

ASKED = Asked(
    agents=("custom",), models=("m",), task="t", budget=("¥1",), tokens="", calls="", time="1h", account="default",
    verify="", verify_time="10m", protect=(), command="x {task}", adapter=None, read=(), write=(), variables=(),
    in_place=False, sandbox=False, keep=False, repeat=1, as_json=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"budget": ()}, "a run needs a limit"),
        ({"command": ""}, "needs --command"),
        ({"budget": ("¥1/day",)}, "limits in total"),
        ({"budget": ("1 CNY soft",)}, "hard ones"),
        ({"budget": ("3 calls",)}, "calls are --calls"),
        ({"tokens": "some"}, "is not a limit"),
        ({"time": "soon"}, "no span of time"),
        ({"verify_time": "31d"}, "no span of time"),
        ({"models": ()}, "at least one agent and one model"),
        ({"models": ("m",) * 3, "repeat": 100}, "at most 200 runs"),
        ({"task": " "}, "a task is"),
        ({"task": "a\0b"}, "a task is"),
        ({"agents": ("nobody",)}, "there is no agent 'nobody': there is aider, claude"),
        ({"agents": ("kimi",)}, "npm install -g @moonshot-ai/kimi-code"),
    ],
)
def test_words_that_cannot_be_carried_out_are_told(words: dict[str, object], told: str) -> None:
    with pytest.raises((ValueError, AgentError)) as raised:
        list(plans_of(msgspec.structs.replace(ASKED, **words), {"PATH": "", "HOME": "/nowhere"}))
    assert told in str(raised.value)


def test_limits_and_repetitions_are_planned() -> None:
    asked = msgspec.structs.replace(
        ASKED, tokens="2M", calls="100", models=("a", "b"), repeat=2, protect=("x",)
    )
    plans = list(plans_of(asked, {"PATH": "", "HOME": "/nowhere"}))
    assert [plan.model for plan in plans] == ["a", "b", "a", "b"]
    assert plans[0].limits == (
        Limit("CNY", 10**12, "total"), Limit("tokens", 2_000_000, "total"), Limit("calls", 100, "total"),
    )  # fmt: skip
    assert (plans[0].time_s, plans[0].command, plans[0].protect) == (3600, ("x", "{task}"), ("x",))


def test_spans_of_time_are_read_and_shown() -> None:
    assert [parse_duration(text) for text in ("90s", "30m", "2 h", "1d")] == [90, 1_800, 7_200, 86_400]
    assert [format_duration(us) for us in (25_000, 4_200_000, 200_000_000, 7_500_000_000)] == [
        "25 ms", "4.2 s", "3 min 20 s", "2 h 5 min",
    ]  # fmt: skip
