"""The simulated engine over real sockets, in this process and as a program."""

import asyncio
import contextlib
import http.client
import json
import os
import select
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator

import pytest

from tokenweir.engines.simulated import SimulatedEngine
from tokenweir.engines.simulated_script import After, Break, Script

pytestmark = pytest.mark.filterwarnings("error")


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await test()

    asyncio.run(bounded())


def request(model: str = "ok", *, stream: bool = False, headers: str = "") -> bytes:
    body = json.dumps({"model": model, "stream": stream, "messages": [{"role": "user", "content": "a b"}]})
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n{headers}content-length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


async def read_answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    if b"transfer-encoding" in head:
        return head, await reader.readuntil(b"0\r\n\r\n")
    length = next(line for line in head.split(b"\r\n") if line.startswith(b"content-length"))
    return head, await reader.readexactly(int(length.split(b":")[1]))


def test_calls_on_one_connection_are_answered_in_order_and_recorded() -> None:
    async def test() -> None:
        async with SimulatedEngine() as engine:
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            writer.write(
                request("ok", headers="X-Thing: 7\r\n") + request("error-429") + request("kimi", stream=True)
            )
            heads = [(await read_answer(reader))[0] for _ in range(3)]
            assert [head.split()[1] for head in heads] == [b"200", b"429", b"200"]
            await engine.until(lambda: engine.totals.finished == 3)
            first = engine.received[0]
            assert (first.method, first.path, first.connection) == ("POST", "/v1/chat/completions", 1)
            assert first.header("x-thing") == "7"
            assert json.loads(first.body)["model"] == "ok"
            assert engine.connections_made == 1
            assert (engine.totals.prompt_tokens, engine.totals.output_tokens) == (6, 16)  # the error has none
            writer.close()

    run(test)


def test_a_held_answer_waits_for_its_release() -> None:
    async def test() -> None:
        async with SimulatedEngine(Script(hold_at=-1)) as engine:
            pairs = [await asyncio.open_connection("127.0.0.1", engine.port) for _ in range(3)]
            for number, (_, writer) in enumerate(pairs, start=1):
                writer.write(request())
                await engine.until(lambda number=number: engine.holding == number)  # type: ignore[misc]
            engine.release(1)
            assert (await read_answer(pairs[0][0]))[0].startswith(b"HTTP/1.1 200")
            assert engine.holding == 2
            engine.release()
            for reader, _ in pairs[1:]:
                await read_answer(reader)
            for _, writer in pairs:
                writer.close()

    run(test)


def test_a_client_that_hangs_up_is_seen() -> None:
    async def test() -> None:
        async with SimulatedEngine(Script(hold_at=3)) as engine:
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            writer.write(request(stream=True))
            await reader.readuntil(b"water")
            await engine.until(lambda: engine.holding == 1)
            writer.close()
            await engine.until(lambda: engine.totals.hung_up == 1)
            received = engine.received[0]
            assert (received.hung_up, received.finished, engine.holding) == (True, False, 0)

    run(test)


def test_the_header_and_then_choose_the_script() -> None:
    async def test() -> None:
        async with SimulatedEngine(Script(status=500)) as engine:
            engine.then(Script(status=418))
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            writer.write(request() + request(headers='x-simulate: {"status": 404}\r\n'))
            writer.write(
                request(headers="x-simulate: ok\r\n")
                + request(headers='x-simulate: {"no": 1}\r\n')
                + request()
            )
            statuses = [(await read_answer(reader))[0].split()[1] for _ in range(5)]
            assert statuses == [b"418", b"404", b"200", b"400", b"500"]
            writer.close()

    run(test)


def test_a_reset_is_a_reset_and_a_close_is_none() -> None:
    async def test() -> None:
        async with SimulatedEngine() as engine:
            engine.then(Script(break_at=2, break_how=Break.RESET), Script(break_at=2))
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            writer.write(request(stream=True))
            with pytest.raises(ConnectionResetError):
                await reader.read(-1)
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            writer.write(request(stream=True))
            assert (await reader.read(-1)).count(b"data:") == 2
            writer.close()

    run(test)


def test_a_stale_connection_is_closed_without_a_byte_when_it_is_used_again() -> None:
    async def test() -> None:
        async with SimulatedEngine() as engine:
            engine.then(Script(after=After.DROP_NEXT))
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            writer.write(request())
            assert b"connection: close" not in (await read_answer(reader))[0]
            writer.write(request())
            assert await reader.read(-1) == b""
            assert [received.finished for received in engine.received] == [True, False]
            writer.close()

    run(test)


def test_a_slow_reader_stops_a_huge_answer() -> None:
    async def test() -> None:
        async with SimulatedEngine(Script(padding_bytes=64 * 1024 * 1024)) as engine:
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port, limit=65_536)
            writer.write(request())
            await reader.readuntil(b"\r\n\r\n")
            await engine.until(lambda: bool(engine.received) and engine.received[0].written > 2)
            assert engine.received[0].written < 200  # of 257 slices: what the sockets' buffers hold
            body = await reader.readexactly(64 * 1024 * 1024)
            assert len(body) == 64 * 1024 * 1024
            writer.close()

    run(test)


def test_expectations_heads_pages_and_unknown_paths() -> None:
    async def test() -> None:
        async with SimulatedEngine(scripts={"m1": Script(), "m2": Script()}) as engine:
            reader, writer = await asyncio.open_connection("127.0.0.1", engine.port)
            head, _, body = request(headers="expect: 100-continue\r\n").partition(b"\r\n\r\n")
            writer.write(head + b"\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
            writer.write(body)
            await read_answer(reader)
            writer.write(b"HEAD /health HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"content-length: 2" in await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\nGET /nothing HTTP/1.1\r\nhost: x\r\n\r\n"
            )
            models = json.loads((await read_answer(reader))[1])
            assert [model["id"] for model in models["data"]] == ["m1", "m2"]
            assert (await read_answer(reader))[0].split()[1] == b"404"
            writer.write(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n")
            assert (
                b'vllm:generation_tokens_total{model_name="simulated"} 8\n' in (await read_answer(reader))[1]
            )
            embed = b'{"model":"m1","input":["one two","three"]}'
            writer.write(
                b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(embed) + embed
            )
            answer = json.loads((await read_answer(reader))[1])
            assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
            assert len(answer["data"]) == 2
            writer.write(b"nonsense\r\n\r\n")
            assert (await reader.read(-1)).startswith(b"HTTP/1.1 400")
            writer.close()

    run(test)


def test_waiting_in_vain_says_how_things_stand() -> None:
    async def test() -> None:
        async with SimulatedEngine() as engine:
            with pytest.raises(TimeoutError, match="requests=0"):
                await engine.until(lambda: engine.totals.requests == 1, timeout_s=0.01)

    run(test)


@contextlib.contextmanager
def program(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "tokenweir.engines.simulated", "--tied", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


def call(port: int, method: str, path: str, body: object = None) -> tuple[int, object]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with contextlib.closing(connection):
        connection.request(method, path, json.dumps(body) if body is not None else None)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_the_program_is_told_and_asked_over_http() -> None:
    with program("--keep", "5", "--script", '{"output_tokens": 2}') as (process, url):
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        chat = {"model": "any", "messages": [{"content": "x y z"}]}
        assert call(port, "POST", "/simulate/then", [{"status": 503}]) == (200, {})
        assert call(port, "POST", "/v1/chat/completions", chat)[0] == 503
        status, answer = call(port, "POST", "/v1/chat/completions", chat)
        assert status == 200
        assert answer["usage"]["total_tokens"] == 6  # type: ignore[index]
        totals = call(port, "GET", "/simulate/totals")[1]
        assert (totals["requests"], totals["finished"], totals["output_tokens"]) == (2, 2, 2)  # type: ignore[index]
        received = call(port, "GET", "/simulate/received")[1]
        assert [item["path"] for item in received] == ["/v1/chat/completions"] * 2  # type: ignore[union-attr]
        assert call(port, "POST", "/simulate/then", {"no": "list"})[0] == 400
        process.terminate()
        assert process.wait(10) == 0


def test_the_program_ends_with_its_parent() -> None:
    parent = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-m', 'tokenweir.engines.simulated', '--tied'],"
        " stdout=subprocess.PIPE, text=True)\n"
        "print(child.pid, child.stdout.readline().strip(), flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", parent]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid, url = process.stdout.readline().split()
        descriptor = os.pidfd_open(int(pid))
        process.kill()
    port = int(url.removesuffix("/v1").rpartition(":")[2])
    with socket.socket() as probe:
        probe.settimeout(10)
        # The pidfd becomes readable when the child is gone; then nobody listens.
        assert _ended(descriptor, 10_000)
        assert probe.connect_ex(("127.0.0.1", port)) != 0


def _ended(descriptor: int, timeout_ms: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    try:
        return bool(poll.poll(timeout_ms))
    finally:
        os.close(descriptor)
