"""Runs of agents: which there were, what each cost and came to; and one as a tree of calls and tools beside their time."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tokenweir.admin import problems
from tokenweir.admin.rights import reads_all, sees_scope
from tokenweir.agents.records import Records, Run
from tokenweir.agents.verdict import Verdict
from tokenweir.console.compared import accounts_of
from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.page_calls import outcome_badge, paid
from tokenweir.console.page_limits import COLUMNS as LIMITS
from tokenweir.console.page_limits import limit_cells
from tokenweir.console.table import Badge, Column, Link, Table
from tokenweir.core.errors import AgentError
from tokenweir.core.sentence import say
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.views.limits import limits_of
from tokenweir.ledger.views.run_list import MOST_RUNS, RunSums, run_calls, runs
from tokenweir.ledger.views.run_now import CallNow, calls_under_way
from tokenweir.ledger.views.run_tree import StepNode, ToolNode, tree_of_calls
from tokenweir.ledger.views.spans import HOUR_US, span_of
from tokenweir.ledger.views.state import state_now

#: Steps of one run that are shown; more are counted.
MOST_STEPS = 1_000
#: The timeline is so many units wide.
WIDTH = 1_000
COLUMNS = (
    Column("run", "link"),
    Column("at", "time"),
    Column("agent"),
    Column("model"),
    Column("account"),
    Column("verdict", "badge"),
    Column("calls", "number"),
    Column("tokens", "tokens"),
    Column("cost", "money"),
    Column("duration", "ms"),
)
STEPS = (
    Column("number", "number"),
    Column("purpose"),
    Column("tools", "long"),
    Column("call", "link"),
    Column("model"),
    Column("began", "ms"),
    Column("duration", "ms"),
    Column("prompt", "number"),
    Column("cached", "number"),
    Column("completion", "number"),
    Column("cost", "money"),
    Column("so_far", "money"),
    Column("outcome", "badge"),
)
_TONES = {
    Verdict.SOLVED: "good", Verdict.DONE: "good", Verdict.FAILED: "bad", Verdict.OUT_OF_BUDGET: "warn", Verdict.AGENT_ERROR: "bad",
    Verdict.INFRASTRUCTURE: "warn", Verdict.INTERRUPTED: "",
}  # fmt: skip


# --- the list


def show(visit: Visit) -> Outcome:
    """Runs with calls in a period, the latest first; with `?run=` that one."""
    if visit.query["run"]:
        return show_one(visit)
    period, accounts = visit.period("30d"), accounts_of(visit)
    span = span_of(period.since_us, period.until_us, visit.zone)
    skip = int(visit.query["after"]) if visit.query["after"].isdecimal() else 0
    found = runs(visit.db, span, accounts, limit=MOST_RUNS + 1, skip=min(skip, 10**9))
    records = {run.start.id: run for run in Records(visit.desk.data_dir).all()}
    rows = [_run_cells(visit, row, records.get(row.run)) for row in found[:MOST_RUNS]]
    more = visit.link(after=skip + MOST_RUNS) if len(found) > MOST_RUNS else ""
    table = Table(name="runs", words="runs", columns=COLUMNS, rows=rows, sorts=not (more or skip), next=more)
    return shown("runs.html", tables=(table,), period=period)


def _run_cells(visit: Visit, row: RunSums, record: Run | None) -> tuple[object, ...]:
    money = row.cost_pico if reads_all(visit.asked.actor) else row.paid_pico
    return (
        Link(row.run, visit.to_run(row.run)),
        row.first_hour * HOUR_US if record is None else record.start.started_us,
        None if record is None else record.start.agent,
        ", ".join(row.models),
        ", ".join(row.accounts),
        verdict_badge(record),
        row.calls,
        row.tokens,
        money or None,
        None if record is None or record.end is None else record.end.duration_us / 1_000,
    )


def verdict_badge(record: Run | None) -> Badge | None:
    """How it ended; None for a run that `weir run` did not start."""
    if record is None:
        return None
    if record.end is None:
        return Badge("running", "warn", "runs.not_ended")
    verdict = record.end.verdict
    return Badge(verdict.value, _TONES[verdict], f"runs.verdict_{verdict.name.lower()}")


# --- one of them


class Span(msgspec.Struct, frozen=True):
    """A stretch of the timeline, in WIDTH-ths of the run."""

    start: int
    width: int


class Line(msgspec.Struct, frozen=True):
    """A row of the tree: a call, or a tool that it asked for."""

    depth: int
    step: StepNode
    tool: ToolNode | None
    span: Span
    first_token: Span | None  # of a call: until its first token
    money: Mapping[str, int] | None
    so_far: Mapping[str, int] | None
    badge: Badge | None


def show_one(visit: Visit) -> Outcome:
    """The tree and timeline of a run, with what of it is under way, and its limits."""
    name = visit.path.get("id") or visit.query["run"]
    try:
        record = Records(visit.desk.data_dir).find(name) if name != "last" else None
    except AgentError:
        record = None
    if record is not None and record.start.id != name:
        record = None
    steps = _steps(visit, name, record)
    state, at_us = state_now(visit.db, visit.asked.now_us)
    under_way = [
        now for now in calls_under_way(visit.db, state, name) if name and visit.asked.sees(now.account)
    ]
    is_seen = record is not None and visit.asked.sees(record.start.account)
    if not (steps or under_way or is_seen):
        return problems.not_found(say("run"))
    extends = extent(steps, under_way, at_us)
    begin_us, length_us = extends
    lines = lines_of(visit, steps[:MOST_STEPS], extends)
    limits = _limits_table(visit, state, at_us, name)
    return shown(
        "run.html", tables=(steps_table(visit, steps, begin_us), limits), run=name, record=record, lines=lines, width=WIDTH,
        under_way=[(now, span_at(extends, now.opened_us, at_us - now.opened_us), (at_us - now.opened_us) / 1_000) for now in under_way],
        more=max(0, len(steps) - MOST_STEPS), tiles_shown=_tiles(visit, steps, record, length_us),
        badge=verdict_badge(record), began_us=begin_us if record is None else record.start.started_us,
    )  # fmt: skip


def _steps(visit: Visit, name: str, record: Run | None) -> tuple[StepNode, ...]:
    """What has ended of it and may be seen. An older run may have had its name."""
    if not name:
        return ()
    calls = run_calls(visit.db, name, 0 if record is None else record.start.after_seq)
    tree = tree_of_calls(visit.db, name, calls)
    return tuple(step for step in tree.steps if visit.asked.sees(step.row.account))


def _limits_table(visit: Visit, state: LedgerState, at_us: int, name: str) -> Table:
    """The run's own limits as bars."""
    scope = f"run/{name}"
    found = limits_of(state, at_us, scope) if sees_scope(visit.asked.terms, visit.asked.actor, scope) else ()
    rows = [limit_cells(visit, now)[1:4] for now in found]  # it is one thing, and lasts no longer than a run
    return Table(name="limits", words="limits", columns=LIMITS[1:4], rows=rows)


def extent(steps: Sequence[StepNode], under_way: Sequence[CallNow] = (), now_us: int = 0) -> tuple[int, int]:
    """When the first call was opened, and how long it was until the last one had ended (µs, at least 1)."""
    begins = [*(step.row.at_us for step in steps), *(now.opened_us for now in under_way)]
    if not begins:
        return 0, 1
    ends = [step.row.at_us + (step.row.duration_us or 0) for step in steps]
    return min(begins), max(1, max([*ends, *([now_us] if under_way else ())]) - min(begins))


def span_at(extends: tuple[int, int], start_us: int, took_us: int) -> Span:
    """Where a stretch of time lies in the timeline."""
    begin_us, length_us = extends
    start = min(WIDTH - 2, (start_us - begin_us) * WIDTH // length_us)
    return Span(start, max(2, min(WIDTH - start, took_us * WIDTH // length_us)))


def lines_of(visit: Visit, steps: Sequence[StepNode], extends: tuple[int, int]) -> list[Line]:
    """Calls in their order, each followed by the tools that it asked for."""

    def span(start_us: int, took_us: int) -> Span:
        return span_at(extends, start_us, took_us)

    lines, so_far = [], dict[str, int]()
    for step in steps:
        row = step.row
        money = paid(visit, row)
        for currency, pico in (money or {}).items():
            so_far[currency] = so_far.get(currency, 0) + pico
        waited = None if row.ttft_us is None else span(row.at_us, row.ttft_us)
        lines.append(
            Line(step.depth, step, None, span(row.at_us, row.duration_us or 0), waited, money, dict(so_far) or None, outcome_badge(row.outcome))
        )  # fmt: skip
        ended_us = row.at_us + (row.duration_us or 0)
        lines += [
            Line(
                step.depth + 1,
                step,
                tool,
                span(ended_us, tool.took_us or 0),
                None,
                None,
                None,
                _tool_badge(tool),
            )
            for tool in step.tools
        ]
    return lines


def _tool_badge(tool: ToolNode) -> Badge | None:
    if tool.took_us is None:
        return Badge("no result", "", "runs.no_result")
    return Badge("failed", "bad", "runs.tool_failed") if tool.failed else None


def steps_table(visit: Visit, steps: Sequence[StepNode], begin_us: int) -> Table:
    """The calls as a table of their own: what the CSV holds."""
    rows, so_far = [], dict[str, int]()
    for step in steps:
        row, money = step.row, paid(visit, step.row)
        for currency, pico in (money or {}).items():
            so_far[currency] = so_far.get(currency, 0) + pico
        rows.append((
            step.number, visit.t(f"runs.purpose_{step.purpose.name.lower()}"), ", ".join(tool.name for tool in step.tools) or None,
            Link(row.call, visit.to(f"/calls/{row.call}")), row.model, (row.at_us - begin_us) / 1_000,
            None if row.duration_us is None else row.duration_us / 1_000, row.usage.prompt, row.usage.cache_read, row.usage.completion,
            money, dict(so_far) or None, outcome_badge(row.outcome),
        ))  # fmt: skip
    return Table(name="steps", words="runs", columns=STEPS, rows=rows)


def _tiles(
    visit: Visit, steps: Sequence[StepNode], record: Run | None, length_us: int
) -> list[tuple[str, object, str, str]]:
    t, f = visit.t, visit.format
    total: Callable[[Callable[[StepNode], int]], int] = lambda of: sum(map(of, steps))  # noqa: E731
    money: dict[str, int] = {}
    for step in steps:
        for currency, pico in (paid(visit, step.row) or {}).items():
            money[currency] = money.get(currency, 0) + pico
    prompt, cached = total(lambda step: step.row.usage.prompt), total(lambda step: step.row.usage.cache_read)
    tools = total(lambda step: len(step.tools) + step.more_tools)
    agents = total(lambda step: step.purpose.name == "SUB_AGENT")
    duration_us = length_us if record is None or record.end is None else record.end.duration_us
    notes = [t("runs.tools", n=f.n(tools))] if tools else []
    notes += [t("runs.of_sub_agents", n=f.n(agents))] if agents else []
    limits = ", ".join(record.start.limits) if record is not None else ""
    return [
        (t("runs.cost"), money, t("runs.under", limits=limits) if limits else "", ""),
        (t("runs.calls"), f.n(len(steps)), " · ".join(notes), ""),
        (t("runs.tokens"), f.compact(prompt + total(lambda step: step.row.usage.completion)), t("runs.from_cache", share=f.share(cached / prompt if prompt else None)), ""),
        (t("runs.duration"), f.ms(duration_us / 1_000) if steps or record else "–", "", ""),
    ]  # fmt: skip
