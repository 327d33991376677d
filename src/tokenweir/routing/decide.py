"""Which deployments a call is tried at, in which order, and why."""

import msgspec


class Candidate(msgspec.Struct, frozen=True):
    """A deployment that may serve the call, with what is known of it now."""

    deployment: str
    cooling_until_us: int = 0  # on the steady clock: it failed a moment ago


class Decision(msgspec.Struct, frozen=True):
    """Deployments in the order in which they are tried, with the reason of each place."""

    order: tuple[str, ...]
    reasons: tuple[str, ...]


def decide(candidates: tuple[Candidate, ...], now_us: int) -> Decision:
    """As configured, with those that failed a moment ago last: they are still tried when nothing else is left."""
    if len(candidates) == 1:
        return Decision((candidates[0].deployment,), ("only one",))
    ranked = sorted(
        candidates, key=lambda c: c.cooling_until_us > now_us
    )  # stable: keeps the configured order
    return Decision(
        tuple(c.deployment for c in ranked),
        tuple("failed a moment ago" if c.cooling_until_us > now_us else "as configured" for c in ranked),
    )
