"""Events, written as a stream of Anthropic Messages.

Its clients expect one block at a time, numbered from 0 without a gap, and usage with the last event but one: what other
blocks say meanwhile waits for its turn.
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
    Finish,
    Finished,
    Opened,
    Ping,
    Sealed,
    Started,
    SummaryDelta,
    Used,
)
from tokenweir.protocol.translate.form import Reasoning, Request, Text, ToolCall
from tokenweir.protocol.translate.messages_answer import (
    failure_object,
    message_head,
    stop_reason,
    write_reasoning,
)
from tokenweir.protocol.usage_messages import write_messages_usage

_ENCODER = msgspec.json.Encoder()
_OfBlock = Opened | Delta | SummaryDelta | Sealed | Cited | Closed
Object = dict[str, object]


class MessagesStreamWriter:
    """Give it events; pass on what it returns."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._out: list[bytes] = []
        self._started = self._over = False
        self._written = 0  # blocks that the client has been told of
        self._current: int | None = None  # the form's index of the block whose turn it is
        self._waiting: dict[
            int, list[_OfBlock]
        ] = {}  # events of the blocks after it, in the order of their opening
        self._block: Block = Text(text="")  # what the current one is
        self._thinking: list[str] = []  # what it was given to read, if it is reasoning
        self._summary: dict[int, list[str]] = {}
        self._begun = False  # whether the client has been told of it
        self._called = False
        self._finish: Finish | None = None
        self._stop_sequence: str | None = None
        self._usage: Usage | None = None

    def write(self, events: Iterable[Event]) -> bytes:
        """What the client gets for these events."""
        for event in events:
            if not self._over:
                self._take(event)
        out, self._out = self._out, []
        return b"".join(out)

    def _take(self, event: Event) -> None:
        match event:
            case Started(id=answer_id, model=model):
                self._start(answer_id, model)
            case Opened() | Delta() | SummaryDelta() | Sealed() | Cited() | Closed():
                self._start("", "")
                self._in_turn(event)
            case Finished(finish=finish, stop_sequence=sequence):
                self._finish, self._stop_sequence = finish, sequence
            case Used(usage=usage):
                self._usage = usage
            case Ping():
                self._say({"type": "ping"})
            case Failed(failure=failure):
                self._over = True
                self._say(failure_object(failure))
            case Ended():
                self._start("", "")
                self._end()

    def _say(self, event: Object) -> None:
        self._out.append(b"event: %b\ndata: %b\n\n" % (str(event["type"]).encode(), _ENCODER.encode(event)))

    def _start(self, answer_id: str, model: str) -> None:
        if self._started:
            return
        self._started = True
        message = message_head(answer_id, model or self._request.model) | {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": write_messages_usage(self._usage or Usage()),
        }
        self._say({"type": "message_start", "message": message})

    def _end(self) -> None:
        self._over = True
        while self._current is not None:
            self._in_turn(Closed(self._current))
        reason = stop_reason(self._finish, called=self._called)
        self._say(
            {
                "type": "message_delta",
                "delta": {"stop_reason": reason, "stop_sequence": self._stop_sequence},
                "usage": write_messages_usage(self._usage or Usage()),
            }
        )
        self._say({"type": "message_stop"})

    # --- blocks, one at a time

    def _in_turn(self, event: _OfBlock) -> None:
        """Write an event of the current block; keep one of a later block until its turn comes."""
        if event.index == self._current:
            self._write(event)
            self._go_on()
        elif not isinstance(event, Opened):
            if event.index in self._waiting:
                self._waiting[event.index].append(event)
        elif self._current is None:
            self._current = event.index
            self._write(event)
        else:
            self._waiting[event.index] = [event]

    def _go_on(self) -> None:
        """Write what later blocks have said, up to the first that is still open."""
        while self._current is None and self._waiting:
            self._current = next(iter(self._waiting))
            for event in self._waiting.pop(self._current):
                self._write(event)
                if isinstance(event, Closed):
                    break

    def _write(self, event: _OfBlock) -> None:
        match event:
            case Opened(block=block):
                self._open(block)
            case Delta(text=text) if text:
                self._delta(text)
            case SummaryDelta(part=part, text=text) if text:
                apart = "\n\n" if self._summary and part not in self._summary else ""
                self._summary.setdefault(part, []).append(text)
                self._say_delta({"type": "thinking_delta", "thinking": apart + text})
            case Sealed(signature=signature, encrypted=encrypted) if isinstance(self._block, Reasoning):
                self._block = msgspec.structs.replace(self._block, signature=signature, encrypted=encrypted)
            case Cited(citation=citation):
                self._say_delta({"type": "citations_delta", "citation": citation})
            case Closed():
                self._close()
            case _:
                pass  # a delta of nothing

    def _open(self, block: Block) -> None:
        self._block, self._begun, self._thinking, self._summary = block, False, [], {}
        if isinstance(block, ToolCall):
            self._called = True
            self._begin({"type": "tool_use", "id": block.id, "name": block.name, "input": {}})

    def _delta(self, text: str) -> None:
        match self._block:
            case ToolCall():
                self._say_delta({"type": "input_json_delta", "partial_json": text})
            case Reasoning():
                self._thinking.append(text)
                self._say_delta({"type": "thinking_delta", "thinking": text})
            case _:
                self._say_delta({"type": "text_delta", "text": text})

    def _close(self) -> None:
        if isinstance(self._block, Reasoning):
            self._seal(self._block)
        if self._begun:
            self._say({"type": "content_block_stop", "index": self._written - 1})
        self._current = None

    def _seal(self, block: Reasoning) -> None:
        """Give the thinking its signature, or say now what was kept back since nothing of it may be read."""
        summary = tuple("".join(self._summary[part]) for part in sorted(self._summary))
        whole = msgspec.structs.replace(block, text="".join(self._thinking), summary=block.summary + summary)
        written = write_reasoning(whole)
        if written is None:
            return
        if written["type"] == "redacted_thinking":
            self._begin(written)
        elif written["signature"]:
            self._say_delta({"type": "signature_delta", "signature": written["signature"]})

    def _begin(self, content: Object) -> None:
        """Tell the client of the block. One of text or thinking is told of once something is in it."""
        self._begun = True
        self._say({"type": "content_block_start", "index": self._written, "content_block": content})
        self._written += 1

    def _say_delta(self, delta: Object) -> None:
        if not self._begun and isinstance(self._block, Reasoning):
            self._begin({"type": "thinking", "thinking": "", "signature": ""})
        elif not self._begun:
            self._begin({"type": "text", "text": ""})
        self._say({"type": "content_block_delta", "index": self._written - 1, "delta": delta})
