"""What the admin API asks the settings and the catalog, as they are at that moment."""

from collections.abc import Callable
from pathlib import Path

from tokenweir.admin.lookups import Lookups
from tokenweir.cli.price_source import CATALOG, PastPrices
from tokenweir.cli.reconcile_command import names_of
from tokenweir.cli.settings import Settings
from tokenweir.console.outside import Outside


def lookups(directory: Path, settings_now: Callable[[], Settings], seen: Outside) -> Lookups:
    """Those of a data directory."""
    return Lookups(
        prices=lambda words: PastPrices(settings_now(), directory, catalog_only=words == CATALOG),
        providers=lambda upstream: names_of(settings_now(), upstream),
        upstreams=lambda: tuple(upstream.name for upstream in seen.served().upstreams),
    )
