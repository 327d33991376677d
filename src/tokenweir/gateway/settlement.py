"""What an attempt used and cost, as the ledger and the counters are told."""

from functools import lru_cache
from typing import TYPE_CHECKING

import msgspec

from tokenweir.catalog.charges import charge_call, dearest_charge
from tokenweir.catalog.price import AppliedPrice
from tokenweir.catalog.pricing import cost, dearest, price_call, price_id
from tokenweir.core.usage import Provenance, Usage
from tokenweir.gateway.attempt import Attempt
from tokenweir.gateway.metrics import Counters
from tokenweir.ledger.budgets import Spent
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.link import LedgerLink
from tokenweir.ledger.messages import NO_CHARGE, Charge, Checkpoint, CloseAttempt

if TYPE_CHECKING:
    from tokenweir.gateway.call import Call


def checkpoint_of(call: "Call", attempt: Attempt, ordinal: int, at_us: int) -> Checkpoint:
    """How far a stream has come."""
    link, usage = call.worker.link, attempt.usage_so_far()
    paid, still = priced(call, attempt, usage, at_us), still_reserved(call, attempt, usage)
    return Checkpoint(  # numbered last, as a settlement is
        link.next_seq(), call.id, attempt.id, ordinal, at_us, attempt.deployment.upstream,
        attempt.deployment.name, usage, paid.price, paid.cost_pico, paid.currency, paid.charge, still,
        call.routes[attempt.ordinal - 1] if call.routes else "",
    )  # fmt: skip


def close_of(
    call: "Call", attempt: Attempt | None, usage: Usage, outcome: Outcome, reason: str, *, final: bool
) -> CloseAttempt:
    """The end of an attempt, or of a call that had none."""
    link, now_us = call.worker.link, call.clock.now_us()
    duration_us = max(0, now_us - call.arrived_us)
    if attempt is None:
        return CloseAttempt(
            link.next_seq(), call.id, b"", 0, final, now_us, "", "", "", usage, "", None, "", None, duration_us, 0, outcome, reason
        )  # fmt: skip
    deployment, paid = attempt.deployment, priced(call, attempt, usage, now_us)
    return CloseAttempt(  # numbered last: a price that is defined for it goes before it
        link.next_seq(), call.id, attempt.id, attempt.ordinal, final, now_us, deployment.upstream, deployment.name,
        attempt.served_model, usage, paid.price, paid.cost_pico, paid.currency, attempt.ttft_us, duration_us,
        attempt.status, outcome, reason, paid.charge, None, call.routes[attempt.ordinal - 1] if call.routes else "",
    )  # fmt: skip


class Priced(msgspec.Struct, frozen=True):
    """What an attempt cost, and what its account is charged; empty and None where there is no price."""

    price: str = ""  # id of the applied price
    cost_pico: int | None = None
    currency: str = ""
    charge: Charge = NO_CHARGE


NOT_PRICED = Priced()
_UNKNOWN = Provenance.UNKNOWN  # in Python 3.11 a member is slow to look up


def priced(call: "Call", attempt: Attempt, usage: Usage, ended_us: int) -> Priced:
    """By the prices in force at the moments that their vendors go by."""
    link = call.worker.link
    applied = link.terms.standing_price(attempt.deployment.upstream, call.arrived_us) or price_call(
        attempt.deployment.prices, usage.prompt, begun_us=attempt.begun_us, ended_us=ended_us
    )
    rule = link.terms.charge_rule(call.key.account, call.model, call.arrived_us)
    charge = NO_CHARGE
    if rule is not None:
        charged = charge_call(rule, applied, usage.prompt, begun_us=attempt.begun_us, ended_us=ended_us)
        if charged is not None:
            charge = Charge(*_amount(link, charged, usage))
    if applied is not None:
        return Priced(*_amount(link, applied, usage), charge)
    return Priced(charge=charge) if rule is not None else NOT_PRICED


def paid(call: "Call", attempt: Attempt, usage: Usage) -> Spent:
    """What an attempt used, and what the account pays for it."""
    found = priced(call, attempt, usage, call.clock.now_us())
    if found.charge.price:
        return Spent(usage.total, found.charge.pico or 0, found.charge.currency)
    return Spent(usage.total, found.cost_pico or 0, found.currency)


def _amount(link: LedgerLink, applied: AppliedPrice, usage: Usage) -> tuple[str, int | None, str]:
    """Id of the applied price, pico, currency."""
    pico = None if usage.provenance is _UNKNOWN else cost(applied, usage)
    return link.define_price(price_id(applied)[1]), pico, applied.currency


def still_reserved(call: "Call", attempt: Attempt, usage: Usage) -> dict[str, int]:
    """The dearest that a stream can still become, by unit, now that its deployment is known."""
    reserved = call.reserved
    if reserved is None:
        return {}
    granted = call.granted_output if call.most_output is None else call.most_output
    reported = usage.provenance is Provenance.REPORTED and usage.prompt > 0
    prompt = usage.prompt if reported else reserved.input_tokens
    still = {bound.currency: 0 for bound in reserved.bounds} | {"tokens": prompt + granted}
    terms = call.worker.link.terms
    rule = terms.charge_rule(call.key.account, call.model, call.arrived_us)
    paid_apart = terms.standing_price(attempt.deployment.upstream, call.arrived_us) is not None
    rates = () if paid_apart else dearest(attempt.deployment.prices)
    for currency, each_input, each_output in rates if rule is None else dearest_charge(rule, rates):
        still[currency] = each_input * prompt + each_output * granted
    return still


@lru_cache(maxsize=1024)
def _attempts(outcome: Outcome, upstream: str) -> str:
    return f"weir_attempts|outcome={outcome},upstream={upstream}"


@lru_cache(maxsize=64)
def _calls(outcome: Outcome) -> str:
    return f"weir_calls|outcome={outcome}"


def count(
    counters: Counters, attempt: Attempt | None, usage: Usage, outcome: Outcome, *, final: bool
) -> None:
    """Add it to what /metrics shows."""
    if attempt is not None:
        counters.add(_attempts(outcome, attempt.deployment.upstream))
        if final and attempt.ttft_us is not None:
            counters.observe_ttft(attempt.ttft_us)
    if final:
        counters.add(_calls(outcome))
    if usage.provenance is not _UNKNOWN:
        counters.add("weir_tokens|class=input", usage.prompt)
        counters.add("weir_tokens|class=output", usage.completion)
