"""The meter of a stream of OpenAI Responses: passes bytes on, watching what they cost.

An event's kind stands in its first bytes, so that of deltas only the length of their text is looked at. The end, the
event with the final response, is held back: the client gets it once the settlement is durable.
"""

import re

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.answers import text_bytes
from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.plain_events import delta_tokens
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.responses import output_bytes
from tokenweir.protocol.responses_so_far import SoFar
from tokenweir.protocol.sse import event_fields
from tokenweir.protocol.stream_meter import UPSTREAM_ERROR, StreamMeter
from tokenweir.protocol.usage_responses import read_responses_usage, write_responses_usage

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
_PARTS = frozenset(
    f"response.{name}".encode()
    for name in (
        "content_part.added",
        "content_part.done",
        "reasoning_summary_part.added",
        "reasoning_summary_part.done",
        "output_text.annotation.added",
    )
)
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
_ANY = msgspec.json.Decoder(dict[str, object])


class ResponsesStreamMeter(StreamMeter):
    """Holds back the event that ends the response, and what follows it."""

    def __init__(self) -> None:
        super().__init__(self._delta_tokens)
        self._counted_before = 0  # when the last item was whole
        self._counted_at_start = 0  # of this one, with its name
        self._last = b""  # the event before, which knows its number
        self._head: dict[str, object] = {"id": "resp_", "created_at": 0}
        self._so_far: SoFar | None = None

    def bound(self, most: int) -> None:
        """Let nothing more pass, once `most` tokens of output have come."""
        super().bound(most)
        self._so_far = SoFar()

    def _delta_tokens(self, chunk: bytes) -> int:
        """Tokens of a piece that is one whole delta."""
        if not (
            chunk.endswith(b"\n\n") and chunk.count(b"\n\n") == 1 and (kind := _quick_kind(chunk)) in _DELTAS
        ):
            return 0
        self._last = chunk
        return self._tokens(kind, chunk)

    def _tokens(self, kind: bytes, event: bytes) -> int:
        """How many tokens a delta bears."""
        text = _text(event)
        if self._so_far is not None and self.counted < self.most:
            self._so_far.grew(kind, event, text)
        return delta_tokens(len(text))

    def broken(self, problem: Problem) -> bytes:
        """What ends a stream that broke: a failed response, of the same id and with the next number."""
        self._held = b""
        error = {"code": problem.type, "message": problem.message}
        response = self._response_of(status="failed", error=error)
        return _told([{"type": "response.failed", "response": response}], self._number() + 1)

    def capped(self, usage: Usage) -> bytes:
        """The ends of what is open, and an incomplete response with all items. The event that was too much is not there."""
        so_far = self._so_far or SoFar()
        response = self._response_of(
            status="incomplete",
            incomplete_details={"reason": "max_output_tokens"},
            output=so_far.output(),
            usage=write_responses_usage(usage),
        )
        end: dict[str, object] = {"type": "response.incomplete", "response": response}
        return _told([*so_far.ends(), end], max(0, self._number()))

    def _number(self) -> int:
        """Of the event before; -1 where it has none."""
        number = _NUMBER.search(self._last)
        return -1 if number is None else int(number.group(1))

    def _response_of(self, **members: object) -> dict[str, object]:
        return (
            self._head
            | {
                "object": "response",
                "error": None,
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
            | members
        )

    def _passes(self, event: bytes) -> bool:
        """Read an event; whether it goes on to the client now."""
        if not self._ended:
            self._last = event
            kind = _quick_kind(event)
            if kind in _DELTAS:
                self._count(self._tokens(kind, event))
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
            self._count(self._tokens(kind, data))
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
        elif kind in _PARTS and self._so_far is not None:
            self._so_far.part(kind, _read_any(data))

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
            self.counted = delta_tokens(output_bytes(found.output))

    def _item_begins(self, data: bytes) -> None:
        """A call is named before its arguments come."""
        self._counted_before = self.counted
        fits = self._count(delta_tokens(text_bytes(_item_of(data).get("name"))))
        self._counted_at_start = self.counted
        if fits and self._so_far is not None:
            self._so_far.added(_read_any(data))

    def _item(self, data: bytes) -> None:
        """An item of which nothing was told in pieces: some hosts send calls of tools so."""
        if self.counted == self._counted_at_start:
            said = output_bytes(msgspec.json.encode([_item_of(data)]))
            self.counted = self._counted_before
            self._count(delta_tokens(said))
        self._counted_before = self._counted_at_start = self.counted
        if not self.full and self._so_far is not None:
            self._so_far.done(_read_any(data))


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


def _text(event: bytes) -> bytes:
    """The text of a delta, as it stands in JSON."""
    start = event.find(_DELTA) + len(_DELTA)
    end = event.find(b'"', start)
    if start >= len(_DELTA) and end > start and b"\\" not in (text := event[start:end]):
        return text
    found = _TEXT.search(event)
    return b"" if found is None else found.group(1)


def _read_any(data: bytes) -> dict[str, object]:
    try:
        return _ANY.decode(data)
    except UNREADABLE:
        return {}


def _told(events: list[dict[str, object]], number: int) -> bytes:
    """Events with their numbers, from this one on."""
    numbered = [
        {"type": event["type"], "sequence_number": number + place} | event
        for place, event in enumerate(events)
    ]
    return b"".join(
        [b"event: %b\ndata: %b\n\n" % (str(e["type"]).encode(), msgspec.json.encode(e)) for e in numbered]
    )
