"""A GatewayConfig made quick to look things up in. Built once, replaced whole on a reload; a call keeps the one it
began with."""

import difflib
from collections.abc import Callable

import msgspec

from tokenweir.catalog.pricing import dearest
from tokenweir.gateway.config import DeploymentConfig, GatewayConfig, Target, UpstreamConfig
from tokenweir.protocol.http import request_prefix
from tokenweir.protocol.passage import TRANSLATED
from tokenweir.protocol.wires import WIRES


class Bounds(msgspec.Struct, frozen=True):
    """The dearest that any deployment of a model can be, for reservations."""

    rates: tuple[tuple[str, int, int], ...]  # currency, pico per token of input, of output
    unpriced: bool
    max_output: int | None  # tokens, where every deployment names one
    context: int | None  # tokens, where every deployment names one


class Served(msgspec.Struct, frozen=True):
    """A model that clients can ask for."""

    name: str  # the public one
    deployments: tuple[DeploymentConfig, ...]
    bounds: Bounds
    created_s: int
    straight: frozenset[str]  # dialects that each of its deployments speaks


class Plan:
    """What is served: models by name, upstreams by name, and the constant part of every upstream request."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.limits = config.limits
        self.upstreams = {u.name: u for u in config.upstreams}
        self.settings_of = {u.name: msgspec.json.encode(u) for u in config.upstreams}
        self.deployments = {d.name: d for d in config.deployments}
        self.models: dict[str, Served] = {}
        for model in config.models:
            served = self._serve(model.name, model.deployments, model.created_s)
            for name in (model.name, *model.aliases):
                self.models.setdefault(name, served)
        self.listed = tuple(sorted(self.models))
        public = {name: model.name for model in reversed(config.models) for name in model.deployments}
        for deployment in config.deployments:
            # Asked for by its own name it is still the model: what holds for the one holds for the other.
            name = public.get(deployment.name, deployment.name)
            self.models.setdefault(deployment.name, self._serve(name, (deployment.name,), 0))
        self._ways = {(u.name, d): way_of(u, d) for u in config.upstreams for d in WIRES}
        self._prefixes: dict[tuple[str, str], bytes] = {}

    def _serve(self, name: str, deployments: tuple[str, ...], created_s: int) -> Served:
        chosen = tuple(self.deployments[d] for d in deployments)
        spoken = [{t.dialect for t in self.upstreams[d.upstream].targets} for d in chosen]
        straight = frozenset(set.intersection(*spoken)) if spoken else frozenset(WIRES)
        return Served(name, chosen, bounds_of(chosen), created_s, straight)

    def nearest(self, name: str) -> list[str]:
        """Up to three names a client may have meant."""
        return difflib.get_close_matches(name, self.listed, n=3, cutoff=0.5)

    def way(self, deployment: DeploymentConfig, dialect: str) -> Target | None:
        """Where a call of this dialect goes at this deployment: its own dialect, else one it can be translated to."""
        return self._ways[deployment.upstream, dialect]

    def request_prefix(self, upstream: UpstreamConfig, target: Target, under: str = "") -> bytes:
        """The constant part of a POST to `target` at `upstream`, or to a path `under` it."""
        path = target.path + under
        key = (upstream.name, path)
        prefix = self._prefixes.get(key)
        if prefix is None:
            prefix = request_prefix("POST", path, authority(upstream), upstream.headers)
            self._prefixes[key] = prefix
        return prefix


def way_of(upstream: UpstreamConfig, dialect: str) -> Target | None:
    """The target that a call of this dialect is sent to, or None where there is none."""
    same = next((t for t in upstream.targets if t.dialect == dialect), None)
    if same is not None or dialect not in TRANSLATED:
        return same
    return next((t for t in upstream.targets if t.dialect in TRANSLATED), None)


def authority(upstream: UpstreamConfig) -> str:
    """The Host header: the port only where it is not the scheme's own."""
    if upstream.unix_socket:
        return "localhost"
    host = f"[{upstream.host}]" if ":" in upstream.host else upstream.host
    usual = {"http": 80, "https": 443}[upstream.scheme]
    return host if upstream.port == usual else f"{host}:{upstream.port}"


def bounds_of(deployments: tuple[DeploymentConfig, ...]) -> Bounds:
    """The dearest rates per currency over all deployments, and the largest outputs."""
    rates: dict[str, tuple[int, int]] = {}
    for deployment in deployments:
        for currency, dearest_input, dearest_output in dearest(deployment.prices):
            known_input, known_output = rates.get(currency, (0, 0))
            rates[currency] = (max(known_input, dearest_input), max(known_output, dearest_output))
    return Bounds(
        rates=tuple((c, i, o) for c, (i, o) in sorted(rates.items())),
        unpriced=any(not d.prices for d in deployments),
        max_output=_largest(deployments, lambda d: d.max_output),
        context=_largest(deployments, lambda d: d.context),
    )


def _largest(
    deployments: tuple[DeploymentConfig, ...], read: Callable[[DeploymentConfig], int | None]
) -> int | None:
    values = [read(d) for d in deployments]
    return None if None in values else max((v for v in values if v is not None), default=None)
