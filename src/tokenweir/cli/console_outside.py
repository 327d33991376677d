"""What the console is told of settings and catalog. Upstreams' headers and keys stay here."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tokenweir.admin.lookups import SettingNow
from tokenweir.catalog.pricing import from_now_on
from tokenweir.cli.around import Around
from tokenweir.cli.catalog_store import load_catalog
from tokenweir.cli.engine_loads import engine_loads
from tokenweir.cli.local import ABACUS
from tokenweir.cli.offers import Resolved
from tokenweir.cli.settings import Settings
from tokenweir.cli.settings_table import changeable, read_at_start, text_of, value_of
from tokenweir.cli.sources import catalog_book, resolve_now
from tokenweir.console.outside import Deployment, Model, Outside, Rules, Served, Upstream
from tokenweir.core.clock import Clock
from tokenweir.gateway.config import DeploymentConfig

#: What was found out is good for this long: engines are looked for on their usual ports.
KEPT_US = 10_000_000
#: The catalog changes by `weir prices update` alone.
CATALOG_KEPT_US = 600_000_000
#: How busy engines are; several may look at once.
ENGINES_KEPT_US = 2_000_000
T = TypeVar("T")


def outside(data_dir: Path, clock: Clock, around: Around) -> Outside:
    """That of a data directory."""
    console = around.settings.console
    resolved = _kept(lambda: resolved_now(data_dir, around), clock)
    return Outside(
        served=_kept(lambda: served_now(resolved(), clock), clock),
        engines=_kept(lambda: engine_loads(resolved().config.upstreams), clock, ENGINES_KEPT_US),
        settings=lambda: settings_now(around.settings_now()),
        open_models=_kept(lambda: open_models(data_dir), clock, CATALOG_KEPT_US),
        address=lambda: around.address,
        rules=Rules(
            enabled=console.enabled,
            trusted_proxies=console.trusted_proxies,
            idle_us=console.idle_s * 1_000_000,
            longest_us=console.session_s * 1_000_000,
        ),
    )


def _kept(read: Callable[[], T], clock: Clock, kept_us: int = KEPT_US) -> Callable[[], T]:
    known: list[tuple[int, T]] = []

    def kept() -> T:
        now_us = clock.steady_us()
        if not known or now_us - known[0][0] >= kept_us:
            known[:] = [(now_us, read())]
        return known[0][1]

    return kept


def resolved_now(data_dir: Path, around: Around) -> Resolved:
    """What the settings of this moment serve. Raises SettingsError or CatalogError."""
    return resolve_now(around.settings_now(), around.environ, around.local, catalog_book(data_dir))


def served_now(resolved: Resolved, clock: Clock) -> Served:
    """The same without its secrets."""
    now_us = clock.now_us()

    def told(deployment: DeploymentConfig) -> Deployment:
        return Deployment(
            name=deployment.name,
            upstream=deployment.upstream,
            model=deployment.model,
            prices=from_now_on(deployment.prices, now_us),
            context=deployment.context,
            max_output=deployment.max_output,
            flags=resolved.flags.get(deployment.name, ()),
        )

    deployments = {d.name: told(d) for d in resolved.config.deployments}
    sources = {source.upstream: source for source in resolved.sources}
    models = tuple(
        Model(model.name, model.aliases, tuple(deployments[name] for name in model.deployments))
        for model in resolved.config.models
    )
    upstreams = tuple(
        Upstream(
            u.name, u.kind, sources[u.name].address, sources[u.name].why, tuple(t.dialect for t in u.targets)
        )
        for u in resolved.config.upstreams
    )
    return Served(models, upstreams)


def open_models(data_dir: Path) -> frozenset[str]:
    """Ids of the catalog's models with open weights, whole and without the owner before the slash; and those that ship."""
    hosts = load_catalog(data_dir)[0].hosts
    ids = {model.id.lower() for host in hosts for model in host.models if model.open_weights}
    return frozenset(ids | {id.rpartition("/")[2] for id in ids} | {ABACUS})


def settings_now(settings: Settings) -> tuple[SettingNow, ...]:
    """Every setting that stands once; those of upstreams and models are on pages of their own, and alone hold secrets."""
    return tuple(
        SettingNow(
            name=name,
            value=text_of(value_of(settings, row)),
            default=text_of(row.default),
            source=settings.sources.get(name, "default"),
            help=row.help,
            unit=row.unit,
            choices=row.kind.choices,
            is_list=isinstance(row.default, tuple),
            at_start=read_at_start(row),
        )
        for name, row in changeable().items()
    )
