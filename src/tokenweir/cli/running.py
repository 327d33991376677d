"""How a data directory's gateway is found: it holds `up.lock` while it lives; `up.json` says where."""

import fcntl
import os
import time
from pathlib import Path

import msgspec

from tokenweir.core.errors import LedgerError, TokenweirError

LOCK_NAME = "up.lock"
STATUS_NAME = "up.json"
#: A look by `find_running` holds the lock for a moment; that of a killed gateway is freed a moment later.
LOCK_TRIES = 10
LOCK_PAUSE_S = 0.03


class AlreadyRunningError(TokenweirError):
    """Another `weir up` serves the same data directory."""


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """What `up.json` holds. No secrets."""

    pid: int
    address: str  # "http://127.0.0.1:8787"
    started_us: int
    version: str
    workers: int
    models: int
    config: str = ""  # the settings' file


def prepare_data_dir(directory: Path) -> None:
    """Make the directory, for this user only, and see that it can be written. Raises LedgerError."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"the data directory {directory} cannot be made: {error.strerror}; choose another with --data"
        ) from None
    if not os.access(directory, os.W_OK | os.X_OK):
        raise LedgerError(
            f"the data directory {directory} cannot be written; change its owner or choose another --data"
        )


def take_lock(directory: Path) -> int:
    """The descriptor of `up.lock`, held until it is closed. Raises AlreadyRunningError or LedgerError."""
    try:
        lock = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(f"{directory / LOCK_NAME} cannot be opened: {error.strerror}") from None
    if not _lock_within(lock, LOCK_TRIES):
        os.close(lock)
        status = _read(directory)
        who = f" (process {status.pid}, {status.address})" if status else ""
        raise AlreadyRunningError(
            f"`weir up` already runs on {directory}{who}; use that one, stop it, or choose another --data"
        ) from None
    return lock


def _lock_within(lock: int, tries: int) -> bool:
    for left in reversed(range(tries)):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if left:
                time.sleep(LOCK_PAUSE_S)
        else:
            return True
    return False


def write_status(directory: Path, status: Status) -> None:
    """Replace `up.json` as a whole. Raises LedgerError."""
    unfinished = directory / f"{STATUS_NAME}.unfinished"
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(status)) + b"\n")
        unfinished.replace(directory / STATUS_NAME)
    except OSError as error:
        raise LedgerError(f"{directory / STATUS_NAME} cannot be written: {error.strerror}") from None


def remove_status(directory: Path) -> None:
    """The gateway is gone."""
    (directory / STATUS_NAME).unlink(missing_ok=True)


def find_running(directory: Path) -> Status | None:
    """The gateway that serves this data directory now; a file left behind by a killed one does not count."""
    try:
        lock = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _read(directory)
    finally:
        os.close(lock)
    return None


def settings_file(status: Status, usual: str) -> Path:
    """The settings' file that a gateway reads: the one it began with, or the usual one of its directory."""
    try:
        beside = Path(f"/proc/{status.pid}/cwd").readlink()
    except OSError:
        beside = Path.cwd()
    return beside / (status.config or usual)


def _read(directory: Path) -> Status | None:
    try:
        return msgspec.json.decode((directory / STATUS_NAME).read_bytes(), type=Status)
    except (OSError, msgspec.DecodeError):
        return None  # it is about to be written: the lock is taken first
