"""Connections to one upstream: made, kept, watched and reused."""

import asyncio
import ssl

from tokenweir.gateway.config import UpstreamConfig
from tokenweir.gateway.dial import describe, dial, tls_context
from tokenweir.gateway.pool import Connect, Full, PoolState, Reuse
from tokenweir.gateway.upstream_connection import AnswerSink, Fault, UpstreamConnection


class Upstream:
    """The connections to one upstream."""

    def __init__(self, config: UpstreamConfig, loop: asyncio.AbstractEventLoop, ticks_per_s: float) -> None:
        self.config = config
        self.connections: set[UpstreamConnection] = set()
        self._loop = loop
        self._ticks_per_s = ticks_per_s
        self._pool: PoolState[UpstreamConnection, AnswerSink] = PoolState(config.max_connections)
        self._connecting: set[asyncio.Task[None]] = set()
        #: Waiting or being connected for, with the tick at which that began; a cancelled one is taken out.
        self._wanted: dict[AnswerSink, int] = {}
        self._ticks = 0
        self._tls = tls_context(config) if config.scheme == "https" else None
        self.retired = False

    def acquire(self, sink: AnswerSink, *, fresh: bool = False) -> None:
        """Calls `sink.connected` now or later, or `sink.answer_fault`; `fresh`: not with a connection used before."""
        while True:
            decision = self._pool.acquire(sink, fresh=fresh)
            if type(decision) is Reuse:
                if decision.connection.is_stale():
                    decision.connection.abandon()
                    continue
                sink.connected(decision.connection)
                return
            if isinstance(decision, Full):
                sink.answer_fault(Fault.BUSY, f"all {self._pool.max_connections} connections are in use")
                return
            self._wanted[sink] = self._ticks
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
        """Let every connection look at its clock, and end the wait of who waits for one for too long."""
        self._ticks += 1
        for connection in tuple(self.connections):
            connection.tick(self.config, self._ticks_per_s)
        allowed_s = self.config.connect_timeout_s
        waiting = self._pool.waiting
        while waiting and self._ticks - self._wanted[waiting[0]] > allowed_s * self._ticks_per_s:
            sink = waiting.popleft()
            del self._wanted[sink]
            detail = f"all {self._pool.max_connections} were in use for {allowed_s:g} s"
            sink.answer_fault(Fault.BUSY, detail)

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
