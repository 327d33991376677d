"""A machine on which gateways run: one clock, one queue of what happens next, processes that are killed, sockets that are cut.

Everything is decided by one seed. What runs in it is the code that runs outside: links, the writer, the journal, SQLite.
"""

import asyncio
import heapq
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from tokenweir.core.clock import FakeClock

US = 1_000_000
T = TypeVar("T")


class Machine:
    """Time, and what happens in it, in its order."""

    def __init__(self, seed: int, start_us: int) -> None:
        self.draw = random.Random(seed)
        self.clock = FakeClock(start_us)
        self.now_us = 0  # steady
        self._queue: list[tuple[int, int, Callable[..., object], tuple[object, ...]]] = []
        self._number = 0

    def at(self, when_us: int, happens: Callable[..., object], *what: object) -> None:
        """Let something happen then, or now where that is past."""
        self._number += 1
        heapq.heappush(self._queue, (max(when_us, self.now_us), self._number, happens, what))

    def pick(self, some: Sequence[T]) -> T:
        """One of them."""
        return some[int(self.draw.random() * len(some))]

    def upto(self, most: int) -> int:
        """A number from 0 to this."""
        return int(self.draw.random() * (most + 1))

    def after(self, seconds: float, happens: Callable[..., object], *what: object) -> None:
        self.at(self.now_us + int(seconds * US), happens, *what)

    def run(self, until: Callable[[], bool], most_s: float = 1e9) -> None:
        """Let things happen until a condition holds, which is looked at before each of them."""
        end_us = self.now_us + int(most_s * US)
        queue = self._queue
        while not until():
            when_us, _, happens, what = heapq.heappop(queue)
            assert when_us <= end_us, "it did not happen in time"
            if when_us > self.now_us:
                self.clock.advance(when_us - self.now_us)
                self.now_us = when_us
            happens(*what)


class _Timer:
    def __init__(self) -> None:
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Process(asyncio.AbstractEventLoop):
    """The loop of one process: nothing of it happens after its death, or before it wakes."""

    def __init__(self, machine: Machine, connect: Callable[[], object] = lambda: None) -> None:
        self._machine = machine
        self._connect = connect
        self.is_alive = True
        self.frozen_until_us = 0

    def _later(self, when_us: int, callback: Callable[..., object], args: tuple[object, ...]) -> _Timer:
        timer = _Timer()
        self._machine.at(max(when_us, self.frozen_until_us), self._turn, timer, callback, args)
        return timer

    def _turn(self, timer: _Timer, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        if not self.is_alive or timer.is_cancelled:
            return
        if self._machine.now_us < self.frozen_until_us:
            self._machine.at(self.frozen_until_us, self._turn, timer, callback, args)
            return
        callback(*args)

    def call_soon(self, callback: Any, *args: Any, context: Any = None) -> Any:
        return self._later(self._machine.now_us, callback, args)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Any = None) -> Any:
        return self._later(self._machine.now_us + int(delay * US), callback, args)

    def create_task(self, coro: Any, **_: Any) -> Any:
        """The one task there is: to connect to the writer."""
        coro.close()
        self.call_soon(self._connect)


class Side(asyncio.Transport):
    """One end of a socket: what is written arrives at the other end, in order and late; or never, when it is cut."""

    def __init__(self, machine: Machine, process: Process, protocol: asyncio.Protocol) -> None:
        super().__init__()
        self._machine, self._process, self.protocol = machine, process, protocol
        self.other: Side | None = None
        self._on_its_way: list[bytes] = []
        self._is_due = False  # an arrival is on the queue

    def write(self, data: Any) -> None:
        if self.other is None:
            return
        self._on_its_way.append(bytes(data))
        if not self._is_due:
            self._is_due = True
            self._machine.at(self._machine.now_us + 20 + self._machine.upto(2_000), self._arrive)

    def _arrive(self) -> None:
        """A reader takes all there is."""
        if self.other is None:
            return
        reader = self.other._process
        if self._machine.now_us < reader.frozen_until_us:
            self._machine.at(reader.frozen_until_us, self._arrive)
            return
        self._is_due = False
        data = b"".join(self._on_its_way)
        self._on_its_way.clear()
        self.other.protocol.data_received(data)

    def cut(self) -> None:
        """Both ends lose the connection, each when it notices; what was on its way is lost."""
        other, self.other = self.other, None
        if other is not None:
            other.other = None
            for side in (self, other):
                side._on_its_way.clear()
                side._process.call_soon(side.protocol.connection_lost, None)

    def close(self) -> None:
        self.cut()

    abort = close

    def is_closing(self) -> bool:
        return self.other is None


def join(
    machine: Machine, here: tuple[Process, asyncio.Protocol], there: tuple[Process, asyncio.Protocol]
) -> Side:
    """Connect two processes; the side of the first."""
    first, second = Side(machine, *here), Side(machine, *there)
    first.other, second.other = second, first
    second.protocol.connection_made(second)
    first.protocol.connection_made(first)
    return first
