"""What is going on now: one reading of the workers' counters a second for all who look, and a stream of events for each."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import closing

import msgspec
from starlette.concurrency import run_in_threadpool

from tokenweir.admin.desk import Desk
from tokenweir.core.errors import LedgerError
from tokenweir.ledger.counters import read_counters
from tokenweir.ledger.database import FAULTS
from tokenweir.ledger.views import last_seq, open_reader

EVERY_S = 1.0
#: Rates are of so many readings; a settled call moves its tokens from one counter to another within one.
READINGS = 6
#: Something is sent at least so often, so that nobody on the way takes the stream for dead.
SILENCE_S = 15.0
#: Streams at a time; the browser of one more asks again later.
MOST_STREAMS = 500
_TOKENS = ("weir_tokens|class=output", "weir_streaming_tokens")


class Now(msgspec.Struct, frozen=True):
    """One reading. `seq`: the newest entry of the ledger; `counters`: summed over workers."""

    at_us: int
    seq: int
    counters: Mapping[str, float]


class Live:
    """Readings while somebody looks, and none while nobody does."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._readings: deque[Now] = deque(maxlen=READINGS)
        self._streams = 0
        self._task: asyncio.Task[None] | None = None
        self._fresh = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether there are as many streams as there may be."""
        return self._streams >= MOST_STREAMS

    def counters(self) -> Mapping[str, float]:
        """The workers' counters, read now; empty where the writer does not answer. Blocks for a moment."""
        try:
            return read_counters(self._desk.data_dir)
        except LedgerError:
            return {}

    async def events(self, is_good: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Events for one browser, until it leaves or `is_good` says no."""
        self._streams += 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read())
        sent, waited_s = b"", 0.0
        try:
            yield b"retry: 3000\n\n"
            while is_good():
                event = self._event()
                if event and event != sent:
                    yield event
                    sent, waited_s = event, 0.0
                elif waited_s >= SILENCE_S:
                    yield b": still here\n\n"
                    waited_s = 0.0
                fresh = self._fresh
                try:
                    async with asyncio.timeout(SILENCE_S):
                        await fresh.wait()
                except TimeoutError:
                    waited_s += SILENCE_S
                waited_s += EVERY_S
        finally:
            self._streams -= 1

    async def _read(self) -> None:
        """Read for all, as long as there is anybody."""
        while self._streams > 0:
            reading = await run_in_threadpool(self._reading)
            if reading is not None:
                self._readings.append(reading)
            fresh, self._fresh = self._fresh, asyncio.Event()
            fresh.set()
            await asyncio.sleep(EVERY_S)
        self._readings.clear()

    def _reading(self) -> Now | None:
        try:
            with closing(open_reader(self._desk.data_dir)) as db:
                seq = last_seq(db)
                self._desk.snapshot(db)  # whose key was revoked is found out within this second
        except (LedgerError, *FAULTS):
            return None
        return Now(self._desk.clock.steady_us(), seq, self.counters())

    def _event(self) -> bytes:
        if not self._readings:
            return b""
        first, last = self._readings[0], self._readings[-1]
        told = {
            "in_flight": int(last.counters.get("weir_in_flight", 0)),
            "tokens_per_s": round(rate(first, last)),
            "seq": last.seq,
        }
        return b"event: now\ndata: " + msgspec.json.encode(told) + b"\n\n"


def rate(first: Now, last: Now) -> float:
    """Output tokens per second between two readings. A worker that was started again begins to count from nothing: then it is 0."""
    passed_us = last.at_us - first.at_us
    grown = sum(last.counters.get(name, 0) - first.counters.get(name, 0) for name in _TOKENS)
    return max(0.0, grown * 1e6 / passed_us) if passed_us > 0 else 0.0
