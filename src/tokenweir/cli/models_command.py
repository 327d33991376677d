"""`weir models` and `weir prices show`: what would be served now, where, and at what price."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.catalog.price import Bracket, Price
from tokenweir.cli import show
from tokenweir.cli.resolve import Resolved
from tokenweir.cli.settings import data_dir
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.sources import catalog_book, present_models, resolve_now
from tokenweir.cli.system import SystemClock
from tokenweir.core.money import format_per_mtok
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.gateway.config import DeploymentConfig
from tokenweir.ledger.views import iso_time


class BracketLine(msgspec.Struct, frozen=True):
    """Rates of prompts with more than `above` tokens: exact decimals per million tokens, by class."""

    above: int
    rates: dict[str, str]


class PriceLine(msgspec.Struct, frozen=True):
    """A price that is valid now, or will be. `windows`: how many spans of the day have their own rates."""

    currency: str
    ref: str
    valid_from: str | None
    brackets: tuple[BracketLine, ...]
    windows: int


class DeploymentLine(msgspec.Struct, frozen=True):
    """One deployment of a model; no prices: unpriced."""

    deployment: str
    upstream: str
    prices: tuple[PriceLine, ...]
    context: int | None
    max_output: int | None


class ModelLine(msgspec.Struct, frozen=True):
    """One model of `--json`."""

    model: str
    aliases: tuple[str, ...]
    deployments: tuple[DeploymentLine, ...]


class ModelsAnswer(msgspec.Struct, frozen=True):
    """`weir models --json`, and `weir prices show --json`."""

    models: tuple[ModelLine, ...]


class ProviderLine(msgspec.Struct, frozen=True):
    """A provider of the catalog; `key` is whether one of its variables is set."""

    provider: str
    url: str
    key_variables: tuple[str, ...]
    key: bool
    models: int


class ProvidersAnswer(msgspec.Struct, frozen=True):
    """`weir models --providers --json`."""

    providers: tuple[ProviderLine, ...]


def model_lines(resolved: Resolved) -> list[ModelLine]:
    """What is served, in the order of the gateway's list."""
    deployments = {deployment.name: deployment for deployment in resolved.config.deployments}
    return [
        ModelLine(
            model.name, model.aliases, tuple(_deployment_line(deployments[d]) for d in model.deployments)
        )
        for model in resolved.config.models
    ]


def _deployment_line(deployment: DeploymentConfig) -> DeploymentLine:
    return DeploymentLine(
        deployment.name,
        deployment.upstream,
        tuple(map(_price_line, current_prices(deployment.prices, SystemClock().now_us()))),
        deployment.context,
        deployment.max_output,
    )


def current_prices(prices: tuple[Price, ...], now_us: int) -> tuple[Price, ...]:
    """The price that is valid now and those to come; `prices` is sorted by `valid_from_us`."""
    past = [price for price in prices if price.valid_from_us <= now_us]
    return (*past[-1:], *(price for price in prices if price.valid_from_us > now_us))


def _price_line(price: Price) -> PriceLine:
    valid_from = iso_time(price.valid_from_us) if price.valid_from_us else None
    brackets = tuple(BracketLine(b.above, rates_of(b)) for b in price.brackets)
    return PriceLine(price.currency, price.ref, valid_from, brackets, len(price.windows))


def rates_of(bracket: Bracket) -> dict[str, str]:
    """The classes that have a rate of their own."""
    named = ((name, getattr(bracket.rates, name)) for name in TOKEN_CLASSES)
    return {name: format_per_mtok(rate) for name, rate in named if rate is not None}


def _resolved(environ: Mapping[str, str], config: Path | None, data: Path | None) -> Resolved:
    settings = load_settings(environ, file=config, flags={"data": data})
    directory = data_dir(settings, environ)
    return resolve_now(settings, environ, present_models(settings, directory), catalog_book(directory))


def run(environ: Mapping[str, str], config: Path | None, data: Path | None, as_json: bool) -> None:
    """Print the models. Raises SettingsError."""
    lines = model_lines(_resolved(environ, config, data))
    if as_json:
        show.print_json(ModelsAnswer(tuple(lines)))
        return
    rows = [
        [line.model if first else "", deployment.deployment, *_price_cells(deployment)]
        for line in lines
        for first, deployment in _with_first(line.deployments)
    ]
    columns = ("model", "deployment", "input", "cached", "output", "per million", "remarks")
    show.print_table(columns, rows, right=frozenset({2, 3, 4}))
    if not lines:
        show.console().print(
            "Nothing is served: set a provider's key, start an engine, or write a weir.toml."
        )


def _with_first(deployments: tuple[DeploymentLine, ...]) -> list[tuple[bool, DeploymentLine]]:
    return [(index == 0, deployment) for index, deployment in enumerate(deployments)]


def _price_cells(line: DeploymentLine) -> list[str]:
    if not line.prices:
        return ["", "", "", "", "unpriced"]
    price = line.prices[0]
    rates = price.brackets[0].rates
    remarks = []
    if len(price.brackets) > 1:
        remarks.append(f"{len(price.brackets)} brackets by prompt length")
    if price.windows:
        remarks.append("other rates at times of day")
    if len(line.prices) > 1:
        remarks.append(f"changes {line.prices[1].valid_from}")
    cells = [rates.get("input", ""), rates.get("cache_read", ""), rates.get("output", ""), price.currency]
    return [*cells, ", ".join(remarks)]


def run_prices(
    environ: Mapping[str, str], config: Path | None, data: Path | None, word: str, as_json: bool
) -> None:
    """Print every rate of the models whose name contains `word`. Raises SettingsError."""
    lines = [line for line in model_lines(_resolved(environ, config, data)) if word in line.model]
    if as_json:
        show.print_json(ModelsAnswer(tuple(lines)))
        return
    rows = [
        [deployment.deployment, *cells]
        for line in lines
        for deployment in line.deployments
        for cells in _rate_rows(deployment)
    ]
    show.print_table(("deployment", "from", "prompt above", "class", "per million", "source"), rows)
    if not rows:
        show.console().print(f"Nothing that is served has {word!r} in its name.", markup=False)


def _rate_rows(deployment: DeploymentLine) -> list[list[str]]:
    if not deployment.prices:
        return [["", "", "", "unpriced", ""]]
    return [
        [price.valid_from or "always", f"{bracket.above:,}", name, f"{rate} {price.currency}", price.ref]
        for price in deployment.prices
        for bracket in price.brackets
        for name, rate in bracket.rates.items()
    ]


def run_providers(environ: Mapping[str, str], data: Path, as_json: bool) -> None:
    """Print the catalog's providers."""
    catalog = catalog_book(data)
    lines = [
        ProviderLine(
            provider.id,
            provider.url,
            provider.key_variables,
            any(environ.get(name) for name in provider.key_variables),
            len(catalog.offers(provider.id)),
        )
        for provider in catalog.providers()
    ]
    if as_json:
        show.print_json(ProvidersAnswer(tuple(lines)))
        return
    rows = [
        [line.provider, str(line.models), "set" if line.key else "", ", ".join(line.key_variables), line.url]
        for line in lines
    ]
    show.print_table(("provider", "models", "key", "variables", "address"), rows, right=frozenset({1}))
