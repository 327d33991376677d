"""One connection of the simulated engine: requests in order, each answered by its steps."""

import asyncio
import socket
import struct
from collections import deque
from typing import Protocol, cast

import httptools
import msgspec

from tokenweir.engines.simulated_script import Counts, Script
from tokenweir.engines.simulated_steps import End, Hold, Pause, Step

#: A body beyond this is refused by closing the connection.
MAX_BODY_BYTES = 256 * 1024 * 1024
#: Written at a time, so that a slow reader stops a huge answer.
_SLICE_BYTES = 256 * 1024
_RESET = struct.pack("ii", 1, 0)  # linger on, for no time


class Received(msgspec.Struct, omit_defaults=True):
    """A request, and how its answer went. Header names are lower case, in the order they came."""

    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    connection: int  # counted from 1
    simulate: str = ""  # the header x-simulate
    script: Script | None = None
    counts: Counts | None = None  # true tokens of the whole answer
    written: int = 0  # steps of the answer that were written
    finished: bool = False  # a whole answer was written
    hung_up: bool = False  # the client closed before that

    def header(self, name: str) -> str | None:
        """The first header of this (lower case) name."""
        return next((value for key, value in self.headers if key == name), None)


class Engine(Protocol):
    """What a connection needs of its engine."""

    connections_made: int

    def opened(self, connection: "Connection") -> None: ...
    def closed(self, connection: "Connection") -> None: ...
    def hold(self, connection: "Connection") -> None: ...
    def ended(self, received: Received) -> None: ...
    def answer(self, received: Received) -> tuple[Step, ...]: ...


class Connection(asyncio.Protocol):
    """Parses requests and plays answers; pipelined requests are answered one after another."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._expects = False
        self._simulate = ""
        self._waiting: deque[Received] = deque()
        self._current: Received | None = None
        self._steps: tuple[Step, ...] = ()
        self._index = 0
        self._timer: asyncio.Handle | None = None
        self._held = False
        self._full = False
        self._drop_next = False

    @property
    def busy(self) -> bool:
        """Whether an answer is under way."""
        return self._current is not None

    def abort(self) -> None:
        """Break the connection."""
        if self._transport is not None:
            self._transport.abort()

    # --- transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes, so this cannot be checked.
        self._transport = cast(asyncio.Transport, transport)
        self._engine.opened(self)
        self._number = self._engine.connections_made
        self._transport.set_write_buffer_limits(_SLICE_BYTES)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
        current, self._current = self._current, None
        if current is not None:
            current.hung_up = True
            self._engine.ended(current)
        self._engine.closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            if self._transport is not None:
                self._transport.write(
                    b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                )
                self._transport.close()

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        self._play()

    # --- parser

    def on_message_begin(self) -> None:
        self._url, self._headers, self._body, self._body_bytes = b"", [], [], 0
        self._expects, self._simulate = False, ""

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers.append((key, text))
        if key == "expect":
            self._expects = True
        elif key == "x-simulate":
            self._simulate = text

    def on_headers_complete(self) -> None:
        if self._expects and self._transport is not None and not self.busy:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, piece: bytes) -> None:
        self._body_bytes += len(piece)
        if self._body_bytes > MAX_BODY_BYTES:
            self.abort()
            return
        self._body.append(piece)

    def on_message_complete(self) -> None:
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        received = Received(
            method=self._parser.get_method().decode(),
            path=self._url.decode("latin-1"),
            headers=tuple(self._headers),
            body=body,
            connection=self._number,
            simulate=self._simulate,
        )
        if self._current is None:
            self._begin(received)
        else:
            self._waiting.append(received)

    # --- answers

    def _begin(self, received: Received) -> None:
        if self._transport is None:
            return
        self._current = received
        self._steps, self._index = self._engine.answer(received), 0
        if self._drop_next:
            self._steps = (End("close", whole=False),)
        if received.method == "HEAD":
            self._steps = _without_body(self._steps)
        self._play()

    def _play(self) -> None:
        """Go on until a wait, a full buffer or the end; each write but the last has a turn of the loop."""
        if self._timer is not None or self._held or self._current is None:
            return
        while not self._full and self._transport is not None:
            step = self._steps[self._index]
            if isinstance(step, bytes) and len(step) > _SLICE_BYTES:
                self._slice(step)
                step = self._steps[self._index]
            self._index += 1
            if isinstance(step, bytes):
                self._transport.write(step)
                self._current.written += 1
                if not isinstance(self._steps[self._index], End):
                    self._timer = self._loop.call_soon(self.go_on)
                    return
            elif isinstance(step, End):
                self._end(step)
                return
            elif isinstance(step, Pause):
                self._timer = self._loop.call_later(step.seconds, self.go_on)
                return
            elif isinstance(step, Hold):
                self._held = True
                self._engine.hold(self)
                return

    def go_on(self) -> None:
        """A wait is over."""
        self._timer, self._held = None, False
        self._play()

    def _slice(self, step: bytes) -> None:
        pieces = [step[i : i + _SLICE_BYTES] for i in range(0, len(step), _SLICE_BYTES)]
        self._steps = (*pieces, *self._steps[self._index + 1 :])
        self._index = 0

    def _end(self, end: End) -> None:
        current, self._current = self._current, None
        assert current is not None and self._transport is not None
        current.finished = end.whole
        if end.how == "reset":
            connection = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()
        elif end.how == "close":
            self._transport.close()
        self._drop_next = end.how == "drop_next"
        self._engine.ended(current)
        if self._waiting and end.how in {"keep", "drop_next"}:
            self._begin(self._waiting.popleft())


def _without_body(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The answer to HEAD: the head alone."""
    written = b"".join(step for step in steps if isinstance(step, bytes))
    return (written.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", steps[-1])
