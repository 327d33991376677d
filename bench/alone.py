"""What the code of a worker and of the ledger's writer costs alone, without sockets: for before and after.

    .venv/bin/python -m bench.alone [--body-bytes 512] [--calls 8000]

Calls go in batches of 32: a worker's from a request's bytes to its answer's, the upstream and the writer being told
their parts; the writer's from the frames of operations to its answers, on real SQLite, durability "os". Printed is the
time of a call in µs: the fifth of the batches that took least lies below it, so that a busy machine shows less.
"""

import argparse
import asyncio
import hashlib
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from bench.load import request_bytes
from bench.paced import HEAD as STREAM_HEAD
from bench.paced import TOKEN, framed
from bench.servers import ANSWER
from tokenweir.catalog.price import AppliedPrice, Bracket, Price, Rates
from tokenweir.catalog.pricing import cost
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Usage
from tokenweir.gateway.config import DeploymentConfig, GatewayConfig, ModelConfig, Target, UpstreamConfig
from tokenweir.gateway.inbound import ClientConnection
from tokenweir.gateway.upstream_connection import UpstreamConnection
from tokenweir.gateway.worker import Worker
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.frames import FrameReader, frame
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    CloseAttempt,
    Committed,
    CostBound,
    DefinePrice,
    Hello,
    Known,
    MakeChanges,
    OpenCall,
    OpenResult,
    Operation,
    Snapshot,
)
from tokenweir.ledger.service import GATHER_S, Connection, Writer
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Change, KeyRecord, Limit, SetKey, SetLimit, Terms

BATCH = 32
START_US = 1_761_955_200_000_000  # 2025-11-01T00:00:00Z
RATES = Rates(4_000_000, 16_000_000, cache_read=1_000_000)
KEY = KeyRecord("k", "k", "team", hashlib.sha256(b"bench").digest(), "k", START_US)
#: One limit in money, as most keys have.
CHANGES: tuple[Change, ...] = (SetKey(KEY), SetLimit("key/k", Limit("CNY", 9 * 10**18, "month")))


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written.append(bytes(data))

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """There is no bound to reach."""

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False

    def resume_reading(self) -> None:
        """It has never paused."""

    def taken(self) -> bytes:
        """What was written since it was asked last."""
        data = b"".join(self.written)
        self.written.clear()
        return data


class HandTurned(asyncio.AbstractEventLoop):
    """A loop that runs what is due within a few ms when told to, and nothing later."""

    def __init__(self) -> None:
        self.soon: list[Callable[[], object]] = []

    def call_soon(self, callback, *args, context=None):  # type: ignore[no-untyped-def, override]
        self.soon.append(lambda: callback(*args))

    def call_later(self, delay, callback, *args, context=None):  # type: ignore[no-untyped-def, override]
        if delay <= GATHER_S:
            self.call_soon(callback, *args)

    def turn(self) -> None:
        """Run what is due."""
        due, self.soon = self.soon, []
        for callback in due:
            callback()


def low(batches_s: list[float]) -> float:
    """µs a call, below which the quickest fifth of the batches lies."""
    return statistics.quantiles(batches_s, n=5)[0] / BATCH * 1e6


def writer(calls: int, data: Path, changes: tuple[Change, ...] = CHANGES) -> float:
    """µs a call: opened in one batch, settled in the next."""
    loop = HandTurned()
    writer = Writer(Journal(Store(data, "os"), FakeClock(START_US)), loop, data)
    connection = Connection(writer)
    connection.connection_made(Wire())
    price = AppliedPrice("bench", "CNY", RATES)
    applied = msgspec.json.encode(price, order="deterministic")
    price_id = hashlib.blake2b(applied, digest_size=16).hexdigest()
    first = frame([MakeChanges(1, "bench", changes), DefinePrice(2, price_id, applied)])
    usage = Usage(input=120, output=64)
    opened: list[OpenCall] = []
    taken_s = []
    connection.data_received(first)
    loop.turn()
    for begun in range(0, calls, BATCH):
        seq = 3 + begun * 2
        ends = [
            CloseAttempt(
                seq + n, o.call, o.call, 1, True, o.at_us + 2_000, "up", "up/bench", "bench", usage, price_id,
                cost(price, usage), "CNY", 300, 2_000, 200, Outcome.OK, "",
            )
            for n, o in enumerate(opened)
        ]  # fmt: skip
        opened = [
            OpenCall(
                seq + BATCH + n, uuid7(START_US + (begun + n) * 1_000, os.urandom(10)),
                START_US + (begun + n) * 1_000, "k", "team", "", "bench", "chat",
                (CostBound("CNY", 500 * RATES.input, RATES.output),), False, 500, 512,
            )
            for n in range(BATCH)
        ]  # fmt: skip
        frames = frame([*ends, *opened])
        started = time.perf_counter()
        connection.data_received(frames)
        loop.turn()
        taken_s.append(time.perf_counter() - started)
    return low(taken_s)


class RealClock:
    """The machine's clocks."""

    def now_us(self) -> int:
        return time.time_ns() // 1_000

    def steady_us(self) -> int:
        return time.monotonic_ns() // 1_000


def worker_of(data: Path) -> Worker:
    """A worker with one model at one upstream."""
    target = Target(dialect="chat", path="/v1/chat/completions")
    upstream = UpstreamConfig(
        name="up", kind="openai", scheme="http", host="127.0.0.1", port=1, path="/v1", targets=(target,)
    )
    price = Price("bench", "CNY", (Bracket(0, RATES),))
    deployment = DeploymentConfig(name="up/bench", upstream="up", model="bench", prices=(price,))
    model = ModelConfig(name="bench", deployments=("up/bench",))
    config = GatewayConfig(upstreams=(upstream,), deployments=(deployment,), models=(model,))
    return Worker(config, data, "worker", RealClock())


class Around:
    """A worker with as many clients as a batch has calls, and as many connections upstream; what it writes is kept."""

    def __init__(self, data: Path, request: bytes) -> None:
        self._worker = worker_of(data)
        self._worker.tick()
        self._request = request
        self.link, self._to_writer = self._worker.link, Wire()
        self.link.connection_made(self._to_writer)
        terms = Terms()
        for change in CHANGES:
            terms.apply(change)
        self.link.data_received(frame(Snapshot(terms)))
        self.clients = [ClientConnection(self._worker) for _ in range(BATCH)]
        self.upstreams: list[UpstreamConnection] = []
        upstream = self._worker.upstream(self._worker.plan, "up")
        self.to_clients, self.to_upstreams = [Wire() for _ in range(BATCH)], [Wire() for _ in range(BATCH)]
        for number in range(BATCH):
            self.clients[number].connection_made(self.to_clients[number])
            connection = UpstreamConnection(upstream)
            connection.connection_made(self.to_upstreams[number])
            upstream._pool.open += 1
            upstream.release(connection)
            self.upstreams.append(connection)
        self._frames, self._decoder = FrameReader(), msgspec.msgpack.Decoder(list[Operation])
        self.told()

    def told(self) -> list[Operation]:
        """What the writer was told since it was asked last."""
        frames = self._frames.feed(self._to_writer.taken())
        return [operation for body in frames for operation in self._decoder.decode(body)]

    async def ask(self) -> float:
        """Every client sends its request; seconds until the writer has been asked."""
        started = time.perf_counter()
        for client in self.clients:
            client.data_received(self._request)
        await asyncio.sleep(0)
        return time.perf_counter() - started

    def confirmed(self) -> bytes:
        """What the writer answers to what it was told."""
        told = self.told()
        opened = tuple(OpenResult(o.seq, o.output_tokens) for o in told if isinstance(o, OpenCall))
        return frame(Committed(max(o.seq for o in told if not isinstance(o, Hello | Known)), opened))


async def worker(calls: int, body_bytes: int, data: Path) -> float:
    """µs a call: read, opened, sent, answered, settled."""
    options = argparse.Namespace(
        model="bench", stream=False, body_bytes=body_bytes, port=80, key="bench", header=[]
    )
    around = Around(data, request_bytes(options))
    answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
    answer += ANSWER.encode()
    taken_s = []
    for _ in range(calls // BATCH):
        read_s = await around.ask()
        confirmed = around.confirmed()
        started = time.perf_counter()
        around.link.data_received(confirmed)
        for connection in around.upstreams:
            connection.data_received(answer)
        await asyncio.sleep(0)
        answered_s = time.perf_counter() - started
        confirmed = around.confirmed()
        started = time.perf_counter()
        around.link.data_received(confirmed)
        taken_s.append(read_s + answered_s + time.perf_counter() - started)
        for sent, said in zip(around.to_upstreams, around.to_clients, strict=True):
            sent.taken()
            assert said.taken().startswith(b"HTTP/1.1 200")
    return low(taken_s)


async def stream(chunks: int, data: Path) -> float:
    """µs a chunk of one token: read, metered, written. Each comes alone, as engines send them."""
    options = argparse.Namespace(model="bench", stream=True, body_bytes=512, port=80, key="bench", header=[])
    around = Around(data, request_bytes(options))
    await around.ask()
    around.link.data_received(around.confirmed())
    piece, taken_s = framed(TOKEN), []
    for connection in around.upstreams:
        connection.data_received(STREAM_HEAD)
        connection.data_received(piece)
    for _ in range(chunks // BATCH):
        for said in around.to_clients:
            said.taken()
        started = time.perf_counter()
        for connection in around.upstreams:
            connection.data_received(piece)
        taken_s.append(time.perf_counter() - started)
        assert all(said.taken() == piece for said in around.to_clients)
    return low(taken_s)


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=8_000)
    parser.add_argument("--body-bytes", type=int, default=512)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        print(
            f"worker: {uvloop.run(worker(options.calls, options.body_bytes, Path(directory))):.1f} µs a call"
        )
        print(f"peak: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
        print(f"writer: {writer(options.calls, Path(directory)):.1f} µs a call")
        print(f"stream: {uvloop.run(stream(options.calls, Path(directory))):.1f} µs a chunk")


if __name__ == "__main__":
    main()
