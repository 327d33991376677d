"""A call from its request to its settlement: the states of `protocol.exchange`, carried out."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from tokenweir.core.ids import uuid_text
from tokenweir.core.usage import NOTHING_USED, Usage
from tokenweir.gateway.answering import AnsweringConnection
from tokenweir.gateway.attempt import OUTCOME_OF_FAULT, REDIRECTS, Attempt
from tokenweir.gateway.config import DeploymentConfig, Target
from tokenweir.gateway.plan import Served
from tokenweir.gateway.refusal import refusal
from tokenweir.gateway.request import Request
from tokenweir.gateway.settlement import checkpoint_of, close_of, count
from tokenweir.gateway.upstream_connection import Fault
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.messages import KeyRecord, OpenCall, OpenResult
from tokenweir.protocol import problems
from tokenweir.protocol.answers import prompt_text_bytes
from tokenweir.protocol.chat import BadRequest, ChatRequest
from tokenweir.protocol.exchange import Event, State, move
from tokenweir.protocol.passage import TRANSLATED, Passage, Straight, Translated
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.translate.envelope import MARK
from tokenweir.protocol.translate.form import Request as Form
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.wires import BY_PATH, WIRES
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
        self.wire = BY_PATH[request.path]
        self.body = request.body
        self.body_bytes = len(request.body)
        self.forwarded = request.forwarded()
        self.lines = b"x-weir-call: %b\r\n%b" % (
            uuid_text(self.id).encode(),
            worker.cors_lines(request.origin),
        )
        self.request = ChatRequest(model="")
        self._form: Form | None = None  # the request in no dialect, where it has to be said anew
        self._sealed = False
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
            self.request = self.wire.parse(self.body)
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
        deployments = self._reachable(served)
        if not deployments:
            return
        now_us = self.clock.steady_us()
        cooling = self.worker.cooling
        candidates = tuple(Candidate(d.name, cooling.get(d.name, 0)) for d in deployments)
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
                dialect=self.wire.name,
                bounds=bounds.costs(input_tokens) if limited else (),
                unpriced=limited and bounds.unpriced,
                input_tokens=input_tokens,
                output_tokens=asked * self.request.n,
            ),
            self._opened,
        )

    def _reachable(self, served: Served) -> tuple[DeploymentConfig, ...]:
        """Deployments that this call can be told to; where there are none, the client is told why."""
        ways = [(d, self.plan.way(d, self.wire.name)) for d in served.deployments]
        # What was sealed here says nothing to a host: such a conversation is said anew also in its own dialect.
        self._sealed = self.wire.name in TRANSLATED and MARK in self.body
        if not self._sealed and all(way is not None and way.dialect == self.wire.name for _, way in ways):
            return served.deployments
        straight = tuple(d for d, way in ways if way is not None and way.dialect == self.wire.name)
        reachable = tuple(d for d, way in ways if way is not None)
        if not reachable:
            self._refuse(problems.not_served(self.request.model, self.wire.name))
            return ()
        try:
            self._form = DIALECTS[self.wire.name].read_request(self.body)
        except BadRequest as error:
            if not straight:
                self._refuse(problems.bad_request(str(error), error.param, error.status))
            return straight
        return reachable

    def _opened(self, result: OpenResult | None) -> None:
        if result is None:
            self._refuse(problems.ledger_unavailable())
        elif result.refused:
            self.worker.counters.add(f"weir_refused|reason={result.refused}")
            self._refuse(refusal(result, self.wire.spent_status))
        else:
            self.state = move(self.state, Event.OPENED)
            if self.key.limits and self.wire.clamps:
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
        way = self.plan.way(deployment, self.wire.name)
        assert way is not None  # else it was not reachable
        upstream = self.worker.upstream(self.plan, deployment.upstream)
        attempt = Attempt(
            self, self.worker.ids.new(), self._attempts, deployment, upstream, self._passage(way)
        )
        self._attempt = attempt
        body = attempt.passage.request(
            model=deployment.model, ask_usage=upstream.config.ask_usage, max_output=self._granted
        )
        dropped = attempt.passage.dropped
        if dropped and self.plan.config.strict:
            problem = problems.cannot_be_said(deployment.name, dropped)
            last = lambda: self._answer_problem(problem)  # noqa: E731
            self._give_up_or_go_on(
                attempt, NOTHING_USED, Outcome.FAILED, f"strict: {', '.join(dropped)}", last
            )
            return
        prefix = self.plan.request_prefix(upstream.config, way)
        attempt.start(b"%b%bcontent-length: %d\r\n\r\n" % (prefix, self.forwarded, len(body)), body)

    def _passage(self, way: Target) -> Passage:
        if way.dialect == self.wire.name and not (self._sealed and self._form):
            return Straight(self.wire, self.request, self.body)
        assert self._form is not None
        return Translated(self.wire, WIRES[way.dialect], way.host, self._form)

    def attempt_sent(self, attempt: Attempt) -> None:
        """The request is on its way."""
        self.state = move(self.state, Event.CONNECTED)

    def attempt_failed(self, attempt: Attempt, fault: Fault, detail: str) -> None:
        """No byte of an answer reached the client: try the next deployment, or give up."""
        outcome = OUTCOME_OF_FAULT[fault]
        reason = f"{attempt.deployment.upstream} {fault.value}: {detail}"
        problem = PROBLEM_OF_FAULT.get(fault, problems.upstream_failed)(f"The upstream {reason}.")
        last = lambda: self._answer_problem(problem)  # noqa: E731
        self._cool(attempt)
        self._give_up_or_go_on(attempt, attempt.failed_usage(), outcome, reason, last)

    def attempt_refused(self, attempt: Attempt) -> None:
        """The upstream answered with an error that another deployment may not have."""
        reason = f"{attempt.deployment.upstream} answered {attempt.status}"
        body = b"".join(attempt.parts)
        if attempt.status == 200:
            reason += " with an error inside"
        usage = attempt.failed_usage() if attempt.meter else attempt.read(body).usage or NOTHING_USED
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
        elif attempt.meter is not None:  # its only event is an error, already in the client's dialect
            last = lambda: self._answer(attempt.status, attempt.lines, body)  # noqa: E731
        else:
            status, said = attempt.passage.error(attempt.status, body)
            last = lambda: self._answer(status, attempt.lines, said)  # noqa: E731
        self._cool(attempt)
        self._give_up_or_go_on(attempt, usage, Outcome.UPSTREAM_ERROR, reason, last)

    def _cool(self, attempt: Attempt) -> None:
        self.worker.cooling[attempt.deployment.name] = self.clock.steady_us() + COOLING_US

    def _give_up_or_go_on(
        self, attempt: Attempt, usage: Usage, outcome: Outcome, reason: str, last: Callable[[], None]
    ) -> None:
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
        if attempt.status != 200:
            self.state = move(self.state, Event.ANSWERED)
            status, said = attempt.passage.error(attempt.status, body)
            usage, outcome = attempt.read(body).usage or NOTHING_USED, Outcome.UPSTREAM_ERROR
            self._settle(Event.ENDED, usage, outcome, "", lambda: self._answer(status, attempt.lines, said))
            return
        whole, answer = attempt.passage.whole(body)
        if answer.failed:
            self.attempt_refused(attempt)
            return
        attempt.served_model = answer.model
        self.state = move(self.state, Event.ANSWERED)
        lines = self._dropped_line(attempt) + attempt.lines
        self._settle(
            Event.ENDED,
            answer.usage or answer.settled(self.prompt_bytes),
            Outcome.OK,
            attempt.told_dropped(),
            lambda: self._answer(200, lines, whole),
        )

    def _dropped_line(self, attempt: Attempt) -> bytes:
        dropped = attempt.passage.dropped
        return b"x-weir-dropped: %b\r\n" % ", ".join(dropped).encode("ascii", "replace") if dropped else b""

    def stream_begins(self, attempt: Attempt) -> None:
        """The first bytes of a stream: from here on the client is bound to this deployment."""
        self.state = move(self.state, Event.ANSWERED)
        if self.client is not None:
            self.client.begin(attempt.status, self.lines + self._dropped_line(attempt) + attempt.lines)
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
            told = attempt.told_dropped()
            self._settle(Event.ENDED, attempt.usage_so_far(), Outcome.OK, told, lambda: self._end(tail))

    def stream_broke(self, attempt: Attempt, fault: Fault, detail: str) -> None:
        """The upstream broke mid-stream: never a silent end."""
        assert attempt.meter is not None
        attempt.served_model = attempt.meter.model
        reason = f"{attempt.deployment.upstream} {fault.value}: {detail}"
        event = attempt.meter.broken(
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
        meter = None if self._attempt is None else self._attempt.meter
        streams, usage, problem = self.state is State.RELAYING, self._stop_attempt(), problems.stopping()
        self._settle(
            Event.CANCELLED,
            usage,
            Outcome.INTERRUPTED,
            "the gateway was stopped",
            lambda: self._end(meter.broken(problem)) if streams and meter else self._answer_problem(problem),
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
        self.worker.link.checkpoint(checkpoint_of(self, attempt, self._checkpoints, now_us))

    def _settle(
        self, event: Event, usage: Usage, outcome: Outcome, reason: str, last: Callable[[], None]
    ) -> None:
        self.state = move(self.state, event)
        self._last = last
        self._close_attempt(self._attempt, usage, outcome, reason, final=True)

    def _close_attempt(
        self, attempt: Attempt | None, usage: Usage, outcome: Outcome, reason: str, *, final: bool
    ) -> None:
        closing = close_of(self, attempt, usage, outcome, reason, final=final)
        self.worker.link.close_attempt(closing, self._durable if final else None)
        count(self.worker.counters, attempt, usage, outcome, final=final)

    def _durable(self) -> None:
        self.state = move(self.state, Event.DURABLE)
        self.worker.calls.pop(self.id, None)
        last, self._last = self._last, None
        if last is not None:
            last()

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
