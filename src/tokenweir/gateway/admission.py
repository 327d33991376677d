"""Whether and how a call can be served at all: which deployments it can be told to, and what is set aside for it."""

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from tokenweir.catalog.charges import dearest_charge
from tokenweir.core.clock import Clock
from tokenweir.gateway.config import DeploymentConfig
from tokenweir.gateway.plan import Plan, Served, bounds_of
from tokenweir.ledger.budgets import Spent
from tokenweir.ledger.known_terms import KnownTerms
from tokenweir.ledger.messages import CostBound, OpenCall
from tokenweir.ledger.terms import KeyRecord
from tokenweir.protocol import problems
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.passage import TRANSLATED
from tokenweir.protocol.problems import Problem
from tokenweir.protocol.stored_responses import previous_not_found
from tokenweir.protocol.translate.envelope import MARK
from tokenweir.protocol.translate.form import Request as Form
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.wires import Wire
from tokenweir.routing.decide import DRAINED, UNABLE, Candidate, decide

if TYPE_CHECKING:
    from tokenweir.gateway.call import Call

#: Currency, pico per token of input, of output.
Rates = tuple[tuple[str, int, int], ...]

#: Input of pictures, sound and files is not bounded by the request's bytes where it is fetched from an address.
MEDIA_TOKENS = 131_072
#: What a host's template adds to the text of a request, beyond what its JSON is longer: a system prompt of its own …
TEMPLATE_TOKENS = 128
#: … and instructions for the use of tools (Anthropic documents up to 530 tokens; templates of open models have fewer).
TOOL_TOKENS = 640


class Reach(msgspec.Struct, frozen=True):
    """Where a call can go; `form` is the request in no dialect, where some of these have to be told in another.

    `anew`: it has to be said anew also where both sides speak one dialect.
    """

    deployments: tuple[DeploymentConfig, ...]
    form: Form | None = None
    anew: bool = False


def reach(
    plan: Plan, wire: Wire, served: Served, body: bytes, drained: Collection[str] = ()
) -> Reach | Problem:
    """Deployments that a request can be told to, none of them on a drained upstream; where there are none, why."""
    taking = served.deployments
    if drained:
        taking = tuple(d for d in served.deployments if d.upstream not in drained)
        if not taking and served.deployments:
            return problems.drained(served.name)
    # What was sealed here says nothing to a host.
    sealed = wire.name in TRANSLATED and MARK in body
    if wire.name in served.straight and not sealed:
        return Reach(taking)
    ways = [(d, plan.way(d, wire.name)) for d in taking]
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


def turns(
    served: Served, reached: Reach, drained: Collection[str], cooling: Mapping[str, int], clock: Clock
) -> tuple[list[str], tuple[str, ...]]:
    """Names of deployments in the order in which they are tried, the first one last: it is taken from the end. And the route
    of each, in its order; none where there is no choice.
    """
    if len(served.deployments) == 1:
        return [served.deployments[0].name], ()
    able = reached.deployments
    candidates = tuple(
        Candidate(
            d.name, cooling.get(d.name, 0), "" if d in able else DRAINED if d.upstream in drained else UNABLE
        )
        for d in served.deployments
    )
    decision = decide(candidates, clock.steady_us())
    return list(decision.order)[::-1], decision.routes


def reservation(call: "Call", served: Served) -> OpenCall:
    """What the ledger is asked for before anything goes upstream."""
    key, request, dearest = call.key, call.request, served.bounds
    input_tokens = call.body_bytes + TEMPLATE_TOKENS + (TOOL_TOKENS if b'"tools"' in call.body else 0)
    if request.has_media:
        input_tokens += dearest.context or MEDIA_TOKENS
    asked = request.max_output
    if asked is None:
        asked = dearest.max_output or call.plan.limits.default_max_output
    # Also where nothing limits the key as far as is known here: a limit may have been set that has yet to be told.
    costs, unpriced = _dearest(call.worker.link.terms, key, served, call.arrived_us)
    bounds = tuple([CostBound(c, i * input_tokens, o) for c, i, o in costs])
    return OpenCall(
        call.worker.link.next_seq(), call.id, call.arrived_us, key.id, key.account, key.run, served.name, call.wire.name,
        bounds, unpriced, input_tokens, asked * request.n,
    )  # fmt: skip


def still_granted(asked: OpenCall, granted: int, used: Sequence[Spent]) -> int:
    """Tokens of output that a further attempt may tell, so that all attempts stay within what was set aside for the call;
    less than nothing where not even its input would.
    """
    most = granted - sum(what.tokens for what in used)
    for bound in asked.bounds:
        paid = sum(what.pico for what in used if what.currency == bound.currency)
        if paid:
            room = bound.output_pico * granted - paid
            most = min(most, room // bound.output_pico if bound.output_pico else -1)
    return most


def _dearest(terms: KnownTerms, key: KeyRecord, served: Served, at_us: int) -> tuple[Rates, bool]:
    """What the account pays for a token of input and of output at the dearest, by currency; and whether that is unknown."""
    rates, unpriced = served.bounds.rates, served.bounds.unpriced
    if terms.has_standing_costs:  # calls through such an upstream cost nothing by themselves
        by_call = [d for d in served.deployments if terms.standing_price(d.upstream, at_us) is None]
        bounds = bounds_of(tuple(by_call))
        rates, unpriced = bounds.rates, bounds.unpriced
    rule = terms.charge_rule(key.account, served.name, at_us)
    if rule is None:
        return rates, unpriced
    return dearest_charge(rule, rates), rule.price is None and unpriced
