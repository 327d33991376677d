"""Records of runs: a directory for each, below the ledger's. What was written when a run began is never changed.

Money is the ledger's; what stands here of it was read there when the run ended.
"""

import shutil
from pathlib import Path
from typing import TypeVar

import msgspec

from tokenweir.agents.verdict import Check, Ending, Verdict
from tokenweir.core.errors import AgentError

ROOM = "runs"
_START, _END, _PATCH = "start.json", "end.json", "changes.patch"

Record = TypeVar("Record", bound=msgspec.Struct)


class RunStart(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when a run begins. No text of the task."""

    id: str
    agent: str
    version: str
    model: str
    task_digest: str  # SHA-256
    account: str
    key: str  # the key's id
    limits: tuple[str, ...]  # as `parse_limit` reads them
    time_s: int
    started_us: int
    after_seq: int  # its calls are among the ledger's entries after this one …
    root: str  # the user's tree
    base: str  # the commit that it began from
    in_place: bool
    sandbox: str  # in words
    verify: str
    pid: int  # of `weir run`
    keep_text_s: int = 0  # each call's text is kept for so long


class Tokens(msgspec.Struct, frozen=True):
    """Disjoint classes."""

    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What is known when it has ended."""

    ended_us: int
    duration_us: int
    verdict: Verdict
    ending: Ending
    check: Check
    exit_code: int
    upto_seq: int = 0  # … and up to this one
    words: str = ""  # what there is to say of it
    calls: int = 0
    refused: int = 0  # requests, after or without a budget
    open: int = 0  # calls not settled yet
    tokens: Tokens = Tokens()
    cost: dict[str, str] = {}  # exact decimals by currency, as metered
    unpriced: int = 0
    own_cost: str = ""  # what the agent says that it cost, where it says so
    files_changed: int = 0
    left_processes: int = 0  # that the agent had started and not ended, ended with it
    tool_calls: int = 0
    withheld: int = 0  # answers that asked for more tools than were left
    last_tool: str = ""


class Run(msgspec.Struct, frozen=True):
    """Both; `end` is None while it runs, or where `weir run` was killed."""

    start: RunStart
    end: RunEnd | None


class Records:
    """The directory that all of them lie in."""

    def __init__(self, data_dir: Path) -> None:
        self._root = data_dir / ROOM

    def place(self, run: str) -> Path:
        """Where one run's files lie."""
        return self._root / run

    def make(self, run: str) -> Path:
        """A place for a new run, for this user alone. Raises AgentError."""
        place = self.place(run)
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
            place.mkdir(mode=0o700)
        except OSError as error:
            raise AgentError(f"{place} cannot be made: {error.strerror}") from None
        return place

    def begin(self, start: RunStart) -> None:
        """Write what a run begins with."""
        _write(self.place(start.id) / _START, start)

    def finish(self, run: str, end: RunEnd, patch: bytes) -> None:
        """Write how it ended."""
        (self.place(run) / _PATCH).write_bytes(patch)
        _write(self.place(run) / _END, end)

    def all(self) -> list[Run]:
        """Every run that has begun, oldest first. Raises AgentError for one that cannot be read."""
        places = [path.parent for path in self._root.glob(f"*/{_START}")]
        return sorted(map(_read, places), key=lambda run: (run.start.started_us, run.start.id))

    def find(self, word: str) -> Run:
        """The run with this id, or whose id alone begins so; "last" is the newest. Raises AgentError."""
        if (self.place(word) / _START).is_file() and "/" not in word:
            return _read(self.place(word))
        runs = self.all()
        found = runs[-1:] if word == "last" else [run for run in runs if run.start.id.startswith(word)]
        if len(found) != 1:
            what = f"{len(found)} runs have ids that begin with" if found else "there is no run"
            raise AgentError(f"{what} {word!r}; `weir runs list` shows them")
        return found[0]

    def patch(self, run: str) -> bytes:
        """What its agent changed, as git writes it. Raises AgentError."""
        try:
            return (self.place(run) / _PATCH).read_bytes()
        except OSError:
            raise AgentError(f"run {run} has left no changes that could be read: it has not ended") from None

    def clear(self, run: str, *names: str) -> None:
        """Remove what is not needed any more, also what an agent made unwritable."""
        for name in names:
            path = self.place(run) / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


def _write(file: Path, record: msgspec.Struct) -> None:
    unfinished = file.with_suffix(".unfinished")
    try:
        unfinished.write_bytes(msgspec.json.format(msgspec.json.encode(record)) + b"\n")
        unfinished.replace(file)
    except OSError as error:
        raise AgentError(f"{file} cannot be written: {error.strerror}") from None


def _read(place: Path) -> Run:
    end = place / _END
    return Run(_decoded(place / _START, RunStart), _decoded(end, RunEnd) if end.is_file() else None)


def _decoded(file: Path, kind: type[Record]) -> Record:
    try:
        return msgspec.json.decode(file.read_bytes(), type=kind)
    except OSError as error:
        raise AgentError(f"{file} cannot be read: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise AgentError(f"{file} is no record of a run: {error}") from None
