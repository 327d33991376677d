"""Runs side by side, and in a list: as tables and as JSON."""

import msgspec

from tokenweir.agents.comparison import Row, compare
from tokenweir.agents.records import Run
from tokenweir.cli import show
from tokenweir.cli.durations import format_duration
from tokenweir.core.money import decimals
from tokenweir.ledger.views import iso_time

_COLUMNS = (
    "agent", "version", "model", "runs", "solved", "95 %", "cost per solved", "tokens", "cached", "calls", "time",
)  # fmt: skip
_RIGHT = frozenset({3, 4, 6, 7, 8, 9, 10})


class ComparisonLine(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table in JSON; money is exact decimals by currency."""

    agent: str
    version: str
    model: str
    runs: int
    trials: int
    verdicts: dict[str, int]
    solved: int
    share: float | None
    interval: tuple[float, float]
    cost: dict[str, str]
    cost_per_solved: dict[str, str]
    unpriced: int
    calls: int
    tokens: int
    cache_hit_rate: float | None
    mean_duration_ms: float


class Comparison(msgspec.Struct, frozen=True):
    """The last line of `weir run --json` where it carries out several."""

    comparison: tuple[ComparisonLine, ...]


def print_comparison(runs: list[Run], *, as_json: bool) -> None:
    """The table of what was run."""
    rows = compare(runs)
    if as_json:
        show.print_json(Comparison(tuple(map(_line, rows))))
        return
    show.print_table(_COLUMNS, [_cells(row) for row in rows], right=_RIGHT)


def _line(row: Row) -> ComparisonLine:
    return ComparisonLine(
        agent=row.agent, version=row.version, model=row.model, runs=row.runs, trials=row.trials, verdicts=row.verdicts,
        solved=row.solved, share=row.share, interval=(row.low, row.high), cost=decimals(row.cost_pico),
        cost_per_solved=decimals(row.cost_per_solved_pico), unpriced=row.unpriced, calls=row.calls,
        tokens=row.tokens, cache_hit_rate=row.cache_hit_rate, mean_duration_ms=row.mean_duration_us / 1000,
    )  # fmt: skip


def _cells(row: Row) -> list[str]:
    share = "–" if row.share is None else f"{row.solved}/{row.trials} = {row.share:.0%}"
    cached = "–" if row.cache_hit_rate is None else f"{row.cache_hit_rate:.0%}"
    return [
        row.agent, row.version or "–", row.model, str(row.runs), share, f"{row.low:.0%}–{row.high:.0%}",
        show.money(row.cost_per_solved_pico) or "–", f"{row.tokens:,}", cached, f"{row.calls:,}",
        format_duration(row.mean_duration_us),
    ]  # fmt: skip


_LIST = ("run", "started (UTC)", "agent", "model", "verdict", "spent", "calls", "time", "changes")


def print_runs(runs: list[Run]) -> None:
    """The newest first."""
    show.print_table(_LIST, [_list_cells(run) for run in reversed(runs)], right=frozenset({6, 7, 8}))
    if not runs:
        show.console().print("No runs yet.")


def _list_cells(run: Run) -> list[str]:
    start, end = run.start, run.end
    head = [start.id, iso_time(start.started_us)[:19].replace("T", " "), start.agent, start.model]
    if end is None:
        return [*head, "not ended", "", "", "", ""]
    cost = ", ".join(f"{amount} {currency}" for currency, amount in sorted(end.cost.items()))
    return [
        *head, end.verdict.value, cost or "–", f"{end.calls:,}", format_duration(end.duration_us), f"{end.files_changed:,}",
    ]  # fmt: skip
