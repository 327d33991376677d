"""A client's connection: bytes in, requests out in their order, one answered at a time."""

import asyncio
from collections import deque

import httptools

from tokenweir.gateway.answering import HIGH_WATER_BYTES, AnsweringConnection, Service
from tokenweir.gateway.request import KEPT, KnownHead, Request, finish_head, known_head, path_of
from tokenweir.protocol.http import continue_head
from tokenweir.protocol.problems import (
    Problem,
    bad_request,
    body_too_large,
    headers_too_large,
    overloaded,
    request_timeout,
    target_too_long,
)

#: After an early refusal the rest of a body is read and thrown away for this long, since a connection closed on
#: unread bytes is reset, and a reset can overtake the refusal.
LINGER_S = 2.0
#: A body may take the body timeout plus what its size takes at this rate.
SLOWEST_BYTES_PER_S = 16 * 1024


class _BodyOf:
    """What a parser of a body alone calls; it knows no heads."""

    def __init__(self, connection: "ClientConnection") -> None:
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete


class ClientConnection(AnsweringConnection):
    """HTTP/1.1 with keep-alive and pipelining. Parsing is llhttp's, strict: what is ambiguous is refused."""

    def __init__(self, service: Service) -> None:
        super().__init__(service)
        self._limits = service.limits
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()  # the one being read
        self._known: KnownHead | None = None  # of the last one that came whole
        self._queue: deque[Request] = deque()  # read, and waiting for their turn
        self._header_bytes = 0  # of the head being read; 0 between requests
        self._headers = 0  # how many
        self._unseen = (
            0  # bytes since the parser last told of something: a header or a chunk's extension grows
        )
        self._in_body = False
        self._discarding = False  # nothing more of this client is parsed

    # --- asyncio.Protocol

    # uvloop's transports have the methods of asyncio.Transport without deriving from it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        connections = self._service.connections
        connections.add(self)
        if len(connections) > 2 * self._limits.max_connections:
            transport.abort()  # even those that are told so have a bound
        elif len(connections) > self._limits.max_connections:
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
        between = self._current is None and not self._in_body and not self._header_bytes
        known = self._known
        if known is not None and between and self._limits is self._service.limits:
            request = known.again(data)
            if request is not None:
                self._ticks = 0
                request.refusal = self._service.screen(request)
                self._queue.append(request)
                self._next()
                return
        self._parse(data)
        if between:
            self._known = known_head(data, self._request)

    def _parse(self, data: bytes) -> None:
        self._unseen += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if not self._discarding:
                self._pass_over_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError as error:
            self.cut()  # a defect of ours, and no fault of the client's: the event loop reports it
            raise (error.__context__ or error) from None
        except httptools.HttpParserError as error:
            if not self._discarding:
                self._refuse(bad_request(f"The request is not well-formed HTTP/1.1: {error}."))
        if self._unseen > 2 * self._limits.max_header_bytes and not self._discarding:
            self._refuse_head()

    def _pass_over_upgrade(self, rest: bytes) -> None:
        """Read the body of a request that asked for another protocol: RFC 9110 section 7.8 lets a server ignore that.

        Java's HttpClient asks for h2c on its first request to any server. httptools ends a message at such a head, so
        a parser of its own reads the body, and the connection ends with the answer.
        """
        headers = self._request.headers
        coding = b"transfer-encoding: chunked" if b"transfer-encoding" in headers else b""
        framing = coding or b"content-length: %b" % headers.get(b"content-length", b"0").strip()
        self._parser = httptools.HttpRequestParser(_BodyOf(self))
        self._parse(b"POST / HTTP/1.1\r\nconnection: close\r\n%b\r\n\r\n" % framing + rest)

    # --- httptools

    def on_message_begin(self) -> None:
        self._request = Request()
        self._limits = self._service.limits
        self._header_bytes = 1
        self._headers = self._unseen = 0
        self._ticks = 0

    def on_url(self, url: bytes) -> None:
        request = self._request
        request.target += url
        if len(request.target) > self._limits.max_target_bytes and not self._discarding:
            request.target = b""
            self._refuse(target_too_long(self._limits.max_target_bytes))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers += 1
        self._header_bytes += len(name) + len(value) + 4
        if self._header_bytes > self._limits.max_header_bytes:
            if not self._discarding:
                self._refuse_head()
        elif (
            not self._in_body
        ):  # else it is a trailer: nobody has use for one, and what came late counts for nothing
            name = name.lower()
            if name in KEPT:
                headers = self._request.headers
                if name in headers:
                    self._request.repeat_header(name, value)
                else:
                    headers[name] = value

    def _refuse_head(self) -> None:
        self._refuse(headers_too_large(self._limits.max_header_bytes, self._limits.max_headers))

    def on_headers_complete(self) -> None:
        if self._discarding:
            return
        if self._headers > self._limits.max_headers:
            self._refuse_head()
            return
        parser, request = self._parser, self._request
        self._header_bytes = 0
        self._in_body = True
        request.method = parser.get_method().decode("ascii")
        request.version = parser.get_http_version()
        request.upgrade = parser.should_upgrade()
        request.keep_alive = parser.should_keep_alive() and not request.upgrade
        if self._current is not None and self._transport is not None:
            self._transport.pause_reading()  # pipelined: read on when its turn has come
        wrong = finish_head(request, self._limits)
        if wrong is not None:
            self._refuse(wrong)
        else:
            self._screen(request)

    def on_body(self, data: bytes) -> None:
        request = self._request
        self._unseen = 0
        if self._discarding:
            return
        request.size += len(data)
        if request.size > request.max_body_bytes:
            request.parts.clear()
            self._refuse(request.refusal or body_too_large(request.max_body_bytes))
        elif request.refusal is None:
            request.parts.append(data)

    def on_message_complete(self) -> None:
        request = self._request
        if request.upgrade and not self._discarding:
            request.upgrade = False  # not complete at all: see _pass_over_upgrade
            return
        self._in_body = False
        self._header_bytes = self._unseen = 0
        if self._discarding:
            return
        if len(self._queue) >= self._limits.pipeline_depth:
            self._refuse(bad_request("Too many requests were sent without waiting for an answer."))
            return
        request.body = request.parts[0] if len(request.parts) == 1 else b"".join(request.parts)
        request.parts.clear()
        self._queue.append(request)
        self._next()

    def _screen(self, request: Request) -> None:
        """Refuse on the head alone where that is possible: nobody has to send, or we to read, a body for nothing."""
        request.refusal = self._service.screen(request)
        if request.refusal is not None and request.expects_continue:
            self._refuse(request.refusal)
        elif request.expects_continue and self._current is None:
            self._ask_for_body(request)

    def _ask_for_body(self, request: Request) -> None:
        request.expects_continue = False
        if self._transport is not None:
            self._transport.write(continue_head())

    def _refuse(self, problem: Problem) -> None:
        """Answer with `problem` in its turn, then close; parse nothing more."""
        self._discarding = True
        self._in_body = False
        self._header_bytes = 0
        request = self._request
        if request in self._queue or request is self._current:
            request = Request()
        request.path = request.path or path_of(request.target) or b"*"  # it says how errors look
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
            self.refuse(request.refusal, self._service.lines(request))
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
            if self._in_body and self._request.expects_continue:
                self._ask_for_body(self._request)

    # --- time

    def tick(self) -> None:
        """Called a few times a second: what has taken too long is ended."""
        self._ticks += 1
        waited_s = self._ticks / self._service.ticks_per_s
        if self._discarding and self._current is None:
            # What the client has yet to take may take its time; what it goes on to send is waited for only briefly.
            if waited_s > (self._limits.body_timeout_s if self._unsent() else LINGER_S):
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

    @property
    def is_busy(self) -> bool:
        """Whether a request is being read or answered, or an answer has yet to leave."""
        reading = self._in_body or self._header_bytes > 0
        return self._current is not None or reading or self._unsent() > 0

    def drain(self) -> None:
        """Close, unless it is busy; then it closes after the answer."""
        if not self.is_busy:
            self.cut()
