"""A client of one dialect before an upstream of another: requests one way, answers the other, through the middle form."""

from collections.abc import Iterable

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.answers import held_to, stream_usage
from tokenweir.protocol.plain_events import delta_tokens
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.stream_meter import UNBOUNDED
from tokenweir.protocol.translate.answer import (
    Delta,
    Ended,
    Event,
    Failed,
    Failure,
    Finish,
    Finished,
    Opened,
    Started,
    SummaryDelta,
    Unplaced,
    Used,
    fold,
    unfold,
)
from tokenweir.protocol.translate.dialects import Dialect
from tokenweir.protocol.translate.form import Request, ToolCall, Written
from tokenweir.protocol.translate.host import Host


class Translation:
    """One call's way between two dialects. Pure: the same bytes in give the same bytes out."""

    def __init__(self, client: Dialect, upstream: Dialect, host: Host, request: Request) -> None:
        """`request` is what `client.read_request` has read."""
        self._client = client
        self._upstream = upstream
        self._host = host
        self._request = request

    def request(self, *, model: str, max_output: int | None) -> Written:
        """The request for the upstream under its own name of the model, with at most `max_output` tokens of output."""
        request = msgspec.structs.replace(self._request, model=model, include_usage=self._request.stream)
        if max_output is not None:
            request = msgspec.structs.replace(request, max_output=max_output)
        written = self._upstream.write_request(request, self._host.of(model))
        return Written(written.body, tuple(dict.fromkeys(self._request.unplaced + written.dropped)))

    def answer(self, body: bytes) -> Written:
        """A whole answer for the client, and the names of what it cannot be told. Raises WireError where it is none.

        A client that asked for a stream gets one.
        """
        answer = self._upstream.read_answer(body)
        events = unfold(answer)
        lost = (*answer.unplaced, *filter(None, map(self._client.loses, events)))
        writer = self._client.writer(self._request) if self._request.stream else None
        said = writer.write(events) if writer else self._client.write_answer(answer, self._request)
        return Written(said, tuple(dict.fromkeys(lost)))

    def failure(self, status: int, body: bytes) -> bytes:
        """An answer whose status is an error, in the client's dialect."""
        failure = self._upstream.read_failure(status, body)
        return self._client.write_failure(msgspec.structs.replace(failure, status=status))

    def stream(self) -> "TranslatedStream":
        """The way of a streamed answer."""
        return TranslatedStream(self._upstream, self._client, self._request)


class TranslatedStream:
    """Feed it the upstream's bytes; pass on what it returns; ask it at the end. A meter like those that pass bytes on.

    The events that end a stream are held back: the client gets them once the settlement is durable.
    """

    def __init__(self, upstream: Dialect, client: Dialect, request: Request) -> None:
        self._reader = upstream.reader()
        self._writer = client.writer(request) if request.stream else _WholeWriter(client, request)
        self._loses = client.loses
        self._held: list[Event] = []
        self.usage: Usage | None = None
        self.counted = 0  # pieces that bore tokens
        self.most = UNBOUNDED
        self.full = False
        self.error: str | None = None
        self.finished = False
        self.model = ""
        self.unplaced: dict[str, None] = {}

    def bound(self, most: int) -> None:
        """Let nothing more pass, once `most` tokens of output have come."""
        self.most = most

    def feed(self, chunk: bytes) -> bytes:
        """What may go to the client now."""
        return self._writer.write(self._take(self._reader.feed(chunk)))

    def tail(self) -> bytes:
        """What was held back: the end of the stream, whole or cut."""
        late = self._take(self._reader.end())
        held, self._held = self._held, []
        return self._writer.write(late + held)

    def settled(self, prompt_bytes: int) -> Usage:
        """Usage of the stream, whole or cut off."""
        failed, finished = self.error is not None, self.finished and not self.full
        usage = stream_usage(self.usage, self.counted, prompt_bytes, finished=finished, failed=failed)
        return held_to(self.most, usage, full=self.full)

    def broken(self, problem: Problem) -> bytes:
        """What ends a stream that broke, in the client's dialect: never a silent end."""
        self._held = []
        return self._writer.write([Failed(Failure(problem.message, problem.type, problem.status))])

    def capped(self, usage: Usage) -> bytes:
        """What ends a stream that is `full`: writers close what is open."""
        self._held = []
        return self._writer.write([Finished(Finish.LENGTH), Used(usage), Ended()])

    def _take(self, events: list[Event]) -> list[Event]:
        """Note what events tell; those that may go on now."""
        passed: list[Event] = []
        for event in events:
            if self.full:
                break
            if self._held:
                self._held.append(event)
                continue
            if lost := self._loses(event):
                self.unplaced[lost] = None
            match event:
                case Started(model=model):
                    self.model = model[:200]
                case Delta(text=text) | SummaryDelta(text=text) | Opened(block=ToolCall(name=text)):
                    tokens = delta_tokens(len(text.encode("utf-8", "surrogatepass")))
                    if tokens and self.counted >= self.most:
                        self.full = True
                        break
                    self.counted += tokens
                case Used(usage=usage):
                    self.usage = usage
                case Finished():
                    self.finished = True
                case Failed():
                    self.error = "the upstream reported an error"
                    self._held.append(event)
                    continue
                case Ended():
                    self.finished = True
                    self._held.append(event)
                    continue
                case Unplaced(name=name):
                    self.unplaced[name] = None
                case _:
                    pass
            passed.append(event)
        return passed


class _WholeWriter:
    """For a client that asked for a whole answer of a host that streams all the same: says nothing before its end."""

    def __init__(self, client: Dialect, request: Request) -> None:
        self._client = client
        self._request = request
        self._told: list[Event] = []

    def write(self, events: Iterable[Event]) -> bytes:
        """The whole answer, with the event that ends it."""
        self._told += events
        if not self._told or not isinstance(self._told[-1], Ended | Failed):
            return b""
        told = fold(self._told)
        if isinstance(told, Failure):
            return self._client.write_failure(told)
        return self._client.write_answer(told, self._request)
