"""A worker's connection to the ledger's writer.

While the writer is away or does not answer, settlements go to a file (see `ledger.spill`): once they are durable
there their streams end, and they are sent to the writer when it is back. New calls are refused meanwhile.
"""

import asyncio
import hashlib
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from tokenweir.core.errors import WireError
from tokenweir.core.usage import NOTHING_USED
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.frames import FrameReader, frame, packed, socket_address
from tokenweir.ledger.known_terms import KnownTerms
from tokenweir.ledger.messages import (
    Answer,
    Changed,
    Checkpoint,
    CloseAttempt,
    Committed,
    Counters,
    CountersResult,
    DefinePrice,
    Hello,
    Known,
    OpenCall,
    OpenResult,
    Operation,
    ReadCounters,
    Snapshot,
    Unavailable,
)
from tokenweir.ledger.schema import SOCKET_NAME
from tokenweir.ledger.spill import Spill, record

RECONNECT_S = 0.05
#: Operations that wait to become durable. Beyond this nothing new is opened, so that what waits has a bound.
MAX_WAITING = 100_000
#: Of these, how many go into one frame when they are sent again.
SENT_AT_ONCE = 10_000
#: How long the writer may take to confirm an operation, at least; at most twice as long. A disk that others keep busy
#: holds an fsync for a second or two now and then, and waiting that long is better than refusing everybody.
CONFIRM_WITHIN_S = 5.0

Opened = Callable[[OpenResult | None], None]


class Waiting(msgspec.Struct):
    """A settlement or a price that is not yet in the ledger."""

    operation: CloseAttempt | DefinePrice
    durable: Callable[[], None] | None  # until it was called


class LedgerLink(asyncio.Protocol):
    """A worker's side of the ledger, over the writer's Unix socket. Callbacks run on the worker's loop, once each.

    Operations of one turn of the loop travel as one write. Those that are not yet durable when the connection is lost are
    sent again, for as long as it takes; an opening whose connection is lost before its answer is told to be unavailable
    instead, so that its caller can answer 503.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        data_dir: Path,
        worker: str,
        open_calls: Callable[[], tuple[bytes, ...]],
        *,
        durability: str = "fsync",
        confirm_within_s: float = CONFIRM_WITHIN_S,
    ) -> None:
        self._loop = loop
        self._path = data_dir / SOCKET_NAME
        self._worker = worker
        self._open_calls = open_calls
        self._transport: asyncio.Transport | None = None
        self._greeted = False  # the writer has answered: a dying one's socket may still take connections
        self.greeted = asyncio.Event()  # it has done so at least once: the terms are known
        self._frames = FrameReader()
        self._decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
        self._out: list[Operation] = []  # of this turn of the loop: one frame
        self._seq = 0
        self._opens: dict[int, tuple[OpenCall, Opened]] = {}
        self._undelivered: deque[Waiting] = deque()
        self._spill = Spill(data_dir, worker, sync=durability == "fsync")
        self._spilled = 0  # how many of the undelivered, from the first on, are on local disk too
        self._confirm_within_s = confirm_within_s
        self._watch: asyncio.TimerHandle | None = None
        self._seq_before = 0  # the last number when the watch looked before
        self._stalled = False  # the writer is connected, and does not confirm
        self._prices: dict[bytes, str] = {}
        self.terms = KnownTerms()
        self._readers: dict[int, Callable[[dict[str, float]], None]] = {}
        self._scheduled = False
        self._closing = False
        self._connecting: asyncio.Task[None] | None = None

    # --- for calls

    @property
    def available(self) -> bool:
        """Whether the writer has sent the terms, confirms what it is sent, and is not far behind."""
        return self._greeted and not self._stalled and len(self._undelivered) < MAX_WAITING

    def next_seq(self) -> int:
        """The number for the next operation."""
        self._seq += 1
        return self._seq

    def open(self, operation: OpenCall, done: Opened) -> None:
        """Reserve; `done(None)` when the ledger cannot be reached or written."""
        if not self.available:
            done(None)
            return
        self._opens[operation.seq] = (operation, done)
        self._queue(operation)

    def checkpoint(self, operation: Checkpoint) -> None:
        """Note how far a stream has come; lost with the connection, the next one says more."""
        if self._transport is not None:
            self._queue(operation)

    def close_attempt(self, operation: CloseAttempt, durable: Callable[[], None] | None) -> None:
        """Settle; sent again until it is in the ledger. `durable()` once it is there or on local disk."""
        self._keep(operation, durable)

    def define_price(self, applied: bytes) -> str:
        """The id of an applied price (JSON of AppliedPrice), written before anything that refers to it."""
        known = self._prices.get(applied)
        if known is None:
            known = hashlib.blake2b(applied, digest_size=16).hexdigest()
            self._prices[applied] = known
            self._keep(DefinePrice(self.next_seq(), known, applied), None)
        return known

    # --- besides

    @property
    def undelivered(self) -> int:
        """Settlements that are not yet in the ledger."""
        return len(self._undelivered)

    def push_counters(self, values: dict[str, float]) -> None:
        """What this worker has counted."""
        if self._transport is not None:
            self._queue(Counters(self.next_seq(), values))

    def read_counters(self, done: Callable[[dict[str, float]], None]) -> None:
        """The sum over all workers."""
        if self._transport is None:
            done({})
            return
        seq = self.next_seq()
        self._readers[seq] = done
        self._queue(ReadCounters(seq))

    def connect(self) -> None:
        """Connect, and again whenever the connection is lost, until `close`."""
        self._connecting = self._loop.create_task(self._connect())
        if self._watch is None:
            self._watch = self._loop.call_later(self._confirm_within_s, self._look)

    def close(self) -> None:
        """Send what is queued and hang up. What is not in the ledger by now waits on local disk."""
        self._closing = True
        if self._watch is not None:
            self._watch.cancel()
        self._flush()
        self._to_disk()
        self._spill.close()
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

    def _keep(self, operation: CloseAttempt | DefinePrice, durable: Callable[[], None] | None) -> None:
        self._undelivered.append(Waiting(operation, durable))
        if self._transport is not None:
            self._queue(operation)
        if self._transport is None or self._stalled:
            self._schedule()

    # --- the writer away or silent

    def _look(self) -> None:
        """Has all that was sent before the last look been confirmed?"""
        self._watch = self._loop.call_later(self._confirm_within_s, self._look)
        oldest = min(
            self._undelivered[0].operation.seq if self._undelivered else self._seq + 1,
            next(iter(self._opens), self._seq + 1),
        )
        self._stalled = oldest <= self._seq_before
        self._seq_before = self._seq
        if self._stalled:
            self._give_up_opens()
            self._to_disk()

    def _give_up_opens(self) -> None:
        """Nothing went upstream for these. The writer may have them already, so it is told that they are over."""
        opens, self._opens = self._opens, {}
        for operation, done in opens.values():
            abandoned = CloseAttempt(
                seq=self.next_seq(), call=operation.call, attempt=b"", ordinal=0, final=True, at_us=operation.at_us,
                upstream="", deployment="", served_model="", usage=NOTHING_USED, price="", cost_pico=None, currency="",
                ttft_us=None, duration_us=0, status=503, outcome=Outcome.FAILED,
                reason="the ledger did not answer in time; nothing was sent",
            )  # fmt: skip
            self._keep(abandoned, None)
            done(None)

    def _to_disk(self) -> None:
        """Make everything durable here that is not in the ledger, and let those who wait for it go on."""
        fresh = [self._undelivered[index] for index in range(self._spilled, len(self._undelivered))]
        if not fresh:
            return
        try:
            self._spill.append(b"".join([record(packed(waiting.operation)) for waiting in fresh]))
        except OSError as error:
            print(f"{self._worker}: settlements wait in memory: {error}", file=sys.stderr, flush=True)
            return
        self._spilled = len(self._undelivered)
        for waiting in fresh:
            durable, waiting.durable = waiting.durable, None
            if durable is not None:
                durable()

    def _queue(self, operation: Operation) -> None:
        self._out.append(operation)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        """Once for everything of this turn of the loop."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(frame(out))
        if self._transport is None or self._stalled:
            self._to_disk()

    # --- asyncio.Protocol

    # uvloop's transports have the methods of asyncio.Transport without deriving from it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._frames = FrameReader()
        transport.write(frame([Hello(self._worker, self._open_calls())]))
        again = [waiting.operation for waiting in self._undelivered]
        for begin in range(0, len(again), SENT_AT_ONCE):
            transport.write(frame(again[begin : begin + SENT_AT_ONCE]))
        self._transport = transport
        self._stalled, self._seq_before = False, 0

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                self._answer(self._decoder.decode(body))
        except (WireError, msgspec.MsgspecError):
            if self._transport is not None:
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._greeted = False
        self._out.clear()
        self._stalled = False
        readers, self._readers = self._readers, {}
        if not self._closing:
            self.connect()
        self._give_up_opens()
        for read in readers.values():
            read({})
        if self._undelivered and not self._closing:
            self._schedule()

    def _answer(self, answer: Answer) -> None:
        if type(answer) is Committed:  # nearly every one
            self._stalled = False
            self._delivered(answer.seq)
            for result in answer.opened:
                _, done = self._opens.pop(result.seq, (None, None))
                if done is not None:
                    done(result)
            return
        match answer:
            case Unavailable(opens=opens):
                for seq in opens:
                    _, done = self._opens.pop(seq, (None, None))
                    if done is not None:
                        done(None)
            case Snapshot(terms=terms):
                self.terms.replace(terms)
                self._greeted = True
                self.greeted.set()
            case Changed(number=number, changes=changes):
                self.terms.apply(changes)
                self._queue(Known(number))
            case CountersResult(seq=seq, values=values):
                reader = self._readers.pop(seq, None)
                if reader is not None:
                    reader(values)

    def _delivered(self, seq: int) -> None:
        """Everything up to this number is in the ledger."""
        undelivered = self._undelivered
        while undelivered and undelivered[0].operation.seq <= seq:
            waiting = undelivered.popleft()
            if self._spilled:
                self._spilled -= 1
            if waiting.durable is not None:
                waiting.durable()
        if not self._spilled:
            self._spill.clear()
