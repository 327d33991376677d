"""A call from its request to its settlement: the states of `protocol.exchange`, carried out."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from tokenweir.catalog.pricing import price_id
from tokenweir.core.ids import uuid_text
from tokenweir.core.money import format_pico
from tokenweir.core.usage import NOTHING_USED, Provenance, Usage
from tokenweir.gateway.answering import AnsweringConnection
from tokenweir.gateway.attempt import OUTCOME_OF_FAULT, REDIRECTS, Attempt
from tokenweir.gateway.request import Request
from tokenweir.gateway.upstream_connection import Fault
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.messages import Checkpoint, CloseAttempt, KeyRecord, OpenCall, OpenResult
from tokenweir.protocol import problems
from tokenweir.protocol.answers import prompt_text_bytes, read_chat_answer
from tokenweir.protocol.chat import BadRequest, ChatRequest, parse_chat, rewrite_chat
from tokenweir.protocol.embeddings import parse_embeddings, rewrite_embeddings
from tokenweir.protocol.exchange import Event, State, move
from tokenweir.protocol.problems import Problem
from tokenweir.routing.decide import Candidate, decide

if TYPE_CHECKING:
    from tokenweir.gateway.worker import Worker

#: How long a deployment that failed is tried last.
COOLING_US = 5_000_000
#: Input of pictures, sound and files is not bounded by the request's bytes where it is fetched from an address.
MEDIA_TOKENS = 131_072
#: Statuses by which an upstream speaks of our account with it: not the client's business, and they may quote a key.
CREDENTIAL_STATUSES = frozenset({401, 402, 403})


#: What the client is told where it is not 502.
PROBLEM_OF_FAULT = {
    Fault.BUSY: problems.upstream_busy,
    Fault.CONNECT_TIMEOUT: problems.upstream_timeout,
    Fault.TIMEOUT: problems.upstream_timeout,
    Fault.STALLED: problems.upstream_timeout,
}


class Endpoint(msgspec.Struct, frozen=True):
    """A path that is served by upstreams: how its requests are read and rewritten."""

    path: str  # behind the upstream's own prefix
    dialect: str
    parse: Callable[[bytes], ChatRequest]
    rewrite: Callable[..., bytes]


ENDPOINTS = {
    b"/v1/chat/completions": Endpoint("/chat/completions", "chat", parse_chat, rewrite_chat),
    b"/v1/embeddings": Endpoint("/embeddings", "embeddings", parse_embeddings, rewrite_embeddings),
}


class Call:
    """One request of a client; an `Exchange` for its connection."""

    def __init__(
        self, worker: "Worker", client: AnsweringConnection, request: Request, key: KeyRecord
    ) -> None:
        self.worker = worker
        self.clock = worker.clock
        self.plan = worker.plan
        self.client: AnsweringConnection | None = client
        self.key = key
        self.id = worker.ids.new()
        self.arrived_us = worker.clock.now_us()
        self.state = State.ARRIVED
        self.endpoint = ENDPOINTS[request.path]
        self.body = request.body
        self.body_bytes = len(request.body)
        self.forwarded = request.forwarded()
        self.lines = b"x-weir-call: %b\r\n%b" % (
            uuid_text(self.id).encode(),
            worker.cors_lines(request.origin),
        )
        self.request = ChatRequest(model="")
        self.wants_usage = False
        self._interrupted = False
        self._granted: int | None = None  # tokens of output, where they have to be said upstream
        self._order: list[str] = []
        self._attempt: Attempt | None = None
        self._attempts = 0
        self._checkpoints = 0
        self._last_checkpoint_us = self.arrived_us
        self._last: Callable[[], None] | None = None  # what the client gets once the call is settled

    # --- before anything goes upstream

    def begin(self) -> None:
        """Parse, look up, reserve."""
        try:
            self.request = self.endpoint.parse(self.body)
        except BadRequest as error:
            self._refuse(problems.bad_request(str(error), error.param, error.status))
            return
        served = self.plan.models.get(self.request.model)
        if served is None:
            self._refuse(problems.model_not_found(self.request.model, self.plan.nearest(self.request.model)))
            return
        if len(self.worker.calls) >= self.plan.limits.max_in_flight:
            self._refuse(problems.overloaded(f"{self.plan.limits.max_in_flight} calls are under way"))
            return
        self.wants_usage = self.request.include_usage
        now_us = self.clock.steady_us()
        cooling = self.worker.cooling
        candidates = tuple(Candidate(d.name, cooling.get(d.name, 0)) for d in served.deployments)
        self._order = list(decide(candidates, now_us).order)[::-1]
        self.state = move(self.state, Event.RESERVE)
        self.worker.calls[self.id] = self
        bounds = served.bounds
        input_tokens = self.body_bytes
        if self.request.has_media:
            input_tokens += bounds.context or MEDIA_TOKENS
        asked = self.request.max_output
        if asked is None:
            asked = bounds.max_output or self.plan.limits.default_max_output
        limited = bool(self.key.limits)
        self.worker.link.open(
            OpenCall(
                seq=self.worker.link.next_seq(),
                call=self.id,
                at_us=self.arrived_us,
                key=self.key.id,
                account=self.key.account,
                run=self.key.run,
                model=self.request.model,
                dialect=self.endpoint.dialect,
                bounds=bounds.costs(input_tokens) if limited else (),
                unpriced=limited and bounds.unpriced,
                input_tokens=input_tokens,
                output_tokens=asked * self.request.n,
            ),
            self._opened,
        )

    def _opened(self, result: OpenResult | None) -> None:
        if result is None:
            self._refuse(problems.ledger_unavailable())
        elif result.refused:
            self.worker.counters.add(f"weir_refused|reason={result.refused}")
            self._refuse(refusal(result))
        else:
            self.state = move(self.state, Event.OPENED)
            if self.key.limits and self.endpoint.dialect == "chat":
                each = result.output_tokens // self.request.n
                if each != self.request.max_output:
                    self._granted = each
                    self.lines += b"x-weir-max-output: %d\r\n" % each
            if self.client is None:
                self._cancel()
            elif self._interrupted:
                self.interrupt()
            else:
                self._try_next()

    def _refuse(self, problem: Problem) -> None:
        self.state = move(self.state, Event.REFUSED)
        self.worker.calls.pop(self.id, None)
        if self.client is not None:
            self.client.refuse(problem, self.lines)

    # --- attempts

    def _try_next(self) -> None:
        deployment = self.plan.deployments[self._order.pop()]
        self._attempts += 1
        upstream = self.worker.upstream(self.plan.upstreams[deployment.upstream])
        self._attempt = Attempt(self, self.worker.ids.new(), self._attempts, deployment, upstream)
        self._attempt.start()

    def request_bytes(self, attempt: Attempt) -> tuple[bytes, bytes]:
        """Head and body of the request for this attempt's deployment."""
        upstream = attempt.upstream.config
        body = self.endpoint.rewrite(
            self.body,
            self.request,
            model=attempt.deployment.model,
            ask_usage=self.request.stream and upstream.ask_usage,
            max_output=self._granted,
        )
        prefix = self.plan.request_prefix(upstream, self.endpoint.path)
        return b"%b%bcontent-length: %d\r\n\r\n" % (prefix, self.forwarded, len(body)), body

    def attempt_sent(self, attempt: Attempt) -> None:
        """The request is on its way."""
        self.state = move(self.state, Event.CONNECTED)

    def attempt_failed(self, attempt: Attempt, fault: Fault, detail: str) -> None:
        """No byte of an answer reached the client: try the next deployment, or give up."""
        outcome = OUTCOME_OF_FAULT[fault]
        reason = f"{attempt.deployment.upstream} {fault.value}: {detail}"
        problem = PROBLEM_OF_FAULT.get(fault, problems.upstream_failed)(f"The upstream {reason}.")
        last = lambda: self._answer_problem(problem)  # noqa: E731
        self._give_up_or_go_on(attempt, attempt.failed_usage(), outcome, reason, last)

    def attempt_refused(self, attempt: Attempt) -> None:
        """The upstream answered with an error that another deployment may not have."""
        reason = f"{attempt.deployment.upstream} answered {attempt.status}"
        body = b"".join(attempt.parts)
        if attempt.status == 200:
            reason += " with an error inside"
        usage = attempt.failed_usage() if attempt.meter else read_chat_answer(body).usage or NOTHING_USED
        if attempt.status in CREDENTIAL_STATUSES:
            problem = problems.upstream_failed(
                f"The upstream {attempt.deployment.upstream} refused the gateway's credentials or balance "
                f"({attempt.status}). The operator has to look at its api_key and account."
            )
            last = lambda: self._answer_problem(problem)  # noqa: E731
        elif attempt.status in REDIRECTS:
            redirect = problems.upstream_failed(
                f"The upstream {attempt.deployment.upstream} redirects ({attempt.status}), which is not followed: "
                "the key would go to another address. The operator has to set its url to where it leads."
            )
            last = lambda: self._answer_problem(redirect)  # noqa: E731
        else:
            last = lambda: self._answer(attempt.status, attempt.lines, body)  # noqa: E731
        self._give_up_or_go_on(attempt, usage, Outcome.UPSTREAM_ERROR, reason, last)

    def _give_up_or_go_on(
        self, attempt: Attempt, usage: Usage, outcome: Outcome, reason: str, last: Callable[[], None]
    ) -> None:
        self.worker.cooling[attempt.deployment.name] = self.clock.steady_us() + COOLING_US
        if self._order:
            self.state = move(self.state, Event.ATTEMPT_FAILED)
            self._close_attempt(attempt, usage, outcome, reason, final=False)
            self._try_next()
        else:
            self._settle(Event.EXHAUSTED, usage, outcome, reason, last)

    # --- the answer

    def plain_answered(self, attempt: Attempt) -> None:
        """A whole answer is there."""
        body = b"".join(attempt.parts)
        answer = read_chat_answer(body)
        if attempt.status == 200 and answer.failed:
            self.attempt_refused(attempt)
            return
        attempt.served_model = answer.model
        self.state = move(self.state, Event.ANSWERED)
        if attempt.status == 200:
            usage, outcome = answer.settled(self.prompt_bytes), Outcome.OK
        else:
            usage, outcome = answer.usage or NOTHING_USED, Outcome.UPSTREAM_ERROR
        self._settle(
            Event.ENDED, usage, outcome, "", lambda: self._answer(attempt.status, attempt.lines, body)
        )

    def stream_begins(self, attempt: Attempt) -> None:
        """The first bytes of a stream: from here on the client is bound to this deployment."""
        self.state = move(self.state, Event.ANSWERED)
        if self.client is not None:
            self.client.begin(attempt.status, self.lines + attempt.lines)
            if self.client.is_slow:  # it has yet to take the answer before this one
                self.client_slow()

    def relay(self, data: bytes) -> None:
        """Bytes of a stream that may go to the client now."""
        if data and self.client is not None:
            self.client.stream(data)

    def stream_ended(self, attempt: Attempt) -> None:
        """The upstream ended its stream in order, though perhaps not in its dialect's order."""
        meter = attempt.meter
        assert meter is not None
        if not (attempt.bound or meter.finished):
            self.attempt_failed(attempt, Fault.BROKE, "it ended before it began")
            return
        attempt.served_model = meter.model
        tail = meter.tail()
        if not attempt.bound:
            attempt.begin_stream()
        if meter.error is not None:
            self._settle(
                Event.BROKE,
                attempt.usage_so_far(),
                Outcome.UPSTREAM_BROKE,
                "an error inside the stream",
                lambda: self._end(tail),
            )
        elif not meter.finished:
            self.stream_broke(attempt, Fault.BROKE, "its stream has no end")
        else:
            self._settle(Event.ENDED, attempt.usage_so_far(), Outcome.OK, "", lambda: self._end(tail))

    def stream_broke(self, attempt: Attempt, fault: Fault, detail: str) -> None:
        """The upstream broke mid-stream: never a silent end."""
        assert attempt.meter is not None
        attempt.served_model = attempt.meter.model
        reason = f"{attempt.deployment.upstream} {fault.value}: {detail}"
        event = problems.stream_error(
            problems.upstream_failed(f"The upstream {reason}. The answer is incomplete.")
        )
        self._settle(
            Event.BROKE, attempt.usage_so_far(), Outcome.UPSTREAM_BROKE, reason, lambda: self._end(event)
        )

    # --- the client

    def client_gone(self) -> None:
        """The client hung up: stop the upstream, settle what was used."""
        self.client = None
        if self.state in (State.CONNECTING, State.WAITING, State.RELAYING):
            self._cancel()

    def client_slow(self) -> None:
        """Hold the upstream back."""
        if self._attempt is not None and self._attempt.connection is not None:
            self._attempt.connection.pause()

    def client_ready(self) -> None:
        """Let the upstream go on."""
        if self._attempt is not None and self._attempt.connection is not None:
            self._attempt.connection.resume()

    def _cancel(self) -> None:
        usage = self._stop_attempt()
        self._settle(Event.CANCELLED, usage, Outcome.CANCELLED, "the client went away", lambda: None)

    def interrupt(self) -> None:
        """The gateway stops and cannot wait: end the call now, saying so, and settle what was used."""
        self._interrupted = True  # where the ledger has yet to answer, `_opened` comes back here
        if self.state not in (State.CONNECTING, State.WAITING, State.RELAYING):
            return
        streams, usage, problem = self.state is State.RELAYING, self._stop_attempt(), problems.stopping()
        self._settle(
            Event.CANCELLED,
            usage,
            Outcome.INTERRUPTED,
            "the gateway was stopped",
            lambda: self._end(problems.stream_error(problem)) if streams else self._answer_problem(problem),
        )

    def _stop_attempt(self) -> Usage:
        attempt = self._attempt
        if attempt is None:
            return NOTHING_USED
        usage = attempt.usage_so_far()
        attempt.cancel()
        return usage

    # --- settlement

    @cached_property
    def prompt_bytes(self) -> int:
        """Text of the request, for an estimate of its input."""
        return prompt_text_bytes(self.body)

    def tick(self) -> None:
        """Called a few times a second: note how far a long stream has come."""
        attempt = self._attempt
        if self.state is not State.RELAYING or attempt is None or attempt.meter is None:
            return
        now_us = self.clock.now_us()
        if now_us - self._last_checkpoint_us < self.plan.limits.checkpoint_every_s * 1_000_000:
            return
        self._last_checkpoint_us = now_us
        self._checkpoints += 1
        usage = attempt.usage_so_far()
        price, cost_pico, currency = self._priced(attempt, usage)
        self.worker.link.checkpoint(
            Checkpoint(
                self.worker.link.next_seq(), self.id, attempt.id, self._checkpoints, now_us,
                attempt.deployment.upstream, attempt.deployment.name, usage, price, cost_pico, currency,
            )
        )  # fmt: skip

    def _settle(
        self, event: Event, usage: Usage, outcome: Outcome, reason: str, last: Callable[[], None]
    ) -> None:
        self.state = move(self.state, event)
        self._last = last
        self._close_attempt(self._attempt, usage, outcome, reason, final=True)

    def _close_attempt(
        self, attempt: Attempt | None, usage: Usage, outcome: Outcome, reason: str, *, final: bool
    ) -> None:
        link, now_us = self.worker.link, self.clock.now_us()
        price, cost_pico, currency = ("", None, "") if attempt is None else self._priced(attempt, usage)
        link.close_attempt(
            CloseAttempt(
                seq=link.next_seq(),
                call=self.id,
                attempt=b"" if attempt is None else attempt.id,
                ordinal=0 if attempt is None else attempt.ordinal,
                final=final,
                at_us=now_us,
                upstream="" if attempt is None else attempt.deployment.upstream,
                deployment="" if attempt is None else attempt.deployment.name,
                served_model="" if attempt is None else attempt.served_model,
                usage=usage,
                price=price,
                cost_pico=cost_pico,
                currency=currency,
                ttft_us=None if attempt is None else attempt.ttft_us,
                duration_us=max(0, now_us - self.arrived_us),
                status=0 if attempt is None else attempt.status,
                outcome=outcome,
                reason=reason,
            ),
            self._durable if final else None,
        )
        self._count(attempt, usage, outcome, final)

    def _priced(self, attempt: Attempt, usage: Usage) -> tuple[str, int | None, str]:
        applied, cost_pico = attempt.price(usage)
        if applied is None:
            return "", None, ""
        return self.worker.link.define_price(price_id(applied)[1]), cost_pico, applied.currency

    def _durable(self) -> None:
        self.state = move(self.state, Event.DURABLE)
        self.worker.calls.pop(self.id, None)
        last, self._last = self._last, None
        if last is not None:
            last()

    def _count(self, attempt: Attempt | None, usage: Usage, outcome: Outcome, final: bool) -> None:
        counters = self.worker.counters
        if attempt is not None:
            counters.add(f"weir_attempts|outcome={outcome},upstream={attempt.deployment.upstream}")
            if final and attempt.ttft_us is not None:
                counters.observe_ttft(attempt.ttft_us)
        if final:
            counters.add(f"weir_calls|outcome={outcome}")
        if usage.provenance is not Provenance.UNKNOWN:
            counters.add("weir_tokens|class=input", usage.prompt)
            counters.add("weir_tokens|class=output", usage.completion)

    # --- last words

    def _answer_problem(self, problem: Problem) -> None:
        if self.client is not None:
            self.client.refuse(problem, self.lines)

    def _answer(self, status: int, lines: bytes, body: bytes) -> None:
        if self.client is not None:
            self.client.answer(status, self.lines + lines, body)

    def _end(self, data: bytes) -> None:
        if self.client is not None:
            self.client.end(data)


def refusal(result: OpenResult) -> Problem:
    """What a refused client is told, with the numbers of the limit that refused it."""
    state = result.limit
    if result.refused == "key_revoked" or state is None:
        return problems.unauthorized()
    limit = state.limit

    def amount(value: int) -> str:
        return str(value) if limit.unit in ("tokens", "calls") else format_pico(value)

    window = "in total" if limit.window == "total" else f"per {limit.window} (UTC)"
    told = f"This key's limit is {amount(limit.amount)} {limit.unit} {window}; {amount(state.spent)} are spent and {amount(state.reserved)} reserved by calls under way."
    if result.refused == "unpriced":
        return problems.not_priced(
            f"{told} The model asked for has no known price, so the limit cannot hold for it. Set a price in weir.toml."
        )
    if result.refused == "currency":
        return problems.not_priced(
            f"{told} The model asked for is priced in another currency, so the limit cannot hold for it."
        )
    renews = (
        "" if state.renews_at_us is None else f" It renews at {state.renews_at_us // 1_000_000} (Unix time)."
    )
    return problems.budget_exceeded(f"{told} This call could cost more than is left.{renews}")
