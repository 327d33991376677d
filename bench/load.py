"""The load: a program that sends calls over many connections and prints what it saw as one line of JSON.

Closed loop (each connection sends its next call when the last is answered, for some seconds or calls) or, with --rate, calls at fixed
moments whatever the answers do, so that a slow server cannot make its own load lighter. With --hold a stream is opened on
each connection; how many have begun is printed, and they stay open until standard input ends.
"""

import argparse
import asyncio
import json
import math
import sys
import time
from collections import deque

import uvloop

ANSWER_TIMEOUT_S = 120.0


class Load:
    """The calls to send, and what came of them."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.request = request_bytes(options)
        self.streamed: bool = options.stream
        self.rate: float = options.rate
        self.hold: bool = options.hold
        self.until = 0.0  # the moment after which no call is sent; known once all are connected
        self.left = options.calls or math.inf
        self.in_flight = 0
        self.pacing = self.rate > 0
        self.due: deque[float] = deque()  # moments of calls that wait for a free connection
        self.idle: list[Connection] = []
        self.latencies_us: list[int] = []
        self.chunks = 0
        self.errors: dict[str, int] = {}
        self.done = asyncio.Event()

    def begin(self, connection: "Connection", due: float) -> None:
        """Send a call."""
        self.in_flight += 1
        self.left -= 1
        connection.send(due)

    def finished(self, connection: "Connection", error: str = "") -> None:
        """A call is answered or lost; a connection that lost one is not used again, since the run has failed."""
        self.in_flight -= 1
        now = time.perf_counter()
        if error:
            self.errors[error] = self.errors.get(error, 0) + 1
        elif self.rate:
            if self.due:
                self.begin(connection, self.due.popleft())
            else:
                self.idle.append(connection)
        elif now < self.until and self.left > 0:
            self.begin(connection, now)
        self.look()

    def look(self) -> None:
        """Whether everything is answered."""
        if not (self.in_flight or self.pacing or self.due) or (self.errors and not self.pacing):
            self.done.set()

    async def pace(self) -> None:
        """Send a call each 1/rate seconds until time is up."""
        due = time.perf_counter()
        while due < self.until and self.left > len(self.due) and not self.errors:
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            if self.idle:
                self.begin(self.idle.pop(), due)
            else:
                self.due.append(due)
            due += 1 / self.rate
        self.pacing = False
        self.look()


class Connection(asyncio.Protocol):
    """One connection: a call at a time."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.transport: asyncio.Transport | None = None
        self.sent = 0.0
        self.waiting = False
        self.seen = b""
        self.whole_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self.waiting:
            self.waiting = False
            self.load.finished(self, "connection lost")

    def send(self, due: float) -> None:
        """Send one call that was due at `due`; a connection that the server closed loses its call."""
        self.sent, self.waiting, self.seen, self.whole_bytes = due, True, b"", 0
        if self.transport is None:
            self.waiting = False
            self.load.finished(self, "connection lost")
        else:
            self.transport.write(self.load.request)

    def data_received(self, data: bytes) -> None:
        load = self.load
        if not self.seen:
            load.latencies_us.append(round((time.perf_counter() - self.sent) * 1e6))
            if not data.startswith(b"HTTP/1.1 200"):
                self.waiting = False
                load.finished(self, data.partition(b"\r\n")[0].decode("latin-1"))
                return
            if load.hold and len(load.latencies_us) == load.in_flight:
                load.done.set()
        if load.streamed:
            load.chunks += data.count(b"data: {")
            self.seen = (self.seen + data)[-16:]
            if self.seen.endswith(b"0\r\n\r\n"):
                self.waiting = False
                load.finished(self)
            return
        self.seen += data
        if not self.whole_bytes:
            head, found, _ = self.seen.partition(b"\r\n\r\n")
            if not found:
                return
            _, counted, length = head.lower().rpartition(b"content-length:")
            if not counted:  # chunked
                if self.seen.endswith(b"\r\n0\r\n\r\n"):
                    self.waiting = False
                    load.finished(self)
                return
            self.whole_bytes = len(head) + 4 + int(length.partition(b"\r\n")[0])
        if len(self.seen) >= self.whole_bytes:
            self.waiting = False
            load.finished(self)


def request_bytes(options: argparse.Namespace) -> bytes:
    """The one request that is sent over and over."""
    body = {"model": options.model, "messages": [{"role": "user", "content": ""}], "max_tokens": 512}
    if options.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    missing = max(0, options.body_bytes - len(json.dumps(body)))
    text = "The quick brown fox counts its tokens. " * (missing // 39 + 1)
    body["messages"] = [{"role": "user", "content": text[:missing]}]
    encoded = json.dumps(body).encode()
    extra = "".join(f"{header}\r\n" for header in options.header)
    return (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{options.port}\r\n"
        f"authorization: Bearer {options.key}\r\ncontent-type: application/json\r\n{extra}"
        f"content-length: {len(encoded)}\r\n\r\n"
    ).encode() + encoded


def quantile(values: list[int], share: float) -> int:
    """The value below which `share` of the sorted values lie."""
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0


async def run(options: argparse.Namespace) -> dict[str, object]:
    """Send the calls; what was seen."""
    load = Load(options)
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(options.connections):
        _, connection = await loop.create_connection(lambda: Connection(load), "127.0.0.1", options.port)
        connections.append(connection)
    begun = time.perf_counter()
    load.until = begun + (options.seconds or math.inf)
    pacing = None
    if load.pacing:
        load.idle.extend(connections)
        pacing = loop.create_task(load.pace())
    else:
        for connection in connections[: options.calls or None]:
            load.begin(connection, time.perf_counter())
    try:
        await asyncio.wait_for(load.done.wait(), ANSWER_TIMEOUT_S)
    except TimeoutError:
        if not options.hold:  # there, what has begun by then is the answer
            raise
    if pacing is not None:
        await pacing
    seconds = time.perf_counter() - begun
    latencies = sorted(load.latencies_us)
    if options.hold:
        print(json.dumps({"open": len(latencies), "errors": load.errors}), flush=True)
        await asyncio.to_thread(sys.stdin.read)
    return {
        "calls": len(latencies),
        "errors": load.errors,
        "chunks": load.chunks,
        "seconds": seconds,
        "p50_us": quantile(latencies, 0.5),
        "p99_us": quantile(latencies, 0.99),
    }


def main() -> None:
    """Read the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--key", default="none")
    parser.add_argument("--header", action="append", default=[], metavar="NAME: VALUE")
    parser.add_argument("--model", default="bench")
    parser.add_argument("--seconds", type=float, default=0.0, help="after these no further call is sent")
    parser.add_argument("--calls", type=int, default=0, help="after these no further call is sent")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rate", type=float, default=0.0, help="calls a second; 0: as fast as answers come")
    parser.add_argument("--body-bytes", type=int, default=512)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--hold", action="store_true")
    options = parser.parse_args()
    if not (options.seconds or options.calls or options.hold):
        parser.error("say when it ends: --seconds or --calls")
    print(json.dumps(uvloop.run(run(options))), flush=True)


if __name__ == "__main__":
    main()
