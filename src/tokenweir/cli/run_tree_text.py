"""The tree of a run as it is printed: each call with what it cost beside it, below it the tools that it asked for."""

from collections.abc import Iterator

import msgspec

from tokenweir.cli import show
from tokenweir.cli.durations import format_duration
from tokenweir.ledger.views.run_tree import RunTree, StepNode, ToolNode
from tokenweir.protocol.steps import tool_words


class ToolLine(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call in JSON; null is what is not known."""

    number: int
    id: str
    name: str
    digest: str
    bytes: int
    files: tuple[str, ...]
    commands: tuple[str, ...]
    result_bytes: int | None
    failed: bool | None
    took_ms: float | None


class StepLine(msgspec.Struct, frozen=True, kw_only=True):
    """A step in JSON. Its call is the one of that id in `made`."""

    number: int
    call: str
    purpose: str
    why: str
    depth: int
    parent: int | None
    parent_tool: int | None
    turns: int | None
    tools: tuple[ToolLine, ...]
    more_tools: int
    withheld: bool


def step_line(step: StepNode) -> StepLine:
    """The JSON form of a step."""
    return StepLine(
        number=step.number, call=step.row.call, purpose=step.purpose.value, why=step.why, depth=step.depth,
        parent=step.parent, parent_tool=step.parent_tool, turns=step.turns, tools=tuple(map(_tool_line, step.tools)),
        more_tools=step.more_tools, withheld=step.withheld,
    )  # fmt: skip


def _tool_line(tool: ToolNode) -> ToolLine:
    members = msgspec.structs.asdict(tool)
    took_us = members.pop("took_us")
    return ToolLine(**members, took_ms=None if took_us is None else took_us / 1000)


_COLUMNS = ("", "step", "input", "cached", "output", "cost", "first token", "time", "outcome", "call")
_RIGHT = frozenset({0, 2, 3, 4, 5, 6, 7})
_INDENT = "  "


def print_tree(tree: RunTree) -> None:
    """Print it."""
    show.print_table(_COLUMNS, [cells for step in tree.steps for cells in _rows(step)], right=_RIGHT)


def _rows(step: StepNode) -> Iterator[list[str]]:
    row, usage, margin = step.row, step.row.usage, _INDENT * (2 * step.depth)
    parent = "" if step.parent is None else f" of {step.parent}.{step.parent_tool}"
    yield [
        str(step.number), f"{margin}{step.purpose.value}{parent}", f"{usage.prompt:,}", f"{usage.cache_read:,}",
        f"{usage.completion:,}", "unpriced" if row.unpriced else show.money(row.cost_pico) or "–",
        "–" if row.ttft_us is None else format_duration(row.ttft_us),
        "–" if row.duration_us is None else format_duration(row.duration_us), _outcome(step), row.call,
    ]  # fmt: skip
    for tool in step.tools:
        took = "–" if tool.took_us is None else format_duration(tool.took_us)
        words = f"{margin}{_INDENT}{tool.number} {tool_words(tool)}"
        yield ["", words, "", "", "", "", "", took, _result(tool), ""]
    if step.more_tools:
        yield ["", f"{margin}{_INDENT}and {step.more_tools} more", "", "", "", "", "", "", "", ""]


def _outcome(step: StepNode) -> str:
    return "withheld" if step.withheld else step.row.outcome.value if step.row.outcome else "–"


def _result(tool: ToolNode) -> str:
    if tool.result_bytes is None:
        return "no result"
    return f"{'failed, ' if tool.failed else ''}{tool.result_bytes:,} bytes"
