"""A call from its request to its settlement: the states of `protocol.exchange`, carried out."""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING

from tokenweir.core.usage import NOTHING_USED, Usage
from tokenweir.gateway.admission import reach, reservation, still_granted, turns
from tokenweir.gateway.answering import AnsweringConnection
from tokenweir.gateway.attempt import OUTCOME_OF_FAULT, Attempt
from tokenweir.gateway.outgoing import outgoing
from tokenweir.gateway.refusal import refusal
from tokenweir.gateway.request import Request
from tokenweir.gateway.settlement import checkpoint_of, close_of, count, paid
from tokenweir.gateway.upstream_connection import Fault
from tokenweir.gateway.upstream_problems import problem_of_fault, problem_of_status
from tokenweir.ledger.budgets import Spent
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.known_terms import allows_dialect, allows_model
from tokenweir.ledger.messages import OpenCall, OpenResult
from tokenweir.ledger.room import LEAST_OUTPUT
from tokenweir.ledger.terms import KeyRecord
from tokenweir.protocol import problems
from tokenweir.protocol.answers import prompt_text_bytes
from tokenweir.protocol.chat import BadRequest, ChatRequest
from tokenweir.protocol.dropped import in_short
from tokenweir.protocol.exchange import Event, State, move
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.responses import ResponsesRequest
from tokenweir.protocol.stored_responses import final_response
from tokenweir.protocol.translate.form import Request as Form
from tokenweir.protocol.wires import BY_PATH
from tokenweir.routing.decide import COOLING_US

if TYPE_CHECKING:
    from tokenweir.gateway.worker import Worker

# Members by names of their own: in Python 3.11 looking one up in its Enum takes longer than the move does.
_RESERVE, _OPENED, _CONNECTED, _ANSWERED, _ENDED, _DURABLE = (
    Event.RESERVE, Event.OPENED, Event.CONNECTED, Event.ANSWERED, Event.ENDED, Event.DURABLE,
)  # fmt: skip
_OK = Outcome.OK


class Call:
    """One request of a client; an `Exchange` for its connection."""

    # What begins so for every call stands here, and in the call itself once it differs.
    state = State.ARRIVED
    request = ChatRequest(model="")
    model = ""  # the public name; clients may ask by another
    form: Form | None = None  # the request in no dialect, where it has to be said anew
    anew = False  # it has to be said anew also in its own dialect
    reserved: OpenCall | None = None  # what the ledger was asked for
    granted_output = 0  # tokens of output that it granted, over all choices
    most_output: int | None = None  # what a stream may tell of it: the same, where a limit holds
    _interrupted = False
    _granted: int | None = None  # for each choice, where it has to be said upstream
    #: By attempts so far, where a limit holds: they share what was set aside.
    _used: list[Spent] | None = None
    _order: list[str]
    routes: tuple[
        str, ...
    ] = ()  # why each of them has its place, in their order; empty where there is no choice
    _attempt: Attempt | None = None
    _attempts = 0
    _checkpoints = 0
    _told: bytes | None = None  # a whole response, to be kept
    _last: Callable[[], None] | None = None  # what the client gets once the call is settled

    def __init__(
        self, worker: "Worker", client: AnsweringConnection, request: Request, key: KeyRecord
    ) -> None:
        self.worker = worker
        self.clock = worker.clock
        self.plan = worker.plan
        self.client: AnsweringConnection | None = client
        self.key = key
        self.arrived_us = self._last_checkpoint_us = worker.clock.now_us()
        self.id = worker.ids.new(self.arrived_us)  # the windows of limits are found again by it
        self.wire = BY_PATH[request.path]
        self.body = self._asked = request.body  # `body` may come to hold the conversation before it, too
        self.body_bytes = len(request.body)
        self.anthropic_headers = request.anthropic_headers
        self.forwarded = request.forwarded
        self.lines = worker.lines_of(self.id, request)
        self._kept = worker.kept if self.wire.name == "responses" else None

    @property
    def attempt(self) -> Attempt | None:
        """The one that is under way, or was last."""
        return self._attempt

    # --- before anything goes upstream

    def begin(self) -> None:
        """Parse; put the conversation together, where it goes on from a kept response."""
        if not self._read():
            return
        if self._kept is not None and isinstance(self.request, ResponsesRequest):
            previous, most = self.request.previous_response_id, self.plan.limits.max_body_bytes
            if previous is not None:
                self._kept.join(self.key.account, self.body, previous, most, self._joined)
                return
        self._admit()

    def _read(self) -> bool:
        try:
            self.request = self.wire.parse(self.body)
        except BadRequest as error:
            self._refuse(problems.bad_request(str(error), error.param, error.status))
            return False
        return True

    def _joined(self, found: bytes | Problem) -> None:
        """The store of responses has told the conversation that the request goes on from."""
        if isinstance(found, Problem) or self.client is None:
            self._refuse(found if isinstance(found, Problem) else problems.stopping())
            return
        self.body, self.body_bytes = found, len(found)
        if self._read():
            self._admit()

    def _admit(self) -> None:
        """Look up, reserve."""
        served = self.plan.models.get(self.request.model)
        if served is None:
            self._refuse(problems.model_not_found(self.request.model, self.plan.nearest(self.request.model)))
            return
        self.model = served.name
        key = self.key
        if not (allows_model(key, served.name) and allows_dialect(key, self.wire.name)):
            self._refuse(problems.not_allowed(self.request.model, self.wire.name, key.models, key.dialects))
            return
        if len(self.worker.calls) >= self.plan.limits.max_in_flight:
            self._refuse(problems.overloaded(f"{self.plan.limits.max_in_flight} calls are under way"))
            return
        drained = self.worker.link.terms.drained
        reached = reach(self.plan, self.wire, served, self.body, drained)
        if isinstance(reached, Problem):
            self._refuse(reached)
            return
        self.form, self.anew = reached.form, reached.anew
        self._order, self.routes = turns(served, reached, drained, self.worker.cooling, self.clock)
        self.state = move(self.state, _RESERVE)
        self.worker.calls[self.id] = self
        self.reserved = reservation(self, served)
        self.worker.link.open(self.reserved, self._opened)

    def _opened(self, result: OpenResult | None) -> None:
        if result is None:
            self._refuse(problems.ledger_unavailable())
        elif result.refused:
            self.worker.counters.add(f"weir_refused|reason={result.refused}")
            self._refuse(refusal(result, self.wire.spent_status, self.clock.now_us()))
        else:
            self.state = move(self.state, _OPENED)
            self.granted_output = result.output_tokens
            if result.limited:
                self._used = []
                self._bound(result.output_tokens)
            if self.client is None:
                self._cancel()
            elif self._interrupted:
                self.interrupt()
            else:
                self._try_next()

    def _bound(self, output_tokens: int) -> None:
        """The answer has at most that many tokens, over all choices; the upstream is told where it was asked for others."""
        if self.wire.clamps:
            self.most_output = output_tokens
            each = output_tokens // self.request.n
            self._granted = each if each != self.request.max_output else None

    def _head(self) -> bytes:
        """Header lines of the answer; how far its output was cut is that of the attempt that answers."""
        if self._granted is None:
            return self.lines
        return self.lines + b"x-weir-max-output: %d\r\n" % self._granted

    def _refuse(self, problem: Problem) -> None:
        self.state = move(self.state, Event.REFUSED)
        self.worker.calls.pop(self.id, None)
        if self.client is not None:
            self.client.refuse(problem, self.lines)

    # --- attempts

    def _try_next(self) -> None:
        deployment = self.plan.deployments[self._order.pop()]
        self._attempts += 1
        upstream = self.worker.upstream(self.plan, deployment.upstream)
        sent = outgoing(self, self.plan, deployment, self._granted)
        begun_us = self.clock.now_us()
        id = self.worker.ids.new(begun_us)
        attempt = self._attempt = Attempt(self, id, begun_us, self._attempts, deployment, upstream, sent)
        if sent.passage.dropped and self.plan.config.strict:
            dropped = in_short(sent.passage.dropped)
            problem = problems.cannot_be_said(deployment.name, dropped)
            reason = f"strict: {', '.join(dropped)}"
            last = lambda: self._answer_problem(problem)  # noqa: E731
            self._give_up_or_go_on(attempt, NOTHING_USED, Outcome.FAILED, reason, last)
            return
        attempt.start()

    def attempt_sent(self, attempt: Attempt) -> None:
        """The request is on its way."""
        self.state = move(self.state, _CONNECTED)

    def attempt_failed(self, attempt: Attempt, fault: Fault, detail: str) -> None:
        """No byte of an answer reached the client: try the next deployment, or give up."""
        reason = f"{attempt.deployment.upstream} {fault.value}: {detail}"
        problem = problem_of_fault(fault, reason)
        last = lambda: self._answer_problem(problem)  # noqa: E731
        self._cool(attempt)
        self._give_up_or_go_on(attempt, attempt.failed_usage(), OUTCOME_OF_FAULT[fault], reason, last)

    def attempt_refused(self, attempt: Attempt) -> None:
        """The upstream answered with an error that another deployment may not have."""
        reason = f"{attempt.deployment.upstream} answered {attempt.status}"
        body = b"".join(attempt.parts)
        if attempt.status == 200:
            reason += " with an error inside"
        usage = attempt.failed_usage() if attempt.meter else attempt.read(body).usage or NOTHING_USED
        problem = problem_of_status(attempt)
        if problem is not None:
            told = problem
            last = lambda: self._answer_problem(told)  # noqa: E731
        elif attempt.meter is not None:  # its only event is an error, already in the client's dialect
            last = lambda: self._answer(attempt.status, attempt.head_lines(streams=self.request.stream), body)  # noqa: E731
        else:
            status, said = attempt.passage.error(attempt.status, body)
            last = lambda: self._answer(status, attempt.head_lines(), said)  # noqa: E731
        self._cool(attempt)
        self._give_up_or_go_on(attempt, usage, Outcome.UPSTREAM_ERROR, reason, last)

    def _cool(self, attempt: Attempt) -> None:
        self.worker.cooling[attempt.deployment.name] = self.clock.steady_us() + COOLING_US

    def _give_up_or_go_on(
        self, attempt: Attempt, usage: Usage, outcome: Outcome, reason: str, last: Callable[[], None]
    ) -> None:
        if self._order and self._has_room_after(attempt, usage):
            self.state = move(self.state, Event.ATTEMPT_FAILED)
            self._close_attempt(attempt, usage, outcome, reason, final=False)
            self._try_next()
        else:
            self._settle(Event.EXHAUSTED, usage, outcome, reason, last)

    def _has_room_after(self, attempt: Attempt, usage: Usage) -> bool:
        """Whether a further attempt fits into what was set aside, beside what this one has used; its answer may be shorter."""
        if self._used is None or self.reserved is None or not usage.total:
            return True
        self._used.append(paid(self, attempt, usage))
        left = still_granted(self.reserved, self.granted_output, self._used)
        if left < min(LEAST_OUTPUT, self.granted_output):
            return False
        self._bound(left)
        return True

    # --- the answer

    def plain_answered(self, attempt: Attempt) -> None:
        """A whole answer is there."""
        body = b"".join(attempt.parts)
        if attempt.status != 200:
            self.state = move(self.state, Event.ANSWERED)
            status, said = attempt.passage.error(attempt.status, body)
            usage, lines = attempt.read(body).usage or NOTHING_USED, attempt.head_lines()
            last = lambda: self._answer(status, lines, said)  # noqa: E731
            self._settle(Event.ENDED, usage, Outcome.UPSTREAM_ERROR, "", last)
            return
        whole, answer = attempt.passage.whole(body)
        if answer.failed:
            self.attempt_refused(attempt)
            return
        attempt.served_model = answer.model
        self.state = move(self.state, _ANSWERED)
        self._keep(whole)
        lines = attempt.answer_lines(streams=self.request.stream)
        last = lambda: self._answer(200, lines, whole)  # noqa: E731
        usage = answer.usage or answer.settled(self.prompt_bytes)
        self._settle(_ENDED, usage, _OK, attempt.told_dropped(), last)

    def _keep(self, told: bytes) -> None:
        """Note a whole answer, or the end of a streamed one, for the store of responses."""
        if self._kept is not None:
            self._told = final_response(told) if self.request.stream else told

    def stream_begins(self, attempt: Attempt) -> None:
        """The first bytes of a stream: from here on the client is bound to this deployment."""
        self.state = move(self.state, Event.ANSWERED)
        if self.client is not None:
            lines = attempt.answer_lines(streams=self.request.stream)
            self.client.begin(attempt.status, self._head() + lines)
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
        if meter.full:  # by its very last event
            self.relay(tail)
            self.stream_full(attempt)
        elif meter.error is not None:
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
            self._keep(tail)
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

    def stream_full(self, attempt: Attempt) -> None:
        """An upstream tells more than it was told to: stop it, and end the stream as one that its length ends."""
        meter, usage = attempt.meter, self._stop_attempt()
        assert meter is not None and self.most_output is not None
        attempt.served_model = meter.model
        if not attempt.bound:
            attempt.begin_stream()
        end = meter.capped(usage)
        self._keep(end)
        told = (f"ended at {self.most_output} tokens of output: its limit", attempt.told_dropped())
        self._settle(Event.ENDED, usage, Outcome.OK, "; ".join(filter(None, told)), lambda: self._end(end))

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
        self.state = move(self.state, _DURABLE)
        self.worker.calls.pop(self.id, None)
        last, self._last = self._last, None
        self._attempt = None  # it refers to this call: without a ring both, and the body, are freed at once
        if last is not None and self._kept is not None and self._told is not None:
            self._kept.keep(self.key.account, self._asked, self._told, last)
        elif last is not None:
            last()

    # --- last words

    def _answer_problem(self, problem: Problem) -> None:
        if self.client is not None:
            self.client.refuse(problem, self.lines)

    def _answer(self, status: int, lines: bytes, body: bytes) -> None:
        if self.client is not None:
            self.client.answer(status, self._head() + lines, body)

    def _end(self, data: bytes) -> None:
        if self.client is not None:
            self.client.end(data)
