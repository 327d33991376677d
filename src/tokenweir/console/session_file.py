"""Sessions that outlive the control process: a file of the data directory that only its user may read, without a token in it."""

import os
import stat
import sys
from pathlib import Path

import msgspec

NAME = "console-sessions.json"
MODE = 0o600
#: A session's times are of the calendar; one that begins further in the future than a corrected clock explains is not believed.
MOST_AHEAD_US = 300_000_000


class Kept(msgspec.Struct, frozen=True):
    """A session: the hash of its token, whose it is, what that key and its password were (a hash, too), and its times."""

    hash: bytes
    key: str
    mark: bytes
    began_us: int
    seen_us: int


def read_sessions(data_dir: Path, now_us: int) -> list[Kept]:
    """Those that were kept; none, and why in the log, where the file cannot be believed."""
    path = data_dir / NAME
    try:
        with path.open("rb") as file:
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
                print(
                    f"weir: console: {path} is not this user's alone; nobody stays signed in", file=sys.stderr
                )
                return []
            kept = msgspec.json.decode(file.read(), type=list[Kept])
    except FileNotFoundError:
        return []
    except (OSError, msgspec.DecodeError) as error:
        print(f"weir: console: {path} cannot be read, nobody stays signed in: {error}", file=sys.stderr)
        return []
    return [one for one in kept if max(one.began_us, one.seen_us) <= now_us + MOST_AHEAD_US]


def write_sessions(data_dir: Path, kept: list[Kept]) -> None:
    """In the place of what was there, at once. A disk that is full signs nobody out; it is in the log."""
    path = data_dir / NAME
    fresh = path.with_suffix(".new")
    try:
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, MODE), "wb") as file:
            file.write(msgspec.json.encode(kept))
        fresh.replace(path)
    except OSError as error:
        print(f"weir: console: {path} cannot be written: {error}", file=sys.stderr, flush=True)
