"""Runs of several agents and models on one task, side by side. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from tokenweir.agents.intervals import wilson
from tokenweir.agents.records import Run
from tokenweir.agents.verdict import Verdict
from tokenweir.core.money import parse_amount

#: These say nothing of an agent: they are told, and are no trial.
NO_TRIAL = frozenset({Verdict.INFRASTRUCTURE, Verdict.INTERRUPTED})


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One agent with one model. `share` and its 95 % interval are of `trials`; sums are of all runs."""

    agent: str
    version: str
    model: str
    runs: int
    trials: int
    verdicts: dict[str, int]
    solved: int
    share: float | None  # None: without trials
    low: float
    high: float
    cost_pico: dict[str, int]
    cost_per_solved_pico: dict[str, int]  # rounded to the nearest; empty where nothing was solved
    unpriced: int
    calls: int
    tokens: int
    cache_hit_rate: float | None  # of the tokens that went in
    mean_duration_us: int


def compare(runs: Iterable[Run]) -> list[Row]:
    """A row for each agent and model, in the order in which they first come. Runs that have not ended are left out."""
    groups: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        if run.end is not None:
            groups.setdefault((run.start.agent, run.start.model), []).append(run)
    return [_row(agent, model, group) for (agent, model), group in groups.items()]


def _row(agent: str, model: str, runs: Sequence[Run]) -> Row:
    ends = [run.end for run in runs if run.end is not None]
    solved = sum(end.verdict is Verdict.SOLVED for end in ends)
    trials = sum(end.verdict not in NO_TRIAL for end in ends)
    low, high = wilson(solved, trials)
    cost: dict[str, int] = {}
    for end in ends:
        for currency, amount in end.cost.items():
            cost[currency] = cost.get(currency, 0) + parse_amount(amount)
    prompt = sum(e.tokens.input + e.tokens.cache_read + e.tokens.cache_write for e in ends)
    verdicts: dict[str, int] = {}
    for end in ends:
        verdicts[end.verdict.value] = verdicts.get(end.verdict.value, 0) + 1
    return Row(
        agent=agent, version=runs[-1].start.version, model=model, runs=len(ends), trials=trials, verdicts=verdicts,
        solved=solved, share=solved / trials if trials else None, low=low, high=high, cost_pico=cost,
        cost_per_solved_pico={c: (2 * pico + solved) // (2 * solved) for c, pico in cost.items()} if solved else {},
        unpriced=sum(e.unpriced for e in ends), calls=sum(e.calls for e in ends),
        tokens=prompt + sum(e.tokens.output + e.tokens.reasoning for e in ends),
        cache_hit_rate=sum(e.tokens.cache_read for e in ends) / prompt if prompt else None,
        mean_duration_us=sum(e.duration_us for e in ends) // len(ends),
    )  # fmt: skip
