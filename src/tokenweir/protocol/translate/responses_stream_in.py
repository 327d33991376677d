"""Streams of OpenAI Responses, read into events.

Hosts differ from the reference in ways that are read here: items or parts that are never added, text or arguments that
come only in `.done` or in the final response (BerriAI/litellm#25321), names only in the `event:` line, `[DONE]` at the
end, errors in shapes of their own.
"""

import functools
from collections.abc import Callable
from typing import ClassVar

import msgspec

from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.sse import SseSplitter, event_fields
from tokenweir.protocol.translate.answer import (
    Cited,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Failure,
    Finished,
    Opened,
    Ping,
    Sealed,
    Started,
    SummaryDelta,
    Unplaced,
    Used,
)
from tokenweir.protocol.translate.envelope import unseal
from tokenweir.protocol.translate.failures import find_failure
from tokenweir.protocol.translate.form import NULL, Reasoning, Refusal, Text, ToolCall
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.responses_answer import (
    OutputItem,
    OutputPart,
    ResponseBody,
    read_call,
)
from tokenweir.protocol.translate.responses_parts import own_id, read_annotations
from tokenweir.protocol.usage_responses import read_responses_usage

#: Items that the form has a place for.
_CALLS = ("function_call", "custom_tool_call", "local_shell_call")
_KNOWN = ("message", "reasoning", *_CALLS)
#: Kinds of blocks on the wire.
_KINDS = ("message", "reasoning", "call")
#: Events that say nothing which another event does not say.
_IDLE = frozenset({"response.queued", "response.in_progress", "response.reasoning_summary_part.added"})
_PINGS = frozenset({"ping", "keepalive", "response.ping", "response.keepalive", "heartbeat"})


class _Event(msgspec.Struct):
    type: str | None = None
    response: msgspec.Raw = NULL
    item: OutputItem | None = None
    part: OutputPart | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int = 0
    summary_index: int = 0
    delta: str | None = None
    text: str | None = None
    refusal: str | None = None
    arguments: str | None = None
    input: str | None = None
    logprobs: msgspec.Raw = NULL
    annotation: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


_EVENT = msgspec.json.Decoder(_Event)
_RESPONSE = msgspec.json.Decoder(ResponseBody)
_ITEM = msgspec.json.Decoder(OutputItem)

#: A block on the wire: item, what kind of block, which part of the item's content.
_Place = tuple[int | str, str, int]


class _Told:
    """What was told of a block until now."""

    def __init__(self, index: int) -> None:
        self.index = index
        self.pieces: list[str] = []
        self.summary: dict[int, list[str]] = {}
        self.cited = False
        self.closed = False

    @property
    def text(self) -> str:
        return "".join(self.pieces)


class ResponsesStreamReader:
    """Feed it the bytes; it gives the events. Never raises."""

    def __init__(self) -> None:
        self._splitter = SseSplitter()
        self._events: list[Event] = []
        self._blocks: dict[_Place, _Told] = {}
        self._unplaced: set[str] = set()
        self._called = False
        self._started = self._over = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        for event in self._splitter.feed(data):
            self._take(event)
        return self._told()

    def end(self) -> list[Event]:
        """The connection ended in order; only the final response says that the stream is whole."""
        rest, self._splitter.rest = self._splitter.rest, b""
        if rest:
            self._take(rest)
        if not self._over:
            self._close_all()
        return self._told()

    def _told(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _tell(self, event: Event) -> None:
        self._events.append(event)

    def _miss(self, name: str) -> None:
        if name not in self._unplaced:
            self._unplaced.add(name)
            self._tell(Unplaced(name))

    def _take(self, event: bytes) -> None:
        if self._over:
            return
        name, data = event_fields(event)
        if not data.strip():
            if event.strip():
                self._tell(Ping())  # a comment, or a name without data
            return
        if data.strip() == b"[DONE]":
            return
        try:
            data.decode()  # raw members are not checked, and pass on
            found = _EVENT.decode(data)
        except UNREADABLE:
            if name == b"error":
                self._fail(find_failure(data) or Failure(data[:500].decode(errors="replace")))
            else:
                self._miss("event")
            return
        kind = found.type or name.decode(errors="replace")
        if kind in ("error", "response.error") or (
            not kind.startswith("response.") and not is_null(found.error)
        ):
            self._fail(find_failure(data) or Failure("the upstream reported an error"))
            return
        read = self._READ.get(kind)
        if read is not None:
            read(self, found)
        elif kind in _PINGS:
            self._tell(Ping())
        elif kind not in _IDLE:
            self._miss(kind or "event")

    # --- the response

    def _response(self, found: _Event) -> ResponseBody:
        try:
            return _RESPONSE.decode(found.response)
        except UNREADABLE:
            return ResponseBody()

    def _created(self, found: _Event) -> None:
        self._start(self._response(found))

    def _start(self, body: ResponseBody) -> None:
        if not self._started:
            self._started = True
            self._tell(Started(body.id or "", body.model or "", body.created_s))

    def _final(self, found: _Event) -> None:
        body = self._response(found)
        self._start(body)
        self._final_items(body.output or [])
        self._close_all()
        self._tell(Finished(body.finish(called=self._called)))
        usage = read_responses_usage(body.usage)
        if usage is not None:
            self._tell(Used(usage))
        self._tell(Ended())
        self._over = True

    def _failed(self, found: _Event) -> None:
        usage = read_responses_usage(self._response(found).usage)
        if usage is not None:
            self._tell(Used(usage))
        self._fail(find_failure(bytes(found.response)) or Failure("the upstream reported an error"))

    def _fail(self, failure: Failure) -> None:
        self._tell(Failed(failure))
        self._over = True

    def _close_all(self) -> None:
        for told in self._blocks.values():
            self._close(told)

    # --- blocks

    def _open(self, place: _Place, block: Text | Refusal | Reasoning | ToolCall) -> _Told:
        told = self._blocks.get(place)
        if told is None:
            self._start(ResponseBody())
            told = self._blocks[place] = _Told(len(self._blocks))
            self._called = self._called or isinstance(block, ToolCall)
            self._tell(Opened(told.index, block))
        return told

    def _close(self, told: _Told) -> None:
        if not told.closed:
            told.closed = True
            self._tell(Closed(told.index))

    def _more(self, told: _Told, text: str, logprobs: msgspec.Raw = NULL) -> None:
        if text and not told.closed:
            told.pieces.append(text)
            self._tell(Delta(told.index, text, logprobs))

    def _rest(self, told: _Told, whole: str | None) -> None:
        """The whole is told: what of it was not told before is told now."""
        before = told.text
        if whole and whole.startswith(before):
            self._more(told, whole[len(before) :])

    def _summary_rest(self, told: _Told, part: int, whole: str | None) -> None:
        before = "".join(told.summary.get(part, ()))
        if whole and whole.startswith(before):
            self._summary_more(told, part, whole[len(before) :])

    def _summary_more(self, told: _Told, part: int, text: str) -> None:
        if text and not told.closed:
            told.summary.setdefault(part, []).append(text)
            self._tell(SummaryDelta(told.index, part, text))

    # --- items

    def _item_key(self, found: _Event) -> int | str:
        """An item is known by its place; hosts that do not say it name it."""
        if found.output_index is not None:
            return found.output_index
        return found.item_id or (None if found.item is None else found.item.id) or ""

    def _added(self, found: _Event) -> None:
        item = found.item
        if item is None:
            return
        key = self._item_key(found)
        if item.type not in _KNOWN:
            self._miss(item.type or "item")
        elif item.type == "reasoning":
            self._open((key, "reasoning", 0), Reasoning(id=own_id(item.id)))
        elif item.type in _CALLS:
            call = read_call(item)
            told = self._open((key, "call", 0), msgspec.structs.replace(call, arguments=""))
            if item.type != "local_shell_call":  # whose action is as yet empty
                self._more(told, call.arguments)

    def _done(self, found: _Event) -> None:
        key = self._item_key(found)
        if found.item is not None:
            self._whole_item(found.item, lambda kind, part: (key, kind, part))

    def _final_items(self, items: list[msgspec.Raw]) -> None:
        """The output once more, matched by order and not by index: hosts count otherwise in it than in the stream."""
        told = {kind: [place for place in self._blocks if place[1] == kind] for kind in _KINDS}
        for number, raw in enumerate(items):
            try:
                item = _ITEM.decode(raw)
            except UNREADABLE:
                self._miss("item")
                continue
            self._whole_item(item, functools.partial(_next_place, told, f"final {number}"))

    def _whole_item(self, item: OutputItem, place: Callable[[str, int], _Place]) -> None:
        """An item is told whole: what of it was not told before is told now."""
        if item.type == "message":
            for number, part in enumerate(item.content or ()):
                if part.refusal is not None or part.text is not None:
                    self._whole_part(place("message", number), part)
        elif item.type == "reasoning":
            self._whole_reasoning(place("reasoning", 0), item)
        elif item.type in _CALLS:
            call = read_call(item)
            told = self._open(place("call", 0), msgspec.structs.replace(call, arguments=""))
            self._rest(told, call.arguments)
            self._close(told)
        else:
            self._miss(item.type or "item")

    def _whole_part(self, place: _Place, part: OutputPart) -> None:
        told = self._open(place, Text(text="") if part.refusal is None else Refusal(text=""))
        if told.closed:
            return
        if part.refusal is not None:
            self._rest(told, part.refusal)
        else:
            whole, before = part.text or "", told.text
            if whole.startswith(before):
                self._more(told, whole[len(before) :], NULL if before else _listed(part.logprobs))
            if not told.cited:
                self._cite(told, read_annotations(part.annotations))
        self._close(told)

    def _whole_reasoning(self, place: _Place, item: OutputItem) -> None:
        sealed = unseal(item.encrypted_content or "")
        told = self._open(place, Reasoning(id=own_id(item.id) if sealed is None else sealed.id))
        if told.closed:
            return
        for number, part in enumerate(item.summary or ()):
            self._summary_rest(told, number, part.text)
        self._rest(told, "".join(part.text or "" for part in item.content or ()))
        if sealed is not None:
            if sealed.signature or sealed.encrypted:
                self._tell(Sealed(told.index, sealed.signature, sealed.encrypted))
        elif item.encrypted_content:
            self._tell(Sealed(told.index, encrypted=item.encrypted_content))
        self._close(told)

    def _cite(self, told: _Told, citations: msgspec.Raw) -> None:
        if not is_null(citations):
            for citation in msgspec.json.decode(citations, type=list[msgspec.Raw]):
                self._tell(Cited(told.index, citation))

    # --- pieces

    def _text_place(self, found: _Event) -> _Place:
        return (self._item_key(found), "message", found.content_index)

    def _part_added(self, found: _Event) -> None:
        kind = (found.part or OutputPart()).type
        if kind in ("output_text", "text"):
            self._open(self._text_place(found), Text(text=""))
        elif kind == "refusal":
            self._open(self._text_place(found), Refusal(text=""))

    def _part_done(self, found: _Event) -> None:
        part = found.part or OutputPart()
        if part.type in ("output_text", "text", "refusal") and (
            part.text is not None or part.refusal is not None
        ):
            self._whole_part(self._text_place(found), part)

    def _text_delta(self, found: _Event) -> None:
        told = self._open(self._text_place(found), Text(text=""))
        self._more(told, found.delta or "", _listed(found.logprobs))

    def _text_done(self, found: _Event) -> None:
        told = self._open(self._text_place(found), Text(text=""))
        self._rest(told, found.text)

    def _annotated(self, found: _Event) -> None:
        told = self._open(self._text_place(found), Text(text=""))
        told.cited = True
        listed = msgspec.Raw(b"[" + bytes(found.annotation) + b"]")
        self._cite(told, read_annotations(listed))

    def _refusal_delta(self, found: _Event) -> None:
        self._more(self._open(self._text_place(found), Refusal(text="")), found.delta or "")

    def _refusal_done(self, found: _Event) -> None:
        self._rest(self._open(self._text_place(found), Refusal(text="")), found.refusal)

    def _reasoning(self, found: _Event) -> _Told:
        return self._open((self._item_key(found), "reasoning", 0), Reasoning(id=own_id(found.item_id)))

    def _reasoning_delta(self, found: _Event) -> None:
        self._more(self._reasoning(found), found.delta or "")

    def _reasoning_done(self, found: _Event) -> None:
        if found.content_index == 0:  # further parts are known from the whole item
            self._rest(self._reasoning(found), found.text)

    def _summary_delta(self, found: _Event) -> None:
        self._summary_more(self._reasoning(found), found.summary_index, found.delta or "")

    def _summary_done(self, found: _Event) -> None:
        whole = found.text if found.part is None else found.part.text
        self._summary_rest(self._reasoning(found), found.summary_index, whole)

    def _arguments(self, found: _Event) -> _Told | None:
        """The call that is meant. One that was never added has no name: it is known from the whole item."""
        return self._blocks.get((self._item_key(found), "call", 0))

    def _arguments_delta(self, found: _Event) -> None:
        told = self._arguments(found)
        if told is not None:
            self._more(told, found.delta or "")

    def _arguments_done(self, found: _Event) -> None:
        told = self._arguments(found)
        if told is not None:
            self._rest(told, found.input if found.arguments is None else found.arguments)

    _READ: ClassVar[dict[str, Callable[["ResponsesStreamReader", _Event], None]]] = {
        "response.created": _created,
        "response.completed": _final,
        "response.done": _final,
        "response.incomplete": _final,
        "response.failed": _failed,
        "response.output_item.added": _added,
        "response.output_item.done": _done,
        "response.content_part.added": _part_added,
        "response.content_part.done": _part_done,
        "response.output_text.delta": _text_delta,
        "response.output_text.done": _text_done,
        "response.output_text.annotation.added": _annotated,
        "response.refusal.delta": _refusal_delta,
        "response.refusal.done": _refusal_done,
        "response.reasoning_text.delta": _reasoning_delta,
        "response.reasoning_text.done": _reasoning_done,
        "response.reasoning.delta": _reasoning_delta,
        "response.reasoning.done": _reasoning_done,
        "response.reasoning_summary_text.delta": _summary_delta,
        "response.reasoning_summary_text.done": _summary_done,
        "response.reasoning_summary_part.done": _summary_done,
        "response.function_call_arguments.delta": _arguments_delta,
        "response.function_call_arguments.done": _arguments_done,
        "response.custom_tool_call_input.delta": _arguments_delta,
        "response.custom_tool_call_input.done": _arguments_done,
    }


def _next_place(told: dict[str, list[_Place]], item: str, kind: str, part: int) -> _Place:
    """Where the next block of a kind was told; a place of its own where it was not."""
    return told[kind].pop(0) if told[kind] else (item, kind, part)


def _listed(raw: msgspec.Raw) -> msgspec.Raw:
    """Log probabilities, or null where there are none."""
    return raw if bytes(raw).startswith(b"[") and bytes(raw) != b"[]" else NULL
