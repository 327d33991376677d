"""The listening sockets: bound before the workers start, one each, so that the kernel spreads connections."""

import errno
import os
import socket

from tokenweir.core.errors import TokenweirError

BACKLOG = 2048
_NO_ADDRESS = "{!r} is no address of this machine; use 127.0.0.1, or 0.0.0.0 for all"


class ListenError(TokenweirError):
    """The address cannot be listened on."""


def bind_all(host: str, port: int, count: int) -> tuple[list[socket.socket], int]:
    """`count` listening sockets on one port, and the port (chosen here for 0). Raises ListenError."""
    family, address = _resolve(host, port)
    if port:
        _probe(family, address, host, port)
    chosen = port
    sockets: list[socket.socket] = []
    try:
        for _ in range(count):
            sockets.append(_listen(family, address))
            chosen = int(sockets[0].getsockname()[1])
            address = (address[0], chosen, *address[2:])
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise _explained(error, host, port) from None
    return sockets, chosen


def _resolve(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, UnicodeError):
        raise ListenError(_NO_ADDRESS.format(host)) from None
    family, _, _, _, address = found[0]
    return family, address


def _probe(family: int, address: tuple[object, ...], host: str, port: int) -> None:
    """Bind once without SO_REUSEPORT: with it, a second gateway of this user would share the port unseen."""
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
        except OSError as error:
            raise _explained(error, host, port) from None


def _listen(family: int, address: tuple[object, ...]) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(address)
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _explained(error: OSError, host: str, port: int) -> ListenError:
    if error.errno == errno.EADDRINUSE:
        return ListenError(
            f"port {port} of {host} is in use by another program; choose another with --port, "
            "or --port 0 for any free one"
        )
    if error.errno == errno.EACCES:
        return ListenError(f"port {port} needs root's rights; choose one above 1023 with --port")
    if error.errno == errno.EADDRNOTAVAIL:
        return ListenError(_NO_ADDRESS.format(host))
    return ListenError(f"{host} port {port} cannot be listened on: {os.strerror(error.errno or 0)}")


def url_of(host: str, port: int) -> str:
    """The address as a client on this machine uses it."""
    shown = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}.get(host, host)
    shown = f"[{shown}]" if ":" in shown and not shown.startswith("[") else shown
    return f"http://{shown}:{port}"
