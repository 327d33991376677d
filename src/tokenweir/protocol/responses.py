"""Requests and whole answers of OpenAI Responses: as little is read as metering needs, as little changed as must be."""

import re

import msgspec

from tokenweir.protocol.answers import ChatAnswer, text_bytes
from tokenweir.protocol.chat import BadRequest, ChatRequest, decode, repeats
from tokenweir.protocol.envelope import UNREADABLE, Envelope
from tokenweir.protocol.usage_responses import read_responses_usage

_MEDIA = re.compile(rb'"(?:input_image|input_file|input_audio)"')
#: Members of items in which the model's own words stand.
_SAID = ("name", "arguments", "input", "content", "summary")


class ResponsesRequest(ChatRequest, frozen=True):
    """What the gateway needs to know of a request."""

    previous_response_id: str | None = None
    store: bool = True  # as OpenAI has it where nothing is said


class _Body(msgspec.Struct):
    model: str
    stream: bool | None = None
    store: bool | None = None
    background: bool | None = None
    max_output_tokens: int | None = None
    previous_response_id: str | None = None


_DECODER = msgspec.json.Decoder(_Body)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse_responses(body: bytes) -> ResponsesRequest:
    """Raises BadRequest. The input is skipped, not decoded. A stream of this dialect always tells its usage."""
    found = decode(body, _DECODER)
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    if found.max_output_tokens is not None and not 1 <= found.max_output_tokens <= 2**31:
        raise BadRequest("`max_output_tokens` must be a positive number of tokens.", "max_output_tokens", 422)
    if found.background:  # its answer would come, and cost, after the call has been settled
        message = "`background` is not served here. Send the request without it, streamed for long answers."
        raise BadRequest(message, "background")
    return ResponsesRequest(
        model=found.model,
        stream=bool(found.stream),
        include_usage=True,
        max_output=found.max_output_tokens,
        has_media=_MEDIA.search(body) is not None,
        previous_response_id=found.previous_response_id or None,
        store=found.store is not False,
    )


def rewrite_responses(
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
        members["max_output_tokens"] = msgspec.Raw(b"%d" % max_output)
    return msgspec.json.encode(members)


class _Answer(Envelope):
    status: object = None
    output: msgspec.Raw = msgspec.Raw(b"null")


_ANSWER = msgspec.json.Decoder(_Answer)
_ITEMS = msgspec.json.Decoder(list[dict[str, object]])


def read_responses_answer(body: bytes) -> ChatAnswer:
    """Never raises: an answer that is not understood is passed on as an error, for nothing says that it is more."""
    try:
        found = _ANSWER.decode(body)
    except UNREADABLE:
        return ChatAnswer(None, "", 0, failed=True)
    usage = read_responses_usage(found.usage)
    size = 0 if usage is not None else output_bytes(found.output)
    failed = found.status == "failed" or found.failed(empty=bytes(found.output) == b"null")
    return ChatAnswer(usage, found.served_model(), size, failed=failed)


def output_bytes(output: msgspec.Raw | bytes) -> int:
    """Bytes of what the model said in a list of items: text, reasoning, names and arguments of tools."""
    try:
        items = _ITEMS.decode(output)
    except UNREADABLE:
        return 0
    return sum(text_bytes(item.get(name)) for item in items for name in _SAID)
