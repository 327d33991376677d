"""The steps of a run put together: which results belong to which tool calls, and what each step is for. Pure.

What a step is for is said by its client's headers where there are such, else it follows from its shape and its place among
the others; the reason is told beside it. So a better rule is good for older runs, too.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec

from tokenweir.protocol.asking import SUB_AGENT
from tokenweir.protocol.steps import AskedTool, Step, ToolResult, plain_id

#: Tools by which agents start others (Claude Code, OpenCode, Kimi Code, Codex, Qwen Code; November 2026), in small letters.
DELEGATING = frozenset({"task", "agent", "spawn_agent", "delegate", "delegate_task", "subagent", "run_agent"})


class Purpose(StrEnum):
    """What a step is for."""

    MAIN = "main"
    SUB_AGENT = "sub-agent"
    TITLE = "title"
    COMPACTION = "compaction"
    OTHER = "other"


class Seen(msgspec.Struct, frozen=True):
    """A call of a run. Without a `step` nothing is known but that it was made: it was refused, or its worker died."""

    opened_us: int
    ended_us: int
    step: Step | None


class Tool(msgspec.Struct):
    """A tool call with what came of it."""

    asked: AskedTool
    result: ToolResult | None = None
    answered_us: int | None = None  # when a request brought its result


class Placed(msgspec.Struct):
    """A call in its place. `parent`: the call, by its place in the list, and of it the tool call that a sub-agent works for."""

    purpose: Purpose = Purpose.OTHER
    why: str = ""
    parent: tuple[int, int] | None = None
    tools: list[Tool] = []


def arrange(calls: Sequence[Seen]) -> list[Placed]:
    """Each call in its place; they come in the order in which they were opened."""
    order = _Order(calls)
    events = sorted(
        [(seen.opened_us, 1, index) for index, seen in enumerate(calls)]
        + [
            (seen.ended_us, 0 if seen.ended_us > seen.opened_us else 2, index)
            for index, seen in enumerate(calls)
        ]
    )
    for at_us, kind, index in events:
        step = calls[index].step
        if kind == 1:
            order.opens(index, step, at_us)
        elif step is not None:
            order.ends(index, step)
    return order.placed


class _Order:
    """What is known at a moment."""

    def __init__(self, calls: Sequence[Seen]) -> None:
        self.placed = [Placed() for _ in calls]
        self._offers = any(seen.step is not None and seen.step.tools for seen in calls)
        self._main: set[str] = set()  # threads
        self._agents: dict[str, tuple[int, int] | None] = {}  # threads of sub-agents, and what they work for
        self._waiting: dict[
            tuple[str, str], tuple[int, int]
        ] = {}  # (thread, id) of tool calls without a result
        self._known: set[tuple[str, str]] = set()  # every one that there was
        self._compacted = False  # since the main conversation last went on

    def opens(self, index: int, step: Step | None, at_us: int) -> None:
        """A request has come."""
        place = self.placed[index]
        if step is None:
            place.why = "nothing is known of it: it was refused, or cut off"
            return
        for result in step.results:
            self._take(step.thread, result, at_us)
        place.purpose, place.why = self._purpose_of(step)
        if place.purpose is Purpose.SUB_AGENT:
            if step.thread not in self._agents:
                self._agents[step.thread] = self._parent(step.thread)
            place.parent = self._agents[step.thread]
        elif place.purpose is Purpose.MAIN:
            self._main.add(step.thread)
            self._compacted = False
        elif place.purpose is Purpose.COMPACTION:
            self._compacted = True

    def ends(self, index: int, step: Step) -> None:
        """Its answer has gone out, with the tools that it asks for."""
        place = self.placed[index]
        place.tools = [Tool(asked) for asked in step.asked]
        if step.withheld:
            return
        for number, asked in enumerate(step.asked):
            name = (step.thread, plain_id(asked.id))
            self._waiting[name] = (index, number)
            self._known.add(name)

    def _take(self, thread: str, result: ToolResult, at_us: int) -> None:
        """A result belongs to the last call of its id: of the same conversation, or of one that goes on under another name."""
        id = plain_id(result.id)
        found = self._waiting.pop((thread, id), None)
        if found is None and (thread, id) not in self._known:  # else it is told again
            name = next((name for name in reversed(self._waiting) if name[1] == id), None)
            found = None if name is None else self._waiting.pop(name)
        if found is not None:
            tool = self.placed[found[0]].tools[found[1]]
            tool.result, tool.answered_us = result, at_us

    def _purpose_of(self, step: Step) -> tuple[Purpose, str]:
        if step.agent.startswith(SUB_AGENT):
            return Purpose.SUB_AGENT, f"its headers say {step.agent}"
        if step.agent:
            named = Purpose.COMPACTION if step.agent == "compaction" else Purpose.OTHER
            return named, f"its headers say {step.agent}"
        if step.words == "compaction":
            return Purpose.COMPACTION, "its words ask to sum up the conversation"
        if step.words:
            named = Purpose.TITLE if step.words == "title" else Purpose.OTHER
            return named, f"it offers no tools, and its words are about a {step.words}"
        if step.thread in self._main:
            return Purpose.MAIN, "it goes on with the main conversation"
        if step.thread in self._agents:
            return Purpose.SUB_AGENT, "it goes on with a sub-agent's conversation"
        if self._offers and not step.tools:
            return Purpose.OTHER, "it offers no tools"
        return self._of_new(step)

    def _of_new(self, step: Step) -> tuple[Purpose, str]:
        """A conversation that begins."""
        if not self._main:
            return Purpose.MAIN, f"the first conversation{' that offers tools' if step.tools else ''}"
        if self._compacted:
            return Purpose.MAIN, "it goes on after the conversation was summed up"
        if self._handed_on(step.thread) is not None:
            return Purpose.SUB_AGENT, "it begins with the text that a tool call hands on"
        if self._waiting:
            return Purpose.SUB_AGENT, "a conversation of its own, begun while a tool call waits"
        return Purpose.MAIN, "a further conversation, which no tool call began"

    def _parent(self, thread: str) -> tuple[int, int] | None:
        handed_on = self._handed_on(thread)
        if handed_on is not None:
            return handed_on
        waiting = list(self._waiting.values())
        delegating = [at for at in waiting if self._asked(at).name.lower() in DELEGATING]
        return next(reversed(delegating or waiting), None)

    def _handed_on(self, thread: str) -> tuple[int, int] | None:
        return next(
            (at for at in self._waiting.values() if thread and self._asked(at).hands_on == thread), None
        )

    def _asked(self, at: tuple[int, int]) -> AskedTool:
        return self.placed[at[0]].tools[at[1]].asked


def depths(placed: Iterable[Placed]) -> list[int]:
    """How deep each call stands below the main conversation: 0, or for a sub-agent one more than what it works for."""
    found: dict[int, int] = {}
    for index, place in enumerate(placed):
        found[index] = 0 if place.parent is None else found.get(place.parent[0], 0) + 1
    return list(found.values())
