"""From settings, environment, catalog and engines to what a worker serves. Reads nothing but secrets."""

from collections.abc import Iterable, Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.cli.kinds import PriceSetting
from tokenweir.cli.proxy import proxy_for
from tokenweir.cli.resolve_kinds import KINDS
from tokenweir.cli.settings import ModelSettings, Settings, UpstreamSettings
from tokenweir.cli.settings_file import nearest
from tokenweir.core.errors import SettingsError
from tokenweir.gateway.config import DeploymentConfig, GatewayConfig, ModelConfig, UpstreamConfig

#: An explicitly declared price of nothing: the local engine.
LOCAL_PRICE_REF = "runs on this machine; no charge per token"


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """A model as one upstream has it."""

    model: str
    prices: tuple[Price, ...] = ()  # empty: unpriced
    context: int | None = None
    max_output: int | None = None
    created_s: int = 0


class KnownProvider(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of the catalog."""

    id: str
    url: str
    key_variables: tuple[str, ...]
    ask_usage: bool = True


class Book(Protocol):
    """What is asked of the catalog."""

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
    notes: tuple[str, ...] = ()


class _Draft(msgspec.Struct, kw_only=True):
    """An upstream with what it offers."""

    upstream: UpstreamConfig
    offers: dict[str, Offer]  # by model; the settings add to them
    why: str
    listed: frozenset[str] = frozenset()  # models that the upstream itself is known to have

    def __post_init__(self) -> None:
        self.listed = frozenset(self.offers)


def resolve(
    settings: Settings, environ: Mapping[str, str], book: Book, engines: Iterable[Engine] = ()
) -> Resolved:
    """What to serve. Raises SettingsError with what to change.

    `engines` holds the local engine (`ours`) and those found on this machine. A settings file with an
    `[[upstream]]` is the whole list of upstreams; of `engines`, only ours and those it names count then.
    """
    found = tuple(engines)
    if settings.upstreams:
        drafts = [_configured(upstream, environ, book, found) for upstream in settings.upstreams]
    else:
        drafts = _discovered(environ, book, tuple(engine for engine in found if not engine.ours))
    for engine in found:
        if engine.ours:
            drafts.append(_local(engine, [draft.upstream.name for draft in drafts]))
    by_name = {draft.upstream.name: draft for draft in drafts}
    explicit = tuple(_explicit_model(model, by_name) for model in settings.models)
    _check_names(explicit)
    config = GatewayConfig(
        upstreams=tuple(draft.upstream for draft in drafts),
        deployments=tuple(_deployment(d.upstream.name, offer) for d in drafts for offer in d.offers.values()),
        models=(*explicit, *_implicit_models(drafts, explicit)),
        limits=settings.limits,
        cors_origins=settings.server.cors_origins,
    )
    sources = tuple(_source(draft) for draft in drafts)
    return Resolved(config=config, sources=sources, notes=settings.warnings)


# --- upstreams


def _configured(
    setting: UpstreamSettings, environ: Mapping[str, str], book: Book, engines: tuple[Engine, ...]
) -> _Draft:
    providers = {provider.id: provider for provider in book.providers()}
    kind = KINDS.get(setting.kind)
    provider = providers.get(setting.kind) if not kind or not (setting.url or kind.url) else None
    if kind is None and provider is None:
        raise SettingsError(
            f"upstream {setting.name!r}: there is no kind {setting.kind!r}; "
            f"{nearest(setting.kind, [*KINDS, *providers])}"
        )
    url = setting.url or (provider.url if provider else kind.url if kind else "")
    if not url:
        raise SettingsError(f"upstream {setting.name!r}: set its url; kind {setting.kind!r} has no usual one")
    if "/" in setting.name:
        raise SettingsError(
            f"upstream {setting.name!r}: a name cannot have a slash, which parts it from a model"
        )
    provider = provider or next((p for p in providers.values() if _same_address(p.url, url)), None)
    offers = book.offers(provider.id) if provider else ()
    offers = offers or next((e.offers for e in engines if _same_address(e.url, url)), ())
    variables = provider.key_variables if provider else (kind.key_variable,) if kind else ()
    ask_usage = provider.ask_usage if provider else kind.ask_usage if kind else True
    upstream = _upstream(setting, url, _headers(setting, variables, environ), environ, ask_usage)
    return _Draft(upstream=upstream, offers={o.model: o for o in offers}, why="in the settings")


def _headers(
    setting: UpstreamSettings, variables: tuple[str, ...], environ: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    extra = tuple((name.lower(), secret.resolve(environ)) for name, secret in setting.headers)
    if any(name == "authorization" for name, _ in extra):
        return extra
    try:
        if setting.api_key is not None:
            return (("authorization", f"Bearer {setting.api_key.resolve(environ)}"), *extra)
    except SettingsError as error:
        raise SettingsError(f"upstream {setting.name!r}: {error}") from None
    wanted = [variable for variable in variables if variable]
    key = next((environ[v] for v in wanted if environ.get(v)), None)
    if key is None and wanted:
        raise SettingsError(
            f"upstream {setting.name!r} needs a key: set {' or '.join(wanted)}, or its api_key"
        )
    return extra if key is None else (("authorization", f"Bearer {key}"), *extra)


def _upstream(
    setting: UpstreamSettings,
    url: str,
    headers: tuple[tuple[str, str], ...],
    environ: Mapping[str, str],
    ask_usage: bool,
) -> UpstreamConfig:
    scheme, host, port, path = split_url(url)
    return UpstreamConfig(
        name=setting.name,
        kind=setting.kind,
        scheme=scheme,
        host=host,
        port=port,
        path=path,
        headers=headers,
        ask_usage=ask_usage,
        proxy=proxy_for(scheme, host, setting.proxy, environ),
        verify_tls=setting.verify_tls,
        ca_file=setting.ca_file,
        connect_timeout_s=setting.connect_timeout_s,
        first_byte_timeout_s=setting.first_byte_timeout_s,
        between_bytes_timeout_s=setting.between_bytes_timeout_s,
        max_connections=setting.max_connections,
    )


def split_url(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path prefix."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    return parts.scheme, host, parts.port or {"http": 80, "https": 443}[parts.scheme], parts.path.rstrip("/")


def _same_address(one: str, other: str) -> bool:
    return one.rstrip("/").replace("localhost", "127.0.0.1") == other.rstrip("/").replace(
        "localhost", "127.0.0.1"
    )


def _discovered(environ: Mapping[str, str], book: Book, engines: tuple[Engine, ...]) -> list[_Draft]:
    """Engines first, since they are the user's own; then providers whose key is set, in the book's order."""
    drafts: list[_Draft] = []
    for engine in engines:
        name = _free_name(engine.kind, [d.upstream.name for d in drafts])
        upstream = msgspec.structs.replace(
            _upstream(UpstreamSettings(name=name, kind=engine.kind), engine.url, (), {}, engine.ask_usage),
            local=True,
        )
        offers = {offer.model: offer for offer in engine.offers}
        drafts.append(_Draft(upstream=upstream, offers=offers, why="found on this machine"))
    used: set[str] = set()
    for provider in book.providers():
        variable = next((v for v in provider.key_variables if environ.get(v, "").strip()), None)
        if variable is None or variable in used:
            continue  # a key belongs to one host: of those that share its variable, the first is meant
        used.add(variable)
        setting = UpstreamSettings(name=provider.id, kind=provider.id)
        headers = (("authorization", f"Bearer {environ[variable].strip()}"),)
        upstream = _upstream(setting, provider.url, headers, environ, provider.ask_usage)
        offers = {offer.model: offer for offer in book.offers(provider.id)}
        drafts.append(_Draft(upstream=upstream, offers=offers, why=f"{variable} is set"))
    return drafts


def _local(engine: Engine, taken: list[str]) -> _Draft:
    name = _free_name("local", taken)
    headers = (("authorization", f"Bearer {engine.api_key}"),) if engine.api_key else ()
    upstream = msgspec.structs.replace(
        _upstream(UpstreamSettings(name=name, kind=engine.kind), engine.url, headers, {}, engine.ask_usage),
        local=True,
        unix_socket=engine.unix_socket,
    )
    free = Price(ref=LOCAL_PRICE_REF, currency="CNY", brackets=(Bracket(0, Rates(input=0, output=0)),))
    offers = {o.model: msgspec.structs.replace(o, prices=o.prices or (free,)) for o in engine.offers}
    return _Draft(upstream=upstream, offers=offers, why="started by weir")


def _free_name(wanted: str, taken: Iterable[str]) -> str:
    names = set(taken)
    number = 2
    name = wanted
    while name in names:
        name, number = f"{wanted}-{number}", number + 1
    return name


def _source(draft: _Draft) -> Source:
    upstream = draft.upstream
    usual = {"http": 80, "https": 443}[upstream.scheme]
    port = "" if upstream.port == usual else f":{upstream.port}"
    address = upstream.unix_socket or f"{upstream.scheme}://{upstream.host}{port}{upstream.path}"
    return Source(upstream=upstream.name, address=address, models=len(draft.offers), why=draft.why)


# --- models


def _explicit_model(setting: ModelSettings, drafts: dict[str, _Draft]) -> ModelConfig:
    if not setting.deployments:
        raise SettingsError(f"model {setting.name!r}: deployments is empty; name at least one upstream/model")
    for deployment in setting.deployments:
        _settle_offer(setting, deployment, drafts)
    if len(set(setting.deployments)) < len(setting.deployments):
        raise SettingsError(f"model {setting.name!r}: a deployment stands twice")
    return ModelConfig(name=setting.name, deployments=setting.deployments, aliases=setting.aliases)


def _settle_offer(setting: ModelSettings, deployment: str, drafts: dict[str, _Draft]) -> None:
    """Put what the settings say of a deployment over what its upstream offers."""
    upstream, slash, model = deployment.partition("/")
    if not slash or not model:
        raise SettingsError(f"model {setting.name!r}: {deployment!r} must be written upstream/model")
    draft = drafts.get(upstream)
    if draft is None:
        raise SettingsError(
            f"model {setting.name!r}: deployment {deployment!r} names the upstream {upstream!r}, "
            f"which there is not; {nearest(upstream, drafts)}"
        )
    offer = draft.offers.get(model) or Offer(model=model)
    if setting.price is not None:
        price = price_of(setting.price)
        if offer.prices and offer.prices != (price,) and offer.prices[0].ref == price.ref:
            raise SettingsError(f"deployment {deployment!r} has two prices in the settings; give it one")
        offer = msgspec.structs.replace(offer, prices=(price,))
    if setting.max_output is not None:
        offer = msgspec.structs.replace(offer, max_output=setting.max_output)
    draft.offers[model] = offer


def price_of(setting: PriceSetting) -> Price:
    """The price of a `[[model]]`, valid always."""
    rates = Rates(
        input=setting.input,
        output=setting.output,
        cache_read=setting.cache_read,
        cache_write_5m=setting.cache_write_5m,
        cache_write_1h=setting.cache_write_1h,
        reasoning=setting.reasoning,
    )
    return Price(ref="settings", currency=setting.currency, brackets=(Bracket(0, rates),))


def _check_names(models: tuple[ModelConfig, ...]) -> None:
    seen: dict[str, str] = {}
    for model in models:
        for name in (model.name, *model.aliases):
            if name in seen:
                raise SettingsError(f"the name {name!r} is given to {seen[name]!r} and to {model.name!r}")
            seen[name] = model.name


def _deployment(upstream: str, offer: Offer) -> DeploymentConfig:
    return DeploymentConfig(
        name=f"{upstream}/{offer.model}",
        upstream=upstream,
        model=offer.model,
        prices=offer.prices,
        max_output=offer.max_output,
        context=offer.context,
    )


def _implicit_models(drafts: list[_Draft], explicit: tuple[ModelConfig, ...]) -> tuple[ModelConfig, ...]:
    """Every model under the name its upstreams give it, but for names that the settings use."""
    taken = {name for model in explicit for name in (model.name, *model.aliases)}
    serving: dict[str, list[str]] = {}
    created: dict[str, int] = {}
    for draft in drafts:
        for offer in draft.offers.values():
            if offer.model in taken or offer.model not in draft.listed:
                continue  # what only a [[model]] names has that name alone
            serving.setdefault(offer.model, []).append(f"{draft.upstream.name}/{offer.model}")
            created[offer.model] = max(created.get(offer.model, 0), offer.created_s)
    return tuple(
        ModelConfig(name=model, deployments=tuple(names), created_s=created[model])
        for model, names in serving.items()
    )
