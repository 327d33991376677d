"""The full text of requests and answers of runs that asked for it: files apart from the ledger, for this user alone, for a time.

One compressed file for each call, in a directory for each run. Its name says until when it is kept; whoever looks after that does not
find it. Of a request there is its body, never its headers.
"""

import contextlib
import gzip
import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tokenweir.core.errors import AgentError

ROOM = "texts"
_SUFFIX = ".json.gz"
_UNFINISHED = ".unfinished"  # left by a process that was killed as it wrote
_NAME = re.compile(r"[0-9a-f-]{36}\.(?P<until_s>\d{1,12})\.json\.(?:gz|unfinished)")
#: A directory may be removed as empty just before a file is written into it.
_TRIES = 3
_PLAIN = re.compile(r"\w[\w.-]{0,127}")


class Text(msgspec.Struct, frozen=True, kw_only=True):
    """What was said in one call, in the client's dialect."""

    call: str
    at_us: int
    dialect: str
    request: str
    answer: str  # of a stream, its events
    cut: bool = False  # the answer was longer


def place(data_dir: Path, run: str) -> Path:
    """Where the texts of a run lie."""
    name = run if _PLAIN.fullmatch(run) else hashlib.sha256(run.encode()).hexdigest()
    return data_dir / ROOM / name


def write(data_dir: Path, run: str, text: Text, until_us: int) -> None:
    """Keep it. Raises OSError."""
    file = place(data_dir, run) / f"{text.call}.{-(-until_us // 1_000_000)}{_SUFFIX}"
    data = gzip.compress(msgspec.json.encode(text))
    for left in reversed(range(_TRIES)):
        try:
            _write(file, data)
        except FileNotFoundError:
            if not left:
                raise
        else:
            return


def _write(file: Path, data: bytes) -> None:
    file.parent.parent.mkdir(mode=0o700, exist_ok=True)
    file.parent.mkdir(mode=0o700, exist_ok=True)
    unfinished = file.with_suffix(_UNFINISHED)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        out.write(data)
    unfinished.replace(file)


def read(data_dir: Path, run: str, now_us: int) -> dict[str, Text]:
    """The texts of a run that are still kept, by call. Raises AgentError for one that cannot be read."""
    found = {}
    for file, until_us in _files(place(data_dir, run)):
        if until_us > now_us and file.suffix != _UNFINISHED:
            try:
                text = msgspec.json.decode(gzip.decompress(file.read_bytes()), type=Text)
            except FileNotFoundError:
                continue  # its time has come just now
            except (OSError, EOFError, msgspec.DecodeError) as error:
                raise AgentError(f"{file} cannot be read: {error}") from None
            found[text.call] = text
    return found


def sweep(data_dir: Path, now_us: int) -> int:
    """Remove what has been kept for long enough, in all runs; how many texts that were. Raises OSError."""
    count = 0
    for directory in _directories(data_dir):
        for file, until_us in _files(directory):
            if until_us <= now_us:
                file.unlink(missing_ok=True)
                count += 1
        with contextlib.suppress(OSError):  # it is not empty
            directory.rmdir()
    return count


def forget(data_dir: Path, run: str) -> int:
    """Remove all texts of a run; how many there were."""
    directory = place(data_dir, run)
    count = sum(1 for _ in _files(directory))
    shutil.rmtree(directory, ignore_errors=True)
    return count


def _directories(data_dir: Path) -> list[Path]:
    try:
        return [path for path in (data_dir / ROOM).iterdir() if path.is_dir() and not path.is_symlink()]
    except FileNotFoundError:
        return []


def _files(directory: Path) -> Iterator[tuple[Path, int]]:
    """Texts, and until when each is kept (µs)."""
    try:
        files = sorted(directory.iterdir())
    except FileNotFoundError:
        return
    for file in files:
        found = _NAME.fullmatch(file.name)
        if found is not None:
            yield file, int(found["until_s"]) * 1_000_000
