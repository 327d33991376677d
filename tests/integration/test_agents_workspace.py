"""Workspaces on real repositories: the user's tree stays as it is, and an agent's work is kept whole."""

import os
import subprocess
from pathlib import Path

import pytest

from tokenweir.agents.trees import TESTS
from tokenweir.agents.workspace import (
    Workspace,
    apply_patch,
    check_out_judged,
    difference,
    find_source,
    finish,
    prepare,
)
from tokenweir.core.errors import AgentError


def git(directory: Path, *words: str) -> str:
    names = ("-c", "user.name=a", "-c", "user.email=a@b.invalid")
    done = subprocess.run(["git", *names, *words], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    project = tmp_path / "project"
    (project / "src").mkdir(parents=True)
    (project / "src" / "a.py").write_text("a = 1\n")
    (project / "test_a.py").write_text("assert True\n")
    (project / "gone.txt").write_text("gone soon\n")
    (project / ".gitignore").write_text("*.secret\n")
    (project / "key.secret").write_text("s3cret\n")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "one")
    return project


def space_of(project: Path, in_place: bool = False) -> Workspace:
    place = project.parent / "run"
    place.mkdir()
    return prepare(find_source(project), place, in_place=in_place)


def files(directory: Path) -> dict[str, bytes]:
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and ".git" not in path.relative_to(directory).parts:
            found[str(path.relative_to(directory))] = path.read_bytes()
    return found


def test_the_agent_begins_with_the_tree_as_it_is_and_nothing_that_is_ignored(project: Path) -> None:
    (project / "src" / "a.py").write_text("a = 2\n")
    (project / "new.txt").write_text("not added yet\n")
    before = git(project, "status", "--porcelain"), files(project)
    space = space_of(project)
    assert files(space.work) == {n: d for n, d in files(project).items() if n != "key.secret"}
    assert git(space.work, "log", "--format=%s").splitlines() == ["The tree as the run found it", "one"]
    assert git(space.work, "status", "--porcelain") == ""
    assert (git(project, "status", "--porcelain"), files(project)) == before
    assert finish(space) and difference(space.repository, space.base, finish(space)) == b""


def test_a_clean_tree_begins_at_the_users_own_commit(project: Path) -> None:
    assert space_of(project).base == git(project, "rev-parse", "HEAD").strip()


def test_what_the_agent_left_is_a_patch_that_the_users_tree_takes(project: Path) -> None:
    space = space_of(project)
    (space.work / "src" / "a.py").write_text("a = 3\n")
    (space.work / "gone.txt").unlink()
    (space.work / "raw.bin").write_bytes(bytes(range(256)))
    (space.work / "link").symlink_to("/etc/passwd")
    (space.work / "__pycache__").mkdir()
    (space.work / "__pycache__" / "a.pyc").write_bytes(b"x")
    git(space.work, "add", "src/a.py")
    git(space.work, "commit", "-qm", "the agent's own commit")
    patch = difference(space.repository, space.base, finish(space))
    assert apply_patch(project, patch) == ""
    assert git(project, "status", "--porcelain").split() == [
        "D", "gone.txt", "M", "src/a.py", "??", "link", "??", "raw.bin",
    ]  # fmt: skip
    assert (project / "raw.bin").read_bytes() == bytes(range(256))
    assert (project / "link").readlink() == Path("/etc/passwd")


def test_a_patch_that_does_not_fit_changes_nothing(project: Path) -> None:
    space = space_of(project)
    (space.work / "src" / "a.py").write_text("a = 3\n")
    (space.work / "new.txt").write_text("new\n")
    patch = difference(space.repository, space.base, finish(space))
    (project / "src" / "a.py").write_text("a = 'something else'\n")
    before = files(project)
    assert "src/a.py" in apply_patch(project, patch)
    assert files(project) == before


def test_the_agents_configuration_of_git_starts_nothing_outside(project: Path, tmp_path: Path) -> None:
    space = space_of(project)
    trap = f"touch {tmp_path}/sprung; cat"
    for name in ("core.fsmonitor", "diff.external", "filter.evil.clean", "filter.evil.smudge"):
        git(space.work, "config", name, trap)
    (space.work / ".gitattributes").write_text("* filter=evil diff=evil\n")
    hook = space.work / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{trap}\n")
    hook.chmod(0o755)
    (space.work / "src" / "a.py").write_text("a = 3\n")
    result = finish(space)
    assert b"a = 3" in difference(space.repository, space.base, result)
    check_out_judged(space, result, TESTS, tmp_path / "judged")
    assert not (tmp_path / "sprung").exists()


def test_a_repository_within_the_tree_starts_nothing_either(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.py").write_text("b = 1\n")
    for words in (("init", "-q"), ("add", "-A"), ("commit", "-qm", "other")):
        git(other, *words)
    git(project, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(other), "sub")
    git(project, "commit", "-qm", "with a submodule")
    space = space_of(project)
    trap = f"touch {tmp_path}/sprung; false"
    for name in ("sub", "made"):
        git(space.work, "init", "-q", name)
        (space.work / name / "c.py").write_text("c = 1\n")
        git(space.work / name, "add", "-A")
        git(space.work / name, "commit", "-qm", "inner")
        git(space.work / name, "config", "core.fsmonitor", trap)
    patch = difference(space.repository, space.base, finish(space))
    assert b"made/c.py" in patch and b"Subproject" not in patch.split(b"made/c.py")[1]
    assert not (tmp_path / "sprung").exists()


def test_in_place_the_users_configuration_that_the_agent_wrote_starts_nothing(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = space_of(project, in_place=True)
    git(project, "config", "core.fsmonitor", f"touch {tmp_path}/sprung; false")
    (project / "git").write_text(f"#!/bin/sh\ntouch {tmp_path}/sprung\n")
    (project / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f".:{os.environ['PATH']}")
    assert finish(space)
    assert not (tmp_path / "sprung").exists()


def test_work_is_judged_with_the_tests_as_they_were(project: Path, tmp_path: Path) -> None:
    space = space_of(project)
    (space.work / "src" / "a.py").write_text("a = 3\n")
    (space.work / "test_a.py").unlink()
    (space.work / "conftest.py").write_text("collect_ignore = ['test_a.py']\n")
    check_out_judged(space, finish(space), TESTS, tmp_path / "judged")
    assert files(tmp_path / "judged") == {
        ".gitignore": b"*.secret\n", "gone.txt": b"gone soon\n", "src/a.py": b"a = 3\n", "test_a.py": b"assert True\n",
    }  # fmt: skip


def test_a_directory_without_git_is_copied(project: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "a.txt").write_text("one\n")
    space = space_of(plain)
    (space.work / "a.txt").write_text("two\n")
    patch = difference(space.repository, space.base, finish(space))
    assert (plain / "a.txt").read_text() == "one\n" and not (plain / ".git").exists()
    assert apply_patch(plain, patch) == ""
    assert (plain / "a.txt").read_text() == "two\n"


def test_in_place_the_difference_is_kept_as_well(project: Path) -> None:
    space = space_of(project, in_place=True)
    assert space.work == project
    (project / "src" / "a.py").write_text("a = 4\n")
    (project / "key.secret").write_text("changed\n")
    patch = difference(space.repository, space.base, finish(space))
    assert b"a = 4" in patch and b"secret" not in patch


def test_a_place_within_the_tree_is_where_the_agent_begins(project: Path) -> None:
    source = find_source(project / "src")
    assert (source.root, source.below) == (project, "src")
    place = project.parent / "run"
    place.mkdir()
    assert (prepare(source, place, in_place=False).cwd / "a.py").is_file()


def test_a_shallow_clone_and_a_worktree_are_sources_too(project: Path, tmp_path: Path) -> None:
    git(project, "commit", "-qm", "two", "--allow-empty")
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{project}", "shallow")
    git(project, "worktree", "add", "-q", str(tmp_path / "tree"))
    for name in ("shallow", "tree"):
        place = tmp_path / f"run-{name}"
        place.mkdir()
        space = prepare(find_source(tmp_path / name), place, in_place=False)
        assert "two" in git(space.work, "log", "--format=%s")


def test_a_directory_that_is_not_there_is_told() -> None:
    with pytest.raises(AgentError, match="is no directory"):
        find_source(Path("/nowhere/at/all"))
