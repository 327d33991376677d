"""What the meters of all dialects have in common: bytes pass on, and what they cost is noted."""

from collections.abc import Callable

from tokenweir.core.usage import Usage
from tokenweir.protocol.answers import held_to, stream_usage
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.sse import SseSplitter

UPSTREAM_ERROR = "the upstream reported an error"
#: Tokens of output that a stream may tell where no limit bounds it: more than there ever are.
UNBOUNDED = 1 << 62


class StreamMeter:
    """Feed it the answer's bytes; pass on what it returns; ask it at the end.

    The dialect's own end is held back: the client gets it once the settlement is durable. `quick` tells the tokens of a
    piece that is one event and needs no more reading; 0: it has to be read.

    Once `most` tokens of output have come, nothing passes that bears more of them, nor what follows it: `full` says so, and
    `capped` ends the stream.
    """

    def __init__(self, quick: Callable[[bytes], int]) -> None:
        self._quick = quick
        self._splitter = SseSplitter()
        self._held = b""
        self._ended = False
        self.usage: Usage | None = None  # as reported last: reports are cumulative, never added
        self.counted = 0  # tokens of the output, where nobody reports them
        self.most = UNBOUNDED
        self.full = False
        self.error: str | None = None
        self.finished = False
        self.model = ""

    def bound(self, most: int) -> None:
        """Let nothing more pass, once `most` tokens of output have come. Asked before the first piece."""
        self.most = most

    def feed(self, chunk: bytes) -> bytes:
        """What may go to the client now. Raises nothing: what is not understood passes."""
        if not self._splitter.rest and not self._ended and (tokens := self._quick(chunk)):
            if self.counted >= self.most:
                self.full = True
                return b""
            self.counted += tokens
            return chunk
        return b"".join(
            [e for e in self._splitter.feed(chunk) if not self.full and self._passes(e) and not self.full]
        )

    def tail(self) -> bytes:
        """What was held back: the end of the stream, and an event that never became whole."""
        held, self._held = self._held + self._splitter.rest, b""
        self._splitter.rest = b""
        return held

    def settled(self, prompt_bytes: int) -> Usage:
        """Usage of the stream, whole or cut off: as reported, or counted here where nobody said it to the end."""
        failed, finished = self.error is not None, self.finished and not self.full
        usage = stream_usage(self.usage, self.counted, prompt_bytes, finished=finished, failed=failed)
        return held_to(self.most, usage, full=self.full)

    def broken(self, problem: Problem) -> bytes:
        """What ends a stream that broke, in its dialect: never a silent end."""
        raise NotImplementedError

    def capped(self, usage: Usage) -> bytes:
        """What ends a stream that is `full`, in its dialect: in order, for reason of its length, with this usage."""
        raise NotImplementedError

    def _count(self, tokens: int) -> bool:
        """Note tokens of the output; whether there was room for them."""
        if tokens and self.counted >= self.most:
            self.full = True
            return False
        self.counted += tokens
        return True

    def _passes(self, event: bytes) -> bool:
        """Read an event; whether it goes on to the client now."""
        raise NotImplementedError
