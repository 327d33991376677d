"""The tree that a run's work is judged in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.agents.trees import TESTS, Item, index_lines, is_protected, judged, read_tree

NAMES = st.sampled_from(
    ["a.py", "test_a.py", "tests", "tests/b.py", "src/a.py", "src/conftest.py", "src", "x/tests/c"]
)
TREES = st.dictionaries(NAMES, st.builds(Item, st.just("100644"), st.sampled_from(["1" * 40, "2" * 40])))


@pytest.mark.parametrize(
    ("path", "protected"),
    [
        ("test_sums.py", True),
        ("src/deep/test_sums.py", True),
        ("tests/data/x.json", True),
        ("lib/tests/helper.py", True),
        ("conftest.py", True),
        ("src/sums.test.ts", True),
        ("pkg/sums_test.go", True),
        ("sums.py", False),
        ("contests/x.py", False),
        ("testament.py", False),
        ("src/latest/x.py", False),
    ],
)
def test_tests_are_known_by_their_names(path: str, protected: bool) -> None:
    assert is_protected(path, TESTS) is protected


def test_tests_are_as_they_were_and_the_rest_is_the_agents() -> None:
    old, new = Item("100644", "1" * 40), Item("100755", "2" * 40)
    base = {"sums.py": old, "test_sums.py": old, "tests/gone.py": old, "removed.py": old}
    result = {"sums.py": new, "test_sums.py": new, "conftest.py": new, "added.py": new}
    assert judged(base, result, TESTS) == {
        "sums.py": new, "test_sums.py": old, "tests/gone.py": old, "added.py": new,
    }  # fmt: skip
    assert judged(base, result, ()) == result


@given(TREES, TREES)
def test_a_judged_tree_can_be_and_holds_every_test(base: dict[str, Item], result: dict[str, Item]) -> None:
    base = {p: i for p, i in base.items() if not any(o.startswith(f"{p}/") for o in base)}
    result = {p: i for p, i in result.items() if not any(o.startswith(f"{p}/") for o in result)}
    tree = judged(base, result, TESTS)
    assert not [p for p in tree if any(other.startswith(f"{p}/") for other in tree)]
    for path, item in tree.items():
        assert item == (base if is_protected(path, TESTS) else result)[path]
    assert {p for p in base if is_protected(p, TESTS)} <= tree.keys()


@given(st.dictionaries(st.text(min_size=1).filter(lambda t: "\0" not in t), st.builds(Item, st.just("100644"), st.just("1" * 40))))  # fmt: skip
def test_listings_are_read_as_they_are_written(tree: dict[str, Item]) -> None:
    listing = index_lines(tree).replace(b"100644 ", b"100644 blob ")
    assert read_tree(listing) == tree
