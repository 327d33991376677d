"""Settlements that wait on local disk while the ledger's writer is away.

Each worker appends to a file of its own below `DATA/spill`, which it holds locked as long as it lives. A file that
nobody holds was left by a worker that died: the writer takes it in. A record is a 4-byte length and a CRC-32 (both
big-endian), then the operation as msgpack; what follows the last whole record was never confirmed to anyone.
"""

import fcntl
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tokenweir.ledger.messages import CloseAttempt, DefinePrice

DIRECTORY = "spill"
SUFFIX = ".spill"
#: A worker's file never grows beyond this; what does not fit waits in memory.
MOST_BYTES = 64 * 1024 * 1024
_TRIES = 10  # the writer may take a file in between its making and its locking

_HEAD = struct.Struct(">II")

Spilled = CloseAttempt | DefinePrice


def record(body: bytes) -> bytes:
    """A record around the msgpack of an operation."""
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


class Spill:
    """One worker's file. It comes into being with its first record."""

    def __init__(self, data_dir: Path, worker: str, *, sync: bool) -> None:
        self._directory = data_dir / DIRECTORY
        self._worker = worker
        self._sync = sync
        self._file = -1
        self._path = Path()
        self._length = 0

    def append(self, records: bytes) -> None:
        """Add whole records, durably, or nothing. Raises OSError."""
        if self._length + len(records) > MOST_BYTES:
            raise OSError(f"{self._path} would grow beyond {MOST_BYTES} bytes")
        if self._file < 0:
            self._create()
        try:
            written = os.pwrite(self._file, records, self._length)
            if written != len(records):
                raise OSError(f"{self._path}: only {written} of {len(records)} bytes could be written")
            if self._sync:
                os.fdatasync(self._file)
        except OSError:
            os.ftruncate(self._file, self._length)
            raise
        self._length += len(records)

    def clear(self) -> None:
        """All of it is in the ledger."""
        if self._length:
            os.ftruncate(self._file, 0)
            self._length = 0

    def close(self) -> None:
        """Let go of the file. What still waits in it is the writer's to take in."""
        if self._file >= 0:
            if not self._length:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _create(self) -> None:
        self._directory.mkdir(mode=0o700, exist_ok=True)
        for _ in range(_TRIES):
            number, name = tempfile.mkstemp(SUFFIX, f"{self._worker}-", self._directory)
            if _lock(number) and os.fstat(number).st_nlink:
                self._file, self._path = number, Path(name)
                if self._sync:
                    _sync_directory(self._directory)
                return
            os.close(number)
        raise OSError(f"no file could be made in {self._directory}")


class Left:
    """A file that a dead worker left. It is held until `remove`."""

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self._number = number
        data = path.read_bytes()
        decoder = msgspec.msgpack.Decoder(Spilled)
        self.operations: list[Spilled] = []
        self.unread = len(data)  # bytes behind the last whole record
        for start, body in _bodies(data):
            try:
                self.operations.append(decoder.decode(body))
            except msgspec.MsgspecError:
                return
            self.unread = len(data) - start - _HEAD.size - len(body)

    def remove(self) -> None:
        """Its operations are in the ledger. What could not be read stays, under another name, for a person to see."""
        if self.unread:
            self.path.replace(self.path.with_suffix(".damaged"))
        else:
            self.path.unlink()
        os.close(self._number)


def left_behind(data_dir: Path) -> Iterator[Left]:
    """The files of workers that are no more."""
    for path in sorted((data_dir / DIRECTORY).glob(f"*{SUFFIX}")):
        try:
            number = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its worker has just ended in order
        if _lock(number):
            yield Left(path, number)
        else:
            os.close(number)


def _bodies(data: bytes) -> Iterator[tuple[int, bytes]]:
    start = 0
    while len(data) - start >= _HEAD.size:
        length, crc = _HEAD.unpack_from(data, start)
        body = data[start + _HEAD.size : start + _HEAD.size + length]
        if len(body) != length or zlib.crc32(body) != crc:
            return
        yield start, body
        start += _HEAD.size + length


def _lock(number: int) -> bool:
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _sync_directory(path: Path) -> None:
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
