"""git, run on repositories of our own making: nobody's configuration, no hooks, bounded in time."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenweir.core.errors import AgentError

TIMEOUT_S = 600
#: An agent writes its workspace, and could write a configuration that runs programs: none is read from there.
_OURS = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "weir run",
    "GIT_AUTHOR_EMAIL": "run@tokenweir.invalid",
    "GIT_COMMITTER_NAME": "weir run",
    "GIT_COMMITTER_EMAIL": "run@tokenweir.invalid",
    "LC_ALL": "C",
}
_PASSED_ON = ("HOME", "TMPDIR")
#: Said to the user's own repository as well, whose configuration an agent that works in place has in its reach.
_QUIET = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")


def git(*words: str, cwd: Path | None = None, text: bytes = b"", index: Path | None = None) -> bytes:
    """What git prints, by nobody's configuration; `index`: in place of the repository's. Raises AgentError."""
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    named = {} if index is None else {"GIT_INDEX_FILE": str(index)}
    done = _run(words, cwd, text, passed | _OURS | named)
    if done.returncode != 0:
        raise AgentError(f"git {words_of(words)} failed: {_last_words(done.stderr)}")
    return done.stdout


def users(*words: str, cwd: Path, text: bytes = b"") -> tuple[bytes, str]:
    """The same in the user's repository, by the user's configuration: what git prints, and why it failed or ""."""
    done = _run((*_QUIET, *words), cwd, text, dict(os.environ))
    return done.stdout, "" if done.returncode == 0 else _last_words(done.stderr) or "git failed"


def says(*words: str, cwd: Path) -> str:
    """One line of it; "" where git says no."""
    line, failed = users(*words, cwd=cwd)
    return "" if failed else line.decode(errors="surrogateescape").rstrip("\n")


def _run(
    words: Sequence[str], cwd: Path | None, text: bytes, environ: Mapping[str, str]
) -> "subprocess.CompletedProcess[bytes]":
    path = _absolute(os.environ.get("PATH", os.defpath))
    program = shutil.which("git", path=path)
    if program is None:
        raise AgentError(
            "git was not found; runs of agents need it: install it, such as by apt-get install git"
        )
    try:
        return subprocess.run(
            [program, *words], cwd=cwd, env={**environ, "PATH": path}, input=text, capture_output=True, check=False,
            timeout=TIMEOUT_S,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise AgentError(f"git {words_of(words)} took longer than {TIMEOUT_S} s") from None


def _absolute(path: str) -> str:
    """A PATH without the directories that depend on where one stands: an agent may have written programs there."""
    return os.pathsep.join(entry for entry in path.split(os.pathsep) if entry.startswith(os.sep))


def _last_words(stderr: bytes) -> str:
    return stderr.decode(errors="replace").strip()[-500:]


def words_of(words: Sequence[str]) -> str:
    """The sub-command, for errors: what comes before it names directories and settings."""
    known = ("--git-dir", "--work-tree", "-c")
    plain = [
        word
        for before, word in zip(("", *words), words, strict=False)
        if before not in known and not word.startswith("-")
    ]
    return plain[0] if plain else ""
