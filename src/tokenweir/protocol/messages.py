"""Requests and whole answers of the messages dialect: as little is read as metering needs, as little changed as must be."""

import re

import msgspec

from tokenweir.protocol.answers import ChatAnswer, text_bytes
from tokenweir.protocol.chat import BadRequest, ChatRequest, decode, repeats
from tokenweir.protocol.envelope import UNREADABLE, Envelope
from tokenweir.protocol.usage_messages import read_messages_usage

_MEDIA = re.compile(rb'"(?:image|document)"')


class _Body(msgspec.Struct):
    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    max_tokens: int | None = None


_DECODER = msgspec.json.Decoder(_Body)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse_messages(body: bytes) -> ChatRequest:
    """Raises BadRequest. The messages are skipped, not decoded. A stream of this dialect always tells its usage."""
    found = decode(body, _DECODER)
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    if memoryview(found.messages)[0] != ord("["):
        raise BadRequest("`messages` must be a list.", "messages", 422)
    # None at all is for hosts that do not ask for it; 0 fills the cache and says nothing.
    if found.max_tokens is not None and not 0 <= found.max_tokens <= 2**31:
        raise BadRequest("`max_tokens` must be a number of tokens.", "max_tokens", 422)
    return ChatRequest(
        model=found.model,
        stream=bool(found.stream),
        include_usage=True,
        max_output=found.max_tokens,
        has_media=_MEDIA.search(body) is not None,
    )


def rewrite_messages(
    body: bytes, request: ChatRequest, *, model: str, ask_usage: bool, max_output: int | None
) -> bytes:
    """`body` as the upstream shall get it; the same object where nothing has to change.

    Every other member keeps its bytes. A name that stands twice is written once, as it was read: what the upstream
    serves must be what was metered.
    """
    if model == request.model and max_output is None and not repeats(body):
        return body
    members = _MEMBERS.decode(body)
    members["model"] = msgspec.Raw(msgspec.json.encode(model))
    if max_output is not None:
        members["max_tokens"] = msgspec.Raw(b"%d" % max_output)
    return msgspec.json.encode(members)


class _Answer(Envelope):
    content: list[object] | None = None


_ANSWER = msgspec.json.Decoder(_Answer)


def read_messages_answer(body: bytes) -> ChatAnswer:
    """Never raises: an answer that is not understood is passed on as an error, for nothing says that it is more."""
    try:
        found = _ANSWER.decode(body)
    except UNREADABLE:
        return ChatAnswer(None, "", 0, failed=True)
    usage = read_messages_usage(found.usage)
    size = 0 if usage is not None else sum(block_bytes(block) for block in found.content or [])
    return ChatAnswer(usage, found.served_model(), size, failed=found.failed(empty=found.content is None))


def block_bytes(block: object) -> int:
    """Bytes of what the model said in a content block: text, thinking, the name and the input of a tool."""
    if not isinstance(block, dict):
        return 0
    said = block.get("input")
    size = len(msgspec.json.encode(said)) if said else 0
    return size + text_bytes({name: block.get(name) for name in ("text", "thinking", "name")})
