"""What resolving works on: models as upstreams offer them, providers, engines, and what comes out."""

from typing import Protocol

import msgspec

from tokenweir.catalog.price import Price
from tokenweir.gateway.config import GatewayConfig, UpstreamConfig


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model as one upstream has it."""

    model: str
    prices: tuple[Price, ...] = ()  # empty: unpriced
    context: int | None = None
    max_output: int | None = None
    created_s: int = 0
    flags: tuple[str, ...] = ()  # what it can do, as far as is known
    listed: bool = True  # False: known, and no longer offered under its own name


class KnownProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of the catalog."""

    id: str
    url: str
    key_variables: tuple[str, ...]
    ask_usage: bool = True


class Book(Protocol):
    """What is asked of the catalog. `note` is what the user must know of it; empty: nothing."""

    note: str

    def providers(self) -> tuple[KnownProvider, ...]:
        """Those that can be called, in the order in which they are preferred."""
        ...

    def offers(self, provider: str) -> tuple[Offer, ...]:
        """What the provider with this id has."""
        ...


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """An engine that answers on this machine."""

    kind: str
    url: str
    offers: tuple[Offer, ...]
    ask_usage: bool = True
    ours: bool = False  # started by this gateway
    unix_socket: str = ""
    api_key: str = ""

    def __repr__(self) -> str:
        return f"Engine({self.kind!r}, {self.url!r})"  # without the key


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the greeting: an upstream, and why it is there."""

    upstream: str
    address: str
    models: int
    why: str


class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """What is served, and how that came about."""

    config: GatewayConfig
    sources: tuple[Source, ...]
    flags: dict[str, tuple[str, ...]] = {}  # what each deployment can do, as far as is known
    notes: tuple[str, ...] = ()


class Draft(msgspec.Struct, kw_only=True):
    """An upstream with what it offers."""

    upstream: UpstreamConfig
    offers: dict[str, Offer]  # by model; the settings add to them
    why: str
    listed: frozenset[str] = frozenset()  # models that the upstream itself is known to have

    def __post_init__(self) -> None:
        self.listed = frozenset(name for name, offer in self.offers.items() if offer.listed)
