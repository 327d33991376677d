"""Plain answers: their usage, or an estimate of it."""

import msgspec

from tokenweir.core.usage import Provenance, Usage
from tokenweir.protocol.usage import read_usage

#: Bytes of UTF-8 in a token, where nobody counted. English text of common tokenizers has about 4; JSON, code
#: and Chinese (3 bytes a character, about 1.5 characters a token) have less, hence the lower figure.
BYTES_PER_TOKEN = 3.5


_NULL = msgspec.Raw(b"null")


class ChatAnswer(msgspec.Struct, frozen=True):
    """What metering needs of a whole answer."""

    usage: Usage | None
    model: str
    output_bytes: int  # the answer's size, for an estimate where usage is missing


class _Choice(msgspec.Struct):
    usage: msgspec.Raw = _NULL  # Kimi


class _Body(msgspec.Struct):
    model: object = None
    usage: msgspec.Raw = _NULL
    choices: list[_Choice] | None = None


_DECODER = msgspec.json.Decoder(_Body)


def read_chat_answer(body: bytes) -> ChatAnswer:
    """Never raises: an answer that is not understood is passed on, and estimated."""
    try:
        found = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ChatAnswer(None, "", len(body))
    usage = read_usage(found.usage)
    if usage is None and found.choices:
        usage = read_usage(found.choices[0].usage)
    model = found.model if isinstance(found.model, str) else ""
    return ChatAnswer(usage, model[:200], len(body))


def estimate_usage(prompt_bytes: int, output_bytes: int, counted: int | None = None) -> Usage:
    """Usage where the upstream said nothing: from sizes, or with `counted` pieces of a stream as its output."""
    output = int(output_bytes / BYTES_PER_TOKEN) if counted is None else counted
    provenance = Provenance.ESTIMATED if counted is None else Provenance.COUNTED
    return Usage(input=int(prompt_bytes / BYTES_PER_TOKEN), output=output, provenance=provenance)
