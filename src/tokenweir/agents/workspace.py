"""Where an agent works: a copy of the user's tree in a repository of its own, so that the user's stays as it is.

`base.git` is ours: it knows the tree as the run found it and as the agent left it, and the agent cannot write it. The
workspace has a repository beside it, which the agent may do with as it likes: git is never run on that one from
outside, where its configuration could start programs. Both read the user's objects and copy none.
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tokenweir.agents.git import git, says, users
from tokenweir.agents.trees import Tree, index_lines, judged, read_tree
from tokenweir.core.errors import AgentError

#: Most that is copied of a directory that is no git repository.
MAX_COPY_BYTES = 2 << 30
BRANCH = "weir"
#: What programs drop by the way, and no work of an agent's, whatever the tree's own rules say.
DROPPINGS = (
    "__pycache__/",
    "*.py[co]",
    ".pytest_cache/",
    ".mypy_cache/",
    ".ruff_cache/",
    "node_modules/",
    ".aider*",
)


class Source(msgspec.Struct, frozen=True):
    """The user's tree: its root, where in it the user stands, and of its repository ("": there is none) the objects and,
    where its history is cut off, the file that says so."""

    root: Path
    below: str
    objects: str = ""
    shallow: str = ""


class Workspace(msgspec.Struct, frozen=True):
    """`base`: the commit that the run began from. `work` is the agent's tree: a copy, or the user's own."""

    repository: Path
    work: Path
    base: str
    source: Source

    @property
    def cwd(self) -> Path:
        """Where the agent begins: where the user stood."""
        return self.work / self.source.below

    @property
    def objects(self) -> tuple[str, ...]:
        """What the agent's repository reads."""
        return tuple(text for text in (str(self.repository / "objects"), self.source.objects) if text)


def find_source(directory: Path) -> Source:
    """The repository that a directory lies in, or the directory itself. Raises AgentError."""
    if not directory.is_dir():
        raise AgentError(f"{directory} is no directory")
    directory = directory.resolve()
    top = says("rev-parse", "--show-toplevel", cwd=directory)
    if not top:
        return Source(directory, "")
    objects = says("rev-parse", "--path-format=absolute", "--git-path", "objects", cwd=directory)
    shallow = says("rev-parse", "--path-format=absolute", "--git-path", "shallow", cwd=directory)
    cut = shallow if Path(shallow).is_file() else ""
    return Source(Path(top), str(directory.relative_to(top)), objects, cut)


def prepare(source: Source, place: Path, *, in_place: bool) -> Workspace:
    """A workspace under `place`, a directory of the run's own. Raises AgentError."""
    repository = place / "base.git"
    git("init", "-q", "--bare", "--template=", str(repository))
    (repository / "info").mkdir(exist_ok=True)
    (repository / "info" / "exclude").write_text("".join(f"{pattern}\n" for pattern in DROPPINGS))
    if source.objects:
        (repository / "objects" / "info").mkdir(exist_ok=True)
        (repository / "objects" / "info" / "alternates").write_text(f"{source.objects}\n")
        _cut_off(source, repository)
    else:
        _check_size(source.root)
    base = _begin(repository, source)
    work = source.root if in_place else place / "work"
    space = Workspace(repository, work, base, source)
    if not in_place:
        check_out(space, base, work)
        space.cwd.mkdir(parents=True, exist_ok=True)
    return space


def _check_size(root: Path) -> None:
    total = 0
    for directory, _, names in os.walk(root):
        for name in names:
            total += os.lstat(os.path.join(directory, name)).st_size  # noqa: PTH118 - many of them
        if total > MAX_COPY_BYTES:
            raise AgentError(
                f"{root} is no git repository and has more than {MAX_COPY_BYTES >> 30} GiB to copy; "
                "make it one (git init), or work in it with --in-place"
            )


def _begin(repository: Path, source: Source) -> str:
    """The commit of the tree as it is: the user's last one, or one on top of it with what has not been committed."""
    head = says("rev-parse", "--verify", "-q", "HEAD^{commit}", cwd=source.root) if source.objects else ""
    tree = _snapshot(repository, source.root, source, head)
    if head and git("--git-dir", str(repository), "rev-parse", f"{head}^{{tree}}").decode().strip() == tree:
        commit = head
    else:
        commit = _commit(repository, tree, head, "The tree as the run found it")
    git("--git-dir", str(repository), "update-ref", "refs/weir/base", commit)
    return commit


def _snapshot(repository: Path, work: Path, source: Source, commit: str) -> str:
    """The tree of what lies in `work`. Files that the user's repository ignores are no part of it."""
    index = repository / "snapshot.index"
    ours = ("--git-dir", str(repository), "--work-tree", str(work))
    git(*ours, "read-tree", *([commit] if commit else ["--empty"]), index=index)
    if source.objects and work == source.root:  # the user's own rules on what is ignored hold
        names, failed = users("ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=work)
        if failed:
            raise AgentError(f"the files of {work} cannot be listed: {failed}")
        git(*ours, "update-index", "-z", "--add", "--remove", "--stdin", cwd=work, text=names, index=index)
    else:
        git(*ours, "add", "-A", ".", cwd=work, index=index)
    return git(*ours, "write-tree", index=index).decode().strip()


def _commit(repository: Path, tree: str, parent: str, words: str) -> str:
    parents = ("-p", parent) if parent else ()
    made = git("--git-dir", str(repository), "commit-tree", tree, *parents, "-m", words)
    return made.decode().strip()


def check_out(space: Workspace, commit: str, directory: Path) -> None:
    """A tree with a repository around it, whose history is the user's."""
    git("init", "-q", "--template=", "-b", BRANCH, str(directory))
    info = directory / ".git" / "objects" / "info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "alternates").write_text("".join(f"{path}\n" for path in space.objects))
    _cut_off(space.source, directory / ".git")
    git("reset", "-q", "--hard", commit, cwd=directory)


def _cut_off(source: Source, repository: Path) -> None:
    if source.shallow:
        shutil.copyfile(source.shallow, repository / "shallow")


def finish(space: Workspace) -> str:
    """The commit of what the agent left.

    Repositories that it made further down are plain files by then: git would ask one that it takes for a submodule how
    it is, by that one's own configuration, which can start programs.
    """
    if space.work != space.source.root:
        _disown(space.work)
    tree = _snapshot(space.repository, space.work, space.source, space.base)
    commit = _commit(space.repository, tree, space.base, "What the agent left")
    git("--git-dir", str(space.repository), "update-ref", "refs/weir/result", commit)
    return commit


def _disown(work: Path) -> None:
    for directory, names, files in os.walk(work):
        if Path(directory) != work and ".git" in (*names, *files):
            inner = Path(directory) / ".git"
            if inner.is_dir() and not inner.is_symlink():
                shutil.rmtree(inner)
            else:
                inner.unlink()
        names[:] = [name for name in names if name != ".git"]


def difference(repository: Path, base: str, result: str, *words: str) -> bytes:
    """What the agent changed, as a patch that `git apply` takes; or as `words` (`--stat`) ask."""
    how = words or ("--binary", "--full-index")
    return git(
        "--git-dir",
        str(repository),
        "diff",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        *how,
        base,
        result,
    )


def check_out_judged(space: Workspace, result: str, patterns: Sequence[str], directory: Path) -> None:
    """A clean tree of the agent's work in which the tests are those of the beginning."""
    tree = judged(_tree(space, space.base), _tree(space, result), patterns)
    index = space.repository / "judged.index"
    ours = ("--git-dir", str(space.repository))
    git(*ours, "read-tree", "--empty", index=index)
    git(*ours, "update-index", "-z", "--index-info", text=index_lines(tree), index=index)
    made = git(*ours, "write-tree", index=index).decode().strip()
    check_out(
        space, _commit(space.repository, made, space.base, "The agent's work, with its tests"), directory
    )


def _tree(space: Workspace, commit: str) -> Tree:
    return read_tree(git("--git-dir", str(space.repository), "ls-tree", "-r", "-z", commit))


def apply_patch(root: Path, patch: bytes) -> str:
    """Apply a patch to the user's tree, all of it or nothing; why not, or "". Raises AgentError."""
    return users("apply", "--whitespace=nowarn", "-", cwd=root, text=patch)[1]
