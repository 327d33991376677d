"""The meter of a streamed answer: passes bytes on, watching what they cost.

Of a stream's events nearly all differ from the one before in their text alone. Such an event is compared, not decoded,
and passes untouched. The end, `data: [DONE]`, is held back: the client gets it once the settlement is durable.
"""

import re

import msgspec

from tokenweir.protocol.answers import text_bytes
from tokenweir.protocol.envelope import UNREADABLE, Envelope, read_envelope
from tokenweir.protocol.plain_events import PlainEvents, delta_tokens
from tokenweir.protocol.problems import Problem, stream_error
from tokenweir.protocol.sse import event_fields
from tokenweir.protocol.stream_meter import UPSTREAM_ERROR, StreamMeter
from tokenweir.protocol.usage import read_usage

#: The text of a delta inside its event: a JSON string that is not empty, below a name that bears tokens.
_TEXT = re.compile(rb'"(?:content|reasoning_content|reasoning|arguments|refusal|text)": ?"((?:[^"\\]|\\.)+)"')


class _Delta(msgspec.Struct):
    content: object = None
    reasoning_content: object = None
    reasoning: object = None
    tool_calls: object = None
    function_call: object = None
    refusal: object = None

    def tokens(self) -> int:
        """How many tokens it bears: one, or more where the host packs several into a delta."""
        return delta_tokens(sum(text_bytes(getattr(self, name)) for name in _Delta.__struct_fields__))


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    text: object = None  # of completions
    finish_reason: object = None
    usage: msgspec.Raw = msgspec.Raw(b"null")  # Kimi


class _Chunk(Envelope):
    choices: list[_Choice] | None = None


_DECODER = msgspec.json.Decoder(_Chunk)


class ChatStreamMeter(StreamMeter):
    """Holds back `data: [DONE]`, and what follows it."""

    def __init__(self, *, forward_usage: bool) -> None:
        self._plain = PlainEvents(_TEXT)
        super().__init__(self._plain.tokens)
        self._forward_usage = forward_usage

    def broken(self, problem: Problem) -> bytes:
        """The event that ends a stream which broke."""
        return stream_error(problem)

    def _passes(self, event: bytes) -> bool:
        """Read an event; whether it goes on to the client now."""
        if not self._ended and (tokens := self._plain.tokens(event)):
            self.counted += tokens
            return True
        kind, data = event_fields(event)
        if self._ended or data.strip() == b"[DONE]":
            self._ended = self.finished = True
            self._held += event
            return False
        if kind == b"error":
            self.error = UPSTREAM_ERROR
            return True
        return not data or self._read(data, event)

    def _read(self, data: bytes, event: bytes) -> bool:
        try:
            found, whole = read_envelope(data, _DECODER)
        except UNREADABLE:
            return True
        self.model = found.served_model() or self.model
        choices = found.choices or []
        if found.failed(empty=whole and not choices):
            self.error = UPSTREAM_ERROR
            return True
        reported = read_usage(found.usage)
        for choice in choices:
            reported = reported or read_usage(choice.usage)
        if reported is not None and (reported.total or self.usage is None):  # a late zero undoes no report
            self.usage = reported
        counted = [self._read_choice(choice) for choice in choices]
        if len(counted) == 1 and counted[0] and reported is None and choices[0].finish_reason is None:
            self._plain.learn(event, self.counted)
        if choices or not whole or bytes(found.usage) == b"null":
            return True
        self.finished = self.finished or reported is not None  # the tail that OpenAI's dialect sends last
        return self._forward_usage

    def _read_choice(self, choice: _Choice) -> int:
        if choice.finish_reason == "error":  # OpenRouter
            self.error = UPSTREAM_ERROR
        elif choice.finish_reason:
            self.finished = True
        tokens = delta_tokens(text_bytes(choice.text)) if choice.delta is None else choice.delta.tokens()
        self.counted += tokens
        return tokens
