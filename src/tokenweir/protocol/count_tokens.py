"""`/v1/messages/count_tokens`: how long a prompt is, asked before it is sent.

An upstream that has this path is asked; for one that has not, the count is estimated from the bytes and marked so.
"""

import msgspec

from tokenweir.protocol.answers import bytes_to_tokens, prompt_text_bytes
from tokenweir.protocol.chat import BadRequest, ChatRequest, decode
from tokenweir.protocol.envelope import UNREADABLE

#: The header line of an answer whose count nobody made.
ESTIMATED_LINE = b"x-weir-estimated: true\r\n"


class _Body(msgspec.Struct):
    model: str
    messages: msgspec.Raw


_DECODER = msgspec.json.Decoder(_Body)


def parse_count_tokens(body: bytes) -> ChatRequest:
    """Raises BadRequest. Nothing is generated, so nothing is reserved for output."""
    found = decode(body, _DECODER)
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    if not bytes(found.messages).startswith(b"["):
        raise BadRequest("`messages` must be a list.", "messages", 422)
    return ChatRequest(model=found.model, max_output=0)


class _Count(msgspec.Struct):
    input_tokens: int


_COUNT = msgspec.json.Decoder(_Count)


def is_count(body: bytes) -> bool:
    """Whether an upstream's answer is a count."""
    try:
        return _COUNT.decode(body).input_tokens >= 0
    except UNREADABLE:
        return False


def estimate_count(body: bytes) -> bytes:
    """The answer's body, from the size of the request: pictures and files in it do not count as text."""
    return msgspec.json.encode({"input_tokens": max(1, bytes_to_tokens(prompt_text_bytes(body)))})
