"""Streams of Anthropic Messages, read into events.

Hosts differ from the reference in ways that are read here: usage in any event, a second `message_start`, thinking inside
a text block (BerriAI/litellm#32357), a tool's input whole at the start of its block, blocks that never start or stop,
names only in the `event:` line, errors in shapes of their own.
"""

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
    Finish,
    Finished,
    Opened,
    Ping,
    Sealed,
    Started,
    Unplaced,
    Used,
)
from tokenweir.protocol.translate.failures import find_failure, read_as
from tokenweir.protocol.translate.form import NULL, Reasoning, Refusal, Text, ToolCall
from tokenweir.protocol.translate.messages_answer import (
    FINISHES,
    AnswerBlock,
    read_arguments,
    read_explanation,
)
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.usage_messages import MessagesUsage

_EMPTY = (b"null", b"{}")


class _Message(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    usage: msgspec.Raw = NULL


class _Delta(msgspec.Struct):
    type: str | None = None
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: msgspec.Raw = NULL
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: msgspec.Raw = NULL


class _Event(msgspec.Struct):
    type: object = None
    index: object = 0
    message: msgspec.Raw = NULL  # of message_start; in errors of some hosts a text
    content_block: msgspec.Raw = NULL
    delta: msgspec.Raw = NULL
    usage: msgspec.Raw = NULL
    error: msgspec.Raw = NULL


_EVENT = msgspec.json.Decoder(_Event)


def _number(event: _Event) -> int:
    """The number of the block that an event is of."""
    return event.index if isinstance(event.index, int) else 0


class _Wire:
    """A block of the stream, and the block of the form that it is at the moment (None: not opened yet)."""

    def __init__(self, start: AnswerBlock) -> None:
        self.start = start
        self.index: int | None = None
        self.kind: type[Text | Reasoning | ToolCall] | None = None
        self.bare = True  # nothing was said in it yet


class MessagesStreamReader:
    """Feed it the bytes; it gives the events. Never raises."""

    def __init__(self) -> None:
        self._splitter = SseSplitter()
        self._usage = MessagesUsage()
        self._wires: dict[int, _Wire] = {}
        self._next = 0  # index of the next block of the form
        self._started = self._finished = self._over = False
        self._events: list[Event] = []

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        for event in self._splitter.feed(data):
            self._take(event)
        return self._told()

    def end(self) -> list[Event]:
        """The connection ended in order. A stream that said why it stopped is whole, also without its last event."""
        rest, self._splitter.rest = self._splitter.rest, b""
        if rest:
            self._take(rest)
        if not self._over:
            self._close_all()
            if self._finished:
                self._tell(Ended())
                self._over = True
        return self._told()

    def _told(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _tell(self, event: Event) -> None:
        self._events.append(event)

    def _take(self, event: bytes) -> None:
        if self._over:
            return
        name, data = event_fields(event)
        if not data.strip():
            if event.strip():
                self._tell(Ping())  # a comment, or a name without data
            return
        if data.strip() == b"[DONE]":
            self._message_stop()
            return
        try:
            data.decode()  # raw members are not checked, and pass on
            found = _EVENT.decode(data)
        except UNREADABLE:
            if name == b"error":
                self._fail(find_failure(data) or Failure(data[:500].decode(errors="replace")))
            else:
                self._tell(Unplaced("event"))
            return
        kind = found.type if isinstance(found.type, str) else name.decode(errors="replace")
        if kind == "error" or not is_null(found.error):
            self._fail(find_failure(data) or Failure("the upstream reported an error"))
            return
        read = self._READ.get(kind)
        if read is not None:
            read(self, found)
        elif (failure := find_failure(data)) is not None:  # a bare error, as DashScope and MiniMax send one
            self._fail(failure)
        else:
            self._tell(Unplaced(kind[:100] or "event"))
        if not self._over:
            self._count(found.usage)

    def _fail(self, failure: Failure) -> None:
        self._over = True
        self._tell(Failed(failure))

    # --- events of the dialect

    def _message_start(self, found: _Event) -> None:
        message = read_as(_Message, found.message) or _Message()
        if not self._started:
            self._started = True
            self._tell(Started(message.id or "", message.model or ""))
        else:  # a second start: its blocks are counted anew
            self._close_all()
        self._count(message.usage)

    def _block_start(self, found: _Event) -> None:
        self._begin()
        index = _number(found)
        self._close(index)
        start = read_as(AnswerBlock, found.content_block) or AnswerBlock("content_block")
        wire = self._wires[index] = _Wire(start)
        if start.type == "tool_use":
            self._open(wire, ToolCall(id=start.id or "", name=start.name or "", arguments=""))
        elif start.type == "redacted_thinking":
            if start.data:
                self._seal(wire, encrypted=start.data)
        elif start.type in ("text", "thinking"):
            self._say(wire, Text, start.text)
            self._say(wire, Reasoning, start.thinking)
            if start.signature:
                self._seal(wire, signature=start.signature)
        else:
            self._tell(Unplaced(start.type[:100]))

    def _block_delta(self, found: _Event) -> None:
        self._begin()
        delta = read_as(_Delta, found.delta) or _Delta()
        wire = self._wires.get(_number(found))
        if wire is None:  # its start never came
            wire = self._wires[_number(found)] = _Wire(AnswerBlock("text"))
        self._say(wire, Text, delta.text)
        self._say(wire, Reasoning, delta.thinking)
        if delta.signature:
            self._seal(wire, signature=delta.signature)
        if delta.partial_json:
            self._say_input(wire, delta.partial_json)
        if not is_null(delta.citation):
            self._switch(wire, Text)
            assert wire.index is not None
            self._tell(Cited(wire.index, delta.citation))

    def _block_stop(self, found: _Event) -> None:
        self._close(_number(found))

    def _message_delta(self, found: _Event) -> None:
        self._begin()
        delta = read_as(_Delta, found.delta) or _Delta()
        if delta.stop_reason is not None:
            self._close_all()
            if explanation := read_explanation(delta.stop_details):
                self._events += [
                    Opened(self._next, Refusal(text="")),
                    Delta(self._next, explanation),
                    Closed(self._next),
                ]
                self._next += 1
            if delta.stop_reason not in FINISHES:
                self._tell(Unplaced("stop_reason"))
            self._finished = True
            self._tell(Finished(FINISHES.get(delta.stop_reason, Finish.STOP), delta.stop_sequence))

    def _message_stop(self, found: _Event | None = None) -> None:
        self._begin()
        if found is not None:
            self._count(found.usage)
        self._close_all()
        self._over = True
        self._tell(Ended())

    def _ping(self, found: _Event) -> None:
        self._tell(Ping())

    _READ: ClassVar[dict[str, Callable[["MessagesStreamReader", _Event], None]]] = {
        "message_start": _message_start,
        "content_block_start": _block_start,
        "content_block_delta": _block_delta,
        "content_block_stop": _block_stop,
        "message_delta": _message_delta,
        "message_stop": _message_stop,
        "ping": _ping,
    }

    # --- blocks of the form

    def _begin(self) -> None:
        """A stream whose start is missing starts with what comes."""
        if not self._started:
            self._started = True
            self._tell(Started("", ""))

    def _count(self, raw: msgspec.Raw) -> None:
        if is_null(raw) or not self._usage.take(raw):
            return
        usage = self._usage.usage
        if usage is not None:
            self._begin()
            self._tell(Used(usage))

    def _open(self, wire: _Wire, block: Text | Reasoning | ToolCall) -> None:
        wire.index, wire.kind, wire.bare = self._next, type(block), True
        self._next += 1
        self._tell(Opened(wire.index, block))

    def _switch(self, wire: _Wire, kind: type[Text] | type[Reasoning]) -> None:
        """Make the wire's block one of `kind`: a block is opened by what is said in it first."""
        if wire.kind is kind:
            return
        if wire.index is not None:
            self._tell(Closed(wire.index))
        self._open(wire, Text(text="") if kind is Text else Reasoning())

    def _say(self, wire: _Wire, kind: type[Text] | type[Reasoning], text: str | None) -> None:
        if not text:
            return
        self._switch(wire, kind)
        assert wire.index is not None
        self._tell(Delta(wire.index, text))

    def _say_input(self, wire: _Wire, piece: str) -> None:
        if (
            wire.kind is not ToolCall or wire.index is None
        ):  # of a tool that has no place, or of no block at all
            if wire.start.type == "text":
                self._tell(Unplaced("input_json_delta"))
            return
        wire.bare = False
        self._tell(Delta(wire.index, piece))

    def _seal(self, wire: _Wire, *, signature: str | None = None, encrypted: str | None = None) -> None:
        self._switch(wire, Reasoning)
        assert wire.index is not None
        self._tell(Sealed(wire.index, signature, encrypted))

    def _close(self, index: int) -> None:
        wire = self._wires.pop(index, None)
        if wire is None or wire.index is None:
            return
        if (
            wire.kind is ToolCall and wire.bare
        ):  # no piece came: its input stood at the start, or there is none
            said = wire.start.input
            self._tell(Delta(wire.index, "{}" if bytes(said) in _EMPTY else read_arguments(said)))
        self._tell(Closed(wire.index))

    def _close_all(self) -> None:
        for index in list(self._wires):
            self._close(index)
