"""The meter of a stream of Anthropic Messages: passes bytes on, watching what they cost.

Its end, `message_stop`, is held back: the client gets it once the settlement is durable.
"""

import re
from typing import TypeVar

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.answers import text_bytes
from tokenweir.protocol.envelope import UNREADABLE, Envelope
from tokenweir.protocol.messages import block_bytes
from tokenweir.protocol.plain_events import PlainEvents, delta_tokens
from tokenweir.protocol.problems import Problem, messages_stream_error
from tokenweir.protocol.sse import event_fields
from tokenweir.protocol.stream_meter import UPSTREAM_ERROR, StreamMeter
from tokenweir.protocol.usage import count
from tokenweir.protocol.usage_messages import MessagesUsage, write_messages_usage

#: The text of a delta inside its event: a JSON string that is not empty, below a name that bears tokens.
_TEXT = re.compile(rb'"(?:text|thinking|partial_json)": ?"((?:[^"\\]|\\.)+)"')
_NULL = msgspec.Raw(b"null")


class _Message(msgspec.Struct):
    model: object = None
    usage: msgspec.Raw = _NULL


class _Delta(msgspec.Struct):
    text: object = None
    thinking: object = None
    partial_json: object = None
    stop_reason: object = None

    def tokens(self) -> int:
        """How many tokens it bears."""
        return delta_tokens(sum(map(text_bytes, (self.text, self.thinking, self.partial_json))))


class _Event(msgspec.Struct):
    type: object = None
    index: object = 0
    message: msgspec.Raw = _NULL
    delta: msgspec.Raw = _NULL
    content_block: msgspec.Raw = _NULL
    usage: msgspec.Raw = _NULL
    error: msgspec.Raw = _NULL


_EVENT = msgspec.json.Decoder(_Event)
_MESSAGE = msgspec.json.Decoder(_Message)
_DELTA = msgspec.json.Decoder(_Delta)
_ANY = msgspec.json.Decoder()
_FAILURE = msgspec.json.Decoder(Envelope)
_ENCODER = msgspec.json.Encoder()


class MessagesStreamMeter(StreamMeter):
    """Holds back `message_stop`, and what follows it."""

    def __init__(self) -> None:
        self._plain = PlainEvents(_TEXT)
        super().__init__(self._plain.tokens)
        self._reports = MessagesUsage()
        self._open: dict[int, None] = {}  # blocks that have begun and not stopped

    def broken(self, problem: Problem) -> bytes:
        """The event that ends a stream which broke."""
        return messages_stream_error(problem)

    def capped(self, usage: Usage) -> bytes:
        """The end of each block that is open, and of the message; a reason that was told stands."""
        events: list[dict[str, object]] = [{"type": "content_block_stop", "index": i} for i in self._open]
        if not self.finished:
            delta = {"stop_reason": "max_tokens", "stop_sequence": None}
            events.append({"type": "message_delta", "delta": delta, "usage": write_messages_usage(usage)})
        events.append({"type": "message_stop"})
        return b"".join(
            [b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), _ENCODER.encode(e)) for e in events]
        )

    def _passes(self, event: bytes) -> bool:
        """Read an event; whether it goes on to the client now."""
        if not self._ended and (tokens := self._plain.tokens(event)):
            return self._count(tokens)
        name, data = event_fields(event)
        if not self._ended and name == b"error":
            self.error = UPSTREAM_ERROR
        elif not self._ended:
            self._read(name, data, event)
        if self._ended:
            self._held += event
        return not self._ended

    def _read(self, name: bytes, data: bytes, event: bytes) -> None:
        if data.strip() == b"[DONE]":
            self._ended = self.finished = True
            return
        found = _read_as(_EVENT, data)
        if found is None:
            return
        kind = found.type if isinstance(found.type, str) else name.decode("latin-1")
        if kind == "error" or bytes(found.error) != b"null":
            self.error = UPSTREAM_ERROR
            return
        match kind:
            case "content_block_delta":
                self._delta(_read_as(_DELTA, found.delta) or _Delta(), event)
            case "content_block_start":
                if self._count(delta_tokens(block_bytes(_read_as(_ANY, found.content_block)))):
                    self._open[count(found.index) or 0] = None
            case "content_block_stop":
                self._open.pop(count(found.index) or 0, None)
            case "message_delta":
                delta = _read_as(_DELTA, found.delta) or _Delta()
                self.finished = self.finished or bool(delta.stop_reason)
            case "message_start":
                message = _read_as(_MESSAGE, found.message) or _Message()
                self.model = (message.model[:200] if isinstance(message.model, str) else "") or self.model
                self._take(message.usage)
            case "message_stop":
                self._ended = self.finished = True
            case "ping":
                pass
            case _:
                bare = _read_as(_FAILURE, data)
                if bare is not None and bare.failed(empty=True):
                    self.error = UPSTREAM_ERROR
        self._take(found.usage)

    def _take(self, usage: msgspec.Raw) -> None:
        self._reports.take(usage)
        self.usage = self._reports.usage

    def _delta(self, delta: _Delta, event: bytes) -> None:
        tokens = delta.tokens()
        self._count(tokens)
        if tokens:
            self._plain.learn(event, self.counted)


D = TypeVar("D")


def _read_as(decoder: msgspec.json.Decoder[D], raw: bytes | msgspec.Raw) -> D | None:
    try:
        return decoder.decode(raw)
    except UNREADABLE:
        return None
