"""Frames on the ledger's socket: a 4-byte big-endian length, then msgpack."""

import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tokenweir.core.errors import WireError
from tokenweir.ledger.messages import MAX_FRAME_BYTES

_LENGTH = struct.Struct(">I")
_LONGEST_PATH = 107  # of an AF_UNIX address on Linux
_ENCODER = msgspec.msgpack.Encoder()


#: One message as bytes, without a frame.
packed = _ENCODER.encode


def frame(message: msgspec.Struct | Sequence[msgspec.Struct]) -> bytes:
    """The bytes of an answer, or of operations that go together."""
    body = packed(message)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Cuts a stream of bytes into frames."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that are complete now. Raises WireError for one beyond the bound."""
        data = self._pending + data if self._pending else data
        frames, start = [], 0
        while len(data) - start >= 4:
            (length,) = _LENGTH.unpack_from(data, start)
            if length > MAX_FRAME_BYTES:
                raise WireError(f"a frame of {length} bytes; at most {MAX_FRAME_BYTES} are allowed")
            if len(data) - start - 4 < length:
                break
            frames.append(data[start + 4 : start + 4 + length])
            start += 4 + length
        self._pending = data[start:]
        return frames


@contextmanager
def socket_address(path: Path) -> Iterator[str]:
    """An address for `path` that fits AF_UNIX however long the path is: through its directory's descriptor."""
    if len(os.fsencode(path)) <= _LONGEST_PATH:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
