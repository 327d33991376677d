"""What the admin API asks the settings and the catalog, as they are at that moment."""

from pathlib import Path

from tokenweir.admin.lookups import Lookups, PreparedSetting
from tokenweir.cli.around import Around
from tokenweir.cli.price_source import CATALOG, PastPrices
from tokenweir.cli.reconcile_command import names_of
from tokenweir.cli.settings import Settings
from tokenweir.cli.settings_edit import prepare
from tokenweir.cli.sources import catalog_book, resolve_now
from tokenweir.console.outside import Outside


def lookups(directory: Path, around: Around, seen: Outside) -> Lookups:
    """Those of a data directory."""
    settings_now = around.settings_now

    def check(settings: Settings) -> object:
        return resolve_now(settings, around.environ, around.local, catalog_book(directory))

    def prepare_setting(name: str, text: str | None) -> PreparedSetting:
        return prepare(around.sources, check, directory, name, text)

    return Lookups(
        prices=lambda words: PastPrices(settings_now(), directory, catalog_only=words == CATALOG),
        providers=lambda upstream: names_of(settings_now(), upstream),
        upstreams=lambda: tuple(upstream.name for upstream in seen.served().upstreams),
        settings=seen.settings,
        prepare_setting=prepare_setting,
    )
