"""Responses that the gateway keeps: what is kept of a call, and how a conversation is put together again.

A response is kept with the items that came with its own request alone, and the id of the one before it. The whole
conversation is the chain of them. As OpenAI has it, instructions are not carried over from one response to the next.
"""

from collections.abc import Iterable

import msgspec

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.sse import SseSplitter, event_fields

#: The longest conversation: responses in a chain.
MOST_RESPONSES = 1000
#: Statuses of responses that a conversation can go on from.
_WHOLE = ("completed", "incomplete")
_NULL = msgspec.Raw(b"null")


class KeptResponse(msgspec.Struct, frozen=True):
    """One turn: the items that the client sent, as a JSON list, and the response that it got."""

    id: str
    previous_id: str | None
    input: bytes
    response: bytes


class _Request(msgspec.Struct):
    input: msgspec.Raw = _NULL
    previous_response_id: str | None = None
    store: bool | None = None


class _Response(msgspec.Struct):
    id: str
    status: str
    output: list[msgspec.Raw]


class _Event(msgspec.Struct):
    response: msgspec.Raw = _NULL


_REQUEST = msgspec.json.Decoder(_Request)
_RESPONSE = msgspec.json.Decoder(_Response)
_EVENT = msgspec.json.Decoder(_Event)
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def keep(request: bytes, response: bytes) -> KeptResponse | None:
    """What is kept of a call, from what its client sent and got.

    None where the client wants nothing kept (`store` false), or the response is none that a conversation goes on from.
    """
    try:
        asked, told = _REQUEST.decode(request), _RESPONSE.decode(response)
    except UNREADABLE:
        return None
    if asked.store is False or told.status not in _WHOLE or not told.id:
        return None
    items = msgspec.json.encode(_items(asked.input))
    return KeptResponse(told.id, asked.previous_response_id or None, items, response)


def final_response(tail: bytes) -> bytes | None:
    """The whole response that the end of a stream tells, or None where it tells none."""
    for event in SseSplitter(max_event_bytes=len(tail) + 1).feed(tail):
        _, data = event_fields(event)
        try:
            raw = bytes(_EVENT.decode(data).response)
        except UNREADABLE:
            continue
        if raw != b"null":
            return raw
    return None


def join(request: bytes, earlier: Iterable[KeptResponse], *, max_bytes: int) -> bytes:
    """The request with the whole conversation as its input, and no reference to what is kept.

    `earlier` begins with the first response. Raises BadRequest: a body beyond `max_bytes` is one that the gateway
    would refuse from a client too.
    """
    members = _MEMBERS.decode(request)
    items: list[msgspec.Raw] = []
    for kept in earlier:
        items += _ITEMS.decode(kept.input)
        items += _RESPONSE.decode(kept.response).output
    items += _items(members.get("input", _NULL))
    members.pop("previous_response_id", None)
    members["input"] = msgspec.Raw(msgspec.json.encode(items))
    joined = msgspec.json.encode(members)
    if len(joined) > max_bytes:
        message = f"With the responses before it the request is larger than {max_bytes} bytes. Begin a new conversation."
        raise BadRequest(message, "previous_response_id", 413)
    return joined


def _items(raw: msgspec.Raw) -> list[msgspec.Raw]:
    """The input as items: a text is a message of the user. Raises BadRequest."""
    if bytes(raw) == b"null":
        return []
    if bytes(raw).startswith(b'"'):
        message = {"type": "message", "role": "user", "content": raw}
        return [msgspec.Raw(msgspec.json.encode(message))]
    try:
        return _ITEMS.decode(raw)
    except UNREADABLE:
        raise BadRequest("`input` must be a text or a list.", "input", 422) from None


# --- what a client is told


def deleted(response_id: str) -> bytes:
    """The answer to a deletion."""
    return msgspec.json.encode({"id": response_id, "object": "response", "deleted": True})


def previous_not_found(response_id: str, *, keeps: bool) -> Problem:
    """400, as OpenAI answers: clients send the whole conversation then."""
    why = "It is unknown, too old, or another account's." if keeps else "This gateway keeps no responses."
    message = f"Previous response with id '{response_id[:100]}' not found. {why} Send the whole conversation in `input`."
    code, param = "previous_response_not_found", "previous_response_id"
    return Problem(400, "invalid_request_error", code, message, param, should_retry=False)


def not_kept(response_id: str, *, keeps: bool) -> Problem:
    """404 of a response that is asked for."""
    why = (
        ""
        if keeps
        else " This gateway keeps no responses; its operator can change that with `keep_responses`."
    )
    message = f"Response with id '{response_id[:100]}' not found.{why}"
    return Problem(404, "invalid_request_error", "not_found", message, should_retry=False)
