"""500 calls at once on a limit that fits exactly 100: 100 are served, never more; then exactly as many as what is left fits.

Two real workers, the real writer, real HTTP; the upstream is the simulated engine, which holds every answer until it is
told to go on, so that all calls that are served are under way at once.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from weir_process import DEADLINE_S, Home, free_port

from tokenweir.core.clock import FakeClock
from tokenweir.core.money import format_pico
from tokenweir.engines.simulated import SimulatedEngine
from tokenweir.engines.simulated_script import Script
from tokenweir.gateway.admission import TEMPLATE_TOKENS
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.terms import AccountRecord, Change, KeyRecord, Limit, SetAccount, SetKey, SetLimit
from tokenweir.ledger.verify import verify

CLIENTS, FIT = 500, 100
OUTPUT = 100
EACH_INPUT, EACH_OUTPUT = 4_000_000, 16_000_000  # pico a token
BODY = json.dumps(
    {"model": "m", "messages": [{"role": "user", "content": "as many as fit"}], "max_tokens": OUTPUT}
).encode()
#: What a call sets aside, and what it costs in the end: the engine counts words, and one for each message.
RESERVED_INPUT = (len(BODY) + TEMPLATE_TOKENS) * EACH_INPUT
RESERVED = RESERVED_INPUT + OUTPUT * EACH_OUTPUT
PROMPT = 5
COST = PROMPT * EACH_INPUT + OUTPUT * EACH_OUTPUT
CONFIG = """
[server]
port = {port}
workers = 2
[local]
enabled = false
[[upstream]]
name = "sim"
kind = "openai"
url = "{upstream}"
[[model]]
name = "m"
deployments = ["sim/m"]
price = {{ input = 4.0, output = 16.0, currency = "CNY" }}
"""
ACCOUNTS: tuple[Change, ...] = (
    SetAccount(AccountRecord("org")), SetAccount(AccountRecord("one", "org")), SetAccount(AccountRecord("two", "org")),
    *(SetKey(KeyRecord(id, id, account, hashlib.sha256(id.encode()).digest(), id, 0)) for id, account in (("k1", "one"), ("k2", "two"))),
)  # fmt: skip


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: dict[str, dict[str, object]]

    @property
    def output(self) -> object:
        return self.body["usage"]["completion_tokens"]

    @property
    def message(self) -> str:
        return str(self.body["error"]["message"])


async def ask(port: int, key: str) -> Answer:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: w\r\nconnection: close\r\nauthorization: Bearer %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (key.encode(), len(BODY), BODY)
    )
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    first, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split()[1]), headers, json.loads(body))


class Gateway:
    """Two workers with an engine behind them that holds its answers."""

    def __init__(self, engine: SimulatedEngine, port: int, data: Path) -> None:
        self.engine, self.port, self.data = engine, port, data

    async def wave(self, keys: tuple[str, ...], served: int, calls: int = CLIENTS) -> list[Answer]:
        """Calls, all at once, spread over the keys; held until every other one has been refused."""
        asked = [asyncio.ensure_future(ask(self.port, keys[n % len(keys)])) for n in range(calls)]
        async with asyncio.timeout(DEADLINE_S):
            refused = [await each for each in _as_they_come(asked, calls - served)]
        await self.engine.until(lambda: self.engine.holding == served, DEADLINE_S)
        assert sum(each.done() for each in asked) == len(refused)
        self.engine.release()
        async with asyncio.timeout(DEADLINE_S):
            return list(await asyncio.gather(*asked))


def _as_they_come(
    asked: list["asyncio.Future[Answer]"], number: int
) -> list[Coroutine[object, object, Answer]]:
    return list(asyncio.as_completed(asked))[:number]  # type: ignore[arg-type]


@asynccontextmanager
async def gateway(tmp_path: Path, *limits: Change) -> AsyncIterator[Gateway]:
    port, data = free_port(), tmp_path / "data"
    async with SimulatedEngine(Script(hold_at=-1, output_tokens=OUTPUT)) as engine:
        (tmp_path / "weir.toml").write_text(CONFIG.format(port=port, upstream=engine.url))
        assert make_changes(data, (*ACCOUNTS, *limits), FakeClock()) == ""
        with Home(tmp_path).up(port, "--config", "weir.toml", "--data", str(data)):
            yield Gateway(engine, port, data)
    report = verify(data)
    assert report.ok, report.problems
    assert report.open_calls == 0


def run(scenario: Callable[[], Coroutine[object, object, None]]) -> None:
    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("scope", "model", "keys"),
    [("key/k1", "", ("k1",)), ("account/org", "", ("k1", "k2")), ("account/org", "m*", ("k1", "k2"))],
    ids=("a key", "an account above two keys", "a model within an account"),
)
def test_exactly_as_many_are_served_as_fit(
    scope: str, model: str, keys: tuple[str, ...], tmp_path: Path
) -> None:
    amount = FIT * RESERVED
    left = amount - FIT * COST
    whole, cut = left // RESERVED, (left % RESERVED - RESERVED_INPUT) // EACH_OUTPUT
    assert whole and cut >= 16  # the last of the second wave is cut to what is left

    async def scenario() -> None:
        async with gateway(tmp_path, SetLimit(scope, Limit("CNY", amount, "total", model=model))) as weir:
            first = await weir.wave(keys, FIT)
            served = [answer for answer in first if answer.status == 200]
            assert len(served) == FIT
            assert {answer.output for answer in served} == {OUTPUT}
            self_told = f"{format_pico(amount)} CNY in total; 0 are spent and {format_pico(amount)} reserved"
            for answer in first:
                if answer.status != 200:
                    assert answer.status == 402
                    assert self_told in answer.message
                    assert answer.headers["x-should-retry"] == "false"
            again = await weir.wave(keys, whole + 1)
            outputs = sorted(answer.output for answer in again if answer.status == 200)  # type: ignore[type-var]
            assert outputs == [cut] + [OUTPUT] * whole
            assert {answer.status for answer in again} == {200, 402}
            assert weir.engine.totals.requests == FIT + whole + 1

    run(scenario)


def test_of_many_calls_at_once_so_many_are_under_way_as_may_be(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with gateway(tmp_path, SetLimit("account/org", Limit("calls", 4, "at once"))) as weir:
            for _ in range(3):  # each end makes room for another
                answers = await weir.wave(("k1", "k2"), 4, calls=60)
                assert sorted(answer.status for answer in answers) == [200] * 4 + [429] * 56
                for answer in answers:
                    if answer.status == 429:
                        assert answer.headers["retry-after"] == "1"
                        assert "is 4 calls at once; 4 are under way" in answer.message

    run(scenario)
