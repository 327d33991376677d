"""Streams of Chat Completions, read into events.

Hosts differ from the reference in ways that are read here: usage in any chunk and in `choices[0]` (Kimi), reasoning by three
names, calls without an index, without an id, or whole in one chunk, a missing `finish_reason` or `[DONE]`, errors with
status 200 in shapes of their own.
"""

import itertools

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.envelope import UNREADABLE, Envelope
from tokenweir.protocol.sse import SseSplitter, event_fields
from tokenweir.protocol.translate.answer import (
    Block,
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
from tokenweir.protocol.translate.chat_answer_in import (
    BROKEN,
    Call,
    Logprobs,
    Said,
    finish_of,
    seconds_of,
    text_of,
    unplaced_of,
)
from tokenweir.protocol.translate.chat_calls_in import CallsReader
from tokenweir.protocol.translate.chat_reasoning import ReasoningDetail
from tokenweir.protocol.translate.citations import citation_of
from tokenweir.protocol.translate.failures import find_failure
from tokenweir.protocol.translate.form import NULL, Reasoning, Refusal, Text
from tokenweir.protocol.translate.reading import is_null
from tokenweir.protocol.usage import read_usage

_BROKE = Failure("the upstream reported an error")


class _Choice(msgspec.Struct):
    index: int | None = None
    delta: Said | None = None
    finish_reason: str | None = None
    logprobs: Logprobs | None = None
    usage: msgspec.Raw = NULL
    stop_reason: object = None
    matched_stop: object = None


class _Chunk(Envelope):
    id: str | None = None
    created: object = None
    choices: list[_Choice] | None = None


_CHUNK = msgspec.json.Decoder(_Chunk)


class _Open:
    """A block while it is open; of reasoning, the detail that it is told by."""

    def __init__(self, index: int, kind: type[Block]) -> None:
        self.index = index
        self.kind = kind
        self.detail: tuple[str | None, int | None] = (None, None)
        self.plain = False  # its text came in a member of its own: details repeat it
        self.sealed = False  # nothing more is to be said in it
        self.summaries = 0


class ChatStreamReader:
    """Feed it the bytes; it gives the events. Never raises."""

    def __init__(self) -> None:
        self._splitter = SseSplitter()
        self._events: list[Event] = []
        self._indices = itertools.count()  # of the blocks
        self._calls = CallsReader(self._indices)
        self._block: _Open | None = None  # the text, reasoning or refusal that is being told
        self._id = ""
        self._usage: Usage | None = None
        self._unplaced: set[str] = set()
        self._started = self._finished = self._whole = self._over = False

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now."""
        for event in self._splitter.feed(data):
            self._take(event)
        return self._told()

    def end(self) -> list[Event]:
        """The connection ended in order. A stream that said why it stopped is whole, also without `[DONE]`."""
        rest, self._splitter.rest = self._splitter.rest, b""
        if rest:
            self._take(rest)
        if not self._over:
            self._close_all()
            if self._whole:
                self._end()
        return self._told()

    def _told(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _take(self, event: bytes) -> None:
        if self._over:
            return
        name, data = event_fields(event)
        if not data.strip():
            if event.strip():
                self._events.append(Ping())  # a comment, or a name without data
            return
        if data.strip() == b"[DONE]":
            self._close_all()
            self._end()
            return
        try:
            data.decode()  # raw members are not checked, and pass on
            found = _CHUNK.decode(data)
        except UNREADABLE:
            self._take_unreadable(name, data)
            return
        if name == b"error" or found.failed(empty=not found.choices):
            self._fail(find_failure(data) or _BROKE)
            return
        self._read(found)

    def _take_unreadable(self, name: bytes, data: bytes) -> None:
        """What is no chunk: an error in a shape of its own, or something that has no place."""
        failure = find_failure(data)
        if failure is not None or name == b"error":
            self._fail(failure or Failure(data[:500].decode(errors="replace")))
        else:
            self._note("event")

    def _fail(self, failure: Failure) -> None:
        self._over = True
        self._events.append(Failed(failure))

    def _end(self) -> None:
        self._over = True
        self._events.append(Ended())

    def _note(self, name: str) -> None:
        if name not in self._unplaced:
            self._unplaced.add(name)
            self._events.append(Unplaced(name))

    # --- a chunk

    def _read(self, found: _Chunk) -> None:
        choices = found.choices or []
        if not self._started and (choices or not is_null(found.usage)):
            self._started = True
            self._id = found.id or ""
            self._events.append(Started(self._id, found.served_model(), seconds_of(found.created)))
        reported = read_usage(found.usage)
        for choice in choices:
            reported = reported or read_usage(choice.usage)
            if choice.index not in (None, 0):
                self._note(f"choices[{choice.index}]")
                continue
            self._read_choice(choice)
            if self._over:
                return
        if reported is not None and (reported.total or self._usage is None):  # a late zero undoes no report
            self._usage = reported
            self._events.append(Used(reported))
            self._whole = self._whole or not choices  # the tail that OpenAI's dialect sends last

    def _read_choice(self, choice: _Choice) -> None:
        said = choice.delta or Said()
        for name in unplaced_of(said, choice.finish_reason):
            self._note(name)
        self._reasoning(said)
        self._text(said, choice.logprobs or Logprobs())
        if said.refusal:
            self._delta(self._turn_to(Refusal(text="")), said.refusal)
        calls = list(said.tool_calls or [])
        if said.function_call is not None:
            calls.append(Call(index=0, function=said.function_call))
        for call in calls:
            self._close_block()
            self._events += self._calls.take(call, self._id)
        if not choice.finish_reason:
            return
        self._close_all()
        if choice.finish_reason in BROKEN:
            self._fail(Failure(f"the upstream gave up: {choice.finish_reason}", choice.finish_reason))
        elif not self._finished:
            self._finished = self._whole = True
            finish, sequence = finish_of(choice.finish_reason, choice.stop_reason, choice.matched_stop)
            assert finish is not None
            self._events.append(Finished(finish, sequence))

    def _text(self, said: Said, logprobs: Logprobs) -> None:
        text = text_of(said.content) or ""
        told = NULL if bytes(logprobs.content) == b"[]" else logprobs.content
        if text:
            block = self._turn_to(Text(text=""))
            self._events.append(Delta(block.index, text, told))
        elif not is_null(told):
            if self._block is not None and self._block.kind is Text:
                self._events.append(Delta(self._block.index, "", told))
            else:
                self._note("logprobs")
        if not is_null(logprobs.refusal):
            self._note("logprobs.refusal")
        for annotation in said.annotations or []:
            if annotation.url_citation is not None:
                block = self._turn_to(Text(text=""))
                self._events.append(Cited(block.index, citation_of(annotation.url_citation)))

    # --- reasoning

    def _reasoning(self, said: Said) -> None:
        text = said.reasoning_content or said.reasoning
        if text:
            if self._block is not None and self._block.sealed:
                self._close_block()
            block = self._turn_to(Reasoning())
            block.plain = True
            self._delta(block, text)
        for detail in said.reasoning_details or []:
            self._detail(detail)

    def _detail(self, detail: ReasoningDetail) -> None:
        told = detail.reasoning()
        block = self._block
        if block is None or block.kind is not Reasoning or not _belongs(detail, block):
            if told == Reasoning(id=told.id):
                return
            self._close_block()
            block = self._turn_to(Reasoning(id=told.id))
        block.detail = (
            detail.id or block.detail[0],
            block.detail[1] if detail.index is None else detail.index,
        )
        if not block.plain:
            if told.text:
                self._delta(block, told.text)
            for summary in told.summary:
                self._events.append(SummaryDelta(block.index, block.summaries, summary))
        if told.signature or told.encrypted:
            block.sealed = True
            self._events.append(Sealed(block.index, told.signature, told.encrypted))

    # --- blocks

    def _delta(self, block: _Open, text: str) -> None:
        self._events.append(Delta(block.index, text))

    def _turn_to(self, empty: Text | Reasoning | Refusal) -> _Open:
        """The open block of this kind; another one is closed before it, since a message tells one at a time."""
        block = self._block
        if block is not None and block.kind is type(empty):
            return block
        self._close_block()
        block = self._block = _Open(next(self._indices), type(empty))
        self._events.append(Opened(block.index, empty))
        return block

    def _close_block(self) -> None:
        if self._block is not None:
            self._events.append(Closed(self._block.index))
            self._block = None

    def _close_all(self) -> None:
        self._close_block()
        self._events += self._calls.close()


def _belongs(detail: ReasoningDetail, block: _Open) -> bool:
    """Whether a detail goes on with the open block: by its id, else by its index."""
    known_id, known_index = block.detail
    if detail.id and known_id:
        return detail.id == known_id
    return detail.index is None or known_index is None or detail.index == known_index
