"""What a worker answers by itself: models, health, metrics."""

from collections.abc import Callable
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import msgspec

from tokenweir.gateway.inbound import ClientConnection
from tokenweir.gateway.metrics import exposition
from tokenweir.gateway.plan import Served
from tokenweir.gateway.request import Request
from tokenweir.protocol.problems import ledger_unavailable, model_not_found

if TYPE_CHECKING:
    from tokenweir.gateway.worker import Worker

_JSON = b"content-type: application/json\r\n"
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


def models(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """Every public name, in OpenAI's shape."""
    plan = worker.plan
    listed = _Models("list", [_model(name, plan.models[name]) for name in plan.listed])
    client.answer(200, _JSON + worker.lines(request), msgspec.json.encode(listed))


def model(worker: "Worker", request: Request, client: ClientConnection) -> None:
    """One model."""
    name = unquote_to_bytes(request.path.removeprefix(b"/v1/models/")).decode("utf-8", "replace")
    served = worker.plan.models.get(name)
    if served is None:
        client.refuse(model_not_found(name, worker.plan.nearest(name)), worker.lines(request))
    else:
        client.answer(200, _JSON + worker.lines(request), msgspec.json.encode(_model(name, served)))


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
    worker.link.push_counters(worker.counters.values(len(worker.calls), len(worker.connections)))
    lines = _PROMETHEUS + worker.lines(request)
    worker.link.read_counters(lambda values: client.answer(200, lines, exposition(values)))


PAGES: dict[bytes, Callable[["Worker", Request, ClientConnection], None]] = {
    b"/healthz": health,
    b"/metrics": metrics,
    b"/readyz": ready,
    b"/v1/models": models,
    b"/v1/models/": model,
}
