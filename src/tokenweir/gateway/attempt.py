"""One try of a call at one deployment: sends it, takes in the answer, says what it used."""

from typing import TYPE_CHECKING

from tokenweir.core.usage import NOTHING_USED, Usage
from tokenweir.gateway.config import DeploymentConfig
from tokenweir.gateway.upstream import Upstream
from tokenweir.gateway.upstream_connection import Fault, UpstreamConnection
from tokenweir.ledger.entries import Outcome
from tokenweir.protocol.answers import ChatAnswer, broken_usage, estimate_usage
from tokenweir.protocol.dropped import in_short
from tokenweir.protocol.http import connection_names, header_text, to_client
from tokenweir.protocol.wires import Meter

if TYPE_CHECKING:
    from tokenweir.gateway.call import Call
    from tokenweir.gateway.outgoing import Outgoing

MAX_PLAIN_ANSWER_BYTES = 128 * 1024 * 1024

_EVENT_STREAM = b"content-type: text/event-stream; charset=utf-8\r\n"
_JSON = b"content-type: application/json\r\n"
#: Never followed: an upstream's key is for its own address.
REDIRECTS = frozenset(range(300, 400))
#: A status of the upstream that says nothing about the request itself: another deployment may well answer.
FAILS_OVER = frozenset((401, 402, 403, 404, 408, 409, 425, 429, *range(500, 600))) | REDIRECTS

#: How the end of an attempt is recorded when the upstream did not answer at all.
OUTCOME_OF_FAULT = {
    Fault.CONNECT: Outcome.UPSTREAM_ERROR,
    Fault.CONNECT_TIMEOUT: Outcome.TIMEOUT,
    Fault.BUSY: Outcome.UPSTREAM_ERROR,
    Fault.BROKE: Outcome.UPSTREAM_ERROR,
    Fault.TIMEOUT: Outcome.TIMEOUT,
    Fault.STALLED: Outcome.TIMEOUT,
    Fault.MALFORMED: Outcome.UPSTREAM_ERROR,
}


class Attempt:
    """An AnswerSink: gets the answer of its connection and hands it to its call."""

    __slots__ = (
        "begun_us",
        "bound",
        "call",
        "connection",
        "deployment",
        "id",
        "kept_back",
        "lines",
        "meter",
        "ordinal",
        "parts",
        "passage",
        "request",
        "sent",
        "served_model",
        "size",
        "status",
        "ttft_us",
        "upstream",
    )

    def __init__(
        self,
        call: "Call",
        id: bytes,
        begun_us: int,
        ordinal: int,
        deployment: DeploymentConfig,
        upstream: Upstream,
        sent: "Outgoing",
    ) -> None:
        self.call = call
        self.id = id
        self.ordinal = ordinal
        self.deployment = deployment
        self.upstream = upstream
        self.passage = sent.passage
        self.request = sent.head, sent.body
        self.kept_back = sent.kept_back
        self.begun_us = begun_us
        self.connection: UpstreamConnection | None = None
        self.sent = False  # bytes may have reached the upstream: it may have cost something
        self.status = 0
        self.served_model = ""
        self.ttft_us: int | None = None
        self.bound = False  # the client has bytes of this answer: no other deployment can give it
        self.lines = b""  # header lines of the answer that travel on
        self.meter: Meter | None = None
        self.parts: list[bytes] = []
        self.size = 0

    def start(self) -> None:
        """Ask for a connection, to send the request on."""
        self.upstream.acquire(self)

    def cancel(self) -> None:
        """Stop: closing the connection is what makes an upstream stop generating."""
        if self.connection is not None:
            self.connection.abandon()
            self.connection = None
        self.upstream.forget(self)  # it may wait for a first connection, or for another one

    # --- AnswerSink

    def connected(self, connection: UpstreamConnection) -> None:
        self.connection = connection
        if not self.sent:  # else the connection it was sent on had been closed by then
            self.sent = True
            self.call.attempt_sent(self)
        connection.send(self, *self.request)

    def answer_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        lines = b""
        streamed = declared = False  # not every host says what it sends
        hop: frozenset[bytes] = frozenset()
        for name, value in headers:
            if name == b"connection":
                hop |= connection_names(value)
        for name, value in headers:
            if to_client(name) and name not in hop:
                if name == b"content-type":
                    declared = True
                    streamed = value.lower().startswith(b"text/event-stream")
                    if self.passage.own_type:
                        continue
                lines += b"%b: %b\r\n" % (name, value)
        self.lines = lines
        if status == 200 and (streamed or (self.call.request.stream and not declared)):
            self.meter = self.passage.meter()
            if self.call.most_output is not None:
                self.meter.bound(self.call.most_output)

    @property
    def joins(self) -> bool:
        """An error after nothing but comments, say, is another deployment's chance only while no byte has gone to the client."""
        return self.bound or self.meter is None

    def answer_data(self, data: bytes) -> None:
        if self.ttft_us is None:
            self.ttft_us = self.call.clock.now_us() - self.call.arrived_us
        meter = self.meter
        if meter is None:
            self._keep(data)
        elif (passed := meter.feed(data)) and self.bound:  # nearly every piece of a stream
            self.call.relay(passed)
            if meter.full:
                self.call.stream_full(self)
        else:
            self._relay(meter, passed)

    def _keep(self, data: bytes) -> None:
        self.size += len(data)
        if self.size > MAX_PLAIN_ANSWER_BYTES:
            self.cancel()
            self.call.attempt_failed(self, Fault.MALFORMED, "its answer was too large")
            return
        self.parts.append(data)

    def _relay(self, meter: Meter, passed: bytes) -> None:
        if not self.bound and passed:
            if meter.error is not None and not meter.counted:  # another deployment may do better
                self._keep(passed)
                return
            self.begin_stream()
        self.call.relay(passed)
        if meter.full:
            self.call.stream_full(self)

    def begin_stream(self) -> None:
        """From here on the client is bound to this answer."""
        self.bound = True
        self.call.stream_begins(self)

    def answer_end(self) -> None:
        self.connection = None
        if self.meter is not None and (self.bound or self.meter.error is None):
            self.call.stream_ended(self)
        elif self.meter is not None:
            self.parts.append(self.meter.tail())
            self.call.attempt_refused(self)
        elif self.status in FAILS_OVER:
            self.call.attempt_refused(self)
        else:
            self.call.plain_answered(self)

    def answer_fault(self, fault: Fault, detail: str) -> None:
        self.connection = None
        if self.bound:
            self.call.stream_broke(self, fault, detail)
        elif self.meter is not None and self.meter.error is not None:
            self.call.attempt_refused(self)
        else:
            self.call.attempt_failed(self, fault, detail)

    # --- what it says and used

    def read(self, body: bytes) -> ChatAnswer:
        """What metering needs of a whole answer."""
        return self.passage.whole(body)[1]

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the client said and the upstream was not told, and the other way round."""
        told, kept_back = self.passage.dropped, self.kept_back
        return in_short((*told, *kept_back)) if told or kept_back else ()

    def told_dropped(self) -> str:
        """What the entry says of it."""
        dropped = self.dropped
        return f"dropped: {', '.join(dropped)}" if dropped else ""

    def answer_lines(self, *, streams: bool) -> bytes:
        """Header lines of an answer that passes: what was dropped, then the upstream's own."""
        lines, dropped = self.head_lines(streams=streams), self.dropped
        return b"x-weir-dropped: %b\r\n%b" % (header_text(", ".join(dropped)), lines) if dropped else lines

    def head_lines(self, *, streams: bool = False) -> bytes:
        """Header lines of the upstream's answer; a translated one is of a type of its own."""
        if not self.passage.own_type:
            return self.lines
        return self.lines + (_EVENT_STREAM if streams else _JSON)

    def usage_so_far(self) -> Usage:
        """Usage of an answer that was cut off, or of a stream: reported where the upstream said, else counted here."""
        prompt_bytes = self.call.prompt_bytes
        if not self.sent:
            return NOTHING_USED
        if self.meter is not None:
            return self.meter.settled(prompt_bytes)
        none_came = self.call.request.stream and not self.size
        return estimate_usage(prompt_bytes, self.size, counted=0 if none_came else None)

    def failed_usage(self) -> Usage:
        """Usage of an attempt whose answer never came to a client, and is not whole."""
        if not self.sent:
            return NOTHING_USED
        if self.meter is not None:
            return self.meter.settled(self.call.prompt_bytes)
        return broken_usage(self.call.prompt_bytes, self.status, self.size)
