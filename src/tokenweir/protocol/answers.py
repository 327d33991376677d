"""Plain answers: their usage, or an estimate of it."""

import re

import msgspec

from tokenweir.core.usage import NO_USAGE, NOTHING_USED, Provenance, Usage
from tokenweir.protocol.envelope import UNREADABLE, Envelope, read_envelope
from tokenweir.protocol.usage import read_usage

#: Bytes of UTF-8 in a token, where nobody counted. English text of common tokenizers has about 4; JSON, code
#: and Chinese (3 bytes a character, about 1.5 characters a token) have less, hence the lower figure.
BYTES_PER_TOKEN = 3.5
#: Pictures and sound inside a request: bytes that are no text.
_EMBEDDED = re.compile(rb'"(?:data:[^"]{1024,}|[A-Za-z0-9+/=]{1024,})"')


class ChatAnswer(msgspec.Struct, frozen=True):
    """What metering needs of a whole answer."""

    usage: Usage | None  # as reported
    model: str
    output_bytes: int  # text of the answer, for an estimate where usage is missing
    failed: bool  # an error, though its status may be 200

    def settled(self, prompt_bytes: int) -> Usage:
        """Usage as reported, or as estimated."""
        if self.usage is not None:
            return self.usage
        return NOTHING_USED if self.failed else estimate_usage(prompt_bytes, self.output_bytes)


class _Choice(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw(b"null")  # Kimi
    message: msgspec.Raw = msgspec.Raw(b"null")
    text: object = None  # of completions


class _Message(msgspec.Struct):
    content: object = None
    reasoning_content: object = None
    reasoning: object = None
    refusal: object = None
    tool_calls: object = None
    function_call: object = None


class _Body(Envelope):
    choices: list[_Choice] | None = None


_DECODER = msgspec.json.Decoder(_Body)
_MESSAGE = msgspec.json.Decoder(_Message)


def read_chat_answer(body: bytes) -> ChatAnswer:
    """Never raises: an answer that is not understood is passed on as an error, for nothing says that it is more."""
    try:
        found, whole = read_envelope(body, _DECODER)
    except UNREADABLE:
        return ChatAnswer(None, "", 0, failed=True)
    choices = found.choices or []
    usage = read_usage(found.usage)
    if usage is None and choices:
        usage = read_usage(choices[0].usage)
    size = 0
    if usage is None:
        size = sum(_message_bytes(choice.message) + text_bytes(choice.text) for choice in choices)
    return ChatAnswer(usage, found.served_model(), size, found.failed(empty=whole and not choices))


def _message_bytes(raw: msgspec.Raw) -> int:
    try:
        message = _MESSAGE.decode(raw)
    except UNREADABLE:
        return 0
    return sum(text_bytes(getattr(message, name)) for name in _Message.__struct_fields__)


def text_bytes(value: object) -> int:
    """Bytes of the text in a member of a message: of a text, of a list of parts, of calls of tools.

    Ids, types and the like are not text; only names, arguments and text are.
    """
    if isinstance(value, str):
        return len(value.encode("utf-8", "surrogatepass"))
    if isinstance(value, list):
        return sum(map(text_bytes, value))
    if isinstance(value, dict):
        named = (value.get(name) for name in ("function", "name", "arguments", "text", "thinking"))
        return sum(map(text_bytes, named))
    return 0


def prompt_text_bytes(body: bytes) -> int:
    """Bytes of a request that an estimate of its input may count: what is embedded in base64 is no text."""
    if len(body) < 1024:
        return len(body)
    return len(body) - sum(match.end() - match.start() for match in _EMBEDDED.finditer(body))


def bytes_to_tokens(size: int) -> int:
    """About how many tokens `size` bytes of text are."""
    return int(size / BYTES_PER_TOKEN)


def estimate_usage(prompt_bytes: int, output_bytes: int, counted: int | None = None) -> Usage:
    """Usage where the upstream said nothing: from sizes, or with `counted` tokens of a stream as its output."""
    output = bytes_to_tokens(output_bytes) if counted is None else counted
    provenance = Provenance.ESTIMATED if counted is None else Provenance.COUNTED
    return Usage(input=bytes_to_tokens(prompt_bytes), output=output, provenance=provenance)


def stream_usage(
    reported: Usage | None, counted: int, prompt_bytes: int, *, finished: bool, failed: bool
) -> Usage:
    """Usage of a stream, whole or cut off: as reported, or as `counted` here where nobody said it to the end."""
    if reported is None:
        return NOTHING_USED if failed and not counted else estimate_usage(prompt_bytes, 0, counted=counted)
    if not finished and counted > reported.completion:  # a report from before the end
        output = counted - reported.reasoning
        return msgspec.structs.replace(reported, output=output, provenance=Provenance.COUNTED)
    return reported


def held_to(most: int, usage: Usage, *, full: bool) -> Usage:
    """Usage of a stream that may tell `most` tokens of output: no more, where they are counted here or it was ended here.

    A delta that packs several tokens may pass the border, and nobody knows by how many.
    """
    if usage.completion <= most or (usage.provenance is Provenance.REPORTED and not full):
        return usage
    reasoning = min(usage.reasoning, most)
    return msgspec.structs.replace(
        usage, output=most - reasoning, reasoning=reasoning, provenance=Provenance.COUNTED
    )


def broken_usage(prompt_bytes: int, status: int, size: int) -> Usage:
    """Usage of a plain answer of which `size` bytes came before it broke off: only a 200 was generating."""
    return estimate_usage(prompt_bytes, size) if status == 200 and size else NO_USAGE
