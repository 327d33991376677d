"""A question how long a prompt is: nothing is generated, so nothing is reserved, billed or written to the ledger."""

from typing import TYPE_CHECKING

from tokenweir.gateway.answering import AnsweringConnection
from tokenweir.gateway.config import DeploymentConfig, Target
from tokenweir.gateway.request import Request
from tokenweir.gateway.upstream import Upstream
from tokenweir.gateway.upstream_connection import Fault, UpstreamConnection
from tokenweir.ledger.known_terms import allows_dialect, allows_model
from tokenweir.protocol import problems
from tokenweir.protocol.anthropic_headers import upstream_headers
from tokenweir.protocol.chat import BadRequest, ChatRequest
from tokenweir.protocol.count_tokens import ESTIMATED_LINE, estimate_count, is_count, parse_count_tokens
from tokenweir.protocol.http import header_lines
from tokenweir.protocol.messages import rewrite_messages
from tokenweir.protocol.problems import Problem

if TYPE_CHECKING:
    from tokenweir.gateway.worker import Worker

#: An answer is a number; whatever is longer is none.
MAX_ANSWER_BYTES = 64 * 1024
_JSON = b"content-type: application/json\r\n"


class TokenCount:
    """An `Exchange` for its connection, and the sink of its upstream's answer."""

    joins = True

    def __init__(self, worker: "Worker", client: AnsweringConnection, request: Request) -> None:
        self._worker = worker
        self._client: AnsweringConnection | None = client
        self._request = request
        self._lines = worker.lines(request)
        self._upstream: Upstream | None = None
        self._connection: UpstreamConnection | None = None
        self._sent = (b"", b"")  # head and body, as they go upstream
        self._status = 0
        self._answer = b""

    def begin(self) -> None:
        """Ask the first deployment of the model that counts tokens; where there is none, estimate."""
        plan, body = self._worker.plan, self._request.body
        try:
            asked = parse_count_tokens(body)
        except BadRequest as error:
            self._refuse(problems.bad_request(str(error), error.param, error.status))
            return
        served = plan.models.get(asked.model)
        if served is None:
            self._refuse(problems.model_not_found(asked.model, plan.nearest(asked.model)))
            return
        key = self._request.key
        if key is not None and not (allows_model(key, served.name) and allows_dialect(key, "messages")):
            self._refuse(problems.not_allowed(asked.model, "messages", key.models, key.dialects))
            return
        for deployment in served.deployments:
            if deployment.upstream in self._worker.link.terms.drained:
                continue
            way = plan.way(deployment, "messages")
            if way is not None and way.dialect == "messages" and way.host.of(deployment.model).counts_tokens:
                self._ask(deployment, way, asked)
                return
        self._estimate()

    def _ask(self, deployment: DeploymentConfig, way: Target, asked: ChatRequest) -> None:
        plan, request = self._worker.plan, self._request
        upstream = self._worker.upstream(plan, deployment.upstream)
        body = rewrite_messages(request.body, asked, model=deployment.model, ask_usage=False, max_output=None)
        prefix = plan.request_prefix(upstream.config, way, "/count_tokens")
        own = header_lines(upstream_headers(way.policy, request.anthropic_headers).lines)
        head = b"%b%b%bcontent-length: %d\r\n\r\n" % (prefix, own, request.forwarded, len(body))
        self._sent = head, body
        self._upstream = upstream
        upstream.acquire(self)

    # --- Exchange

    def client_gone(self) -> None:
        """Nobody asks any more."""
        self._client = None
        self._stop()

    def client_slow(self) -> None:
        """The answer is short enough to wait for the client."""

    def client_ready(self) -> None:
        """See `client_slow`."""

    # --- AnswerSink

    def connected(self, connection: UpstreamConnection) -> None:
        self._connection = connection
        connection.send(self, *self._sent)

    def answer_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self._status = status

    def answer_data(self, data: bytes) -> None:
        self._answer += data
        if len(self._answer) > MAX_ANSWER_BYTES:
            self._stop()
            self._estimate()

    def answer_end(self) -> None:
        self._connection = None
        if self._status == 200 and is_count(self._answer):
            self._tell(b"", self._answer)
        else:
            self._estimate()

    def answer_fault(self, fault: Fault, detail: str) -> None:
        self._connection = None
        self._estimate()

    # --- last words

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.abandon()
            self._connection = None
        if self._upstream is not None:
            self._upstream.forget(self)

    def _estimate(self) -> None:
        self._tell(ESTIMATED_LINE, estimate_count(self._request.body))

    def _tell(self, lines: bytes, body: bytes) -> None:
        if self._client is not None:
            self._client.answer(200, _JSON + lines + self._lines, body)

    def _refuse(self, problem: Problem) -> None:
        if self._client is not None:
            self._client.refuse(problem, self._lines)
