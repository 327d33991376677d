"""One try of a call at one deployment: sends it, takes in the answer, says what it used."""

from typing import TYPE_CHECKING

from tokenweir.catalog.pricing import apply, cost, price_at
from tokenweir.core.usage import Provenance, Usage
from tokenweir.gateway.config import DeploymentConfig
from tokenweir.gateway.upstream import Upstream
from tokenweir.gateway.upstream_connection import Fault, UpstreamConnection
from tokenweir.ledger.entries import Outcome
from tokenweir.protocol.answers import estimate_usage
from tokenweir.protocol.http import connection_names, to_client
from tokenweir.protocol.meter import ChatStreamMeter

if TYPE_CHECKING:
    from tokenweir.catalog.price import AppliedPrice
    from tokenweir.gateway.call import Call

MAX_PLAIN_ANSWER_BYTES = 128 * 1024 * 1024

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
NOTHING_USED = Usage(provenance=Provenance.COUNTED)


class Attempt:
    """An AnswerSink: gets the answer of its connection and hands it to its call."""

    __slots__ = (
        "begun_us",
        "call",
        "connection",
        "deployment",
        "id",
        "lines",
        "meter",
        "ordinal",
        "parts",
        "sent",
        "served_model",
        "size",
        "status",
        "ttft_us",
        "upstream",
    )

    def __init__(
        self, call: "Call", id: bytes, ordinal: int, deployment: DeploymentConfig, upstream: Upstream
    ) -> None:
        self.call = call
        self.id = id
        self.ordinal = ordinal
        self.deployment = deployment
        self.upstream = upstream
        self.begun_us = call.clock.now_us()
        self.connection: UpstreamConnection | None = None
        self.sent = False  # bytes may have reached the upstream: it may have cost something
        self.status = 0
        self.served_model = ""
        self.ttft_us: int | None = None
        self.lines = b""  # header lines of the answer that travel on
        self.meter: ChatStreamMeter | None = None
        self.parts: list[bytes] = []
        self.size = 0

    def start(self) -> None:
        """Ask for a connection."""
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
        head, body = self.call.request_bytes(self)
        if not self.sent:  # else the connection it was sent on had been closed by then
            self.sent = True
            self.call.attempt_sent(self)
        connection.send(self, head, body)

    def answer_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        lines = []
        streamed = False
        hop: frozenset[bytes] = frozenset()
        for name, value in headers:
            if name == b"connection":
                hop |= connection_names(value)
        for name, value in headers:
            if to_client(name) and name not in hop:
                lines.append(b"%b: %b\r\n" % (name, value))
                if name == b"content-type":
                    streamed = value.lower().startswith(b"text/event-stream")
        self.lines = b"".join(lines)
        if streamed and status == 200:
            self.meter = ChatStreamMeter(forward_usage=self.call.wants_usage)

    def answer_data(self, data: bytes) -> None:
        if self.ttft_us is None:
            self.ttft_us = self.call.clock.now_us() - self.call.arrived_us
            if self.meter is not None:
                self.call.stream_begins(self)
        if self.meter is not None:
            self.call.relay(self.meter.feed(data))
            return
        self.size += len(data)
        if self.size > MAX_PLAIN_ANSWER_BYTES:
            self.cancel()
            self.call.attempt_failed(self, Fault.MALFORMED, "its answer was too large")
            return
        self.parts.append(data)

    def answer_end(self) -> None:
        self.connection = None
        if self.meter is not None:
            self.call.stream_ended(self)
        elif self.status in FAILS_OVER:
            self.call.attempt_refused(self)
        else:
            self.call.plain_answered(self)

    def answer_fault(self, fault: Fault, detail: str) -> None:
        self.connection = None
        if self.meter is not None and self.ttft_us is not None:
            self.call.stream_broke(self, fault, detail)
        else:
            self.call.attempt_failed(self, fault, detail)

    # --- what it used

    def streamed_usage(self) -> Usage:
        """Usage of a stream, whole or cut off: reported where the upstream said, else counted here."""
        meter = self.meter
        if meter is None:
            return estimate_usage(self.call.body_bytes, 0) if self.sent else NOTHING_USED
        if meter.usage is not None:
            return meter.usage
        return estimate_usage(self.call.body_bytes, 0, counted=meter.counted)

    def price(self, usage: Usage) -> "tuple[AppliedPrice | None, int | None]":
        """The applied price and the cost (pico): (None, None) where there is no price."""
        price = price_at(self.deployment.prices, self.begun_us)
        if price is None:
            return None, None
        moment_us = self.begun_us if price.priced_at == "start" else self.call.clock.now_us()
        applied = apply(price, usage.prompt, moment_us)
        return applied, None if usage.provenance is Provenance.UNKNOWN else cost(applied, usage)
