"""Runs side by side, and how they are found again."""

from pathlib import Path

import msgspec
import pytest

from tokenweir.agents.comparison import compare
from tokenweir.agents.records import Records, Run, RunEnd, RunStart, Tokens
from tokenweir.agents.verdict import Check, Ending, Verdict
from tokenweir.core.errors import AgentError

START = RunStart(
    id="run_a1", agent="kimi", version="2.1.0", model="k3", task_digest="", account="default", key="k", limits=("5 CNY",),
    time_s=60, started_us=1, after_seq=0, root="/p", base="b", in_place=False, sandbox="none", verify="", pid=1,
)  # fmt: skip
END = RunEnd(
    ended_us=2, duration_us=2_000_000, verdict=Verdict.SOLVED, ending=Ending.FINISHED, check=Check.PASSED, exit_code=0,
    calls=3, tokens=Tokens(100, 300, 0, 20, 10), cost={"CNY": "0.01"},
)  # fmt: skip


def run(verdict: Verdict, agent: str = "kimi", cost: str = "0.01") -> Run:
    replace = msgspec.structs.replace
    return Run(replace(START, agent=agent), replace(END, verdict=verdict, cost={"CNY": cost}))


def test_a_row_has_every_run_in_its_sums_and_only_trials_in_its_share() -> None:
    verdicts = [Verdict.SOLVED, Verdict.SOLVED, Verdict.FAILED, Verdict.INFRASTRUCTURE, Verdict.INTERRUPTED]
    (row,) = compare([*map(run, verdicts), Run(START, None)])
    assert (row.runs, row.trials, row.solved, row.share) == (5, 3, 2, 2 / 3)
    assert row.low < 2 / 3 < row.high
    assert row.verdicts == {"solved": 2, "failed": 1, "infrastructure error": 1, "interrupted": 1}
    assert row.cost_pico == {"CNY": 50_000_000_000} and row.cost_per_solved_pico == {"CNY": 25_000_000_000}
    assert (row.calls, row.tokens, row.cache_hit_rate, row.mean_duration_us) == (15, 2150, 0.75, 2_000_000)


def test_rows_come_in_the_order_of_the_runs_and_nothing_is_divided_by_nothing() -> None:
    rows = compare([run(Verdict.FAILED, "qwen"), run(Verdict.INFRASTRUCTURE), run(Verdict.FAILED, "qwen")])
    assert [(row.agent, row.trials, row.share) for row in rows] == [("qwen", 2, 0.0), ("kimi", 0, None)]
    assert rows[0].cost_per_solved_pico == {} and (rows[1].low, rows[1].high) == (0.0, 1.0)
    assert compare([]) == []


def test_a_cost_that_cannot_be_divided_is_rounded_to_the_nearest() -> None:
    solved = [
        run(Verdict.SOLVED, cost="0.000000000001"),
        run(Verdict.SOLVED, cost="0"),
        run(Verdict.SOLVED, cost="0"),
    ]
    assert compare(solved)[0].cost_per_solved_pico == {"CNY": 0}
    assert compare(solved[:2])[0].cost_per_solved_pico == {"CNY": 1}


def test_records_are_found_by_the_beginning_of_their_id(tmp_path: Path) -> None:
    records = Records(tmp_path)
    for number, id in enumerate(("run_a1", "run_a2", "run_b1")):
        place = records.make(id)
        assert place.stat().st_mode & 0o777 == 0o700
        records.begin(msgspec.structs.replace(START, id=id, started_us=number))
    records.finish("run_a2", END, b"the patch")
    assert [found.start.id for found in records.all()] == ["run_a1", "run_a2", "run_b1"]
    assert records.find("run_b").start.id == records.find("last").start.id == "run_b1"
    assert records.find("run_a2").end == END and records.find("run_a1").end is None
    assert records.patch("run_a2") == b"the patch"
    for word, told in (
        ("run_a", "2 runs have ids"),
        ("x", "there is no run"),
        ("../runs/run_a1", "there is no run"),
    ):
        with pytest.raises(AgentError, match=told):
            records.find(word)
    with pytest.raises(AgentError, match="has not ended"):
        records.patch("run_a1")
    with pytest.raises(AgentError, match="cannot be made"):
        records.make("run_a1")
    (records.place("run_b1") / "start.json").write_text("{}")
    with pytest.raises(AgentError, match="is no record of a run"):
        records.all()
