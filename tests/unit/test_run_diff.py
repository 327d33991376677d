"""Two runs beside each other: a longest common subsequence of steps, where their ways part, and what both changed."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from known_run import ROWS, RUN, STEPS, tool, tree

from tokenweir.agents.run_diff import common_subsequence, diff_runs, files_of
from tokenweir.cli.run_diff_text import _steps
from tokenweir.ledger.views.run_tree import tree_of

LETTERS = st.text("abc", max_size=8)


def longest(one: str, other: str) -> int:
    """Its length, by trying everything."""
    if not one or not other:
        return 0
    if one[0] == other[0]:
        return 1 + longest(one[1:], other[1:])
    return max(longest(one[1:], other), longest(one, other[1:]))


@given(LETTERS, LETTERS)
def test_it_is_common_it_rises_and_none_is_longer(one: str, other: str) -> None:
    found = common_subsequence(one, other)
    assert all(one[a] == other[b] for a, b in found)
    assert found == sorted(set(found)) and len({a for a, _ in found}) == len({b for _, b in found}) == len(
        found
    )
    assert len(found) == longest(one, other)


def test_beyond_its_bound_the_ends_are_aligned_and_the_middle_is_taken_as_different() -> None:
    one, other = ["x", *range(3_000), "y"], ["x", *range(3_000, 6_000), 5, "y"]
    assert common_subsequence(one, other) == [(0, 0), (3_001, 3_002)]


PATCH = b"""diff --git a/sums.py b/sums.py
index 1111111111..2222222222 100644
--- a/sums.py
+++ b/sums.py
@@ -1 +1 @@
-a
+b
diff --git a/a b.txt b/a b.txt
new file mode 100644
index 0000000000..3333333333
--- /dev/null
+++ b/a b.txt
@@ -0,0 +1 @@
+x
"""


def test_a_patch_is_known_by_its_files_whatever_their_ids() -> None:
    assert list(files_of(PATCH)) == ["sums.py", "a b.txt"] and files_of(b"") == {}
    assert files_of(PATCH.replace(b"2222222222", b"4444444444")) == files_of(PATCH)


def test_the_same_run_twice_differs_in_nothing() -> None:
    found = diff_runs((RUN, tree(), PATCH), (RUN, tree(), PATCH))
    assert found.parts_at is None and all(pair.same for pair in found.steps) and found.one == found.other
    assert {change.how for change in found.changes} == {"both alike"}
    assert found.one.tools == {"Task": 1, "bash": 2} and found.one.touched == ("a.py",)


def test_where_the_ways_part_is_told_with_the_steps_around() -> None:
    edited = msgspec.structs.replace(STEPS[3], asked=(tool("c9", "Edit", files=("sums.py",)),))
    other = tree_of("run_1", ROWS, (*STEPS[:3], edited, None))
    patch = PATCH.replace(b"+b", b"+c").partition(b"diff --git a/a b")[0] + PATCH.replace(
        b"sums.py", b"new.py"
    )
    found = diff_runs((RUN, tree(), PATCH), (RUN, other, patch))
    assert [(pair.one, pair.other) for pair in found.steps] == [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, None),
        (None, 4),
        (5, 5),
    ]
    assert found.parts_at == 3 and found.steps[4].words == "main: Edit sums.py"
    assert {change.file: change.how for change in found.changes} == {
        "sums.py": "both, differently", "a b.txt": "both alike", "new.py": "other",
    }  # fmt: skip
    lines = _steps(found)
    assert lines[0] == "  … 1 alike" and "here their ways part" in lines[3] and lines[3].startswith("-    4")
    assert lines[4].startswith("+         4  main: Edit sums.py")
