"""Events, written as a stream of OpenAI Responses.

Its clients expect each item to be added, told in pieces, and told once more whole; numbers on all events; and at the end
the whole response. Texts that follow one another are parts of one message.
"""

from collections.abc import Iterable

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.answer import (
    Block,
    Cited,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Failure,
    Finish,
    Finished,
    Growing,
    Opened,
    Ping,
    Sealed,
    Started,
    SummaryDelta,
    Used,
)
from tokenweir.protocol.translate.form import Reasoning, Refusal, Request, Text, ToolCall
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.translate.responses_answer import read_logprobs
from tokenweir.protocol.translate.responses_output import (
    COMPLETED,
    IN_PROGRESS,
    INCOMPLETE,
    Head,
    Object,
    call_item,
    content_part,
    ended,
    failed,
    message_item,
    reasoning_item,
    response_json,
    shows_as_summary,
    tool_of,
    with_bytes,
)
from tokenweir.protocol.translate.responses_tools import LOCAL_SHELL

_ENCODER = msgspec.json.Encoder()
_PING = b": ping\n\n"


class _Message:
    """The message item that goes on until something else is opened."""

    def __init__(self, item_id: str, output_index: int) -> None:
        self.item_id = item_id
        self.output_index = output_index
        self.content: list[Object] = []  # parts that are whole
        self.open = 0  # parts that are not
        self.over = False  # it gets no further parts


class _Wire:
    """A block of the form while it is told."""

    def __init__(self, block: Block, item_id: str, output_index: int) -> None:
        self.growing = Growing(block)
        self.item_id = item_id
        self.output_index = output_index
        self.message: _Message | None = None
        self.content_index = 0
        self.logprobs: list[msgspec.Raw] = []
        self.cited = 0
        self.summary_parts: dict[int, list[str]] = {}  # as the client knows them
        self.text_part: int | None = None  # the one in which it reads the whole
        self.has_content = False

    def at(self) -> Object:
        """Where a piece belongs."""
        where: Object = {"item_id": self.item_id, "output_index": self.output_index}
        return where if self.message is None else where | {"content_index": self.content_index}


class ResponsesStreamWriter:
    """Give it events; pass on what it returns."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._out: list[bytes] = []
        self._head = Head()
        self._number = 0  # of the next event
        self._started = self._over = False
        self._wires: dict[int, _Wire] = {}  # blocks that are open, by the form's index
        self._message: _Message | None = None
        self._next = 0  # index of the next item
        self._output: dict[int, Object] = {}  # items that are whole
        self._item_status = COMPLETED  # of items that end now
        self._finished: Finished | None = None
        self._usage: Usage | None = None

    def write(self, events: Iterable[Event]) -> bytes:
        """What the client gets for these events."""
        for event in events:
            if not self._over:
                self._write(event)
        out, self._out = self._out, []
        return b"".join(out)

    def _write(self, event: Event) -> None:
        match event:
            case Started():
                self._start(Head(event.id, event.model, event.created_s))
            case Opened():
                self._start(self._head)
                self._open(event)
            case Delta() | SummaryDelta() | Sealed() | Cited():
                wire = self._wires.get(event.index)
                if wire is not None:
                    self._grow(wire, event)
            case Closed(index=index):
                self._close(index)
            case Finished():
                self._finished = event
            case Used(usage=usage):
                self._usage = usage
            case Ping():
                self._out.append(_PING)
            case Failed(failure=failure):
                self._fail(failure)
            case Ended():
                self._end()
            case _:
                pass  # what the upstream said and this dialect has no word for

    # --- the response

    def _tell(self, kind: str, **members: object) -> None:
        event = {"type": kind, "sequence_number": self._number} | members
        self._number += 1
        self._out.append(b"event: %b\ndata: %b\n\n" % (kind.encode(), _ENCODER.encode(event)))

    def _response(self, status: str) -> Object:
        output = [self._output[index] for index in sorted(self._output)]
        return response_json(self._head, self._request, status, output)

    def _start(self, head: Head) -> None:
        if self._started:
            return
        self._started = True
        self._head = head
        response = self._response(IN_PROGRESS)
        self._tell("response.created", response=response)
        self._tell("response.in_progress", response=response)

    def _end(self) -> None:
        self._start(self._head)
        finish = None if self._finished is None else self._finished.finish
        if finish is Finish.LENGTH:
            self._item_status = INCOMPLETE
        self._close_all()
        response = self._response(COMPLETED) | ended(finish, self._usage)
        self._tell(f"response.{response['status']}", response=response)
        self._over = True

    def _fail(self, failure: Failure) -> None:
        self._start(self._head)
        self._item_status = INCOMPLETE
        told, number = len(self._out), self._number
        self._close_all()
        del self._out[told:]  # what was cut off is never said to be done
        self._number = number
        response = self._response(COMPLETED) | ended(None, self._usage) | failed(failure)
        self._tell("response.failed", response=response)
        self._over = True

    def _close_all(self) -> None:
        for index in sorted(self._wires):
            self._close(index)
        self._end_message()

    # --- items

    def _open(self, event: Opened) -> None:
        self._close(event.index)
        block = event.block
        if isinstance(block, Text | Refusal):
            self._wires[event.index] = self._open_part(block)
            return
        self._end_message()
        wire = _Wire(block, "", self._next)
        self._next += 1
        if isinstance(block, Reasoning):
            wire.item_id = block.id or self._head.item_id("rs", wire.output_index)
        else:
            wire.item_id = str(self._call(wire, block, IN_PROGRESS)["id"])
        self._wires[event.index] = wire
        if isinstance(block, Reasoning):
            item: Object = {"id": wire.item_id, "type": "reasoning", "summary": []}
            self._tell("response.output_item.added", output_index=wire.output_index, item=item)
        elif not self._is_late(block):
            item = self._call(wire, block, IN_PROGRESS)
            self._tell("response.output_item.added", output_index=wire.output_index, item=item)

    def _call(self, wire: _Wire, call: ToolCall, status: str) -> Object:
        return call_item(self._head, wire.output_index, status, call, self._request)

    def _is_late(self, call: ToolCall) -> bool:
        """Whether the call can only be told when it is whole: its action is no text."""
        return tool_of(call, self._request) == LOCAL_SHELL

    def _is_wrapped(self, call: ToolCall) -> bool:
        """Whether the arguments are an object in which the free text of a custom tool stands."""
        return not call.custom and tool_of(call, self._request).custom

    def _open_part(self, block: Text | Refusal) -> _Wire:
        message = self._message
        if message is None:
            message = _Message(self._head.item_id("msg", self._next), self._next)
            self._next += 1
            self._message = message
            item = message_item(message.item_id, IN_PROGRESS, [])
            self._tell("response.output_item.added", output_index=message.output_index, item=item)
        wire = _Wire(block, message.item_id, message.output_index)
        wire.message = message
        wire.content_index = len(message.content)
        message.content.append({})
        message.open += 1
        self._tell("response.content_part.added", **wire.at(), part=content_part(block, []))
        return wire

    def _end_message(self) -> None:
        message, self._message = self._message, None
        if message is not None:
            message.over = True
            self._tell_message(message)

    def _tell_message(self, message: _Message) -> None:
        """Tell it whole, when it is: a part of it may still be open beside what came after it."""
        if not message.over or message.open:
            return
        item = message_item(message.item_id, self._item_status, message.content)
        self._done(message.output_index, item)

    def _done(self, output_index: int, item: Object) -> None:
        self._output[output_index] = item
        self._tell("response.output_item.done", output_index=output_index, item=item)

    # --- pieces

    def _grow(self, wire: _Wire, event: Delta | SummaryDelta | Sealed | Cited) -> None:
        growing = wire.growing
        match event:
            case Sealed(signature=signature, encrypted=encrypted):
                growing.signature = signature or growing.signature
                growing.encrypted = encrypted or growing.encrypted
            case SummaryDelta(part=part, text=text):
                growing.summary.setdefault(part, []).append(text)
                shift = 0 if wire.text_part is None else 1
                self._summary(wire, part + shift, text)
            case Cited(citation=citation):
                growing.citations.append(citation)
            case Delta(text=text, logprobs=logprobs):
                growing.pieces.append(text)
                self._delta(wire, text, logprobs)

    def _delta(self, wire: _Wire, text: str, raw: msgspec.Raw) -> None:
        block = wire.growing.block
        if not text:
            return
        match block:
            case Text():
                logprobs = [] if is_null(raw) else read_logprobs(raw)
                wire.logprobs += logprobs
                told = [with_bytes(item) for item in logprobs]
                self._tell("response.output_text.delta", **wire.at(), delta=text, logprobs=told)
            case Refusal():
                self._tell("response.refusal.delta", **wire.at(), delta=text)
            case ToolCall() if self._is_late(block) or self._is_wrapped(block):
                pass
            case ToolCall(custom=True):
                self._tell("response.custom_tool_call_input.delta", **wire.at(), delta=text)
            case ToolCall():
                self._tell("response.function_call_arguments.delta", **wire.at(), delta=text)
            case Reasoning():
                self._reasoning(wire, text)

    def _reasoning(self, wire: _Wire, text: str) -> None:
        if shows_as_summary(self._request) and (wire.text_part is not None or not wire.summary_parts):
            wire.text_part = 0
            self._summary(wire, 0, text)
            return
        where = wire.at() | {"content_index": 0}
        if not wire.has_content:
            wire.has_content = True
            part = {"type": "reasoning_text", "text": ""}
            self._tell("response.content_part.added", **where, part=part)
        self._tell("response.reasoning_text.delta", **where, delta=text)

    def _summary(self, wire: _Wire, part: int, text: str) -> None:
        where = wire.at() | {"summary_index": part}
        if part not in wire.summary_parts:
            self._end_summary_part(wire)
            empty = {"type": "summary_text", "text": ""}
            self._tell("response.reasoning_summary_part.added", **where, part=empty)
        wire.summary_parts.setdefault(part, []).append(text)
        self._tell("response.reasoning_summary_text.delta", **where, delta=text)

    def _end_summary_part(self, wire: _Wire) -> None:
        """The last part of the summary is whole."""
        if not wire.summary_parts:
            return
        part = max(wire.summary_parts)
        text = "".join(wire.summary_parts[part])
        where = wire.at() | {"summary_index": part}
        self._tell("response.reasoning_summary_text.done", **where, text=text)
        told = {"type": "summary_text", "text": text}
        self._tell("response.reasoning_summary_part.done", **where, part=told)

    def _close(self, index: int) -> None:
        wire = self._wires.pop(index, None)
        if wire is None:
            return
        block = wire.growing.whole()
        match block:
            case Text() | Refusal():
                self._close_part(wire, block)
            case ToolCall():
                self._close_call(wire, block)
            case Reasoning(text=text):
                self._end_summary_part(wire)
                if wire.has_content:
                    where = wire.at() | {"content_index": 0}
                    self._tell("response.reasoning_text.done", **where, text=text)
                    part = {"type": "reasoning_text", "text": text}
                    self._tell("response.content_part.done", **where, part=part)
                self._done(wire.output_index, reasoning_item(wire.item_id, block, self._request))

    def _close_part(self, wire: _Wire, block: Text | Refusal) -> None:
        message = wire.message
        assert message is not None
        part = content_part(block, wire.logprobs)
        if isinstance(block, Refusal):
            self._tell("response.refusal.done", **wire.at(), refusal=block.text)
        else:
            annotations = part["annotations"]
            assert isinstance(annotations, list)
            for number, annotation in enumerate(annotations):
                told = {"annotation_index": number, "annotation": annotation}
                self._tell("response.output_text.annotation.added", **wire.at(), **told)
            told = {"text": block.text, "logprobs": part["logprobs"]}
            self._tell("response.output_text.done", **wire.at(), **told)
        self._tell("response.content_part.done", **wire.at(), part=part)
        message.content[wire.content_index] = part
        message.open -= 1
        self._tell_message(message)

    def _close_call(self, wire: _Wire, block: ToolCall) -> None:
        item = self._call(wire, block, self._item_status)
        if self._item_status == INCOMPLETE:  # clients run a call that is said to be done
            self._output[wire.output_index] = item
            return
        if self._is_late(block):
            self._tell("response.output_item.added", output_index=wire.output_index, item=item)
        elif item["type"] == "custom_tool_call":
            if self._is_wrapped(block):
                told = {"delta": item["input"]}
                self._tell("response.custom_tool_call_input.delta", **wire.at(), **told)
            self._tell("response.custom_tool_call_input.done", **wire.at(), input=item["input"])
        else:
            told = {"name": item["name"], "arguments": block.arguments}
            self._tell("response.function_call_arguments.done", **wire.at(), **told)
        self._done(wire.output_index, item)
