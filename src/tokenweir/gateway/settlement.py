"""What an attempt used and cost, as the ledger and the counters are told."""

from typing import TYPE_CHECKING

from tokenweir.catalog.pricing import price_id
from tokenweir.core.usage import Provenance, Usage
from tokenweir.gateway.attempt import Attempt
from tokenweir.gateway.metrics import Counters
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.link import SocketLedgerLink
from tokenweir.ledger.messages import Checkpoint, CloseAttempt

if TYPE_CHECKING:
    from tokenweir.gateway.call import Call


def checkpoint_of(call: "Call", attempt: Attempt, ordinal: int, at_us: int) -> Checkpoint:
    """How far a stream has come."""
    link, usage = call.worker.link, attempt.usage_so_far()
    price, cost_pico, currency = priced(link, attempt, usage)
    return Checkpoint(
        link.next_seq(), call.id, attempt.id, ordinal, at_us, attempt.deployment.upstream,
        attempt.deployment.name, usage, price, cost_pico, currency,
    )  # fmt: skip


def close_of(
    call: "Call", attempt: Attempt | None, usage: Usage, outcome: Outcome, reason: str, *, final: bool
) -> CloseAttempt:
    """The end of an attempt, or of a call that had none."""
    link, now_us = call.worker.link, call.clock.now_us()
    price, cost_pico, currency = ("", None, "") if attempt is None else priced(link, attempt, usage)
    return CloseAttempt(
        seq=link.next_seq(),
        call=call.id,
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
        duration_us=max(0, now_us - call.arrived_us),
        status=0 if attempt is None else attempt.status,
        outcome=outcome,
        reason=reason,
    )


def priced(link: SocketLedgerLink, attempt: Attempt, usage: Usage) -> tuple[str, int | None, str]:
    """Id of the applied price, cost in pico and currency; ("", None, "") where there is no price."""
    applied, cost_pico = attempt.price(usage)
    if applied is None:
        return "", None, ""
    return link.define_price(price_id(applied)[1]), cost_pico, applied.currency


def count(
    counters: Counters, attempt: Attempt | None, usage: Usage, outcome: Outcome, *, final: bool
) -> None:
    """Add it to what /metrics shows."""
    if attempt is not None:
        counters.add(f"weir_attempts|outcome={outcome},upstream={attempt.deployment.upstream}")
        if final and attempt.ttft_us is not None:
            counters.observe_ttft(attempt.ttft_us)
    if final:
        counters.add(f"weir_calls|outcome={outcome}")
    if usage.provenance is not Provenance.UNKNOWN:
        counters.add("weir_tokens|class=input", usage.prompt)
        counters.add("weir_tokens|class=output", usage.completion)
