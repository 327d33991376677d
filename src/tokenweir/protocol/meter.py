"""The meter of a streamed answer: passes bytes on, watching what they cost.

Of a stream's events nearly all differ from the one before in their text alone. Such an event is compared, not decoded,
and passes untouched. The end, `data: [DONE]`, is held back: the client gets it once the settlement is durable.
"""

import re

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.answers import text_bytes
from tokenweir.protocol.envelope import UNREADABLE, Envelope, read_envelope
from tokenweir.protocol.plain_events import PlainEvents, delta_tokens
from tokenweir.protocol.problems import Problem, stream_error
from tokenweir.protocol.sse import event_data, event_fields
from tokenweir.protocol.stream_meter import UPSTREAM_ERROR, StreamMeter
from tokenweir.protocol.translate.chat_usage import write_usage
from tokenweir.protocol.usage import count, read_usage

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
    index: object = 0
    delta: _Delta | None = None
    text: object = None  # of completions
    finish_reason: object = None
    usage: msgspec.Raw = msgspec.Raw(b"null")  # Kimi


class _Chunk(Envelope):
    choices: list[_Choice] | None = None


_DECODER = msgspec.json.Decoder(_Chunk)
_ANY = msgspec.json.Decoder(dict[str, object])
#: What all chunks of an answer have in common.
_HEAD: dict[str, object] = {"id": "", "object": "chat.completion.chunk", "created": 0, "model": ""}
_ENCODER = msgspec.json.Encoder()


class ChatStreamMeter(StreamMeter):
    """Holds back `data: [DONE]`, and what follows it."""

    def __init__(self, *, forward_usage: bool) -> None:
        self._plain = PlainEvents(_TEXT)
        super().__init__(self._plain.tokens)
        self._forward_usage = forward_usage
        self._choices: dict[int, bool] = {}  # those that have begun: whether the client knows why it ended
        self._legacy = False  # of completions
        self._said = b""  # an event with a choice

    def broken(self, problem: Problem) -> bytes:
        """The event that ends a stream which broke."""
        return stream_error(problem)

    def capped(self, usage: Usage) -> bytes:
        """The finish reason of each choice that has none, the usage where the client asked for it, and `[DONE]`."""
        try:
            said = _ANY.decode(event_data(self._said))
        except UNREADABLE:  # none came, or what nobody looked at is no text
            said = {"model": self.model}
        head = {name: said.get(name, missing) for name, missing in _HEAD.items()}
        still = sorted(index for index, finished in self._choices.items() if not finished)
        chunks = [head | {"choices": [_cut(index, legacy=self._legacy)]} for index in still]
        if self._forward_usage:
            chunks.append(head | {"choices": [], "usage": write_usage(usage)})
        return b"".join([b"data: %b\n\n" % _ENCODER.encode(chunk) for chunk in chunks]) + b"data: [DONE]\n\n"

    def _passes(self, event: bytes) -> bool:
        """Read an event; whether it goes on to the client now."""
        if not self._ended and (tokens := self._plain.tokens(event)):
            return self._count(tokens)
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
        if choices:
            self._said = event
            self._note(choices)
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
        self._count(tokens)
        return tokens

    def _note(self, choices: list[_Choice]) -> None:
        """Which choices have begun, and which have ended."""
        for choice in choices:
            index = count(choice.index) or 0
            ends = bool(choice.finish_reason) and not self.full  # else the client does not get this event
            self._choices[index] = self._choices.get(index, False) or ends
            self._legacy = choice.delta is None


def _cut(index: int, *, legacy: bool) -> dict[str, object]:
    """A choice that ends here."""
    said: dict[str, object] = {"text": ""} if legacy else {"delta": {}}
    return {"index": index} | said | {"logprobs": None, "finish_reason": "length"}
