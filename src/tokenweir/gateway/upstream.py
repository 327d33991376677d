"""Connections to one upstream: made, kept, watched and reused."""

import asyncio
import select
import ssl
import zlib
from enum import Enum
from typing import Protocol

import httptools

from tokenweir.gateway.config import UpstreamConfig
from tokenweir.gateway.dial import describe, dial, tls_context
from tokenweir.gateway.pool import Connect, Full, PoolState, Reuse

#: An idle connection older than this many ticks is asked whether its peer closed it before it is used again.
SUSPECT_TICKS = 2
IDLE_TICKS_MAX = 240
HIGH_WATER_BYTES = 256 * 1024


class Fault(Enum):
    """Why an attempt got no whole answer."""

    CONNECT = "could not connect"
    CONNECT_TIMEOUT = "took too long to connect"
    BUSY = "has no free connection"
    BROKE = "closed the connection"
    TIMEOUT = "took too long to answer"
    STALLED = "stopped in the middle of its answer"
    MALFORMED = "did not answer in HTTP"


class AnswerSink(Protocol):
    """Who gets the answer: an attempt of a call."""

    def connected(self, connection: "UpstreamConnection") -> None:
        """A connection is there: send."""
        ...

    def answer_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The answer's status and headers (lower-case names)."""
        ...

    def answer_data(self, data: bytes) -> None:
        """Some bytes of the answer's body."""
        ...

    def answer_end(self) -> None:
        """The answer is whole."""
        ...

    def answer_fault(self, fault: Fault, detail: str) -> None:
        """There will be no more; `detail` is in words and holds no secret."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """One HTTP/1.1 connection: one request at a time."""

    def __init__(self, owner: "Upstream") -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._sink: AnswerSink | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._answered = False  # a final status has come
        self._framed = False  # the body's end is known from its head
        self._inflate: zlib._Decompress | None = None
        self.ticks = 0  # since the last byte, or since it became idle
        self.got_bytes = False

    # --- used by the upstream and by the attempt

    def send(self, sink: AnswerSink, head: bytes, body: bytes) -> None:
        """Send one request; its answer goes to `sink`."""
        assert self._transport is not None
        self._sink = sink
        self._answered = self.got_bytes = False
        self.ticks = 0
        self._transport.writelines((head, body))

    def abandon(self) -> None:
        """Nobody wants the answer any more. Closing is what stops an upstream from generating on."""
        self._sink = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """The client reads slower than the upstream writes."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        self.ticks = 0
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def is_stale(self) -> bool:
        """Whether the peer closed, or said something unasked, while this connection was idle."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return True
        if self.ticks < SUSPECT_TICKS:
            return False
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLHUP)
        return bool(poll.poll(0))

    def tick(self, config: UpstreamConfig, ticks_per_s: float) -> None:
        """Called a few times a second: close what has waited too long."""
        self.ticks += 1
        if self._sink is None:
            if self.ticks > IDLE_TICKS_MAX:
                self.abandon()
            return
        allowed_s = config.between_bytes_timeout_s if self.got_bytes else config.first_byte_timeout_s
        if self.ticks > allowed_s * ticks_per_s:
            self._fail(
                Fault.STALLED if self.got_bytes else Fault.TIMEOUT, f"nothing came for {allowed_s:g} s"
            )

    # --- asyncio.Protocol

    # uvloop's transports have the methods of asyncio.Transport without deriving from it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._owner.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self.ticks = 0
        if self._sink is None:  # unasked: nothing good can follow
            self.abandon()
            return
        self.got_bytes = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Fault.MALFORMED, "it switched protocols unasked")
        except (httptools.HttpParserError, zlib.error) as error:
            self._fail(Fault.MALFORMED, type(error).__name__)

    def eof_received(self) -> bool:
        if self._sink is not None and self._answered and not self._framed:
            self._finish(reusable=False)  # a body that ends with its connection
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self._sink is not None:
            self._fail(Fault.BROKE, "it closed the connection" if exc is None else "the connection was reset")
        self._transport = None
        self._owner.connections.discard(self)
        self._owner.lost(self)

    # --- httptools

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if status < 200:
            return
        self._answered = True
        self._framed = status in (204, 304)
        self._inflate = None
        for name, value in headers:
            if name in (b"content-length", b"transfer-encoding"):
                self._framed = True
            elif name == b"content-encoding" and value.lower() in (b"gzip", b"deflate"):
                self._inflate = zlib.decompressobj(47)  # 32 + 15: gzip or zlib, told apart by their heads
        if self._sink is not None:
            self._sink.answer_head(status, headers)

    def on_body(self, data: bytes) -> None:
        if self._sink is not None:
            self._sink.answer_data(data if self._inflate is None else self._inflate.decompress(data))

    def on_message_complete(self) -> None:
        if self._answered:
            self._finish(reusable=self._parser.should_keep_alive())

    # --- ends

    def _finish(self, *, reusable: bool) -> None:
        sink, self._sink = self._sink, None
        self._answered = False
        self.ticks = 0
        if sink is None:
            return
        if reusable:
            self._owner.release(self)
        elif self._transport is not None:
            self._transport.close()
        sink.answer_end()

    def _fail(self, fault: Fault, detail: str) -> None:
        sink, self._sink = self._sink, None
        if self._transport is not None:
            self._transport.abort()
        if sink is not None:
            sink.answer_fault(fault, detail)


class Upstream:
    """The connections to one upstream."""

    def __init__(self, config: UpstreamConfig, loop: asyncio.AbstractEventLoop, ticks_per_s: float) -> None:
        self.config = config
        self.connections: set[UpstreamConnection] = set()
        self._loop = loop
        self._ticks_per_s = ticks_per_s
        self._pool: PoolState[UpstreamConnection, AnswerSink] = PoolState(config.max_connections)
        self._connecting: set[asyncio.Task[None]] = set()
        self._wanted: dict[
            AnswerSink, None
        ] = {}  # waiting or being connected for; a cancelled one is taken out
        self._tls = tls_context(config) if config.scheme == "https" else None
        self.retired = False

    def acquire(self, sink: AnswerSink) -> None:
        """Calls `sink.connected` now or later, or `sink.answer_fault`."""
        while True:
            decision = self._pool.acquire(sink)
            if isinstance(decision, Reuse):
                if decision.connection.is_stale():
                    decision.connection.abandon()
                    continue
                sink.connected(decision.connection)
                return
            if isinstance(decision, Full):
                sink.answer_fault(Fault.BUSY, f"all {self._pool.max_connections} connections are in use")
                return
            self._wanted[sink] = None
            if isinstance(decision, Connect):
                self._connect_for(sink)
            return

    def forget(self, sink: AnswerSink) -> None:
        """`sink` no longer waits."""
        self._wanted.pop(sink, None)
        self._pool.forget(sink)

    def release(self, connection: UpstreamConnection) -> None:
        """`connection` is free again."""
        waiter = self._pool.release(connection)
        if waiter is not None:
            self._wanted.pop(waiter, None)
            waiter.connected(connection)
        elif self.retired:
            connection.abandon()

    def lost(self, connection: UpstreamConnection | None) -> None:
        """A connection is gone, or could not be made."""
        waiter = self._pool.closed(connection)
        if waiter is not None:
            self._connect_for(waiter)

    def tick(self) -> None:
        """Let every connection look at its clock."""
        for connection in tuple(self.connections):
            connection.tick(self.config, self._ticks_per_s)

    def retire(self) -> None:
        """No longer configured: close what is idle now and the rest once it is free."""
        self.retired = True
        for connection in tuple(self._pool.idle):
            connection.abandon()

    def _connect_for(self, sink: AnswerSink) -> None:
        task = self._loop.create_task(self._connect(sink))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, sink: AnswerSink) -> None:
        try:
            async with asyncio.timeout(self.config.connect_timeout_s):
                connection = await dial(self._loop, self.config, self._tls, lambda: UpstreamConnection(self))
        except TimeoutError:
            self._refused(
                sink, Fault.CONNECT_TIMEOUT, f"no connection within {self.config.connect_timeout_s:g} s"
            )
        except (OSError, ssl.SSLError, ValueError) as error:
            self._refused(sink, Fault.CONNECT, describe(error))
        else:
            if sink in self._wanted:
                del self._wanted[sink]
                sink.connected(connection)
            else:
                self.release(connection)

    def _refused(self, sink: AnswerSink, fault: Fault, detail: str) -> None:
        wanted = sink in self._wanted
        self._wanted.pop(sink, None)
        self.lost(None)
        if wanted:
            sink.answer_fault(fault, detail)
