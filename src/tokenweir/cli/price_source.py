"""Dated prices of deployments that calls went to: by the settings and the catalog as they are now, or by a file.

Nothing is called and no key is needed: what is looked for is what calls cost, not whether they could be made.
"""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from tokenweir.billing.rerating import PricesOf, prices_by_pattern
from tokenweir.catalog.price import Price
from tokenweir.cli.kinds import PRICE, PriceSetting
from tokenweir.cli.moments import parse_moment
from tokenweir.cli.resolve_models import price_of
from tokenweir.cli.resolve_upstreams import provider_of
from tokenweir.cli.settings import Settings
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.sources import CatalogBook

MAX_FILE_BYTES = 1024 * 1024
CATALOG = "catalog"


class PastPrices:
    """By deployment: what the settings say of it, else every price that the catalog has had for it."""

    def __init__(self, settings: Settings, directory: Path, *, catalog_only: bool) -> None:
        self._book = CatalogBook(directory, 0)  # all prices since the first
        self._providers = {
            setting.name: provider.id
            for setting in settings.upstreams
            if (provider := provider_of(setting, self._book.providers())) is not None
        }
        self._known: dict[str, dict[str, tuple[Price, ...]]] = {}
        self._own = {} if catalog_only else _own_prices(settings)

    def __call__(self, upstream: str, deployment: str) -> tuple[Price, ...]:
        own = self._own.get(deployment)
        if own is not None:
            return (own,)
        provider = self._providers.get(
            upstream, upstream
        )  # one that was found by its key has its provider's name
        if provider not in self._known:
            self._known[provider] = {offer.model: offer.prices for offer in self._book.offers(provider)}
        return self._known[provider].get(deployment.removeprefix(f"{upstream}/"), ())


def _own_prices(settings: Settings) -> dict[str, Price]:
    return {
        deployment: price_of(model.price)
        for model in settings.models
        if model.price is not None
        for deployment in model.deployments
    }


def prices_by(words: str, directory: Path, environ: Mapping[str, str], config: Path | None) -> PricesOf:
    """What `--price` names: empty, "catalog" or a file. Raises ValueError, SettingsError."""
    if words and words != CATALOG:
        return prices_by_pattern(read_price_file(Path(words)))
    return PastPrices(load_settings(environ, file=config), directory, catalog_only=words == CATALOG)


def read_price_file(path: Path) -> list[tuple[str, Price]]:
    """Prices of `[[price]]` tables with the deployments (`*` and `?` as in file names) that they are for. Raises ValueError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ValueError(f"{path} is longer than {MAX_FILE_BYTES:,} bytes")
        document = tomllib.loads(content.decode(), parse_float=Decimal)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not TOML: {error}") from None
    tables = document.get("price")
    if not isinstance(tables, list) or not tables or set(document) != {"price"}:
        raise ValueError(
            f'{path} must hold [[price]] tables: currency, input, output …, and optionally deployment = "upstream/model" and from'
        )
    return [_price(path, number, table) for number, table in enumerate(tables, 1)]


def _price(path: Path, number: int, table: object) -> tuple[str, Price]:
    where = f"{path}, [[price]] {number}"
    if not isinstance(table, dict):
        raise ValueError(f"{where} is not a table")
    rest = dict(table)
    pattern, since = rest.pop("deployment", "*"), rest.pop("from", "")
    if not isinstance(pattern, str) or not pattern:
        raise ValueError(f"{where}: deployment must be a text, such as moonshotai-cn/kimi-k2")
    try:
        setting = PRICE.read(rest)
        valid_from_us = parse_moment(str(since), 0) if since else 0
    except ValueError as error:
        raise ValueError(f"{where} {error}") from None
    assert isinstance(setting, PriceSetting)
    price = msgspec.structs.replace(
        price_of(setting), ref=f"corrected: {path.name}", valid_from_us=valid_from_us
    )
    return pattern, price
