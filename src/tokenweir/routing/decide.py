"""Which deployments a call is tried at, in which order, and why."""

import re

import msgspec

#: Why a deployment is tried late, or not at all; said after its name.
FAILED = "failed a moment ago"
DRAINED = "is drained"
UNABLE = "cannot take this request"
#: Said alone, of the deployment itself.
ITSELF = "it failed a moment ago itself"
AS_CONFIGURED = "as configured"
#: How long a deployment that failed is tried last.
COOLING_US = 5_000_000
_ROUTE = re.compile(r"(\d{1,4}) of (\d{1,4}): (.+)", re.DOTALL)


class Candidate(msgspec.Struct, frozen=True):
    """A deployment that may serve the call, with what is known of it now."""

    deployment: str
    cooling_until_us: int = 0  # on the steady clock: it failed a moment ago
    left_out: str = ""  # DRAINED or UNABLE: it is not tried at all


class Decision(msgspec.Struct, frozen=True):
    """Deployments in the order in which they are tried, with the reason of each place in words: its route."""

    order: tuple[str, ...]
    routes: tuple[str, ...]


class Route(msgspec.Struct, frozen=True):
    """What a route says, to be said in another language."""

    place: int
    of: int
    reasons: tuple[tuple[str, str], ...]  # name of another deployment, or empty; and one of the words above


def decide(candidates: tuple[Candidate, ...], now_us: int) -> Decision:
    """As configured, with those that failed a moment ago last: they are still tried when nothing else is left."""
    ranked = sorted((c for c in candidates if not c.left_out), key=lambda c: c.cooling_until_us > now_us)
    # Stable: both parts keep the configured order.
    routes = []
    for place, candidate in enumerate(ranked, 1):
        before = candidates[: candidates.index(candidate)]
        tried = ranked[:place]
        reasons = [f"{c.deployment} {c.left_out or FAILED}" for c in before if c not in tried]
        if candidate.cooling_until_us > now_us:
            reasons.append(ITSELF)
        routes.append(f"{place} of {len(ranked)}: {'; '.join(reasons) or AS_CONFIGURED}")
    return Decision(tuple(c.deployment for c in ranked), tuple(routes))


def read_route(text: str) -> Route | None:
    """A route in its parts; None where it is not one of `decide`."""
    found = _ROUTE.fullmatch(text)
    if found is None:
        return None
    reasons = []
    for said in found[3].split("; "):
        if said in (ITSELF, AS_CONFIGURED):
            reasons.append(("", said))
            continue
        why = next((why for why in (FAILED, DRAINED, UNABLE) if said.endswith(f" {why}")), None)
        if why is None:
            return None
        reasons.append((said.removesuffix(f" {why}"), why))
    return Route(int(found[1]), int(found[2]), tuple(reasons))
