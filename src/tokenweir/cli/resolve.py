"""From settings, environment, catalog and engines to what a worker serves. Reads nothing but secrets."""

from collections.abc import Iterable, Mapping

from tokenweir.cli.offers import Book, Engine, Resolved
from tokenweir.cli.resolve_models import check_names, deployment_of, explicit_model, implicit_models
from tokenweir.cli.resolve_upstreams import (
    configured_upstream,
    discovered_upstreams,
    local_upstream,
    source_of,
)
from tokenweir.cli.settings import Server, Settings
from tokenweir.gateway.config import GatewayConfig, KeepLimits


def resolve(
    settings: Settings, environ: Mapping[str, str], book: Book, engines: Iterable[Engine] = ()
) -> Resolved:
    """What to serve. Raises SettingsError with what to change.

    `engines` holds the local engine (`ours`) and those found on this machine. A settings file with an
    `[[upstream]]` is the whole list of upstreams; of `engines`, only ours and those it names count then.
    """
    found = tuple(engines)
    if settings.upstreams:
        drafts = [configured_upstream(upstream, environ, book, found) for upstream in settings.upstreams]
    else:
        drafts = discovered_upstreams(environ, book, tuple(engine for engine in found if not engine.ours))
    for engine in found:
        if engine.ours:
            drafts.append(local_upstream(engine, [draft.upstream.name for draft in drafts]))
    by_name = {draft.upstream.name: draft for draft in drafts}
    explicit = tuple(explicit_model(model, by_name) for model in settings.models)
    check_names(explicit)
    config = GatewayConfig(
        upstreams=tuple(draft.upstream for draft in drafts),
        deployments=tuple(
            deployment_of(d.upstream.name, offer) for d in drafts for offer in d.offers.values()
        ),
        models=(*explicit, *implicit_models(drafts, explicit)),
        limits=settings.limits,
        cors_origins=settings.server.cors_origins,
        metrics_need_key=settings.server.metrics_need_key,
        strict=settings.server.strict,
        keep=_keep(settings.server),
    )
    sources = tuple(source_of(draft) for draft in drafts)
    flags = {f"{d.upstream.name}/{offer.model}": offer.flags for d in drafts for offer in d.offers.values()}
    return Resolved(config=config, sources=sources, flags=flags, notes=settings.warnings)


def _keep(server: Server) -> KeepLimits | None:
    if not server.keep_responses:
        return None
    return KeepLimits(max_bytes=server.kept_responses_max_bytes, max_age_s=server.kept_responses_max_age_s)
