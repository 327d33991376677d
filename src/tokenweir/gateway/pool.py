"""Which connection an attempt gets: decisions only. The pool does no I/O; `gateway.upstream` acts on what it says."""

from collections import deque
from typing import Generic, TypeVar

import msgspec

C = TypeVar("C")
W = TypeVar("W")

MAX_WAITING = 4_096  # attempts that wait for a connection of one upstream


class Reuse(msgspec.Struct, Generic[C], frozen=True):
    """Send on this idle connection."""

    connection: C


class Connect(msgspec.Struct, frozen=True):
    """Make a new connection."""


class Wait(msgspec.Struct, frozen=True):
    """All connections are busy; the attempt was queued."""


class Full(msgspec.Struct, frozen=True):
    """All connections are busy and the queue is full."""


class PoolState(Generic[C, W]):
    """Idle connections (the last used first, so that spare ones age and close), busy ones and waiting attempts."""

    def __init__(self, max_connections: int) -> None:
        self.max_connections = max_connections
        self.open = 0  # idle, busy and being made
        self.idle: list[C] = []
        self.waiting: deque[W] = deque()

    def acquire(self, waiter: W, *, fresh: bool = False) -> Reuse[C] | Connect | Wait | Full:
        """A connection for `waiter` (with `fresh` a new one, where there is room), or what has to happen before there
        is one."""
        if self.idle and not (fresh and self.open < self.max_connections):
            return Reuse(self.idle.pop())
        if self.open < self.max_connections:
            self.open += 1
            return Connect()
        if len(self.waiting) >= MAX_WAITING:
            return Full()
        self.waiting.append(waiter)
        return Wait()

    def release(self, connection: C) -> W | None:
        """`connection` may be used again: the waiter that gets it, or None and it is idle now."""
        if self.waiting:
            return self.waiting.popleft()
        self.idle.append(connection)
        return None

    def closed(self, connection: C | None) -> W | None:
        """A connection is gone (None: it was never made): the waiter for whom a new one should be made, if any."""
        self.open -= 1
        if connection is not None and connection in self.idle:
            self.idle.remove(connection)
        if self.waiting and self.open < self.max_connections:
            self.open += 1
            return self.waiting.popleft()
        return None

    def forget(self, waiter: W) -> None:
        """`waiter` no longer wants a connection."""
        if waiter in self.waiting:
            self.waiting.remove(waiter)
