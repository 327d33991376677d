"""Runs of agents: which there were, what each cost and came to; and one as a tree of calls and tools beside their time."""

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import quote

import msgspec

from tokenweir.admin import problems
from tokenweir.admin.rights import reads_all
from tokenweir.agents.records import Records, Run
from tokenweir.agents.verdict import Verdict
from tokenweir.console.compared import accounts_of
from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.page_calls import outcome_badge, paid
from tokenweir.console.table import Badge, Column, Link, Table
from tokenweir.core.errors import AgentError
from tokenweir.core.sentence import say
from tokenweir.ledger.views.run_list import MOST_RUNS, RunSums, run_entries, runs
from tokenweir.ledger.views.run_tree import RunTree, StepNode, ToolNode, run_tree
from tokenweir.ledger.views.spans import HOUR_US, span_of

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
    """Runs with calls in a period, the latest first."""
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
        Link(row.run, visit.to(f"/runs/{quote(row.run, safe='')}")),
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
    """The tree and timeline of a run."""
    name = visit.path["id"]
    try:
        record = Records(visit.desk.data_dir).find(name) if name != "last" else None
    except AgentError:
        record = None
    if record is not None and record.start.id != name:
        record = None
    tree = _tree(visit, name, record)
    if tree is None and record is None:
        return problems.not_found(say("run"))
    if record is not None and tree is None and not visit.asked.sees(record.start.account):
        return problems.not_found(say("run"))
    steps = () if tree is None else tree.steps
    lines = lines_of(visit, steps[:MOST_STEPS])
    begin_us, length_us = extent(steps)
    return shown(
        "run.html", tables=(steps_table(visit, steps, begin_us),), run=name, record=record, lines=lines, width=WIDTH,
        more=max(0, len(steps) - MOST_STEPS), tiles_shown=_tiles(visit, steps, record, length_us),
        badge=verdict_badge(record), began_us=begin_us if record is None else record.start.started_us,
    )  # fmt: skip


def _tree(visit: Visit, name: str, record: Run | None) -> RunTree | None:
    """What may be seen of it; None: nothing."""
    found = run_entries(visit.db, name)
    if found is None:
        return None
    after, upto = found
    if record is not None:
        after = max(after, record.start.after_seq)
    tree = run_tree(visit.db, name, after, upto)
    seen = [step for step in tree.steps if visit.asked.sees(step.row.account)]
    return RunTree(tree.run, tuple(seen)) if seen else None


def extent(steps: Sequence[StepNode]) -> tuple[int, int]:
    """When the first call was opened, and how long it was until the last one had ended (µs, at least 1)."""
    if not steps:
        return 0, 1
    begin_us = min(step.row.at_us for step in steps)
    end_us = max(step.row.at_us + (step.row.duration_us or 0) for step in steps)
    return begin_us, max(1, end_us - begin_us)


def lines_of(visit: Visit, steps: Sequence[StepNode]) -> list[Line]:
    """Calls in their order, each followed by the tools that it asked for."""
    begin_us, length_us = extent(steps)

    def span(start_us: int, took_us: int) -> Span:
        start = min(WIDTH - 2, (start_us - begin_us) * WIDTH // length_us)
        return Span(start, max(2, min(WIDTH - start, took_us * WIDTH // length_us)))

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
