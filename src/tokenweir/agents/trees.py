"""Trees of files as git lists them, and the one that a run's work is judged in. Pure."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

#: Tests, and what decides which are run: an agent's changes to these do not count when its work is checked.
TESTS = (
    "test_*.py", "*_test.py", "conftest.py", "pytest.ini", "tox.ini", "tests/*", "test/*", "testing/*",
    "*_test.go", "*.test.js", "*.test.ts", "*.test.jsx", "*.test.tsx", "*.spec.js", "*.spec.ts", "__tests__/*",
    "*Test.java", "*Tests.cs", "spec/*",
)  # fmt: skip


class Item(NamedTuple):
    """A file as it lies in a tree."""

    mode: str
    object: str


Tree = Mapping[str, Item]  # by path


def read_tree(listing: bytes) -> dict[str, Item]:
    """The output of `git ls-tree -r -z`."""
    tree = {}
    for line in listing.split(b"\0"):
        if line:
            about, _, path = line.partition(b"\t")
            mode, _, id = about.decode().split(" ")
            tree[path.decode("utf-8", "surrogateescape")] = Item(mode, id)
    return tree


def index_lines(tree: Tree) -> bytes:
    """What `git update-index -z --index-info` reads."""
    return b"".join(
        f"{item.mode} {item.object}\t{path}".encode("utf-8", "surrogateescape") + b"\0"
        for path, item in sorted(tree.items())
    )


def is_protected(path: str, patterns: Iterable[str]) -> bool:
    """Whether a path is one of those that an agent's changes do not count in.

    A pattern with a slash matches from any directory of the path on, with all that lies below; one without it, a name.
    """
    parts = path.split("/")
    for pattern in patterns:
        if "/" not in pattern:
            if fnmatchcase(parts[-1], pattern):
                return True
        elif any(fnmatchcase("/".join(parts[start:]), pattern) for start in range(len(parts))):
            return True
    return False


def judged(base: Tree, result: Tree, patterns: Iterable[str]) -> dict[str, Item]:
    """The agent's work with the tests as they were: those it changed or removed are back, those it added are gone."""
    patterns = tuple(patterns)
    kept = {path: item for path, item in result.items() if not is_protected(path, patterns)}
    tests = {path: item for path, item in base.items() if is_protected(path, patterns)}
    # A file in the place of a directory of tests, or the other way round, gives way to them.
    above = {"/".join(path.split("/")[:n]) for path in tests for n in range(1, path.count("/") + 1)}
    free = {p: item for p, item in kept.items() if p not in above and not _lies_below(p, tests)}
    return free | tests


def _lies_below(path: str, tests: Tree) -> bool:
    parts = path.split("/")
    return any("/".join(parts[:n]) in tests for n in range(1, len(parts)))
