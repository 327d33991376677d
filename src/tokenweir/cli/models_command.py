"""`weir models`: what would be served now, where, and at what price."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.catalog.pricing import from_now_on
from tokenweir.cli import show
from tokenweir.cli.offers import Resolved
from tokenweir.cli.price_lines import PriceLine, price_lines
from tokenweir.cli.settings import data_dir
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.sources import catalog_book, present_models, resolve_now
from tokenweir.cli.system import SystemClock
from tokenweir.gateway.config import DeploymentConfig


class DeploymentLine(msgspec.Struct, frozen=True):
    """One deployment of a model; no prices: unpriced."""

    deployment: str
    upstream: str
    prices: tuple[PriceLine, ...]
    context: int | None
    max_output: int | None
    flags: tuple[str, ...]


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


def model_lines(resolved: Resolved, now_us: int) -> list[ModelLine]:
    """What is served, in the order of the gateway's list."""
    deployments = {
        d.name: _deployment_line(d, resolved.flags.get(d.name, ()), now_us)
        for d in resolved.config.deployments
    }
    return [
        ModelLine(model.name, model.aliases, tuple(deployments[name] for name in model.deployments))
        for model in resolved.config.models
    ]


def _deployment_line(deployment: DeploymentConfig, flags: tuple[str, ...], now_us: int) -> DeploymentLine:
    return DeploymentLine(
        deployment=deployment.name,
        upstream=deployment.upstream,
        prices=price_lines(from_now_on(deployment.prices, now_us), now_us),
        context=deployment.context,
        max_output=deployment.max_output,
        flags=flags,
    )


def served(environ: Mapping[str, str], config: Path | None, data: Path | None) -> list[ModelLine]:
    """What `weir up` would serve now. Raises SettingsError, EngineError."""
    settings = load_settings(environ, file=config, flags={"data": data})
    directory = data_dir(settings, environ)
    local = present_models(settings, directory)
    return model_lines(resolve_now(settings, environ, local, catalog_book(directory)), SystemClock().now_us())


def run(environ: Mapping[str, str], config: Path | None, data: Path | None, as_json: bool) -> None:
    """Print the models. Raises SettingsError."""
    lines = served(environ, config, data)
    if as_json:
        show.print_json(ModelsAnswer(tuple(lines)))
        return
    rows = [
        [line.model if first else "", deployment.deployment, *_cells(deployment)]
        for line in lines
        for first, deployment in _with_first(line.deployments)
    ]
    show.print_table(_COLUMNS, rows, right=frozenset({2, 3, 4, 6}))
    if not lines:
        show.console().print(
            "Nothing is served: set a provider's key, start an engine, or write a weir.toml."
        )


_COLUMNS = ("model", "deployment", "input", "cached", "output", "per million", "context", "remarks")


def _with_first(deployments: tuple[DeploymentLine, ...]) -> list[tuple[bool, DeploymentLine]]:
    return [(index == 0, deployment) for index, deployment in enumerate(deployments)]


def _cells(line: DeploymentLine) -> list[str]:
    context = "" if line.context is None else f"{line.context:,}"
    if not line.prices:
        return ["", "", "", "unpriced", context, ", ".join(line.flags)]
    price = line.prices[0]
    window = next((window for window in price.windows if window.now), None)
    brackets = window.brackets if window else price.brackets
    rates = brackets[0].rates
    remarks = [*line.flags]
    if len(brackets) > 1:
        remarks.append("dearer for long prompts")
    if price.windows:
        remarks.append("by the time of day")
    if len(line.prices) > 1:
        remarks.append(f"other price from {(line.prices[1].valid_from or '')[:10]}")
    cells = [rates.get("input", ""), rates.get("cache_read", ""), rates.get("output", ""), price.currency]
    return [*cells, context, ", ".join(remarks)]


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
