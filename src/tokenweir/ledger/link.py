"""A worker's connection to the ledger's writer."""

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from tokenweir.core.errors import WireError
from tokenweir.ledger.frames import FrameReader, frame, socket_address
from tokenweir.ledger.messages import (
    Answer,
    Checkpoint,
    CloseAttempt,
    Committed,
    Counters,
    CountersResult,
    DefinePrice,
    Hello,
    KeyRecord,
    Keys,
    OpenCall,
    OpenResult,
    ReadCounters,
    Unavailable,
)

RECONNECT_S = 0.05
#: Operations that wait to become durable. Beyond this nothing new is opened, so that what waits has a bound.
MAX_WAITING = 100_000

Opened = Callable[[OpenResult | None], None]


class SocketLedgerLink(asyncio.Protocol):
    """`LedgerLink` over the writer's Unix socket. See its protocol in `ledger.client`."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        path: Path,
        worker: str,
        open_calls: Callable[[], tuple[bytes, ...]],
    ) -> None:
        self._loop = loop
        self._path = path
        self._worker = worker
        self._open_calls = open_calls
        self._transport: asyncio.Transport | None = None
        self._frames = FrameReader()
        self._decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
        self._out: list[bytes] = []
        self._seq = 0
        self._opens: dict[int, Opened] = {}
        self._undelivered: deque[tuple[int, bytes, Callable[[], None] | None]] = deque()
        self._prices: dict[bytes, str] = {}
        self._keys: dict[bytes, KeyRecord] = {}
        self._readers: dict[int, Callable[[dict[str, float]], None]] = {}
        self._scheduled = False
        self._closing = False
        self._connecting: asyncio.Task[None] | None = None

    # --- LedgerLink

    @property
    def available(self) -> bool:
        """Whether the writer is connected, has sent the keys, and is not far behind."""
        return self._transport is not None and len(self._undelivered) < MAX_WAITING

    def next_seq(self) -> int:
        """The number for the next operation."""
        self._seq += 1
        return self._seq

    def open(self, operation: OpenCall, done: Opened) -> None:
        """Reserve."""
        if not self.available:
            done(None)
            return
        self._opens[operation.seq] = done
        self._queue(frame(operation))

    def checkpoint(self, operation: Checkpoint) -> None:
        """Note how far a stream has come; lost with the connection, the next one says more."""
        if self._transport is not None:
            self._queue(frame(operation))

    def close_attempt(self, operation: CloseAttempt, durable: Callable[[], None] | None) -> None:
        """Settle; sent again until it is durable."""
        self._keep(operation.seq, frame(operation), durable)

    def define_price(self, applied: bytes) -> str:
        """The id of an applied price."""
        known = self._prices.get(applied)
        if known is None:
            known = hashlib.blake2b(applied, digest_size=16).hexdigest()
            self._prices[applied] = known
            seq = self.next_seq()
            self._keep(seq, frame(DefinePrice(seq, known, applied)), None)
        return known

    def key_by_hash(self, digest: bytes) -> KeyRecord | None:
        """The live key with this SHA-256, or None."""
        return self._keys.get(digest)

    # --- besides

    @property
    def undelivered(self) -> int:
        """Settlements that are not yet durable."""
        return len(self._undelivered)

    def push_counters(self, values: dict[str, float]) -> None:
        """What this worker has counted."""
        if self._transport is not None:
            self._queue(frame(Counters(self.next_seq(), values)))

    def read_counters(self, done: Callable[[dict[str, float]], None]) -> None:
        """The sum over all workers."""
        if self._transport is None:
            done({})
            return
        seq = self.next_seq()
        self._readers[seq] = done
        self._queue(frame(ReadCounters(seq)))

    def connect(self) -> None:
        """Connect, and again whenever the connection is lost, until `close`."""
        self._connecting = self._loop.create_task(self._connect())

    def close(self) -> None:
        """Send what is queued and hang up."""
        self._closing = True
        self._flush()
        if self._transport is not None:
            self._transport.close()

    async def _connect(self) -> None:
        while not self._closing:
            try:
                with socket_address(self._path) as address:
                    await self._loop.create_unix_connection(lambda: self, address)
                return
            except OSError:
                await asyncio.sleep(RECONNECT_S)

    def _keep(self, seq: int, data: bytes, durable: Callable[[], None] | None) -> None:
        self._undelivered.append((seq, data, durable))
        if self._transport is not None:
            self._queue(data)

    def _queue(self, data: bytes) -> None:
        self._out.append(data)
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(b"".join(out))

    # --- asyncio.Protocol

    # uvloop's transports have the methods of asyncio.Transport without deriving from it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._frames = FrameReader()
        transport.write(frame(Hello(self._worker, self._open_calls())))
        transport.write(b"".join(data for _, data, _ in self._undelivered))
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._answer(self._decoder.decode(body))
        except (WireError, msgspec.MsgspecError):
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._out.clear()
        opens, self._opens = self._opens, {}
        readers, self._readers = self._readers, {}
        if not self._closing:
            self.connect()
        for done in opens.values():
            done(None)
        for read in readers.values():
            read({})

    def _answer(self, answer: Answer) -> None:
        match answer:
            case Committed(seq=seq, opened=opened):
                while self._undelivered and self._undelivered[0][0] <= seq:
                    _, _, durable = self._undelivered.popleft()
                    if durable is not None:
                        durable()
                for result in opened:
                    done = self._opens.pop(result.seq, None)
                    if done is not None:
                        done(result)
            case Unavailable(opens=opens):
                for seq in opens:
                    done = self._opens.pop(seq, None)
                    if done is not None:
                        done(None)
            case Keys(keys=keys):
                self._keys = {key.hash: key for key in keys}
            case CountersResult(seq=seq, values=values):
                reader = self._readers.pop(seq, None)
                if reader is not None:
                    reader(values)
