"""Paths that the control process answers: requests are handed on to it over its Unix socket, answers back as they come.

So a user sees one port. Who asks is found out there; here the bounds on sizes, rates and waits hold as for any request.
"""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tokenweir.gateway.answering import BODILESS, AnsweringConnection
from tokenweir.gateway.config import UpstreamConfig
from tokenweir.gateway.request import PASSED_ON, Request
from tokenweir.gateway.upstream import Upstream
from tokenweir.gateway.upstream_connection import Fault, UpstreamConnection
from tokenweir.ledger.schema import CONTROL_SOCKET_NAME
from tokenweir.protocol.http import connection_names, header_lines
from tokenweir.protocol.problems import (
    API_PREFIX,
    CONSOLE_PREFIX,
    Problem,
    control_away,
    control_broke,
    control_slow,
)

if TYPE_CHECKING:
    from tokenweir.gateway.worker import Worker


class Passed(NamedTuple):
    """What is handed on, and the longest body that it takes."""

    prefix: bytes
    max_body_bytes: int
    needs_key: bool = False  # any that is known: so much is kept for nobody else


#: The first row counts. A bill is longer than what else is sent.
PASSED = (
    Passed(API_PREFIX + b"reconcile", 16 * 1024 * 1024, needs_key=True),
    Passed(API_PREFIX, 1024 * 1024),
    Passed(CONSOLE_PREFIX + b"/reconcile", 2 * 1024 * 1024 + 64 * 1024),
    Passed(CONSOLE_PREFIX, 256 * 1024),
)
#: A path that begins with one of these is handed on.
PREFIXES = tuple(row.prefix for row in PASSED)

#: A control process that is started again is waited for; one that stays away is told of.
CONNECT_TIMEOUT_S = 3.0
FIRST_BYTE_TIMEOUT_S = 60.0
BETWEEN_BYTES_TIMEOUT_S = 60.0
#: Requests that one worker hands on at a time; more wait for as long as a connection may take. A page of the console
#: that is looked at keeps one open for its events.
MAX_CONNECTIONS = 256
#: An answer that says its length, up to this, goes on whole; any other as it comes.
WHOLE_BYTES = 256 * 1024
#: What a HEAD is answered from is read for its length alone.
MAX_HEAD_BYTES = 32 * 1024 * 1024
#: Methods that change nothing: what breaks is asked once more.
_SAFE = frozenset({"GET", "HEAD"})
_LONGEST_PATH = 107  # of an AF_UNIX address on Linux
#: Of an answer, what belongs to the hop or is the worker's to say.
_OWN = frozenset(
    {
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-connection",
        b"server",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)


def passed(path: bytes) -> Passed:
    """What a path that is handed on takes."""
    return next(row for row in PASSED if path.startswith(row.prefix))


def control_process(data_dir: Path, loop: asyncio.AbstractEventLoop, ticks_per_s: float) -> Upstream:
    """The connections to the control process of a data directory."""
    path = str(data_dir / CONTROL_SOCKET_NAME)
    if len(os.fsencode(path)) > _LONGEST_PATH:  # then by its directory's descriptor, kept open for good
        directory = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        path = f"/proc/self/fd/{directory}/{CONTROL_SOCKET_NAME}"
    config = UpstreamConfig(
        name="control",
        kind="control",
        scheme="http",
        host="control",
        port=0,
        path="",
        unix_socket=path,
        connect_timeout_s=CONNECT_TIMEOUT_S,
        first_byte_timeout_s=FIRST_BYTE_TIMEOUT_S,
        between_bytes_timeout_s=BETWEEN_BYTES_TIMEOUT_S,
        max_connections=MAX_CONNECTIONS,
        unpacks=False,
    )
    return Upstream(config, loop, ticks_per_s)


class Passing:
    """An `Exchange` for its connection, and the sink of the control process's answer."""

    joins = True

    def __init__(self, worker: "Worker", client: AnsweringConnection, request: Request) -> None:
        self._client: AnsweringConnection | None = client
        self._request = request
        self._worker = worker
        self._lines = worker.lines(request)
        self._peer = client.peer
        self._upstream = worker.control
        self._connection: UpstreamConnection | None = None
        self._may_ask_again = request.method in _SAFE
        self._status = 0  # of the answer, once it has begun
        self._answer_lines = b""
        self._streams = False
        self._parts: list[bytes] = []  # of an answer that goes on whole
        self._size = 0

    def begin(self) -> None:
        """Send, as soon as there is a connection."""
        self._upstream.acquire(self)

    # --- Exchange

    def client_gone(self) -> None:
        """Nobody waits for the answer; what was asked for may be done all the same."""
        self._client = None
        self._stop()

    def finish(self) -> None:
        """End a stream of events in order: it has no end of its own, and whoever reads it connects anew."""
        client = self._client
        self.client_gone()
        if client is not None:
            client.end(b"")

    def client_slow(self) -> None:
        if self._connection is not None:
            self._connection.pause()

    def client_ready(self) -> None:
        if self._connection is not None:
            self._connection.resume()

    # --- AnswerSink

    def connected(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        connection.send(self, passed_head(self._request, self._peer), self._request.body)

    def answer_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        named = dict(headers)
        hop = _OWN | connection_names(named.get(b"connection", b""))
        length = int(named.get(b"content-length", WHOLE_BYTES + 1))
        self._status = status
        self._answer_lines = header_lines(header for header in headers if header[0] not in hop)
        self._streams = (
            self._request.method != "HEAD" and status not in BODILESS and not 0 <= length <= WHOLE_BYTES
        )
        if self._streams and self._client is not None:
            self._client.begin(status, self._lines + self._answer_lines)
            if self._client.is_slow:
                self.client_slow()
            if named.get(b"content-type", b"").startswith(b"text/event-stream"):
                self._worker.event_streams.add(self)
                if self._worker.draining:
                    self.finish()

    def answer_data(self, data: bytes) -> None:
        if self._client is None:
            return
        if self._streams:
            self._client.stream(data)
            return
        self._size += len(data)
        self._parts.append(data)
        if self._size > MAX_HEAD_BYTES:
            self._stop()
            self._client.cut()

    def answer_end(self) -> None:
        self._connection = None
        self._worker.event_streams.discard(self)
        if self._client is None:
            return
        if self._streams:
            self._client.end(b"")
        else:
            self._client.answer(self._status, self._lines + self._answer_lines, b"".join(self._parts))

    def answer_fault(self, fault: Fault, detail: str) -> None:
        sent, self._connection = self._connection is not None, None
        self._worker.event_streams.discard(self)
        if self._client is None:
            return
        if self._streams:
            self._client.cut()  # a stream that broke must not look whole
        elif fault is Fault.BROKE and self._may_ask_again:  # it was killed, and comes back
            self._may_ask_again, self._size = False, 0
            self._parts.clear()
            self._upstream.acquire(self)
        else:
            self._client.refuse(_problem(fault) if sent else control_away(), self._lines)

    def _stop(self) -> None:
        self._worker.event_streams.discard(self)
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None
        self._upstream.forget(self)


def _problem(fault: Fault) -> Problem:
    return control_slow() if fault in (Fault.TIMEOUT, Fault.STALLED) else control_broke()


def passed_head(request: Request, peer: bytes = b"") -> bytes:
    """The head of a request as the control process gets it.

    Each has a connection of its own: over a Unix socket that costs nothing, and a change is never sent twice because
    a kept connection was found closed. A HEAD is asked as a GET, whose answer tells its length. `x-weir-client` is the
    address that the client connects from: what a client sends under that name is not passed on.
    """
    headers = request.headers
    method = "GET" if request.method == "HEAD" else request.method
    hop = connection_names(headers.get(b"connection", b""))
    own = header_lines((name, headers[name]) for name in PASSED_ON if name in headers and name not in hop)
    return b"%b %b HTTP/1.1\r\n%bx-weir-client: %b\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (
        method.encode(),
        origin_form(request.target),
        own,
        peer,
        len(request.body),
    )


def origin_form(target: bytes) -> bytes:
    """Path and query of a target that has passed `finish_head`, also where it is a whole address."""
    return target if target.startswith(b"/") else b"/" + target.partition(b"://")[2].partition(b"/")[2]
