"""Two runs laid beside each other: what came of them, what they used, where their ways part. Pure."""

from collections import Counter
from collections.abc import Hashable, Iterator, Sequence

import msgspec

from tokenweir.agents.records import Run, Tokens
from tokenweir.ledger.views.run_tree import RunTree, StepNode
from tokenweir.protocol.steps import tool_words

#: Steps of one run times those of the other that are compared one by one; beyond that, what differs is not aligned further.
MOST_CELLS = 4_000_000


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One of them. `tools`: how often each was asked for; `touched`: files that tool calls name; `changed`: files of its patch."""

    run: str
    agent: str
    version: str
    model: str
    verdict: str | None
    ending: str | None
    cost: dict[str, str]
    own_cost: str
    calls: int
    tokens: Tokens
    duration_us: int | None
    tool_calls: int
    tools: dict[str, int]
    touched: tuple[str, ...]
    changed: tuple[str, ...]


class Pair(msgspec.Struct, frozen=True):
    """Steps beside each other by their numbers; one alone where the other run has none like it. `words`: what it was."""

    one: int | None
    other: int | None
    words: str

    @property
    def same(self) -> bool:
        """Whether both have it."""
        return self.one is not None and self.other is not None


class FileChange(msgspec.Struct, frozen=True):
    """A file that at least one of them changed. `how`: "one", "other", "both alike" or "both, differently"."""

    file: str
    how: str


class RunDiff(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. `parts_at`: the first pair that is not the same, by its place in `steps`; None where the ways are the same."""

    one: Side
    other: Side
    steps: tuple[Pair, ...]
    parts_at: int | None
    changes: tuple[FileChange, ...]


def diff_runs(one: tuple[Run, RunTree, bytes], other: tuple[Run, RunTree, bytes]) -> RunDiff:
    """Of two runs with their trees and patches."""
    steps = tuple(align(one[1].steps, other[1].steps))
    mine, theirs = files_of(one[2]), files_of(other[2])
    changes = [
        FileChange(name, _how(mine.get(name), theirs.get(name)))
        for name in sorted(mine.keys() | theirs.keys())
    ]
    return RunDiff(
        one=_side(one[0], one[1], mine), other=_side(other[0], other[1], theirs), steps=steps,
        parts_at=next((place for place, pair in enumerate(steps) if not pair.same), None), changes=tuple(changes),
    )  # fmt: skip


def _side(run: Run, tree: RunTree, changed: dict[str, bytes]) -> Side:
    start, end = run.start, run.end
    tools = Counter(tool.name for step in tree.steps for tool in step.tools)
    touched = dict.fromkeys(file for step in tree.steps for tool in step.tools for file in tool.files)
    return Side(
        run=start.id, agent=start.agent, version=start.version, model=start.model,
        verdict=None if end is None else end.verdict.value, ending=None if end is None else end.ending.value,
        cost={} if end is None else end.cost, own_cost="" if end is None else end.own_cost,
        calls=0 if end is None else end.calls, tokens=Tokens() if end is None else end.tokens,
        duration_us=None if end is None else end.duration_us, tool_calls=0 if end is None else end.tool_calls,
        tools=dict(sorted(tools.items())), touched=tuple(sorted(touched)), changed=tuple(sorted(changed)),
    )  # fmt: skip


# --- steps


def align(one: Sequence[StepNode], other: Sequence[StepNode]) -> Iterator[Pair]:
    """Steps in pairs, by a longest common subsequence: alike are those of one purpose that ask for the same tools on the same names."""
    ours, theirs = [_likeness(step) for step in one], [_likeness(step) for step in other]
    common = common_subsequence(ours, theirs)
    i = j = 0
    for a, b in [*common, (len(one), len(other))]:
        yield from (Pair(one[n].number, None, step_words(one[n])) for n in range(i, a))
        yield from (Pair(None, other[n].number, step_words(other[n])) for n in range(j, b))
        if a < len(one):
            yield Pair(one[a].number, other[b].number, step_words(one[a]))
        i, j = a + 1, b + 1


def _likeness(step: StepNode) -> Hashable:
    return step.purpose, step.withheld, tuple((tool.name, tool.files, tool.commands) for tool in step.tools)


def step_words(step: StepNode) -> str:
    """A step in short."""
    tools = "; ".join(map(tool_words, step.tools))
    return f"{step.purpose.value}{f': {tools}' if tools else ''}{' (withheld)' if step.withheld else ''}"


def common_subsequence(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    """Places of a longest common subsequence in both, rising."""
    begin = 0
    while begin < min(len(one), len(other)) and one[begin] == other[begin]:
        begin += 1
    end = 0
    while end < min(len(one), len(other)) - begin and one[-1 - end] == other[-1 - end]:
        end += 1
    middle = _longest(one[begin : len(one) - end], other[begin : len(other) - end])
    head = [(n, n) for n in range(begin)]
    tail = [(len(one) - n, len(other) - n) for n in range(end, 0, -1)]
    return [*head, *((a + begin, b + begin) for a, b in middle), *tail]


def _longest(one: Sequence[Hashable], other: Sequence[Hashable]) -> list[tuple[int, int]]:
    if not one or not other or len(one) * len(other) > MOST_CELLS:
        return []
    lengths = [[0] * (len(other) + 1) for _ in range(len(one) + 1)]  # of the best from here to both ends
    for a in range(len(one) - 1, -1, -1):
        row, below = lengths[a], lengths[a + 1]
        for b in range(len(other) - 1, -1, -1):
            row[b] = below[b + 1] + 1 if one[a] == other[b] else max(below[b], row[b + 1])
    found, a, b = [], 0, 0
    while a < len(one) and b < len(other):
        if one[a] == other[b]:
            found.append((a, b))
            a, b = a + 1, b + 1
        elif lengths[a + 1][b] >= lengths[a][b + 1]:
            a += 1
        else:
            b += 1
    return found


# --- patches


def files_of(patch: bytes) -> dict[str, bytes]:
    """The files that a patch of git changes, and what it does to each, without the ids of their contents."""
    found: dict[str, bytes] = {}
    for part in (b"\n" + patch).split(b"\ndiff --git ")[1:]:
        head, _, rest = part.partition(b"\n")
        name = head.rpartition(b" b/")[2] or head
        lines = [line for line in rest.split(b"\n") if not line.startswith(b"index ")]
        found[name.decode(errors="replace")] = b"\n".join(lines).rstrip(b"\n")
    return found


def _how(mine: bytes | None, theirs: bytes | None) -> str:
    if theirs is None:
        return "one"
    if mine is None:
        return "other"
    return "both alike" if mine == theirs else "both, differently"
