"""A simulated OpenAI-compatible engine: a real HTTP/1.1 server whose answers are scripted to the byte.

In a test: `async with SimulatedEngine(Script(...)) as engine: ... engine.url`. As a program:
`python -m tokenweir.engines.simulated --port 0`, whose first line of output is its address.
`docs/engines.md` lists the scripts, the rule by which tokens are counted and the control paths.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import msgspec

from tokenweir.engines.simulated_answer import embeddings_body, error_body, metrics_body, models_body
from tokenweir.engines.simulated_connection import Connection, Received
from tokenweir.engines.simulated_script import NAMED, Counts, Script, count_body, prompt_tokens, read_asked
from tokenweir.engines.simulated_steps import Step, chat_steps, steps

_JSON = "application/json"
_CONTROL = "/simulate/"
_PLAIN = Script()


class Totals(msgspec.Struct):
    """Sums since the start. Tokens are those of answers that were written to their end."""

    requests: int = 0
    finished: int = 0
    hung_up: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


class _Release(msgspec.Struct):
    """The body of `POST /simulate/release`."""

    count: int | None = None


class SimulatedEngine:
    """The server.

    `scripts` answer the models they are named after, `script` all others. Without either, `NAMED` is used. A
    request's header `x-simulate` (a name, or a script as JSON) goes before both, and scripts given to `then`
    go before all. The last `keep` requests are kept in `received`.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        scripts: Mapping[str, Script] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_socket: str = "",
        reuse_port: bool = False,
        tls: ssl.SSLContext | None = None,
        keep: int = 10_000,
    ) -> None:
        self.default = script if script is not None else _PLAIN
        self.scripts: Mapping[str, Script] = scripts if scripts is not None else ({} if script else NAMED)
        self.received: deque[Received] = deque(maxlen=keep)
        self.totals = Totals()
        self.connections: set[Connection] = set()
        self.connections_made = 0
        self._host, self._port, self._unix_socket = host, port, unix_socket
        self._reuse_port, self._tls = reuse_port, tls
        self._server: asyncio.Server | None = None
        self._next: deque[Script] = deque()
        self._held: deque[Connection] = deque()
        self._waiters: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []

    # --- life

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen. Raises OSError when the address is taken."""
        loop = asyncio.get_running_loop()
        if self._unix_socket:
            self._server = await loop.create_unix_server(
                lambda: Connection(self), self._unix_socket, ssl=self._tls
            )
            return
        self._server = await loop.create_server(
            lambda: Connection(self),
            self._host,
            self._port,
            ssl=self._tls,
            reuse_port=self._reuse_port or None,
            backlog=4_096,
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening and break every connection."""
        if self._server is None:
            return
        self._server.close()
        for connection in tuple(self.connections):
            connection.abort()
        await self._server.wait_closed()
        self._server = None

    @property
    def port(self) -> int:
        """The port listened on."""
        return self._port

    @property
    def origin(self) -> str:
        """Scheme, host and port, without a path."""
        return f"{'https' if self._tls else 'http'}://{self._host}:{self._port}"

    @property
    def url(self) -> str:
        """What a client is given as the base address."""
        return f"{self.origin}/v1"

    # --- what a test says and asks

    def then(self, *scripts: Script) -> None:
        """Answer the next requests by these, one each, whatever they ask for."""
        self._next.extend(scripts)

    @property
    def holding(self) -> int:
        """How many answers wait for `release`."""
        return len(self._held)

    def release(self, number: int | None = None) -> None:
        """Let held answers go on, the longest held first: `number` of them, or all."""
        for _ in range(len(self._held) if number is None else min(number, len(self._held))):
            self._held.popleft().go_on()

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        """Wait until `condition()` holds; it is asked after each change here. Raises TimeoutError."""
        if condition():
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append((condition, waiter))
        try:
            async with asyncio.timeout(timeout_s):
                await waiter
        except TimeoutError:
            state = f"{self.totals}, holding {self.holding}, connections {len(self.connections)}"
            raise TimeoutError(f"the simulated engine never came to it: {state}") from None
        finally:
            self._waiters = [each for each in self._waiters if each[1] is not waiter]

    # --- what connections report

    def opened(self, connection: Connection) -> None:
        """A client has connected."""
        self.connections.add(connection)
        self.connections_made += 1
        self._changed()

    def closed(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if connection in self._held:
            self._held.remove(connection)
        self._changed()

    def hold(self, connection: Connection) -> None:
        """An answer has come to its gate."""
        self._held.append(connection)
        self._changed()

    def ended(self, received: Received) -> None:
        """An answer was written to its end, or its client hung up."""
        if received.path.startswith(_CONTROL):
            return
        totals = self.totals
        if received.hung_up:
            totals.hung_up += 1
        elif received.finished:
            totals.finished += 1
            if received.counts is not None:
                totals.prompt_tokens += received.counts.prompt
                totals.cached_tokens += received.counts.cached
                totals.output_tokens += received.counts.output
        if self._waiters:
            self._changed()

    def _changed(self) -> None:
        for condition, waiter in self._waiters:
            if not waiter.done() and condition():
                waiter.set_result(None)

    # --- answers

    def answer(self, received: Received) -> tuple[Step, ...]:
        """The steps of the answer to a request, which is kept."""
        path = received.path.partition("?")[0]
        if path.startswith(_CONTROL):
            return self._control(path, received)
        self.totals.requests += 1
        self.received.append(received)
        if self._waiters:
            self._changed()
        if path.endswith("/chat/completions") and received.method == "POST":
            return self._chat(received)
        if path.endswith("/embeddings") and received.method == "POST":
            return self._embeddings(received)
        body = self._page(path)
        if body is None or received.method not in {"GET", "HEAD"}:
            return _refuse(404, f"there is no {received.method} {path} here")
        kind = "text/plain; version=0.0.4" if path == "/metrics" else _JSON
        return steps(_PLAIN, [body], kind, stream=False)

    def _page(self, path: str) -> bytes | None:
        if path.endswith("/models"):
            return models_body(list(self.scripts) or ["ok"])
        if path == "/health":
            return b"{}"
        if path == "/version":
            return b'{"version":"0.0.0+simulated"}'
        if path == "/metrics":
            running = sum(connection.busy for connection in self.connections)
            totals = self.totals
            return metrics_body(
                running - self.holding, self.holding, totals.prompt_tokens, totals.output_tokens
            )
        return None

    def _chat(self, received: Received) -> tuple[Step, ...]:
        try:
            asked = read_asked(received.body)
            script = self._choose(asked.model, received.simulate)
            found = chat_steps(script, received.body)
        except msgspec.MsgspecError as error:
            return _refuse(400, str(error))
        received.script = script
        received.counts = None if script.status >= 400 or script.raw else count_body(script, received.body)
        return found

    def _embeddings(self, received: Received) -> tuple[Step, ...]:
        try:
            asked = read_asked(received.body)
            script = self._choose(asked.model, received.simulate)
        except msgspec.MsgspecError as error:
            return _refuse(400, str(error))
        received.script = script
        if script.status >= 400:
            return chat_steps(script, received.body)
        received.counts = Counts(prompt_tokens(asked), 0, 0, 0, "")
        return steps(script, [embeddings_body(asked)], _JSON, stream=False)

    def _choose(self, model: str, simulate: str) -> Script:
        if self._next:
            return self._next.popleft()
        if simulate.startswith("{"):
            return msgspec.json.decode(simulate, type=Script)
        if simulate:
            return self.scripts.get(simulate) or NAMED.get(simulate) or self.default
        return self.scripts.get(model, self.default)

    def _control(self, path: str, received: Received) -> tuple[Step, ...]:
        body: bytes | None = b"{}"
        try:
            if path == "/simulate/release":
                self.release(msgspec.json.decode(received.body or b"{}", type=_Release).count)
            elif path == "/simulate/then":
                self.then(*msgspec.json.decode(received.body, type=list[Script]))
            else:
                body = self._report(path)
        except msgspec.MsgspecError as error:
            return _refuse(400, str(error))
        if body is None:
            return _refuse(404, f"there is no {path} here")
        return steps(_PLAIN, [body], _JSON, stream=False)

    def _report(self, path: str) -> bytes | None:
        if path == "/simulate/totals":
            return msgspec.json.encode({**msgspec.structs.asdict(self.totals), "holding": self.holding})
        if path == "/simulate/received":
            return msgspec.json.encode(list(self.received))
        if path == "/simulate/scripts":
            return msgspec.json.encode(self.scripts)
        return None


def _refuse(status: int, message: str) -> tuple[Step, ...]:
    return steps(Script(status=status), [error_body(status, message)], _JSON, stream=False)


if __name__ == "__main__":
    from tokenweir.engines.simulated_program import main

    main()
