"""Events, written as a stream of Chat Completions.

Text, reasoning and refusals are deltas of one message; calls are numbered in the order in which they are opened.
"""

from collections.abc import Iterable

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.answer import (
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
from tokenweir.protocol.translate.chat_answer_out import (
    Object,
    custom_names,
    failure_object,
    finish_reason,
    head,
    write_call,
    write_citation,
)
from tokenweir.protocol.translate.chat_reasoning import is_plain, write_details
from tokenweir.protocol.translate.chat_usage import write_usage
from tokenweir.protocol.translate.form import Reasoning, Refusal, Request, Text, ToolCall
from tokenweir.protocol.translate.reading import is_null

_ENCODER = msgspec.json.Encoder()


class _Open:
    """A block while it is told."""

    def __init__(self, block: Text | Reasoning | Refusal | ToolCall, number: int, start: int) -> None:
        self.block = block
        self.number = number  # of a call, among the calls
        self.start = start  # of a text, in the message
        self.pieces: list[str] = []  # what is told at its end: reasoning once more, free text of a tool
        self.summaries: dict[int, str] = {}


class ChatStreamWriter:
    """Give it events; pass on what it returns."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._custom = custom_names(request)
        self._out: list[bytes] = []
        self._head: Object = {}
        self._open: dict[int, _Open] = {}
        self._calls = 0
        self._characters = 0  # of the message's text
        self._usage: Usage | None = None
        self._finished = self._over = False

    def write(self, events: Iterable[Event]) -> bytes:
        """What the client gets for these events."""
        for event in events:
            if not self._over:
                self._take(event)
        out, self._out = self._out, []
        return b"".join(out)

    def _take(self, event: Event) -> None:
        match event:
            case Started(id=answer_id, model=model, created_s=created_s):
                self._start(answer_id, model, created_s)
            case Opened(index=index, block=block):
                self._begin(index, block)
            case Delta(index=index, text=text, logprobs=logprobs):
                self._delta(index, text, logprobs)
            case SummaryDelta(index=index, part=part, text=text):
                self._summary(index, part, text)
            case Sealed(index=index, signature=signature, encrypted=encrypted):
                self._seal(index, signature, encrypted)
            case Cited(index=index, citation=citation):
                self._cite(index, citation)
            case Closed(index=index):
                self._close(index)
            case Finished(finish=finish, stop_sequence=sequence):
                self._finish(finish, sequence)
            case Used(usage=usage):
                self._usage = usage
            case Failed(failure=failure):
                self._over = True
                self._out.append(b"data: %b\n\n" % _ENCODER.encode(failure_object(failure)))
            case Ping():
                self._out.append(b": ping\n\n")
            case Ended():
                self._end()
            case _:
                pass  # what has no place is reported beside the answer

    # --- chunks

    def _start(self, answer_id: str, model: str, created_s: int | None) -> None:
        if not self._head:
            self._head = head(answer_id, model or self._request.model, created_s)
            self._head["object"] = "chat.completion.chunk"
            self._say({"role": "assistant", "content": ""})

    def _say(self, delta: Object, reason: str | None = None, **members: object) -> None:
        self._start("", "", None)
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason} | members
        self._chunk(choices=[choice])

    def _chunk(self, **members: object) -> None:
        self._out.append(b"data: %b\n\n" % _ENCODER.encode(self._head | members))

    def _finish(self, finish: Finish | None, sequence: str | None = None) -> None:
        if self._finished:
            return
        self._finished = True
        for index in list(self._open):
            self._close(index)
        members = {} if sequence is None else {"stop_reason": sequence}
        self._say({}, finish_reason(finish, called=self._calls > 0), **members)

    def _end(self) -> None:
        self._finish(None)
        if self._request.include_usage:
            self._chunk(choices=[], usage=write_usage(self._usage or Usage()))
        self._over = True
        self._out.append(b"data: [DONE]\n\n")

    # --- blocks

    def _begin(self, index: int, block: Text | Reasoning | Refusal | ToolCall) -> None:
        opened = self._open[index] = _Open(block, self._calls, self._characters)
        if not isinstance(block, ToolCall):
            return
        self._calls += 1
        if not self._frees(block):
            self._say_call(opened, write_call(block, self._custom))

    def _frees(self, call: ToolCall) -> bool:
        """Whether the client's tool takes free text, and the host wrote JSON: it can be read when it is whole."""
        return not call.custom and call.name in self._custom

    def _say_call(self, opened: _Open, piece: Object) -> None:
        self._say({"tool_calls": [{"index": opened.number} | piece]})

    def _delta(self, index: int, text: str, logprobs: msgspec.Raw) -> None:
        opened = self._open.get(index)
        if opened is None:
            return
        match opened.block:
            case Text():
                self._characters += len(text)
                told = {} if is_null(logprobs) else {"logprobs": {"content": logprobs, "refusal": None}}
                if text or told:
                    self._say({"content": text}, None, **told)
            case Refusal():
                self._say({"refusal": text})
            case Reasoning():
                opened.pieces.append(text)
                self._say({"reasoning_content": text})
            case ToolCall() as call:
                if self._frees(call):
                    opened.pieces.append(text)
                elif call.custom:
                    self._say_call(opened, {"custom": {"input": text}})
                else:
                    self._say_call(opened, {"function": {"arguments": text}})

    def _summary(self, index: int, part: int, text: str) -> None:
        opened = self._open.get(index)
        if opened is None:
            return
        apart = "\n\n" if opened.summaries and part not in opened.summaries else ""
        opened.summaries[part] = opened.summaries.get(part, "") + text
        if text:
            self._say({"reasoning_content": apart + text})

    def _seal(self, index: int, signature: str | None, encrypted: str | None) -> None:
        opened = self._open.get(index)
        if opened is not None and isinstance(opened.block, Reasoning):
            block = opened.block
            opened.block = msgspec.structs.replace(
                block, signature=signature or block.signature, encrypted=encrypted or block.encrypted
            )

    def _cite(self, index: int, citation: msgspec.Raw) -> None:
        opened = self._open.get(index)
        if opened is None:
            return
        annotation = write_citation(citation, opened.start, self._characters)
        if annotation is not None:
            self._say({"annotations": [annotation]})

    def _close(self, index: int) -> None:
        opened = self._open.pop(index, None)
        if opened is None:
            return
        told = "".join(opened.pieces)
        match opened.block:
            case Reasoning() as block:
                summaries = tuple(opened.summaries[part] for part in sorted(opened.summaries))
                whole = msgspec.structs.replace(
                    block, text=block.text + told, summary=block.summary + summaries
                )
                if not is_plain(whole):
                    self._say({"reasoning_details": write_details(whole)})
            case ToolCall() as call if self._frees(call):
                whole_call = msgspec.structs.replace(call, arguments=told)
                self._say_call(opened, write_call(whole_call, self._custom))
