"""A run as a trajectory of ATIF, the Agent Trajectory Interchange Format of Harbor (its RFC 0001). Pure.

Version 1.7: nothing of 1.8, the newest in November 2026, is needed, and more readers take it. What was said stands in it only
where the run kept its text; otherwise messages are empty, arguments are `{}`, and digests and sizes stand in `extra`.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from tokenweir.agents.records import Run
from tokenweir.agents.said import Said
from tokenweir.core.money import format_pico
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.run_steps import Purpose
from tokenweir.ledger.views.reader import iso_time
from tokenweir.ledger.views.run_tree import RunTree, StepNode, ToolNode
from tokenweir.protocol.steps import plain_id

VERSION = "ATIF-v1.7"
_NOT_KEPT = "The text of this run was not kept: messages are empty, and arguments and results are told by digest and size."
_NOTHING = Said()
Extra = dict[str, object]


class Agent(msgspec.Struct, frozen=True, omit_defaults=True):
    """Who acted."""

    name: str
    version: str
    model_name: str


class ToolCall(msgspec.Struct, frozen=True):
    """What was asked for."""

    tool_call_id: str
    function_name: str
    arguments: dict[str, object]
    extra: Extra


class TrajectoryRef(msgspec.Struct, frozen=True):
    """A sub-agent's own trajectory, embedded in the same one."""

    trajectory_id: str


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a tool gave back."""

    source_call_id: str
    content: str | None = None
    subagent_trajectory_ref: tuple[TrajectoryRef, ...] | None = None
    extra: Extra | None = None


class Observation(msgspec.Struct, frozen=True):
    """What came of a step's tool calls."""

    results: tuple[Result, ...]


class Metrics(msgspec.Struct, frozen=True, omit_defaults=True):
    """The format has costs in USD as a float; exact amounts of every currency stand in `extra`."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    cost_usd: float | None = None
    extra: Extra | None = None


class Step(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One of them. `source`: user, agent or system."""

    step_id: int
    timestamp: str
    source: str
    message: str
    model_name: str | None = None
    reasoning_content: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    observation: Observation | None = None
    metrics: Metrics | None = None
    llm_call_count: int | None = None
    extra: Extra | None = None

    # `message` is required, also where it is empty; `omit_defaults` leaves out what has a default alone.


class FinalMetrics(msgspec.Struct, frozen=True, omit_defaults=True):
    """Sums, with sub-agents."""

    total_prompt_tokens: int
    total_completion_tokens: int
    total_cached_tokens: int
    total_cost_usd: float | None
    total_steps: int
    extra: Extra


class Trajectory(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """All of it."""

    schema_version: str
    session_id: str
    trajectory_id: str
    agent: Agent
    steps: tuple[Step, ...]
    notes: str | None = None
    final_metrics: FinalMetrics | None = None
    subagent_trajectories: tuple["Trajectory", ...] | None = None
    extra: Extra | None = None


def trajectory(run: Run, tree: RunTree, said: Mapping[str, Said]) -> Trajectory:
    """The run. `said`: what was said in its calls, by call, where that was kept."""
    return _Writer(run, tree, said).whole()


class _Writer:
    def __init__(self, run: Run, tree: RunTree, said: Mapping[str, Said]) -> None:
        self._run, self._tree, self._said = run, tree, said
        self._agents: dict[
            tuple[int | None, int | None], list[StepNode]
        ] = {}  # by the tool call they work for
        for step in tree.steps:
            if step.purpose is Purpose.SUB_AGENT:
                self._agents.setdefault((step.parent, step.parent_tool), []).append(step)

    def whole(self) -> Trajectory:
        start, end = self._run.start, self._run.end
        own = [step for step in self._tree.steps if step.purpose is not Purpose.SUB_AGENT]
        orphans = self._agents.get((None, None), [])
        found = self._trajectory(start.id, own, [("agent-0", orphans)] if orphans else [])
        ending: Extra = {"task_sha256": start.task_digest, "limits": start.limits}
        if end is not None:
            ending |= {"verdict": end.verdict.value, "ending": end.ending.value, "own_cost": end.own_cost}
        notes = None if self._said else _NOT_KEPT
        return msgspec.structs.replace(
            found, notes=notes, extra=ending, final_metrics=_final(self._tree.steps, len(found.steps))
        )

    def _trajectory(
        self, id: str, steps: Sequence[StepNode], more: Sequence[tuple[str, Sequence[StepNode]]] = ()
    ) -> Trajectory:
        """Of steps of one agent, with those that work for it."""
        start = self._run.start
        numbers = {step.number for step in steps}
        below = [(_name(at), agents) for at, agents in self._agents.items() if at[0] in numbers]
        embedded = tuple(self._trajectory(f"{start.id}/{name}", agents) for name, agents in (*below, *more))
        return Trajectory(
            schema_version=VERSION, session_id=start.id, trajectory_id=id,
            agent=Agent(start.agent, start.version or "unknown", start.model),
            steps=tuple(self._steps(steps)), subagent_trajectories=embedded or None,
        )  # fmt: skip

    def _steps(self, steps: Sequence[StepNode]) -> Iterator[Step]:
        begins_us = steps[0].row.at_us if steps else self._run.start.started_us
        spoken = (
            self._of(step).first_words for step in steps if step.purpose in (Purpose.MAIN, Purpose.SUB_AGENT)
        )
        yield Step(step_id=1, timestamp=iso_time(begins_us), source="user", message=next(spoken, ""))
        for number, step in enumerate(steps, 2):
            yield (
                self._system_step(number, step)
                if step.row.outcome is Outcome.REFUSED
                else self._step(number, step, steps[number - 1 :])
            )

    def _system_step(self, number: int, step: StepNode) -> Step:
        message = f"The gateway refused a request: {step.row.reason}"
        return Step(
            step_id=number,
            timestamp=iso_time(step.row.at_us),
            source="system",
            message=message,
            extra=_extra(step),
        )

    def _step(self, number: int, step: StepNode, later: Sequence[StepNode]) -> Step:
        said = self._of(step)
        calls = tuple(_call(tool, said) for tool in step.tools)
        results = tuple(
            self._result(step, tool, later) for tool in step.tools if tool.result_bytes is not None
        )
        return Step(
            step_id=number, timestamp=iso_time(step.row.at_us), source="agent", message=said.message,
            model_name=step.row.model, reasoning_content=said.reasoning or None, tool_calls=calls or None,
            observation=Observation(results) if results else None, metrics=_metrics(step), llm_call_count=1,
            extra=_extra(step),
        )  # fmt: skip

    def _result(self, step: StepNode, tool: ToolNode, later: Sequence[StepNode]) -> Result:
        """Its text stands in a later request of the same agent: ids of tool calls are not unique among several."""
        id = plain_id(tool.id)
        brought = (self._of(after).results for after in later)
        content = next((results[id] for results in brought if id in results), None)
        at = (step.number, tool.number)
        refs = (TrajectoryRef(f"{self._run.start.id}/{_name(at)}"),) if at in self._agents else None
        extra: Extra = {"bytes": tool.result_bytes}
        if tool.failed is not None:
            extra["failed"] = tool.failed
        return Result(tool.id, content, refs, extra)

    def _of(self, step: StepNode) -> Said:
        return self._said.get(step.row.call, _NOTHING)


def _name(at: tuple[int | None, int | None]) -> str:
    return f"agent-{at[0]}.{at[1]}"


def _call(tool: ToolNode, said: Said) -> ToolCall:
    extra: Extra = {"arguments_digest": tool.digest, "arguments_bytes": tool.bytes, "files": tool.files, "commands": tool.commands}  # fmt: skip
    return ToolCall(tool.id, tool.name, _object(said.arguments.get(tool.id)), extra)


def _object(arguments: str | None) -> dict[str, object]:
    if arguments is None:
        return {}
    try:
        return msgspec.json.decode(arguments, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return {"input": arguments}  # a custom tool's free text


def _metrics(step: StepNode) -> Metrics:
    usage, cost = step.row.usage, step.row.cost_pico
    extra: Extra = {
        "cost": {currency: format_pico(pico) for currency, pico in sorted(cost.items())},
        "unpriced": step.row.unpriced,
        "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "reasoning_tokens": usage.reasoning,
        "provenance": usage.provenance.value,
        "ttft_ms": None if step.row.ttft_us is None else step.row.ttft_us / 1000,
        "duration_ms": None if step.row.duration_us is None else step.row.duration_us / 1000,
    }
    return Metrics(usage.prompt, usage.completion, usage.cache_read, _usd(cost), extra)


def _final(steps: Sequence[StepNode], count: int) -> FinalMetrics:
    cost: dict[str, int] = {}
    for step in steps:
        for currency, pico in step.row.cost_pico.items():
            cost[currency] = cost.get(currency, 0) + pico
    usages: list[Usage] = [step.row.usage for step in steps]
    return FinalMetrics(
        sum(usage.prompt for usage in usages), sum(usage.completion for usage in usages),
        sum(usage.cache_read for usage in usages), _usd(cost), count,
        {"cost": {currency: format_pico(pico) for currency, pico in sorted(cost.items())}},
    )  # fmt: skip


def _usd(cost_pico: dict[str, int]) -> float | None:
    """What the format wants as a float; None where anything is in another currency."""
    return float(format_pico(cost_pico["USD"])) if set(cost_pico) == {"USD"} else None


def _extra(step: StepNode) -> Extra:
    outcome = step.row.outcome.value if step.row.outcome else None
    return {"call": step.row.call, "purpose": step.purpose.value, "why": step.why, "outcome": outcome, "withheld": step.withheld}  # fmt: skip
