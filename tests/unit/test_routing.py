"""The order in which deployments are tried, and what is said of each place."""

from hypothesis import given
from hypothesis import strategies as st

from tokenweir.routing.decide import (
    AS_CONFIGURED,
    DRAINED,
    FAILED,
    ITSELF,
    UNABLE,
    Candidate,
    Route,
    decide,
    read_route,
)

NOW_US = 1_000


def test_what_failed_a_moment_ago_is_tried_last_and_each_place_says_why() -> None:
    decision = decide((Candidate("a", 1_001), Candidate("b"), Candidate("c"), Candidate("d", 1_000)), NOW_US)
    assert decision.order == ("b", "c", "d", "a")
    assert decision.routes == (
        "1 of 4: a failed a moment ago",
        "2 of 4: a failed a moment ago",
        "3 of 4: a failed a moment ago",
        "4 of 4: it failed a moment ago itself",
    )


def test_what_is_left_out_has_no_place_and_is_named_by_those_behind_it() -> None:
    decision = decide(
        (Candidate("a", left_out=DRAINED), Candidate("b"), Candidate("c", 9_999, UNABLE), Candidate("d")),
        NOW_US,
    )
    assert decision.order == ("b", "d")
    assert decision.routes == ("1 of 2: a is drained", "2 of 2: a is drained; c cannot take this request")


def test_where_all_failed_they_are_tried_as_configured() -> None:
    decision = decide((Candidate("a", 2_000), Candidate("b", 3_000)), NOW_US)
    assert decision.order == ("a", "b")
    assert decision.routes == (
        "1 of 2: it failed a moment ago itself",
        "2 of 2: it failed a moment ago itself",
    )


@given(
    st.lists(
        st.builds(
            Candidate,
            st.from_regex(r"[a-z]{1,3}/[a-z.: -]{1,8}", fullmatch=True),
            st.sampled_from((0, 2_000)),
            st.sampled_from(("", DRAINED, UNABLE)),
        ),
        unique_by=lambda c: c.deployment,
        max_size=5,
    )
)
def test_every_route_is_read_back_in_its_parts(candidates: list[Candidate]) -> None:
    decision = decide(tuple(candidates), NOW_US)
    by_name = {c.deployment: c for c in candidates}
    assert sorted(decision.order) == sorted(c.deployment for c in candidates if not c.left_out)
    for place, (name, text) in enumerate(zip(decision.order, decision.routes, strict=True), 1):
        before = candidates[: candidates.index(by_name[name])]
        behind = [
            (c.deployment, c.left_out or FAILED) for c in before if c.deployment not in decision.order[:place]
        ]
        said = [*behind, *([("", ITSELF)] if by_name[name].cooling_until_us else [])] or [("", AS_CONFIGURED)]
        assert read_route(text) == Route(place, len(decision.order), tuple(said))


def test_what_is_no_route_is_not_read_as_one() -> None:
    assert read_route("") is None
    assert read_route("1 of 2: by the stars") is None
