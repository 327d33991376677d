"""The meter of a stream of OpenAI Responses: passes bytes on, watching what they cost.

An event's kind stands in its first bytes, so that of deltas only the length of their text is looked at. The end, the
event with the final response, is held back: the client gets it once the settlement is durable.
"""

import re

import msgspec

from tokenweir.protocol.answers import text_bytes
from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.plain_events import delta_tokens
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.responses import output_bytes
from tokenweir.protocol.sse import event_fields
from tokenweir.protocol.stream_meter import UPSTREAM_ERROR, StreamMeter
from tokenweir.protocol.usage_responses import read_responses_usage

#: Kinds of events that bear tokens, one or more in each.
_DELTAS = frozenset(
    f"response.{name}.delta".encode()
    for name in (
        "output_text",
        "reasoning_text",
        "reasoning_summary_text",
        "reasoning",
        "refusal",
        "function_call_arguments",
        "custom_tool_call_input",
        "mcp_call_arguments",
        "code_interpreter_call_code",
    )
)
_ENDS = frozenset({b"response.completed", b"response.incomplete", b"response.failed", b"response.done"})
_STARTS = frozenset({b"response.created", b"response.in_progress", b"response.queued"})
_ERRORS = frozenset({b"error", b"response.error"})
_NAMED, _TYPED, _DELTA = b"event: ", b'data: {"type":"', b'"delta":"'
_TEXT = re.compile(rb'"delta": *"([^"\\]*(?:\\.[^"\\]*)*)"')
_NUMBER = re.compile(rb'"sequence_number": *([0-9]{1,9})\b')
_NULL = msgspec.Raw(b"null")


class _Event(msgspec.Struct):
    type: object = None
    response: msgspec.Raw = _NULL
    item: object = None
    error: msgspec.Raw = _NULL


class _Kind(msgspec.Struct):
    type: object = None
    error: msgspec.Raw = _NULL


class _Response(msgspec.Struct):
    id: object = None
    model: object = None
    created_at: object = None
    status: object = None
    usage: msgspec.Raw = _NULL
    output: msgspec.Raw = _NULL


_EVENT = msgspec.json.Decoder(_Event)
_KIND = msgspec.json.Decoder(_Kind)
_RESPONSE = msgspec.json.Decoder(_Response)


class ResponsesStreamMeter(StreamMeter):
    """Holds back the event that ends the response, and what follows it."""

    def __init__(self) -> None:
        super().__init__(self._delta_tokens)
        self._counted_before = 0  # when the last item was whole
        self._counted_at_start = 0  # of this one, with its name
        self._last = b""  # the event before, which knows its number
        self._head: dict[str, object] = {"id": "resp_", "created_at": 0}

    def _delta_tokens(self, chunk: bytes) -> int:
        """Tokens of a piece that is one whole delta."""
        if not (chunk.endswith(b"\n\n") and chunk.count(b"\n\n") == 1 and _quick_kind(chunk) in _DELTAS):
            return 0
        self._last = chunk
        return _tokens(chunk)

    def broken(self, problem: Problem) -> bytes:
        """What ends a stream that broke: a failed response, of the same id and with the next number."""
        self._held = b""
        number = _NUMBER.search(self._last)
        response: dict[str, object] = self._head | {
            "object": "response",
            "status": "failed",
            "error": {"code": problem.type, "message": problem.message},
            "incomplete_details": None,
            "instructions": None,
            "metadata": {},
            "model": self.model,
            "output": [],
            "parallel_tool_calls": True,
            "tool_choice": "auto",
            "tools": [],
            "usage": None,
        }
        event: dict[str, object] = {"type": "response.failed", "response": response}
        event["sequence_number"] = 0 if number is None else int(number.group(1)) + 1
        return b"event: response.failed\ndata: %b\n\n" % msgspec.json.encode(event)

    def _passes(self, event: bytes) -> bool:
        """Read an event; whether it goes on to the client now."""
        if not self._ended:
            self._last = event
            kind = _quick_kind(event)
            if kind in _DELTAS:
                self.counted += _tokens(event)
            else:
                self._read(kind, event)
        if self._ended:
            self._held += event
        return not self._ended

    def _read(self, kind: bytes, event: bytes) -> None:
        name, data = event_fields(event)
        if data.strip() == b"[DONE]":
            self._ended = True
            return
        if not kind:
            kind = self._kind(name, data)
        if kind in _DELTAS:
            self.counted += _tokens(data)
        elif kind in _ERRORS:
            self.error = UPSTREAM_ERROR
        elif kind in _ENDS:
            self._final(kind, data)
        elif kind in _STARTS and not self.model:
            self._response(data)
        elif kind == b"response.output_item.added":
            self._item_begins(data)
        elif kind == b"response.output_item.done":
            self._item(data)

    def _kind(self, name: bytes, data: bytes) -> bytes:
        """The kind of an event whose first bytes do not tell it."""
        try:
            found = _KIND.decode(data)
        except UNREADABLE:
            return name
        if isinstance(found.type, str) and found.type:
            return found.type.encode("utf-8", "replace")
        return name or (b"error" if bytes(found.error) != b"null" else b"")

    def _response(self, data: bytes) -> _Response:
        try:
            found = _RESPONSE.decode(_EVENT.decode(data).response)
        except UNREADABLE:
            return _Response()
        if isinstance(found.model, str) and found.model:
            self.model = found.model[:200]
        if isinstance(found.id, str):
            self._head = {"id": found.id, "created_at": found.created_at or 0}
        return found

    def _final(self, kind: bytes, data: bytes) -> None:
        self._ended = self.finished = True
        found = self._response(data)
        self.usage = read_responses_usage(found.usage)
        if kind == b"response.failed" or found.status == "failed":
            self.error = UPSTREAM_ERROR
        elif self.usage is None and not self.counted:  # all of it was told at once
            self.counted += delta_tokens(output_bytes(found.output))

    def _item_begins(self, data: bytes) -> None:
        """A call is named before its arguments come."""
        self._counted_before = self.counted
        self.counted += delta_tokens(text_bytes(_item_of(data).get("name")))
        self._counted_at_start = self.counted

    def _item(self, data: bytes) -> None:
        """An item of which nothing was told in pieces: some hosts send calls of tools so."""
        if self.counted == self._counted_at_start:
            said = output_bytes(msgspec.json.encode([_item_of(data)]))
            self.counted = self._counted_before + delta_tokens(said)
        self._counted_before = self._counted_at_start = self.counted


def _item_of(data: bytes) -> dict[str, object]:
    try:
        item = _EVENT.decode(data).item
    except UNREADABLE:
        return {}
    return item if isinstance(item, dict) else {}


def _quick_kind(event: bytes) -> bytes:
    """The kind of an event that begins with it, as nearly all do; empty for any other."""
    if event.startswith(_NAMED):
        kind = event[len(_NAMED) : event.find(b"\n")]
    elif event.startswith(_TYPED):
        kind = event[len(_TYPED) : event.find(b'"', len(_TYPED))]
    else:
        return b""
    return kind if kind.startswith(b"response.") and not kind.endswith(b"\r") else b""


def _tokens(event: bytes) -> int:
    """How many tokens a delta bears."""
    start = event.find(_DELTA) + len(_DELTA)
    end = event.find(b'"', start)
    if start >= len(_DELTA) and end > start and b"\\" not in event[start:end]:
        return delta_tokens(end - start)
    found = _TEXT.search(event)
    return 0 if found is None else delta_tokens(len(found.group(1)))
