"""A worker's process: the event loop, what it serves now, and the calls under way."""

import asyncio
import hashlib
import os
import signal
import socket
from email.utils import formatdate
from pathlib import Path

import msgspec
import uvloop

from tokenweir.core.clock import Clock
from tokenweir.core.ids import IdSource, uuid_text
from tokenweir.gateway.answering import Exchange
from tokenweir.gateway.call import Call
from tokenweir.gateway.config import GatewayConfig, KeepLimits
from tokenweir.gateway.cors import cors_lines
from tokenweir.gateway.inbound import ClientConnection
from tokenweir.gateway.kept_responses import KeptResponses
from tokenweir.gateway.kept_texts import KeptTexts
from tokenweir.gateway.metrics import Counters
from tokenweir.gateway.pages import PAGES, page_of
from tokenweir.gateway.passing import PREFIXES, Passing, control_process, passed
from tokenweir.gateway.plan import Plan
from tokenweir.gateway.request import Request
from tokenweir.gateway.response_keeper import ResponseKeeper
from tokenweir.gateway.response_store import SqliteResponseStore
from tokenweir.gateway.run_call import RunCall
from tokenweir.gateway.runs import Runs
from tokenweir.gateway.token_count import TokenCount
from tokenweir.gateway.upstream import Upstream
from tokenweir.ledger.frames import FrameReader
from tokenweir.ledger.link import LedgerLink
from tokenweir.ledger.terms import KeyRecord
from tokenweir.protocol import problems
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.wires import BY_PATH, COUNT_TOKENS_PATH

TICKS_PER_S = 4.0
#: At the end of a drain, how long the last settlements may take to become durable and the last bytes to leave.
LAST_WORDS_S = 5.0
#: Without its writer a worker takes connections after this time all the same, to say that the ledger is away.
LISTEN_ANYWAY_S = 5.0
_OPEN_PATHS = frozenset({b"/", b"/api/hello", b"/v1", b"/v1/", b"/healthz", b"/readyz"})


class Worker:
    """What the connections, the calls and the pages share."""

    ticks_per_s = TICKS_PER_S

    def __init__(
        self, config: GatewayConfig, data_dir: Path, worker: str, clock: Clock, durability: str = "fsync"
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = clock
        self.ids = IdSource(clock.now_us, os.urandom)
        self.plan = Plan(config)
        self.limits = config.limits
        self.link = LedgerLink(self.loop, data_dir, worker, lambda: tuple(self.calls), durability=durability)
        self.control = control_process(data_dir, self.loop, TICKS_PER_S)
        self.connections: set[ClientConnection] = set()
        self.calls: dict[bytes, Call] = {}
        self.event_streams: set[Passing] = set()  # without an end of their own
        self.cooling: dict[str, int] = {}  # deployment -> steady µs until which it is tried last
        self.counters = Counters()
        self.texts = KeptTexts(data_dir, self.counters)
        self.runs = Runs(clock.steady_us, self._is_live)
        self.draining = False
        self.hurried = asyncio.Event()  # what runs need not be waited for any longer
        self.date_line = b""
        self._data_dir = data_dir
        self._upstreams: dict[bytes, Upstream] = {}  # by their settings, encoded
        self._kept: dict[KeepLimits, KeptResponses] = {}  # those of settings before, too: calls go on
        self._ticks = 0

    def upstream(self, plan: Plan, name: str) -> Upstream:
        """The connections to an upstream. Known by all of its settings: changed ones are another upstream."""
        settings = plan.settings_of[name]
        known = self._upstreams.get(settings)
        if known is None:
            known = self._upstreams[settings] = Upstream(plan.upstreams[name], self.loop, TICKS_PER_S)
        return known

    @property
    def kept(self) -> KeptResponses | None:
        """The responses that are kept, where any are."""
        limits = self.plan.config.keep
        if limits is None:
            return None
        known = self._kept.get(limits)
        if known is None:
            open_store = lambda: SqliteResponseStore(self._data_dir, limits, self.clock.now_us)  # noqa: E731
            known = self._kept[limits] = KeptResponses(ResponseKeeper(open_store, self.loop))
        return known

    def reload(self, config: GatewayConfig) -> None:
        """Serve this from now on. Calls under way end as they began."""
        self.plan, self.limits = Plan(config), config.limits
        for gone in set(self._upstreams) - set(self.plan.settings_of.values()):
            self._upstreams.pop(gone).retire()

    def _is_live(self, key: KeyRecord) -> bool:
        return self.link.terms.key_by_hash(key.hash, self.clock.now_us()) is not None

    def cors_lines(self, origin: bytes) -> bytes:
        """Header lines that let a page of an allowed origin read the answer."""
        return cors_lines(self.plan.config.cors_origins, origin)

    # --- answering.Service

    def lines(self, request: Request) -> bytes:
        """Header lines of an answer that no call gives: an id all the same, and what a browser wants to know."""
        return self.lines_of(self.ids.new(), request)

    def lines_of(self, call: bytes, request: Request) -> bytes:
        """The same of the answer to a call."""
        own = f"x-weir-call: {uuid_text(call)}\r\n".encode()
        return own + self.cors_lines(request.origin) if request.origin else own

    def screen(self, request: Request) -> Problem | None:
        """Path, method and key: what can be refused before a body is read."""
        path = request.path
        if path in BY_PATH and request.method == "POST":  # nearly every one
            return self._screen_key(request)
        if request.method == "OPTIONS":
            return None
        if path.startswith(PREFIXES):
            return self._screen_passed(request)
        if not (path in _OPEN_PATHS or (path == b"/metrics" and not self.plan.config.metrics_need_key)):
            unknown = self._screen_key(request)
            if unknown is not None:
                return unknown
        if path in BY_PATH or path == COUNT_TOKENS_PATH:
            return None if request.method == "POST" else problems.method_not_allowed("POST")
        if path.startswith(b"/v1/responses/"):
            taken = request.method in ("GET", "HEAD", "DELETE")
            return None if taken else problems.method_not_allowed("GET, HEAD, DELETE")
        if path in PAGES or path.startswith(b"/v1/models/"):
            return None if request.method in ("GET", "HEAD") else problems.method_not_allowed("GET, HEAD")
        return problems.not_found(path.decode("latin-1"))

    def _screen_passed(self, request: Request) -> Problem | None:
        """Who asks, and whether they may, is found out by the control process."""
        row = passed(request.path)
        request.max_body_bytes = min(request.max_body_bytes, row.max_body_bytes)
        if request.length > request.max_body_bytes:
            return problems.body_too_large(request.max_body_bytes)
        return self._screen_key(request) if row.needs_key else None

    def _screen_key(self, request: Request) -> Problem | None:
        if not request.digest and (secret := request.secret):
            request.digest = hashlib.sha256(secret).digest()
        if request.digest:
            request.key = self.link.terms.key_by_hash(request.digest, self.clock.now_us())
        if not self.link.available:
            return problems.ledger_unavailable()
        return problems.unauthorized() if request.key is None else None

    def serve(self, request: Request, client: ClientConnection) -> Exchange | None:
        """Answer a request that passed its screening."""
        if request.method == "OPTIONS":
            allowed = cors_lines(self.plan.config.cors_origins, request.origin, preflight=True)
            client.answer(
                204, b"allow: GET, HEAD, POST, DELETE, OPTIONS\r\n" + self.lines(request) + allowed, b""
            )
            return None
        if request.path in BY_PATH and request.key is not None:
            call = (RunCall if request.key.run else Call)(self, client, request, request.key)
            call.begin()
            return call
        if request.path == COUNT_TOKENS_PATH:
            count = TokenCount(self, client, request)
            count.begin()
            return count
        if request.path.startswith(PREFIXES):
            passing = Passing(self, client, request)
            passing.begin()
            return passing
        page_of(request.path)(self, request, client)
        return None

    # --- time

    def tick(self) -> None:
        """A few times a second: everything that waits looks at its clock."""
        self._ticks += 1
        if self._ticks % int(TICKS_PER_S) == 0 or not self.date_line:
            self.date_line = f"date: {formatdate(self.clock.now_us() / 1e6, usegmt=True)}\r\n".encode()
            self.link.push_counters(self.counters.values(self.gauges()))
        for connection in tuple(self.connections):
            connection.tick()
        for upstream in (*self._upstreams.values(), self.control):
            upstream.tick()
        for call in tuple(self.calls.values()):
            call.tick()
        self.runs.tick()
        self.texts.tick(self.clock.now_us())

    def gauges(self) -> dict[str, float]:
        """What is under way at this moment."""
        values: dict[str, float] = {
            "weir_in_flight": len(self.calls),
            "weir_connections": len(self.connections),
        }
        attempts = [call.attempt for call in self.calls.values() if call.attempt is not None]
        for attempt in attempts:
            name = f"weir_upstream_in_flight|upstream={attempt.deployment.upstream}"
            values[name] = values.get(name, 0) + 1
        values["weir_streaming_tokens"] = sum(a.meter.counted for a in attempts if a.meter is not None)
        now_us = self.clock.steady_us()
        cooling = (name for name, until_us in self.cooling.items() if until_us > now_us)
        return values | {f"weir_cooling|deployment={name}": 1 for name in cooling}

    async def drain(self) -> None:
        """Take nothing new, let what runs end within the set time, end the rest, and see all of it settled."""
        self.draining = True
        self.runs.release()
        for stream in tuple(self.event_streams):
            stream.finish()
        for connection in tuple(self.connections):
            connection.drain()
        await self._until_quiet(self.limits.drain_timeout_s, unless=self.hurried)
        for call in tuple(self.calls.values()):
            call.interrupt()
        await self._until_quiet(LAST_WORDS_S)
        for connection in tuple(self.connections):
            connection.cut()
        for kept in self._kept.values():
            kept.close()
        self.texts.close()
        self.link.close()

    async def _until_quiet(self, within_s: float, unless: asyncio.Event | None = None) -> None:
        """Until no call is under way, every settlement is durable and every answer has left."""
        for _ in range(int(within_s * 50)):
            busy = self.calls or self.link.undelivered or any(c.is_busy for c in self.connections)
            if not busy or (unless is not None and unless.is_set()):
                return
            await asyncio.sleep(0.02)


def run_worker(
    config: GatewayConfig,
    *,
    listen: socket.socket,
    data_dir: Path,
    worker: str,
    control: socket.socket,
    clock: Clock,
    durability: str = "fsync",
) -> None:
    """Serve on `listen` until SIGTERM; a second one shortens the drain. `control` brings new configurations."""
    uvloop.run(_run(config, listen, data_dir, worker, control, clock, durability))


async def _run(
    config: GatewayConfig,
    listen: socket.socket,
    data_dir: Path,
    name: str,
    control: socket.socket,
    clock: Clock,
    durability: str,
) -> None:
    loop = asyncio.get_running_loop()
    worker = Worker(config, data_dir, f"{name}-{os.getpid()}", clock, durability)
    worker.tick()
    worker.link.connect()
    ended = asyncio.Event()

    def stop() -> None:
        if ended.is_set():
            worker.hurried.set()
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the supervisor reads the settings and tells us
    frames, decoder = FrameReader(), msgspec.json.Decoder(GatewayConfig)

    def told() -> None:
        data = control.recv(1 << 20)
        if not data:
            loop.remove_reader(control.fileno())
            ended.set()  # the supervisor is gone
        for body in frames.feed(data):
            worker.reload(decoder.decode(body))

    loop.add_reader(control.fileno(), told)
    ticking = loop.create_task(_tick(worker))
    # Another worker may answer already: who connects must not come upon one that knows no keys yet.
    await _first_of(worker.link.greeted, ended, within_s=LISTEN_ANYWAY_S)
    server = await loop.create_server(lambda: ClientConnection(worker), sock=listen, backlog=4096)
    await ended.wait()
    server.close()
    await worker.drain()
    ticking.cancel()


async def _first_of(*events: asyncio.Event, within_s: float) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()


async def _tick(worker: Worker) -> None:
    while True:
        await asyncio.sleep(1 / TICKS_PER_S)
        worker.tick()
