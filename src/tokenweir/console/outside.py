"""What the settings and the catalog say of what is served, which the console knows nothing of itself. No secrets."""

from collections.abc import Callable, Mapping

import msgspec

from tokenweir.admin.lookups import SettingNow
from tokenweir.catalog.price import Price
from tokenweir.engines.health import EngineLoad


class Deployment(msgspec.Struct, frozen=True, kw_only=True):
    """One model on one upstream."""

    name: str  # "upstream/model"
    upstream: str
    model: str  # as the upstream calls it
    prices: tuple[Price, ...]  # from now on; empty: unpriced
    context: int | None
    max_output: int | None
    flags: tuple[str, ...]  # what it can do, as far as is known


class Model(msgspec.Struct, frozen=True):
    """A public name and what serves it, in order."""

    name: str
    aliases: tuple[str, ...]
    deployments: tuple[Deployment, ...]


class Upstream(msgspec.Struct, frozen=True):
    """A provider or an engine."""

    name: str
    kind: str
    address: str
    why: str  # it is there: by the settings, by a key in the environment, since it was found
    dialects: tuple[str, ...]


class Served(msgspec.Struct, frozen=True):
    """What `weir up` serves by the settings of this moment."""

    models: tuple[Model, ...]
    upstreams: tuple[Upstream, ...]


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """The console's own settings."""

    enabled: bool = True
    trusted_proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    idle_us: int = 8 * 3600 * 1_000_000
    longest_us: int = 7 * 24 * 3600 * 1_000_000


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """Given to the console by who wires it. Each reads anew, and raises SettingsError or CatalogError."""

    served: Callable[[], Served]
    engines: Callable[[], Mapping[str, EngineLoad | None]]  # as they say at this moment; None: no answer
    settings: Callable[[], tuple[SettingNow, ...]]
    open_models: Callable[[], frozenset[str]]  # whose weights are open, in small letters; by the catalog
    address: Callable[[], str]  # of the gateway, as its user was told: "http://127.0.0.1:8787"
    rules: Rules = Rules()
