"""The workers' counters, asked of the writer by a process that is no worker."""

import socket
from pathlib import Path

import msgspec

from tokenweir.core.errors import LedgerError, WireError
from tokenweir.ledger.frames import FrameReader, frame, socket_address
from tokenweir.ledger.messages import Answer, CountersResult, ReadCounters
from tokenweir.ledger.schema import SOCKET_NAME

ANSWER_TIMEOUT_S = 2.0


def read_counters(data_dir: Path) -> dict[str, float]:
    """The sum over all workers, each as of its last second. Raises LedgerError where no writer answers."""
    decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
    frames = FrameReader()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_TIMEOUT_S)
        try:
            with socket_address(data_dir / SOCKET_NAME) as address:
                sock.connect(address)
            sock.sendall(frame([ReadCounters(1)]))
            while data := sock.recv(65_536):
                for body in frames.feed(data):
                    answer = decoder.decode(body)
                    if isinstance(answer, CountersResult):
                        return answer.values
        except (OSError, WireError, msgspec.MsgspecError) as error:
            raise LedgerError(f"the ledger's writer did not tell its counters: {error}") from None
    raise LedgerError("the ledger's writer hung up before it told its counters")
