"""What the supervisor tells a worker: a new GatewayConfig, as JSON (hosts hold some) behind a 4-byte big-endian length."""

import socket
import struct

import msgspec

from tokenweir.gateway.config import GatewayConfig

#: A worker that takes nothing for this long is stuck.
SEND_TIMEOUT_S = 5.0
_LENGTH = struct.Struct(">I")


def pair() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end and the worker's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.settimeout(SEND_TIMEOUT_S)
    theirs.setblocking(False)
    return ours, theirs


def frame(config: GatewayConfig) -> bytes:
    """The bytes of one message."""
    body = msgspec.json.encode(config)
    return _LENGTH.pack(len(body)) + body


def send(control: socket.socket, config: GatewayConfig) -> bool:
    """Whether the worker took all of it; after False the connection is of no more use."""
    try:
        control.sendall(frame(config))
    except OSError:
        return False
    return True
