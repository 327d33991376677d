"""A client's connection: bytes in, requests out in their order, answers back in the same order."""

import asyncio
from collections import deque
from typing import Protocol

import httptools

from tokenweir.gateway.config import Limits
from tokenweir.ledger.messages import KeyRecord
from tokenweir.protocol.http import FORWARDED_TO_UPSTREAM, LAST_CHUNK, chunk, continue_head, status_line
from tokenweir.protocol.problems import (
    Problem,
    bad_request,
    body_too_large,
    chat_error,
    headers_too_large,
    overloaded,
    problem_lines,
    request_timeout,
)

HIGH_WATER_BYTES = 256 * 1024
#: After an early refusal the rest of a body is read and thrown away for this long, since a connection closed on
#: unread bytes is reset, and a reset can overtake the refusal.
LINGER_S = 2.0
#: A body may take the body timeout plus what its size takes at this rate.
SLOWEST_BYTES_PER_S = 16 * 1024


class Request:
    """One request, complete once it is handed on. Only the headers that anything here uses are kept."""

    __slots__ = (
        "authorization",
        "body",
        "content_length",
        "expects_continue",
        "forwarded",
        "host_count",
        "keep_alive",
        "key",
        "method",
        "origin",
        "parts",
        "path",
        "refusal",
        "size",
        "upgrade",
        "version",
    )

    def __init__(self) -> None:
        self.method = ""
        self.path = b""
        self.version = "1.1"
        self.authorization = b""
        self.origin = b""
        self.forwarded: list[bytes] = []  # header lines that travel upstream
        self.content_length = 0
        self.host_count = 0
        self.expects_continue = False
        self.upgrade = False
        self.keep_alive = True
        self.parts: list[bytes] = []  # of the body, as they came
        self.size = 0  # bytes of the body so far
        self.body = b""
        self.refusal: Problem | None = None  # decided before the body was read
        self.key: KeyRecord | None = None  # set by the service's screening


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


class ClientConnection(asyncio.Protocol):
    """HTTP/1.1 with keep-alive and pipelining. Parsing is llhttp's, strict: what is ambiguous is refused."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._limits = service.limits
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._request = Request()  # the one being read
        self._current: Request | None = None  # the one being answered
        self._exchange: Exchange | None = None
        self._queue: deque[Request] = deque()  # read, and waiting for their turn
        self._header_bytes = 0  # of the head being read; 0 between requests
        self._in_body = False
        self._discarding = False  # nothing more of this client is parsed
        self._slow = False  # the client does not take what was written
        self._head = b""  # of a streamed answer, until its first bytes
        self._ticks = 0

    # --- asyncio.Protocol

    # uvloop's transports have the methods of asyncio.Transport without deriving from it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        connections = self._service.connections
        connections.add(self)
        if len(connections) > self._limits.max_connections:
            self._refuse(overloaded(f"{self._limits.max_connections} connections are open"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.connections.discard(self)
        self._transport = None
        self._queue.clear()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.client_gone()

    def data_received(self, data: bytes) -> None:
        if self._discarding:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._discarding = True  # the request that asked for it is answered; what follows is not HTTP
        except httptools.HttpParserError:
            if not self._discarding:
                self._refuse(bad_request("The request is not well-formed HTTP/1.1."))

    def pause_writing(self) -> None:
        self._slow = True
        self._ticks = 0
        if self._exchange is not None:
            self._exchange.client_slow()

    def resume_writing(self) -> None:
        self._slow = False
        if self._exchange is not None:
            self._exchange.client_ready()

    # --- httptools

    def on_message_begin(self) -> None:
        self._request = Request()
        self._header_bytes = 1
        self._ticks = 0

    def on_url(self, url: bytes) -> None:
        self._count_header(len(url))
        if not url.startswith(b"/") and b"://" in url:  # absolute form, as proxies send it
            url = b"/" + url.split(b"://", 1)[1].partition(b"/")[2]
        self._request.path += url.partition(b"?")[0]

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header(len(name) + len(value) + 4)
        name = name.lower()
        request = self._request
        if name in FORWARDED_TO_UPSTREAM:
            request.forwarded.append(b"%b: %b\r\n" % (name, value))
        elif name == b"authorization" or (name == b"x-api-key" and not request.authorization):
            request.authorization = value
        elif name == b"content-length":
            request.content_length = int(value)
        elif name == b"host":
            request.host_count += 1
        elif name == b"expect":
            request.expects_continue = value.lower() == b"100-continue"
        elif name == b"origin":
            request.origin = value

    def on_headers_complete(self) -> None:
        parser, request = self._parser, self._request
        self._header_bytes = 0
        self._in_body = True
        request.method = parser.get_method().decode("ascii")
        request.version = parser.get_http_version()
        request.keep_alive = parser.should_keep_alive()
        request.upgrade = parser.should_upgrade()
        if self._current is not None and self._transport is not None:
            self._transport.pause_reading()  # pipelined: read on when its turn has come
        if request.host_count != 1 and (request.host_count or request.version == "1.1"):
            self._refuse(bad_request("A request needs exactly one Host header."))
        elif request.content_length > self._limits.max_body_bytes:
            self._refuse(body_too_large(self._limits.max_body_bytes))
        else:
            self._screen(request)

    def on_body(self, data: bytes) -> None:
        request = self._request
        if self._discarding or request.refusal is not None:
            return
        request.size += len(data)
        if request.size > self._limits.max_body_bytes:
            request.parts.clear()
            self._refuse(body_too_large(self._limits.max_body_bytes))
        else:
            request.parts.append(data)

    def on_message_complete(self) -> None:
        self._in_body = False
        if self._discarding:
            return
        if len(self._queue) >= self._limits.pipeline_depth:
            self._refuse(bad_request("Too many requests were sent without waiting for an answer."))
            return
        request = self._request
        request.body = request.parts[0] if len(request.parts) == 1 else b"".join(request.parts)
        request.parts.clear()
        self._queue.append(request)
        self._next()

    def _count_header(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._limits.max_header_bytes and not self._discarding:
            self._refuse(headers_too_large(self._limits.max_header_bytes))

    def _screen(self, request: Request) -> None:
        """Refuse on the head alone where that is possible: nobody has to send, or we to read, a body for nothing."""
        request.refusal = self._service.screen(request)
        if request.refusal is not None and request.expects_continue:
            self._refuse(request.refusal)
        elif request.expects_continue and self._current is None and self._transport is not None:
            self._transport.write(continue_head())

    def _refuse(self, problem: Problem) -> None:
        """Answer with `problem` in its turn, then close; parse nothing more."""
        self._discarding = True
        self._in_body = False
        self._header_bytes = 0
        request = self._request
        if request in self._queue or request is self._current:
            request = Request()
        request.refusal = problem
        request.keep_alive = False
        self._queue.append(request)
        self._next()

    # --- turns

    def _next(self) -> None:
        if self._current is not None or not self._queue:
            return
        request = self._current = self._queue.popleft()
        if request.refusal is not None:
            self.refuse(request.refusal, b"")
            return
        exchange = self._service.serve(request, self)
        if self._current is request:  # else it was answered at once, and the next one may have begun
            self._exchange = exchange
            if self._slow and exchange is not None:
                exchange.client_slow()

    def _finished(self) -> None:
        """The current answer is written."""
        request, self._current, self._exchange = self._current, None, None
        self._ticks = 0
        transport = self._transport
        if transport is None or request is None:
            return
        if not self._keeps_alive(request):
            self._discarding = True
            self._queue.clear()
            transport.resume_reading()
            if transport.can_write_eof():
                transport.write_eof()  # closed for good when the client closes, or when lingering ends
            else:
                transport.close()
            return
        if self._queue:
            self._next()
        elif not self._discarding:
            transport.resume_reading()

    def _keeps_alive(self, request: Request) -> bool:
        return request.keep_alive and not request.upgrade and not self._service.draining

    # --- answering (used by whoever answers the current request)

    @property
    def wants_stream_end(self) -> bool:
        """Whether an answer of unknown length ends with a last chunk rather than with its connection."""
        return self._current is not None and self._current.version == "1.1"

    def answer(self, status: int, lines: bytes, body: bytes) -> None:
        """A whole answer. `lines` are header lines, each with its line break."""
        request, transport = self._current, self._transport
        if request is None or transport is None:
            return
        close = b"" if self._keeps_alive(request) else b"connection: close\r\n"
        head = b"%b%b%b%bcontent-length: %d\r\n\r\n" % (
            status_line(status),
            self._service.date_line,
            lines,
            close,
            len(body),
        )
        if request.method == "HEAD" or status in (204, 304):
            body = b""
        if len(body) < 65_536:
            transport.write(head + body)
        else:
            transport.writelines((head, body))
        self._finished()

    def refuse(self, problem: Problem, lines: bytes) -> None:
        """A problem as a whole answer."""
        self.answer(problem.status, lines + problem_lines(problem), chat_error(problem))

    def begin(self, status: int, lines: bytes) -> None:
        """The head of a streamed answer; it travels with the first bytes."""
        request = self._current
        if request is None:
            return
        if request.version != "1.1":
            request.keep_alive = False
        framing = b"transfer-encoding: chunked\r\n" if request.version == "1.1" else b""
        close = b"" if self._keeps_alive(request) else b"connection: close\r\n"
        self._head = b"%b%b%b%b%b\r\n" % (status_line(status), self._service.date_line, lines, framing, close)

    def stream(self, data: bytes) -> None:
        """Some bytes of a streamed answer."""
        if self._transport is None or self._current is None or not data:
            return
        framed = chunk(data) if self._current.version == "1.1" else data
        if self._head:
            framed, self._head = self._head + framed, b""
        self._transport.write(framed)

    def end(self, data: bytes) -> None:
        """The last bytes of a streamed answer, and its end."""
        if self._transport is None or self._current is None:
            return
        chunked = self._current.version == "1.1"
        framed = (chunk(data) if data and chunked else data) + (LAST_CHUNK if chunked else b"")
        self._transport.write(self._head + framed)
        self._head = b""
        self._finished()

    def cut(self) -> None:
        """Close now: the answer cannot be made whole."""
        if self._transport is not None:
            self._transport.abort()

    # --- time

    def tick(self) -> None:
        """Called a few times a second: what has taken too long is ended."""
        self._ticks += 1
        waited_s = self._ticks / self._service.ticks_per_s
        if self._discarding and self._current is None:
            if waited_s > LINGER_S:
                self.cut()
        elif self._current is not None:
            if self._slow and waited_s > self._limits.body_timeout_s:
                self.cut()
        elif self._in_body:
            if waited_s > self._limits.body_timeout_s + self._request.size / SLOWEST_BYTES_PER_S:
                self._refuse(request_timeout("The request's body took too long to arrive."))
        elif self._header_bytes:
            if waited_s > self._limits.header_timeout_s:
                self._refuse(request_timeout("The request's headers took too long to arrive."))
        elif waited_s > self._limits.idle_timeout_s:
            self.cut()

    def drain(self) -> None:
        """Close unless a request is being read or answered; then close after it."""
        if self._current is None and not self._in_body and not self._header_bytes:
            self.cut()
