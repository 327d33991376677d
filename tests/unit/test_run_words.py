"""The words of `weir run`: what cannot be carried out is told before anything is made."""

import io

import msgspec
import pytest
from rich.console import Console

from tokenweir.agents.meter import Ended, summed
from tokenweir.agents.records import RunStart
from tokenweir.cli.durations import format_duration, parse_duration
from tokenweir.cli.run_command import Asked, plans_of
from tokenweir.cli.run_lines import call_words
from tokenweir.cli.run_live import View
from tokenweir.core.errors import AgentError
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.views import CallRow

ASKED = Asked(
    agents=("custom",), models=("m",), task="t", budget=("¥1",), tokens="", calls="", tool_calls="", time="1h", account="default",
    verify="", verify_time="10m", protect=(), command="x {task}", adapter=None, read=(), write=(), variables=(),
    in_place=False, sandbox=False, keep=False, keep_text="", repeat=1, as_json=False,
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
        ({"keep_text": "for ever"}, "no span of time"),
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


def row(number: int, **members: object) -> CallRow:
    plain = CallRow(
        seq=number, call="c", at_us=0, account="default", key="k", run="run_1", model="kimi-k3", dialect="chat",
        upstream="u", deployment="u/k", served_model="k", usage=Usage(input=200, cache_read=1000, output=40),
        cost_pico={"CNY": 2_440_000_000}, charge_pico={}, unpriced=False, attempts=1, ttft_us=5_000, duration_us=12_000,
        status=200, outcome=Outcome.OK, reason="",
    )  # fmt: skip
    return msgspec.structs.replace(plain, **members)


START = RunStart(
    id="run_1", agent="kimi", version="2.1.0", model="kimi-k3", task_digest="", account="default", key="k",
    limits=("5 CNY", "2000 tokens"), time_s=60, started_us=0, after_seq=0, root="/p", base="b", in_place=False,
    sandbox="none", verify="", pid=1,
)  # fmt: skip


def test_the_live_view_shows_what_is_spent_of_each_limit_and_the_last_calls() -> None:
    times = iter([0.0, 30.0])
    view = View(START, lambda: next(times))
    for number in range(1, 8):
        rows = [row(n) for n in range(1, number + 1)]
        spent = summed(rows, open=0, refusals=())
        view.take(Ended(rows[-1]), msgspec.structs.replace(spent, tool_calls=number, last_tool="Edit a.py"))
    out = Console(file=io.StringIO(), width=120)
    out.print(view)
    text = out.file.getvalue()
    assert "0.01708 of 5 CNY" in text and "8,680 of 2000 tokens" in text and "30.0 s of 1 min 0 s" in text
    assert "7 calls, 8,680 tokens, 7,000 of them cached" in text
    assert "7 tool calls, the last: Edit a.py" in text
    assert "   7  kimi-k3  1,200 in (1,000 cached), 40 out, 0.00244 CNY, 12 ms" in text
    assert "   2  kimi-k3" not in text


def test_what_was_refused_or_has_no_price_is_shown_as_such() -> None:
    assert call_words(row(1, outcome=Outcome.REFUSED, reason="limit")) == "kimi-k3  refused: limit"
    assert "unpriced" in call_words(row(1, cost_pico={}, unpriced=True))
    assert call_words(row(1, outcome=Outcome.TIMEOUT)).endswith("timeout")
