"""Steps put in their places: what each is for, which result belongs to which call, and who works for whom."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.ledger.run_steps import Placed, Purpose, Seen, arrange, depths
from tokenweir.protocol.steps import AskedTool, Step, ToolResult


def asks(*ids: str, name: str = "bash", hands_on: str = "") -> tuple[AskedTool, ...]:
    return tuple(AskedTool(id=id, name=name, digest="d", bytes=1, hands_on=hands_on) for id in ids)


def gives(*ids: str, size: int = 1) -> tuple[ToolResult, ...]:
    return tuple(ToolResult(id, size) for id in ids)


def one_after_another(*steps: Step | None) -> list[Placed]:
    return arrange([Seen(10 * n, 10 * n + 5, step) for n, step in enumerate(steps)])


def purposes(*steps: Step | None) -> list[str]:
    return [place.purpose.value for place in one_after_another(*steps)]


MAIN = Step(thread="m", tools=3)


def test_two_sub_agents_at_once_are_told_apart_by_what_was_handed_to_each() -> None:
    first = asks("a", name="Task", hands_on="s1") + asks("b", name="Task", hands_on="s2")
    steps = [
        Seen(0, 5, Step(thread="m", tools=3, asked=first)),
        Seen(10, 30, Step(thread="s2", tools=2, asked=asks("functions.bash:0"))),
        Seen(11, 20, Step(thread="s1", tools=2, asked=asks("functions.bash:0"))),
        Seen(31, 40, Step(thread="s1", tools=2, results=gives("functions.bash:0", size=7))),
        Seen(32, 41, Step(thread="s2", tools=2, results=gives("functions.bash:0", size=9))),
        Seen(50, 60, Step(thread="m", tools=3, results=gives("a", "b"))),
    ]
    placed = arrange(steps)
    assert [place.purpose.value for place in placed] == ["main", *["sub-agent"] * 4, "main"]
    assert [place.parent for place in placed] == [None, (0, 1), (0, 0), (0, 0), (0, 1), None]
    assert [placed[n].tools[0].result.bytes for n in (1, 2)] == [9, 7]
    assert depths(placed) == [0, 1, 1, 1, 1, 0]


def test_a_sub_agent_may_have_sub_agents() -> None:
    placed = one_after_another(
        Step(thread="m", tools=3, asked=asks("a", name="Agent", hands_on="s")),
        Step(thread="s", tools=3, asked=asks("b", name="Agent", hands_on="t")),
        Step(thread="t", tools=3),
    )
    assert [place.parent for place in placed] == [None, (0, 0), (1, 0)] and depths(placed) == [0, 1, 2]


def test_headers_go_before_shape() -> None:
    assert purposes(
        MAIN, Step(thread="x", tools=3, agent="sub-agent"), Step(thread="m", tools=3, agent="compaction"), Step(agent="memory")
    ) == ["main", "sub-agent", "compaction", "other"]  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ((Step(thread="m"), Step(thread="m")), ["main", "main"]),  # an agent without tools
        ((Step(thread="q"), MAIN, MAIN), ["other", "main", "main"]),  # a check before it begins
        (
            (MAIN, Step(thread="c", words="compaction"), Step(thread="n", tools=3)),
            ["main", "compaction", "main"],
        ),
        ((MAIN, Step(thread="n", tools=3)), ["main", "main"]),  # asked for something else
        ((MAIN, None, MAIN), ["main", "other", "main"]),
        ((MAIN, Step(thread="m", words="title")), ["main", "title"]),
    ],
)
def test_shape_and_place_say_what_a_step_is_for(steps: tuple[Step | None, ...], expected: list[str]) -> None:
    assert purposes(*steps) == expected


def test_a_result_that_is_told_again_takes_nothing_from_others() -> None:
    placed = one_after_another(
        Step(thread="m", tools=1, asked=asks("x")),
        Step(thread="m", tools=1, results=gives("x", size=5)),
        Step(thread="s", tools=1, agent="sub-agent", asked=asks("x")),
        Step(thread="m", tools=1, results=gives("x", size=5)),
    )
    assert placed[0].tools[0].result is not None and placed[2].tools[0].result is None


def test_ids_that_come_back_with_other_marks_are_known_again() -> None:
    placed = one_after_another(
        Step(thread="m", tools=1, asked=asks("functions.Bash:0")),
        Step(thread="m", tools=1, results=gives("functions_Bash_0")),
    )  # as Kimi Code 2.1 sends them
    assert placed[0].tools[0].result is not None


def test_what_was_withheld_waits_for_no_result() -> None:
    placed = one_after_another(
        Step(thread="m", tools=1, asked=asks("x"), withheld=True),
        Step(thread="n", tools=1, results=gives("x")),
    )
    assert placed[0].tools[0].result is None and placed[1].purpose is Purpose.MAIN


IDS = st.sampled_from("abc")
ANY = st.none() | st.builds(
    Step, thread=st.sampled_from(["", "m", "n"]), agent=st.sampled_from(["", "sub-agent"]), tools=st.integers(0, 1),
    words=st.sampled_from(["", "title", "compaction"]), asked=st.lists(IDS, max_size=3, unique=True).map(lambda ids: asks(*ids)),
    results=st.lists(IDS, max_size=3).map(lambda ids: gives(*ids)), withheld=st.booleans(),
)  # fmt: skip


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30), ANY), max_size=12))
def test_whatever_comes_everything_has_a_place(drawn: list[tuple[int, int, Step | None]]) -> None:
    seen = sorted((Seen(at, at + took, step) for at, took, step in drawn), key=lambda s: s.opened_us)
    placed = arrange(seen)
    assert len(placed) == len(depths(placed)) == len(seen)
    for index, (place, known) in enumerate(zip(placed, seen, strict=True)):
        assert place.why
        assert [tool.asked for tool in place.tools] == list(known.step.asked if known.step else ())
        if place.parent is not None:
            parent, number = place.parent
            assert (
                parent != index
                and seen[parent].ended_us <= known.opened_us
                and number < len(placed[parent].tools)
            )
    given_back = sum(tool.result is not None for place in placed for tool in place.tools)
    assert given_back <= sum(len(s.step.results) for s in seen if s.step)
