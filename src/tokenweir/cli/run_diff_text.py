"""Two runs beside each other, printed: figures, tools, steps where their ways part, and what they changed."""

from collections.abc import Iterator, Sequence

import msgspec

from tokenweir.agents.records import Tokens
from tokenweir.agents.run_diff import FileChange, Pair, RunDiff, Side
from tokenweir.cli import show
from tokenweir.cli.durations import format_duration

#: Same steps around one that differs that are shown.
AROUND = 2
_MARKS = {(True, True): " ", (True, False): "-", (False, True): "+"}


class SideLine(msgspec.Struct, frozen=True, kw_only=True):
    """One of the runs in JSON."""

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
    duration_ms: float | None
    tool_calls: int
    tools: dict[str, int]
    touched: tuple[str, ...]
    changed: tuple[str, ...]


class PairLine(msgspec.Struct, frozen=True):
    """Steps by their numbers; null where a run has none like it."""

    one: int | None
    other: int | None
    words: str


class DiffAnswer(msgspec.Struct, frozen=True):
    """`weir runs diff RUN OTHER --json`."""

    one: SideLine
    other: SideLine
    parts_at: PairLine | None
    steps: tuple[PairLine, ...]
    changes: tuple[FileChange, ...]


def print_diff(found: RunDiff, *, as_json: bool) -> None:
    """Print it."""
    if as_json:
        show.print_json(_answer(found))
        return
    out = show.console()
    rows = [row for row in _figures(found.one, found.other) if row[1] or row[2]]
    show.print_table(("", found.one.run, found.other.run), rows)
    for title, lines in (("steps", _steps(found)), ("changes", map(_change, found.changes))):
        out.print()
        for line in (title, *(f"  {line}" for line in lines)):
            out.print(line, markup=False)


def _answer(found: RunDiff) -> DiffAnswer:
    steps = tuple(PairLine(pair.one, pair.other, pair.words) for pair in found.steps)
    parts_at = None if found.parts_at is None else steps[found.parts_at]
    return DiffAnswer(_side(found.one), _side(found.other), parts_at, steps, found.changes)


def _side(side: Side) -> SideLine:
    members = msgspec.structs.asdict(side)
    duration_us = members.pop("duration_us")
    return SideLine(**members, duration_ms=None if duration_us is None else duration_us / 1000)


def _figures(one: Side, other: Side) -> Iterator[tuple[str, str, str]]:
    sides = (one, other)
    for name, texts in (
        ("agent", [f"{side.agent} {side.version}".strip() for side in sides]),
        ("model", [side.model for side in sides]),
        ("verdict", [side.verdict or "not ended" for side in sides]),
        ("cost", [", ".join(f"{amount} {c}" for c, amount in sorted(side.cost.items())) for side in sides]),
        ("the agent says", [side.own_cost for side in sides]),
        ("calls", [f"{side.calls:,}" for side in sides]),
        *((f"tokens: {name.replace('_', ' ')}", [f"{getattr(side.tokens, name):,}" for side in sides]) for name in Tokens.__struct_fields__),
        ("time", ["" if side.duration_us is None else format_duration(side.duration_us) for side in sides]),
        ("tool calls", [f"{side.tool_calls:,}" for side in sides]),
        *((f"  {tool}", [str(side.tools.get(tool, 0)) for side in sides]) for tool in sorted({*one.tools, *other.tools})),
        ("files named", [", ".join(side.touched) for side in sides]),
    ):  # fmt: skip
        yield name, texts[0], texts[1]


def _steps(found: RunDiff) -> list[str]:
    """Those that differ, with some around them."""
    if found.parts_at is None:
        return [f"the same {len(found.steps)} in both"]
    near = _near(found.steps)
    lines, skipped = [], 0
    for place, pair in enumerate(found.steps):
        if place not in near:
            skipped += 1
            continue
        if skipped:
            lines.append(f"  … {skipped} alike")
            skipped = 0
        mark = _MARKS[pair.one is not None, pair.other is not None]
        first = "  <- here their ways part" if place == found.parts_at else ""
        lines.append(f"{mark} {_number(pair.one)} {_number(pair.other)}  {pair.words}{first}")
    return [*lines, f"  … {skipped} alike"] if skipped else lines


def _near(steps: Sequence[Pair]) -> set[int]:
    return {
        near
        for place, pair in enumerate(steps)
        if not pair.same
        for near in range(place - AROUND, place + AROUND + 1)
    }


def _number(number: int | None) -> str:
    return f"{'' if number is None else number:>4}"


def _change(change: FileChange) -> str:
    return f"{change.file}: {change.how}"
