"""The upstream of streams: a program that answers every POST with chunks of one token at a fixed pace.

One timer serves all streams, so that two thousand of them cost little. They step in turns, spread over the pace, and
each chunk is a write of its own, as engines send them.
"""

import argparse
import asyncio
import itertools

import uvloop

#: One chunk of a stream, as engines send it.
TOKEN = (
    b'data: {"id":"chatcmpl-7f3a","object":"chat.completion.chunk","created":1767225600,"model":"bench",'
    b'"choices":[{"index":0,"delta":{"content":" token"},"logprobs":null,"finish_reason":null}]}\n\n'
)
_LAST = (
    b'data: {"id":"chatcmpl-7f3a","object":"chat.completion.chunk","created":1767225600,"model":"bench",'
    b'"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
)
_TURNS = 20
_WELL = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def framed(data: bytes) -> bytes:
    """A chunk of HTTP's chunked coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class Paced(asyncio.Protocol):
    """One connection: reads a request, streams an answer, reads the next."""

    def __init__(self, streams: "set[Paced]", chunks: int, turn: int) -> None:
        self.turn = turn
        self.streams = streams
        self.chunks = chunks
        self.left = 0
        self.buffer = b""
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self.streams.discard(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head, found, rest = self.buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(rest) < length or self.transport is None:
            return
        self.buffer = rest[length:]
        if head.startswith(b"GET"):  # routers ask whether an engine is well
            self.transport.write(_WELL)
            return
        self.left = self.chunks
        self.transport.write(HEAD)
        self.streams.add(self)

    def step(self) -> None:
        """Send the next chunk."""
        if self.transport is None:
            return
        if self.left:
            self.left -= 1
            self.transport.write(framed(TOKEN))
            return
        self.streams.discard(self)
        usage = (
            b'data: {"id":"chatcmpl-7f3a","object":"chat.completion.chunk","created":1767225600,"model":"bench",'
            b'"choices":[],"usage":{"prompt_tokens":120,"completion_tokens":%d,"total_tokens":%d}}\n\n'
        ) % (self.chunks, self.chunks + 120)
        self.transport.write(framed(_LAST) + framed(usage) + framed(b"data: [DONE]\n\n") + b"0\r\n\r\n")


async def serve(options: argparse.Namespace) -> None:
    """Serve until killed."""
    streams: set[Paced] = set()
    loop = asyncio.get_running_loop()
    number = itertools.count()
    await loop.create_server(
        lambda: Paced(streams, options.chunks, next(number) % _TURNS), "127.0.0.1", options.port, backlog=4096
    )
    due = loop.time()
    for turn in itertools.cycle(range(_TURNS)):
        due = max(due + options.pace_ms / 1000 / _TURNS, loop.time())
        await asyncio.sleep(due - loop.time())
        for stream in tuple(streams):
            if stream.turn == turn:
                stream.step()


def main() -> None:
    """Read the arguments and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chunks", type=int, required=True, help="chunks of a stream")
    parser.add_argument("--pace-ms", type=float, required=True, help="time between two chunks of a stream")
    uvloop.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
