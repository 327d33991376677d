"""One file over HTTP to disk: resumed, checked, retried, and put in its place whole. Blocking; no threads."""

import fcntl
import hashlib
import http.client
import os
import shutil
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import msgspec

from tokenweir.core.errors import EngineError
from tokenweir.engines.hub_http import (
    MAX_FAILURES,
    TryAgainError,
    authorization,
    open_url,
    pause_after,
    reason_of,
)
from tokenweir.engines.model_reference import sha256_or_nothing

PIECE_BYTES = 1024 * 1024
#: Left free on the disk.
SPARE_BYTES = 64 * 1024 * 1024

#: Called with the bytes that are there and the bytes there will be (0: unknown).
Progress = Callable[[int, int], None]


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What to get."""

    url: str
    size_bytes: int = 0  # 0: unknown
    sha256: str = ""  # empty: unknown
    token: str = ""  # for the first host alone

    def __repr__(self) -> str:
        return f"Wanted(url={self.url!r})"  # without the token


class _Partial(msgspec.Struct):
    """What is known of the file that is partly there; kept beside it."""

    url: str
    sha256: str
    etag: str


def download(
    wanted: Wanted, target: Path, progress: Progress, sleep: Callable[[float], None] = time.sleep
) -> str:
    """Get the file to `target` and return its SHA-256. What is partly there from before is gone on with.

    Raises EngineError: refused, given up, no room, or a wrong checksum twice.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _part_of(target).open("a+b") as part:
        try:
            fcntl.flock(part, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EngineError(f"another process is downloading {target.name}; wait for it") from None
        sha256 = _Transfer(wanted, target, part, progress).run(sleep)
        os.fsync(part.fileno())
        _part_of(target).replace(target)
    _notes_of(target).unlink(missing_ok=True)
    directory = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
    return sha256


def _part_of(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _notes_of(target: Path) -> Path:
    return target.with_name(target.name + ".part.json")


class _Transfer:
    """The tries of one download."""

    def __init__(self, wanted: Wanted, target: Path, part: BinaryIO, progress: Progress) -> None:
        self._wanted = wanted
        self._target = target
        self._part = part
        self._progress = progress
        self._sha256 = wanted.sha256
        self._etag = ""
        self._total = wanted.size_bytes
        self._hash = hashlib.sha256()
        self._done = 0

    def run(self, sleep: Callable[[float], None]) -> str:
        """Try until the file is whole and right; returns its hash."""
        self._recall()
        failures, wrong = 0, 0
        while True:
            before = self._done
            try:
                self._try()
            except TryAgainError as error:
                failures = 1 if self._done > before else failures + 1
                if failures >= MAX_FAILURES:
                    raise EngineError(
                        f"{error}; gave up after {failures} tries; run it again to go on from here"
                    ) from None
                sleep(max(pause_after(failures), error.pause_s))
                continue
            found = self._hash.hexdigest()
            if not self._sha256 or found == self._sha256:
                return found
            wrong += 1
            self._restart()
            if wrong == 2:
                raise EngineError(f"{self._target.name} came twice with a wrong checksum ({found[:12]}…)")

    def _recall(self) -> None:
        """Take up what is partly there, if it is of the same file."""
        try:
            notes = msgspec.json.decode(_notes_of(self._target).read_bytes(), type=_Partial)
        except (OSError, msgspec.MsgspecError):
            notes = _Partial("", "", "")
        same = notes.sha256 == self._wanted.sha256 if self._wanted.sha256 else notes.etag != ""
        if notes.url != self._wanted.url or not same:
            self._restart()
            return
        self._etag = notes.etag
        self._part.seek(0)
        while piece := self._part.read(PIECE_BYTES):
            self._hash.update(piece)
            self._done += len(piece)
        if self._total and self._done > self._total:
            self._restart()

    def _restart(self) -> None:
        self._part.truncate(0)
        self._hash = hashlib.sha256()
        self._done = 0
        self._etag = ""

    def _try(self) -> None:
        """Get what is missing. Raises TryAgainError when some still is."""
        if self._total and self._done == self._total:
            return
        headers = {"Accept-Encoding": "identity", **authorization(self._wanted.token)}
        if self._done:
            headers["Range"] = f"bytes={self._done}-"
            if self._etag:
                headers["If-Range"] = self._etag
        try:
            answer, linked = open_url(self._wanted.url, headers)
        except TryAgainError as error:
            if error.status == 416:  # it has changed and is shorter now
                self._restart()
            raise
        with answer:
            self._accept(answer, linked)
            self._check_room()
            self._receive(answer)

    def _accept(self, answer: http.client.HTTPResponse, linked: str) -> None:
        """Find out where these bytes belong."""
        length = answer.headers.get("Content-Length", "")
        etag = answer.headers.get("ETag", "")
        if answer.status == 206:
            begin, total = _content_range(answer.headers.get("Content-Range", ""))
            if begin != self._done or (self._etag and etag and etag != self._etag):
                self._restart()
                raise TryAgainError("the server went on elsewhere than asked")
        else:
            if self._done:
                self._restart()
            total = int(length) if length.isdecimal() else 0
        if self._wanted.size_bytes and total and total != self._wanted.size_bytes:
            raise EngineError(
                f"{self._target.name} has {total:,} bytes, not the {self._wanted.size_bytes:,} listed"
            )
        self._total = total or self._wanted.size_bytes
        self._etag = etag if not etag.startswith("W/") else ""
        self._sha256 = self._sha256 or sha256_or_nothing(linked)
        notes = _Partial(self._wanted.url, self._wanted.sha256, self._etag)
        _notes_of(self._target).write_bytes(msgspec.json.encode(notes))

    def _check_room(self) -> None:
        free = shutil.disk_usage(self._target.parent).free
        missing = self._total - self._done
        if missing + SPARE_BYTES > free:
            raise EngineError(
                f"{self._target.name} needs {missing / 1e9:.1f} GB more, and {free / 1e9:.1f} GB are free "
                f"on the disk of {self._target.parent}"
            )

    def _receive(self, answer: http.client.HTTPResponse) -> None:
        try:
            while piece := answer.read1(PIECE_BYTES):
                self._done += len(piece)
                if self._total and self._done > self._total:
                    self._restart()
                    raise TryAgainError("the server sent more than it said")
                self._part.write(piece)
                self._hash.update(piece)
                self._progress(self._done, self._total)
        except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
            raise TryAgainError(f"the connection broke: {reason_of(error)}") from None
        finally:
            self._part.flush()
        if self._done < self._total:
            raise TryAgainError("the connection ended early")


def _content_range(text: str) -> tuple[int, int]:
    """The first byte and the whole length of "bytes 5-9/10"; -1 where it says neither."""
    unit, _, rest = text.partition(" ")
    span, _, total = rest.partition("/")
    begin = span.partition("-")[0]
    if unit != "bytes" or not begin.isdecimal():
        return -1, 0
    return int(begin), int(total) if total.isdecimal() else 0
