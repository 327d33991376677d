"""A call made with a run's key: carried like any other, and noted as a step of its agent. Other calls know nothing of it."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from tokenweir.core.ids import uuid_text
from tokenweir.core.usage import Usage
from tokenweir.gateway.answering import AnsweringConnection
from tokenweir.gateway.attempt import Attempt
from tokenweir.gateway.call import Call
from tokenweir.gateway.request import Request
from tokenweir.gateway.settlement import close_of, count
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.messages import OpenResult
from tokenweir.ledger.terms import KeyRecord
from tokenweir.protocol import problems
from tokenweir.protocol.asked_tools import AskedTools
from tokenweir.protocol.asking import HEADERS, read_asking, told_by
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.exchange import Event
from tokenweir.protocol.steps import NO_STEP, Step
from tokenweir.protocol.translate.table import DIALECTS

if TYPE_CHECKING:
    from tokenweir.gateway.worker import Worker

#: Of the text of an answer so much is kept, where any is.
MOST_TEXT_BYTES = 8 * 1024 * 1024
#: The dialect that says of a tool's result whether the tool failed.
_TELLS_FAILURE = "messages"


class RunCall(Call):
    """It differs where something passes that a step is made of, and where its run is over."""

    def __init__(
        self, worker: "Worker", client: AnsweringConnection, request: Request, key: KeyRecord
    ) -> None:
        super().__init__(worker, client, request, key)
        self._hints = {name: request.headers[name] for name in HEADERS if name in request.headers}
        self._dialect = DIALECTS.get(self.wire.name)
        self._tools = None if self._dialect is None else AskedTools(self._dialect)
        self._tools_left: int | None = None
        self._asking: Step | None = None
        self._withheld = False
        self._held_back: OpenResult | None = None
        self._said: list[bytes] | None = [] if key.keep_text_s else None  # the answer, where its text is kept
        self._said_bytes = 0

    # --- a run that is over

    def _opened(self, result: OpenResult | None) -> None:
        if result is not None and self._waits_for_its_end(result):
            return
        self._tools_left = None if result is None else result.tools_left
        super()._opened(result)

    def _waits_for_its_end(self, result: OpenResult) -> bool:
        """Whether the refusal is held back: who asks again after a first one would ask for ever, as fast as it can."""
        waits = self.client is not None and not self.worker.draining
        if not (waits and self.worker.runs.ends(self.key, result)):
            return False
        self._held_back = result
        if not self.worker.runs.hold(self):
            return False
        self.worker.calls.pop(self.id, None)  # it takes no place of a call
        self.body = self._asked = b""
        return True

    def let_go(self) -> None:
        """The run's end has come, or has been waited for long enough: refuse."""
        super()._opened(self._held_back)

    def client_gone(self) -> None:
        """The client hung up."""
        self.worker.runs.forget(self)
        super().client_gone()

    # --- what passes

    def attempt_sent(self, attempt: Attempt) -> None:
        """The request is on its way: there is time to look into it."""
        super().attempt_sent(attempt)
        if self._asking is None:
            self._asking = self._read_asking()

    def _read_asking(self) -> Step:
        if self._dialect is None:
            return NO_STEP
        told = self.worker.runs.told(self.key.run)
        try:
            form = self.form or self._dialect.read_request(self.body)
        except BadRequest:  # a host may take it all the same
            return NO_STEP
        asking = read_asking(
            form, self.body, self._hints, told, tells_failure=self.wire.name == _TELLS_FAILURE
        )
        self.worker.runs.tell(self.key.run, told_by(form))
        return asking

    def relay(self, data: bytes) -> None:
        """Bytes of a stream that may go to the client now."""
        self._hears(data)
        super().relay(data)

    def _keep(self, told: bytes) -> None:
        self._hears(told)
        if self._tools is not None:
            self._tools.end()
        super()._keep(told)

    def _hears(self, data: bytes) -> None:
        if self._tools is not None:
            self._tools.feed(data)
        if self._said is not None and self._said_bytes <= MOST_TEXT_BYTES:
            self._said.append(data[: MOST_TEXT_BYTES + 1 - self._said_bytes])
            self._said_bytes += len(self._said[-1])

    # --- its end

    def _settle(
        self, event: Event, usage: Usage, outcome: Outcome, reason: str, last: Callable[[], None]
    ) -> None:
        tools, left = self._tools, self._tools_left
        asked = 0 if tools is None else len(tools.asked) + tools.more
        if event is Event.ENDED and left is not None and asked > left:
            said = f"The answer asks for {asked} tool calls, and this run may make {left} more. It is not handed on."
            reason, last = f"withheld: {asked} tool calls asked for, {left} left", self._withholding(said)
        super()._settle(event, usage, outcome, reason, last)

    def _withholding(self, said: str) -> Callable[[], None]:
        """What the client gets in place of the answer, or of the end of its stream."""
        self._withheld, self._told = True, None
        problem, attempt = problems.budget_exceeded(said, self.wire.spent_status), self._attempt
        meter = None if attempt is None or not attempt.bound else attempt.meter
        if meter is None:
            return lambda: self._answer_problem(problem)
        return lambda: self._end(meter.broken(problem))

    def _close_attempt(
        self, attempt: Attempt | None, usage: Usage, outcome: Outcome, reason: str, *, final: bool
    ) -> None:
        if not final:
            super()._close_attempt(attempt, usage, outcome, reason, final=False)
            return
        closing = close_of(self, attempt, usage, outcome, reason, final=True)
        self.worker.link.close_attempt(msgspec.structs.replace(closing, step=self._step()), self._durable)
        count(self.worker.counters, attempt, usage, outcome, final=True)

    def _durable(self) -> None:
        if self._said is not None:
            self._keep_text(b"".join(self._said))
        super()._durable()

    def _keep_text(self, said: bytes) -> None:
        from tokenweir.agents.texts import Text  # few runs keep any

        cut = len(said) > MOST_TEXT_BYTES
        text = Text(
            call=uuid_text(self.id), at_us=self.arrived_us, dialect=self.wire.name,
            request=self.body.decode(errors="replace"), answer=said[:MOST_TEXT_BYTES].decode(errors="replace"), cut=cut,
        )  # fmt: skip
        until_us = self.clock.now_us() + self.key.keep_text_s * 1_000_000
        self.worker.texts.keep(self.key.run, text, until_us)

    def _step(self) -> Step:
        asking = self._read_asking() if self._asking is None else self._asking
        if self._tools is None:
            return asking
        return msgspec.structs.replace(
            asking, asked=tuple(self._tools.asked), more_asked=self._tools.more, withheld=self._withheld
        )
