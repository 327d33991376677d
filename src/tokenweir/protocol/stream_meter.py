"""What the meters of all dialects have in common: bytes pass on, and what they cost is noted."""

from collections.abc import Callable

from tokenweir.core.usage import Usage
from tokenweir.protocol.answers import stream_usage
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.sse import SseSplitter

UPSTREAM_ERROR = "the upstream reported an error"


class StreamMeter:
    """Feed it the answer's bytes; pass on what it returns; ask it at the end.

    The dialect's own end is held back: the client gets it once the settlement is durable. `quick` tells the tokens of a
    piece that is one event and needs no more reading; 0: it has to be read.
    """

    def __init__(self, quick: Callable[[bytes], int]) -> None:
        self._quick = quick
        self._splitter = SseSplitter()
        self._held = b""
        self._ended = False
        self.usage: Usage | None = None  # as reported last: reports are cumulative, never added
        self.counted = 0  # tokens of the output, where nobody reports them
        self.error: str | None = None
        self.finished = False
        self.model = ""

    def feed(self, chunk: bytes) -> bytes:
        """What may go to the client now. Raises nothing: what is not understood passes."""
        if not self._splitter.rest and not self._ended and (tokens := self._quick(chunk)):
            self.counted += tokens
            return chunk
        return b"".join([event for event in self._splitter.feed(chunk) if self._passes(event)])

    def tail(self) -> bytes:
        """What was held back: the end of the stream, and an event that never became whole."""
        held, self._held = self._held + self._splitter.rest, b""
        self._splitter.rest = b""
        return held

    def settled(self, prompt_bytes: int) -> Usage:
        """Usage of the stream, whole or cut off: as reported, or counted here where nobody said it to the end."""
        failed = self.error is not None
        return stream_usage(self.usage, self.counted, prompt_bytes, finished=self.finished, failed=failed)

    def broken(self, problem: Problem) -> bytes:
        """What ends a stream that broke, in its dialect: never a silent end."""
        raise NotImplementedError

    def _passes(self, event: bytes) -> bool:
        """Read an event; whether it goes on to the client now."""
        raise NotImplementedError
