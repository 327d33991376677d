"""The meter of a streamed answer: passes bytes on, watching what they cost.

A piece that holds whole events and none of the marks below passes untouched and undecoded. The end, `data: [DONE]`, is
held back: the client gets it once the settlement is durable.
"""

import msgspec

from tokenweir.core.errors import WireError
from tokenweir.core.usage import Usage
from tokenweir.protocol.sse import SseSplitter, event_data
from tokenweir.protocol.usage import read_usage

#: Bytes that make an event worth reading. Text that happens to hold one costs time, nothing else.
_MARKS = (b'"usage"', b"[DONE]", b'"error"', b'"finish_reason":"', b'"finish_reason": "', b"event:")
#: Names of deltas that bear tokens; what follows is not an empty string or null.
_TOKEN_NAMES = (b'"content":"', b'"reasoning_content":"', b'"reasoning":"', b'"arguments":"', b'"text":"')
_NULL = msgspec.Raw(b"null")


class _Delta(msgspec.Struct):
    content: object = None
    reasoning_content: object = None
    reasoning: object = None
    tool_calls: object = None
    refusal: object = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: object = None
    usage: msgspec.Raw = _NULL


class _Chunk(msgspec.Struct):
    model: object = None
    choices: list[_Choice] | None = None
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_DECODER = msgspec.json.Decoder(_Chunk)


class ChatStreamMeter:
    """Feed it the answer's bytes; pass on what it returns; ask it at the end."""

    def __init__(self, *, forward_usage: bool) -> None:
        self._forward_usage = forward_usage
        self._splitter = SseSplitter()
        self._held = b""
        self._ended = False
        self.usage: Usage | None = None  # as reported last: reports are cumulative, never added
        self.counted = 0  # pieces that bore tokens: the output's tokens where nobody reports them
        self.error: str | None = None
        self.finished = False
        self.model = ""

    def feed(self, chunk: bytes) -> bytes:
        """What may go to the client now. Raises nothing: what is not understood passes."""
        if not self._ended and not self._splitter.rest and self.model and chunk.endswith(b"\n\n"):
            for mark in _MARKS:
                if mark in chunk:
                    break
            else:
                events = chunk.count(b"\n\n")
                self.counted += 1 if events == 1 else self._count_tokens(chunk)
                return chunk
        try:
            events_now = self._splitter.feed(chunk)
        except WireError:
            passed, self._splitter.rest = self._splitter.rest, b""
            return passed
        return b"".join([event for event in events_now if self._passes(event)])

    def tail(self) -> bytes:
        """What was held back: the end of the stream, and an event that never became whole."""
        held, self._held = self._held + self._splitter.rest, b""
        self._splitter.rest = b""
        return held

    def _count_tokens(self, chunk: bytes) -> int:
        return sum(any(name in event for name in _TOKEN_NAMES) for event in chunk.split(b"\n\n"))

    def _passes(self, event: bytes) -> bool:
        """Read an event; whether it goes on to the client now."""
        data = event_data(event)
        if self._ended or data.strip() == b"[DONE]":
            self._ended = self.finished = True
            self._held += event
            return False
        return not data or self._read(data)

    def _read(self, data: bytes) -> bool:
        try:
            found = _DECODER.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return True
        if isinstance(found.model, str) and found.model:
            self.model = found.model[:200]
        if bytes(found.error) != b"null":
            self.error = "the upstream reported an error"
            return True
        choices = found.choices or []
        reported = read_usage(found.usage)
        for choice in choices:
            reported = reported or read_usage(choice.usage)
            if choice.finish_reason:
                self.finished = True
            delta = choice.delta
            if delta is not None and any(
                (delta.content, delta.reasoning_content, delta.reasoning, delta.tool_calls, delta.refusal)
            ):
                self.counted += 1
        if reported is not None:
            self.usage = reported
        return bool(choices) or bytes(found.usage) == b"null" or self._forward_usage
