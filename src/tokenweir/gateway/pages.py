"""What a worker answers by itself: models, health, metrics."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import msgspec

from tokenweir.gateway.inbound import ClientConnection
from tokenweir.gateway.metrics import exposition
from tokenweir.gateway.plan import Plan, Served
from tokenweir.gateway.request import Request
from tokenweir.ledger.known_terms import allows_model
from tokenweir.protocol.problems import Problem, ledger_unavailable, model_not_found
from tokenweir.protocol.stored_responses import not_kept

if TYPE_CHECKING:
    from tokenweir.gateway.worker import Worker

_JSON = b"content-type: application/json\r\n"
_RFC_3339 = "%Y-%m-%dT%H:%M:%SZ"
_PROMETHEUS = b"content-type: text/plain; version=0.0.4; charset=utf-8\r\n"


class _Model(msgspec.Struct):
    id: str
    object: str
    created: int
    owned_by: str


class _Models(msgspec.Struct):
    object: str
    data: list[_Model]


def _model(name: str, served: Served) -> _Model:
    return _Model(name, "model", served.created_s, served.deployments[0].upstream)


class _AnthropicModel(msgspec.Struct):
    id: str
    display_name: str
    created_at: str
    type: str = "model"


class _AnthropicModels(msgspec.Struct):
    data: list[_AnthropicModel]
    first_id: str | None
    last_id: str | None
    has_more: bool = False


def _anthropic_model(name: str, served: Served) -> _AnthropicModel:
    """Anthropic names the epoch where nobody knows when a model came out."""
    return _AnthropicModel(name, name, datetime.fromtimestamp(served.created_s, UTC).strftime(_RFC_3339))


def models(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """Every public name, in Anthropic's shape or in OpenAI's."""
    plan, key = worker.plan, request.key
    names = [name for name in plan.listed if key is None or allows_model(key, plan.models[name].name)]
    tell = _anthropic_list if request.is_anthropic else _openai_list
    client.answer(200, _JSON + worker.lines(request), tell(plan, names))


def _openai_list(plan: Plan, names: list[str]) -> bytes:
    return msgspec.json.encode(_Models("list", [_model(name, plan.models[name]) for name in names]))


def _anthropic_list(plan: Plan, names: list[str]) -> bytes:
    listed = [_anthropic_model(name, plan.models[name]) for name in names]
    ends = (listed[0].id, listed[-1].id) if listed else (None, None)
    return msgspec.json.encode(_AnthropicModels(listed, *ends))


def model(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """One model."""
    name = unquote_to_bytes(request.path.removeprefix(b"/v1/models/")).decode("utf-8", "replace")
    served = worker.plan.models.get(name)
    if served is None:
        client.refuse(model_not_found(name, worker.plan.nearest(name)), worker.lines(request))
    else:
        told = (_anthropic_model if request.is_anthropic else _model)(name, served)
        client.answer(200, _JSON + worker.lines(request), msgspec.json.encode(told))


def root(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """What agents ask before they begin: whether anybody is there (Claude Code 2.1 asks `HEAD /api/hello`)."""
    client.answer(200, _JSON + worker.lines(request), b'{"name":"tokenweir"}')


def response(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """A kept response, told or forgotten."""
    response_id = unquote_to_bytes(request.path.removeprefix(b"/v1/responses/")).decode("utf-8", "replace")
    kept, key, lines = worker.kept, request.key, worker.lines(request)
    if kept is None or key is None:
        client.refuse(not_kept(response_id, keeps=False), lines)
        return

    def told(found: bytes | Problem) -> None:
        if isinstance(found, Problem):
            client.refuse(found, lines)
        else:
            client.answer(200, _JSON + lines, found)

    (kept.delete if request.method == "DELETE" else kept.get)(key.account, response_id, told)


def health(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """Alive."""
    client.answer(200, _JSON + worker.lines(request), b'{"status":"ok"}')


def ready(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """Whether a call would be served now: the ledger is there and this worker is not draining."""
    lines = _JSON + worker.lines(request)
    if worker.link.available and not worker.draining:
        client.answer(200, lines, b'{"status":"ready"}')
    else:
        client.answer(503, b"retry-after: 1\r\n" + lines, b'{"status":"not ready"}')


def metrics(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """Prometheus' text format, summed over all workers."""
    if not worker.link.available:  # the sum is kept by the ledger's writer
        client.refuse(ledger_unavailable(), worker.lines(request))
        return
    worker.link.push_counters(worker.counters.values(worker.gauges()))
    lines = _PROMETHEUS + worker.lines(request)
    worker.link.read_counters(lambda values: client.answer(200, lines, exposition(values)))


Page = Callable[["Worker", Request, ClientConnection], None]
PAGES: dict[bytes, Page] = {
    b"/": root,
    b"/api/hello": root,
    b"/v1": root,
    b"/v1/": root,
    b"/healthz": health,
    b"/metrics": metrics,
    b"/readyz": ready,
    b"/v1/models": models,
}
#: What stands under these.
_UNDER: dict[bytes, Page] = {b"/v1/models/": model, b"/v1/responses/": response}


def page_of(path: bytes) -> Page:
    """The page of a path that passed its screening."""
    return PAGES.get(path) or next(page for under, page in _UNDER.items() if path.startswith(under))
