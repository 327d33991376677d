"""Where upstreams come from beside the settings: the catalog, engines on this machine, the local engine."""

import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.catalog.hosts import CatalogModel
from tokenweir.catalog.pricing import from_now_on
from tokenweir.catalog.providers import catalog_of
from tokenweir.cli.catalog_store import load_catalog
from tokenweir.cli.local import Local, local_models
from tokenweir.cli.offers import Book, Engine, KnownProvider, Offer, Resolved
from tokenweir.cli.resolve import resolve
from tokenweir.cli.resolve_kinds import KINDS
from tokenweir.cli.settings import Settings
from tokenweir.cli.system import SystemClock
from tokenweir.engines.discovery import FoundEngine, find_engines
from tokenweir.engines.files import present_model, resolve_model

#: Below the data directory: models that were downloaded.
MODELS_NAME = "models"
#: Variables that hold a provider's key beside those that models.dev names.
KEYS_BESIDES = {"moonshotai-cn": ("KIMI_API_KEY",), "moonshotai": ("KIMI_API_KEY",)}


class CatalogBook:
    """The catalog as `resolve` asks it. `note` is what must be known of it; empty: nothing."""

    def __init__(self, directory: Path, now_us: int) -> None:
        data, self.note = load_catalog(directory)
        self.catalog = catalog_of(data)
        self._now_us = now_us

    def providers(self) -> tuple[KnownProvider, ...]:
        return tuple(
            KnownProvider(id=h.id, url=h.url, key_variables=(*h.key_variables, *KEYS_BESIDES.get(h.id, ())))
            for h in self.catalog.hosts
        )

    def offers(self, provider: str) -> tuple[Offer, ...]:
        host = self.catalog.host(provider)
        return () if host is None else tuple(self._offer(provider, model) for model in host.models)

    def _offer(self, provider: str, model: CatalogModel) -> Offer:
        return Offer(
            model=model.id,
            prices=from_now_on(self.catalog.prices(provider, model), self._now_us),
            context=model.context or None,
            max_output=model.output or None,
            flags=model.flags,
            listed=not model.gone,
        )


def catalog_book(directory: Path) -> CatalogBook:
    """The catalog of this moment."""
    return CatalogBook(directory, SystemClock().now_us())


def found_engines(settings: Settings) -> tuple[Engine, ...]:
    """Engines that answer on their usual ports, where the settings leave room for them."""
    if settings.upstreams and not any(u.kind in KINDS and KINDS[u.kind].local for u in settings.upstreams):
        return ()
    return tuple(map(_engine, find_engines(skip_ports=frozenset({settings.server.port}))))


def _engine(found: FoundEngine) -> Engine:
    offers = tuple(Offer(model=m.name, context=m.context, max_output=m.context) for m in found.models)
    kind = KINDS.get(found.kind)
    return Engine(kind=found.kind, url=found.url, offers=offers, ask_usage=kind.ask_usage if kind else True)


def resolve_now(settings: Settings, environ: Mapping[str, str], local: Local, book: Book) -> Resolved:
    """What is served now. Raises SettingsError."""
    resolved = resolve(settings, environ, book, (*found_engines(settings), *local.engines()))
    return msgspec.structs.replace(
        resolved, notes=(*resolved.notes, *filter(None, (book.note,)), *local.notes)
    )


def present_models(settings: Settings, directory: Path) -> Local:
    """The local models that are on this machine; uses no network. Raises EngineError, SettingsError."""
    models = directory / MODELS_NAME
    return local_models(settings.local, directory, lambda text: present_model(text, models))


def fetched_models(settings: Settings, directory: Path, environ: Mapping[str, str]) -> Local:
    """The local models that fit, downloaded where they are not here. Raises EngineError, SettingsError."""
    if not settings.local.models:
        return present_models(settings, directory).check()
    from rich.console import Console  # a start without downloads does without them
    from rich.progress import DownloadColumn, Progress, TaskID, TransferSpeedColumn

    models = directory / MODELS_NAME
    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not sys.stderr.isatty()) as bars:
        tasks: dict[str, TaskID] = {}

        def show(name: str, done: int, whole: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name)
            bars.update(tasks[name], completed=done, total=whole or None)

        fetched = local_models(
            settings.local, directory, lambda text: resolve_model(text, models, environ, progress=show)
        )
    return fetched.check()
