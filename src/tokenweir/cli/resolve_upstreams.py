"""Upstreams: those of the settings, those found on this machine, those whose key is set, and the local engine."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

import msgspec

from tokenweir.catalog.dialects import HostDialects, dialects_of
from tokenweir.catalog.price import Bracket, Price, Rates
from tokenweir.cli.offers import Book, Draft, Engine, KnownProvider, Source
from tokenweir.cli.proxy import proxy_for
from tokenweir.cli.resolve_kinds import KINDS
from tokenweir.cli.settings import UpstreamSettings
from tokenweir.cli.settings_file import nearest
from tokenweir.cli.targets import targets_of
from tokenweir.core.errors import SettingsError
from tokenweir.core.sentence import say
from tokenweir.gateway.config import UpstreamConfig

#: An explicitly declared price of nothing: the local engine.
LOCAL_PRICE_REF = "runs on this machine; no charge per token"


def configured_upstream(
    setting: UpstreamSettings, environ: Mapping[str, str], book: Book, engines: tuple[Engine, ...]
) -> Draft:
    """An `[[upstream]]`. Raises SettingsError."""
    providers = book.providers()
    kind = KINDS.get(setting.kind)
    provider = _provider_by_kind(setting, providers)
    if kind is None and provider is None:
        raise SettingsError(
            f"upstream {setting.name!r}: there is no kind {setting.kind!r}; "
            f"{nearest(setting.kind, [*KINDS, *(p.id for p in providers)])}"
        )
    url = setting.url or (provider.url if provider else kind.url if kind else "")
    if not url:
        raise SettingsError(f"upstream {setting.name!r}: set its url; kind {setting.kind!r} has no usual one")
    if "/" in setting.name:
        raise SettingsError(
            f"upstream {setting.name!r}: a name cannot have a slash, which parts it from a model"
        )
    provider = provider_of(setting, providers)
    offers = book.offers(provider.id) if provider else ()
    offers = offers or next((e.offers for e in engines if _same_address(e.url, url)), ())
    variables = provider.key_variables if provider else (kind.key_variable,) if kind else ()
    ask_usage = provider.ask_usage if provider else kind.ask_usage if kind else True
    dialects = dialects_of(provider.id if provider else "", setting.kind if setting.kind != "openai" else "")
    headers = _headers(setting, variables, environ, dialects.key_header)
    upstream = _upstream(setting, url, headers, environ, ask_usage, dialects)
    return Draft(upstream=upstream, offers={o.model: o for o in offers}, why=say("in the settings"))


def provider_of(setting: UpstreamSettings, providers: Iterable[KnownProvider]) -> KnownProvider | None:
    """Whose an `[[upstream]]` is: by its kind, else by its address. None: nobody's that the catalog knows."""
    kind = KINDS.get(setting.kind)
    known = _provider_by_kind(setting, providers)
    url = setting.url or (known.url if known else kind.url if kind else "")
    return known or next((p for p in providers if url and _same_address(p.url, url)), None)


def _provider_by_kind(setting: UpstreamSettings, providers: Iterable[KnownProvider]) -> KnownProvider | None:
    kind = KINDS.get(setting.kind)
    if kind is not None and (setting.url or kind.url):
        return None
    return next((provider for provider in providers if provider.id == setting.kind), None)


def _headers(
    setting: UpstreamSettings, variables: tuple[str, ...], environ: Mapping[str, str], key_header: str
) -> tuple[tuple[str, str], ...]:
    extra = tuple((name.lower(), secret.resolve(environ)) for name, secret in setting.headers)
    if any(name in ("authorization", key_header) for name, _ in extra):
        return extra
    try:
        if setting.api_key is not None:
            return (_key(key_header, setting.api_key.resolve(environ)), *extra)
    except SettingsError as error:
        raise SettingsError(f"upstream {setting.name!r}: {error}") from None
    wanted = [variable for variable in variables if variable]
    key = next((environ[v] for v in wanted if environ.get(v)), None)
    if key is None and wanted:
        raise SettingsError(
            f"upstream {setting.name!r} needs a key: set {' or '.join(wanted)}, or its api_key"
        )
    return extra if key is None else (_key(key_header, key), *extra)


def _key(header: str, key: str) -> tuple[str, str]:
    return header, f"Bearer {key}" if header == "authorization" else key


def _upstream(
    setting: UpstreamSettings,
    url: str,
    headers: tuple[tuple[str, str], ...],
    environ: Mapping[str, str],
    ask_usage: bool,
    dialects: HostDialects,
) -> UpstreamConfig:
    scheme, host, port, path = split_url(url)
    tables = {"chat": setting.chat, "messages": setting.messages, "responses": setting.responses}
    said = {name: table for name, table in tables.items() if table is not None}
    return UpstreamConfig(
        name=setting.name,
        kind=setting.kind,
        scheme=scheme,
        host=host,
        port=port,
        path=path,
        targets=targets_of(dialects, said, setting.dialects, path),
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


def discovered_upstreams(environ: Mapping[str, str], book: Book, engines: tuple[Engine, ...]) -> list[Draft]:
    """Engines first, since they are the user's own; then providers whose key is set, in the book's order."""
    drafts: list[Draft] = []
    for engine in engines:
        name = _free_name(engine.kind, [d.upstream.name for d in drafts])
        upstream = msgspec.structs.replace(
            _engine(name, engine, ()),
            local=True,
        )
        offers = {offer.model: offer for offer in engine.offers}
        drafts.append(Draft(upstream=upstream, offers=offers, why=say("found on this machine")))
    used: set[str] = set()
    for provider in book.providers():
        variable = next((v for v in provider.key_variables if environ.get(v, "").strip()), None)
        if variable is None or variable in used:
            continue  # a key belongs to one host: of those that share its variable, the first is meant
        used.add(variable)
        setting = UpstreamSettings(name=provider.id, kind=provider.id)
        dialects = dialects_of(provider.id)
        headers = (_key(dialects.key_header, environ[variable].strip()),)
        upstream = _upstream(setting, provider.url, headers, environ, provider.ask_usage, dialects)
        offers = {offer.model: offer for offer in book.offers(provider.id)}
        drafts.append(
            Draft(upstream=upstream, offers=offers, why=say("{variable} is set", variable=variable))
        )
    return drafts


def _engine(name: str, engine: Engine, headers: tuple[tuple[str, str], ...]) -> UpstreamConfig:
    setting = UpstreamSettings(name=name, kind=engine.kind)
    return _upstream(setting, engine.url, headers, {}, engine.ask_usage, dialects_of(engine.kind))


def local_upstream(engine: Engine, taken: list[str]) -> Draft:
    """The local engine, which costs nothing."""
    name = _free_name("local", taken)
    headers = (("authorization", f"Bearer {engine.api_key}"),) if engine.api_key else ()
    upstream = msgspec.structs.replace(
        _engine(name, engine, headers),
        local=True,
        unix_socket=engine.unix_socket,
    )
    free = Price(ref=LOCAL_PRICE_REF, currency="CNY", brackets=(Bracket(0, Rates(input=0, output=0)),))
    offers = {o.model: msgspec.structs.replace(o, prices=o.prices or (free,)) for o in engine.offers}
    return Draft(upstream=upstream, offers=offers, why=say("started by weir"))


def _free_name(wanted: str, taken: Iterable[str]) -> str:
    names = set(taken)
    number = 2
    name = wanted
    while name in names:
        name, number = f"{wanted}-{number}", number + 1
    return name


def source_of(draft: Draft) -> Source:
    """Its line of the greeting."""
    upstream = draft.upstream
    usual = {"http": 80, "https": 443}[upstream.scheme]
    port = "" if upstream.port == usual else f":{upstream.port}"
    address = upstream.unix_socket or f"{upstream.scheme}://{upstream.host}{port}{upstream.path}"
    return Source(upstream=upstream.name, address=address, models=len(draft.offers), why=draft.why)
