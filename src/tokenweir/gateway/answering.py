"""The answering half of a client's connection: one answer at a time, whole or in pieces, no faster than it is read."""

import asyncio
from typing import TYPE_CHECKING, Protocol

from tokenweir.gateway.config import Limits
from tokenweir.gateway.request import Request
from tokenweir.protocol.http import CHUNK, LAST_CHUNK, status_line
from tokenweir.protocol.problems import Problem, problem_lines
from tokenweir.protocol.wires import error_body, error_kind

if TYPE_CHECKING:
    from tokenweir.gateway.inbound import ClientConnection

#: What may wait to be taken by a client before its upstream is held back.
HIGH_WATER_BYTES = 256 * 1024
#: Head and body of an answer up to this size are joined, so that they leave in one packet.
_JOINED_BYTES = 64 * 1024
#: Answers that have no body, and no length of one (RFC 9110, section 8.6).
BODILESS = frozenset({204, 304})


class Exchange(Protocol):
    """What answers a request; it calls the connection back."""

    def client_gone(self) -> None:
        """The client hung up before its answer was whole."""
        ...

    def client_slow(self) -> None:
        """The client does not read; hold the upstream back."""
        ...

    def client_ready(self) -> None:
        """The client reads again."""
        ...


class Service(Protocol):
    """What the connection needs of the worker."""

    limits: Limits
    date_line: bytes  # the Date header of this second
    draining: bool
    ticks_per_s: float
    connections: set["ClientConnection"]

    def screen(self, request: Request) -> Problem | None:
        """Look at a request's head before its body is read."""
        ...

    def serve(self, request: Request, client: "ClientConnection") -> Exchange | None:
        """Answer, now or later; None when it was answered at once."""
        ...

    def lines(self, request: Request) -> bytes:
        """Header lines of an answer that no call gives: its id, and what a browser wants to know."""
        ...


class AnsweringConnection(asyncio.Protocol):
    """Writes the answer of the current request, and tells its exchange when the client does not keep up."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._transport: asyncio.Transport | None = None
        self._current: Request | None = None  # the one being answered
        self._exchange: Exchange | None = None
        self._slow = False  # the client does not take what was written
        self._head = b""  # of a streamed answer, until its first bytes
        self._ticks = 0  # since something last changed

    def _finished(self) -> None:
        """The current answer is written."""
        raise NotImplementedError

    # --- asyncio.Protocol: flow control

    def pause_writing(self) -> None:
        self._slow = True
        self._ticks = 0
        if self._exchange is not None:
            self._exchange.client_slow()

    def resume_writing(self) -> None:
        self._slow = False
        if self._exchange is not None:
            self._exchange.client_ready()

    # --- used by whoever answers the current request

    @property
    def is_slow(self) -> bool:
        """Whether the client has yet to take what was written."""
        return self._slow

    @property
    def peer(self) -> bytes:
        """The address that the client connects from; empty where it has none, or is gone."""
        name = None if self._transport is None else self._transport.get_extra_info("peername")
        return str(name[0]).encode("ascii", "replace") if isinstance(name, tuple) and name else b""

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """A whole answer. `lines` are header lines, each with its line break."""
        request, transport = self._current, self._transport
        if request is None or transport is None:
            return
        if status in BODILESS:
            length, body = b"", b""
        else:
            length = b"content-length: %d\r\n" % len(body)
        head = b"%b%b%b%b%b\r\n" % (
            status_line(status),
            self._service.date_line,
            lines,
            length,
            self._connection_line(request),
        )
        if request.method == "HEAD":
            body = b""
        if len(body) < _JOINED_BYTES:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        self._finished()

    def refuse(self, problem: Problem, lines: bytes) -> None:
        """A problem as a whole answer."""
        request = self._current
        if request is not None:
            told = error_body(request.path, anthropic=request.is_anthropic)(problem)
            self.answer(problem.status, lines + problem_lines(problem, error_kind(request.path)), told)

    def begin(self, status: int, lines: bytes) -> None:
        """The head of a streamed answer; it travels with the first bytes."""
        request = self._current
        if request is None:
            return
        if request.version != "1.1":
            request.keep_alive = False
        framing = b"transfer-encoding: chunked\r\n" if request.version == "1.1" else b""
        self._head = b"%b%b%b%b%b\r\n" % (
            status_line(status),
            self._service.date_line,
            lines,
            framing,
            self._connection_line(request),
        )

    def stream(self, data: bytes) -> None:
        """Some bytes of a streamed answer."""
        if self._transport is None or self._current is None or not data:
            return
        framed = CHUNK % (len(data), data) if self._current.version == "1.1" else data
        if self._head:
            framed, self._head = self._head + framed, b""
        self._transport.write(framed)

    def end(self, data: bytes) -> None:
        """The last bytes of a streamed answer, and its end."""
        if self._transport is None or self._current is None:
            return
        chunked = self._current.version == "1.1"
        framed = (CHUNK % (len(data), data) if data and chunked else data) + (LAST_CHUNK if chunked else b"")
        self._transport.write(self._head + framed)
        self._head = b""
        self._finished()

    def cut(self) -> None:
        """Close now: the answer cannot be made whole."""
        if self._transport is not None:
            self._transport.abort()

    # --- of use to both halves

    def _keeps_alive(self, request: Request) -> bool:
        return request.keep_alive and not self._service.draining

    def _connection_line(self, request: Request) -> bytes:
        """What is not the default of the client's version has to be said."""
        if not self._keeps_alive(request):
            return b"connection: close\r\n"
        return b"" if request.version == "1.1" else b"connection: keep-alive\r\n"

    def _unsent(self) -> int:
        return 0 if self._transport is None else self._transport.get_write_buffer_size()
