"""Whether and how a call can be served at all: which deployments it can be told to, and what is set aside for it."""

from typing import TYPE_CHECKING

import msgspec

from tokenweir.gateway.config import DeploymentConfig
from tokenweir.gateway.plan import Plan, Served
from tokenweir.ledger.messages import OpenCall
from tokenweir.protocol import problems
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.passage import TRANSLATED
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.stored_responses import previous_not_found
from tokenweir.protocol.translate.envelope import MARK
from tokenweir.protocol.translate.form import Request as Form
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.wires import Wire

if TYPE_CHECKING:
    from tokenweir.gateway.call import Call

#: Input of pictures, sound and files is not bounded by the request's bytes where it is fetched from an address.
MEDIA_TOKENS = 131_072


class Reach(msgspec.Struct, frozen=True):
    """Where a call can go; `form` is the request in no dialect, where some of these have to be told in another.

    `anew`: it has to be said anew also where both sides speak one dialect.
    """

    deployments: tuple[DeploymentConfig, ...]
    form: Form | None = None
    anew: bool = False


def reach(plan: Plan, wire: Wire, served: Served, body: bytes) -> Reach | Problem:
    """Deployments that a request can be told to; where there are none, why."""
    ways = [(d, plan.way(d, wire.name)) for d in served.deployments]
    # What was sealed here says nothing to a host.
    sealed = wire.name in TRANSLATED and MARK in body
    if not sealed and all(way is not None and way.dialect == wire.name for _, way in ways):
        return Reach(served.deployments)
    reachable = tuple(d for d, way in ways if way is not None)
    if not reachable:
        return problems.not_served(served.name, wire.name)
    try:
        return Reach(reachable, DIALECTS[wire.name].read_request(body), anew=sealed)
    except BadRequest as error:
        straight = tuple(d for d, way in ways if way is not None and way.dialect == wire.name)
        return Reach(straight) if straight else _unreadable(error, body)


def _unreadable(error: BadRequest, body: bytes) -> Problem:
    if error.param == "previous_response_id":
        named = msgspec.json.decode(body, type=_Named).previous_response_id
        return previous_not_found(named, keeps=False)
    return problems.bad_request(str(error), error.param, error.status)


class _Named(msgspec.Struct):
    previous_response_id: str


def reservation(call: "Call", served: Served) -> OpenCall:
    """What the ledger is asked for before anything goes upstream."""
    key, request, bounds = call.key, call.request, served.bounds
    input_tokens = call.body_bytes
    if request.has_media:
        input_tokens += bounds.context or MEDIA_TOKENS
    asked = request.max_output
    if asked is None:
        asked = bounds.max_output or call.plan.limits.default_max_output
    limited = bool(key.limits)
    return OpenCall(
        seq=call.worker.link.next_seq(),
        call=call.id,
        at_us=call.arrived_us,
        key=key.id,
        account=key.account,
        run=key.run,
        model=request.model,
        dialect=call.wire.name,
        bounds=bounds.costs(input_tokens) if limited else (),
        unpriced=limited and bounds.unpriced,
        input_tokens=input_tokens,
        output_tokens=asked * request.n,
    )
