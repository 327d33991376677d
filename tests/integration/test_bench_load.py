"""The load program sees what a server does: how many calls were answered, streams to their end, and any call that went wrong."""

import argparse
import asyncio

import pytest

from bench import load
from bench.paced import framed

WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + framed(b"{}") + b"0\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + framed(b"data: {}\n\n") * 3 + b"0\r\n\r\n"
BROKEN = b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"


def sent(answer: bytes, **wanted: object) -> tuple[dict[str, object], list[bytes]]:
    """What the program saw of a server that always answers so, and the requests that this had."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                requests.append(head + await reader.readexactly(length))
                if not answer:
                    return
                writer.write(answer)
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    async def both() -> dict[str, object]:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            options = {
                "port": server.sockets[0].getsockname()[1], "key": "k", "header": ["x-more: 1"], "model": "m", "seconds": 0.0,
                "calls": 30, "connections": 4, "rate": 0.0, "body_bytes": 400, "stream": False, "hold": False,
            }  # fmt: skip
            return await load.run(argparse.Namespace(**{**options, **wanted}))

    return asyncio.run(both()), requests


@pytest.mark.parametrize("answer", [WHOLE, CHUNKED], ids=["counted", "chunked"])
@pytest.mark.parametrize("rate", [0.0, 1000.0], ids=["as fast as answers come", "at fixed moments"])
def test_as_many_calls_as_asked_for_are_sent_and_answered(answer: bytes, rate: float) -> None:
    seen, requests = sent(answer, rate=rate, seconds=60.0)
    assert (seen["calls"], seen["errors"], len(requests)) == (30, {}, 30)
    head, _, body = requests[0].partition(b"\r\n\r\n")
    assert b"authorization: Bearer k" in head
    assert b"x-more: 1" in head
    assert len(body) == 400


def test_a_stream_is_read_to_its_end_and_its_chunks_are_counted() -> None:
    seen, requests = sent(STREAM, stream=True, calls=5)
    assert (seen["calls"], seen["chunks"], len(requests)) == (5, 15, 5)
    assert b'"stream": true' in requests[0]


@pytest.mark.parametrize(("answer", "named"), [(BROKEN, "HTTP/1.1 500 No"), (b"", "connection lost")])
def test_a_call_that_goes_wrong_is_named(answer: bytes, named: str) -> None:
    seen, _ = sent(answer)
    assert seen["errors"].keys() == {named}
