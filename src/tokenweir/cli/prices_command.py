"""`weir prices`: what is applied, and how it is refreshed."""

import os
import signal
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from tokenweir.catalog.hosts import CatalogRates
from tokenweir.catalog.models_dev import read_models_dev
from tokenweir.catalog.refresh import Change, Refresh, refresh
from tokenweir.cli import show
from tokenweir.cli.catalog_store import load_catalog, save_catalog
from tokenweir.cli.fetch import Bounds, fetch
from tokenweir.cli.models_command import DeploymentLine, ModelLine, ModelsAnswer, served
from tokenweir.cli.price_lines import COLUMNS, RIGHT, UNPRICED, price_cells, price_lines
from tokenweir.cli.running import find_running, prepare_data_dir
from tokenweir.cli.settings_file import nearest
from tokenweir.cli.sources import catalog_book
from tokenweir.cli.system import SystemClock

#: How many lines of a kind of change the terminal gets; `--json` has all.
MOST_SHOWN = 20


def show_served(
    environ: Mapping[str, str], config: Path | None, data: Path | None, word: str, as_json: bool
) -> None:
    """The prices of what is served and has `word` in its name. Raises SettingsError."""
    _print([line for line in served(environ, config, data) if word in line.model], word, as_json)


def show_provider(directory: Path, provider: str, word: str, as_json: bool) -> None:
    """Every dated price of a provider of the catalog. Raises ValueError where there is no such provider."""
    catalog = catalog_book(directory).catalog
    host = catalog.host(provider)
    if host is None:
        raise ValueError(
            f"the catalog has no provider {provider!r}; {nearest(provider, [h.id for h in catalog.hosts])}"
        )
    now_us = SystemClock().now_us()
    lines = []
    for model in host.models:
        if word in model.id:
            prices = price_lines(catalog.prices(host.id, model), now_us)
            name = f"{host.id}/{model.id}"
            context, output = model.context or None, model.output or None
            deployment = DeploymentLine(name, host.id, prices, context, output, model.flags)
            lines.append(ModelLine(model.id, (), (deployment,)))
    _print(lines, word, as_json)


def _print(lines: list[ModelLine], word: str, as_json: bool) -> None:
    if as_json:
        show.print_json(ModelsAnswer(tuple(lines)))
        return
    rows = []
    for deployment in (deployment for line in lines for deployment in line.deployments):
        cells = [row for price in deployment.prices for row in price_cells(price)] or [UNPRICED]
        rows += [["" if index else deployment.deployment, *row] for index, row in enumerate(cells)]
    if rows:
        show.print_table(("deployment", *COLUMNS), rows, right=frozenset(index + 1 for index in RIGHT))
    else:
        what = f"Nothing that is served has {word!r} in its name" if word else "Nothing is served"
        show.console().print(f"{what}; `weir prices show --provider ID` shows the catalog's.", markup=False)


class ChangeLine(msgspec.Struct, frozen=True):
    """A price that changed; rates by prompt length, exact decimals per million tokens in USD."""

    provider: str
    model: str
    before: tuple[CatalogRates, ...]
    now: tuple[CatalogRates, ...]


class UpdateAnswer(msgspec.Struct, frozen=True):
    """`weir prices update --json`. `lost`: listed without a price now; the last known one is kept."""

    source: str
    date: str
    models: int
    new: tuple[ChangeLine, ...]
    changed: tuple[ChangeLine, ...]
    removed: tuple[ChangeLine, ...]
    lost: tuple[ChangeLine, ...]
    file: str
    reloaded: bool


def update(directory: Path, url: str, environ: Mapping[str, str], as_json: bool) -> None:
    """Fetch, check, write, tell. Raises FetchError, CatalogError, LedgerError; then nothing is replaced."""
    prepare_data_dir(directory)
    body = _fetch(url, environ)
    now = datetime.fromtimestamp(SystemClock().now_us() / 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    fetched = read_models_dev(body, source=urlsplit(url).hostname or url, date=now)
    result = refresh(load_catalog(directory)[0], fetched, now)
    file = save_catalog(directory, result.data)
    answer = _answer(result, file, _reload(directory))
    if as_json:
        show.print_json(answer)
    else:
        _tell(answer)


def _fetch(url: str, environ: Mapping[str, str]) -> bytes:
    from rich.console import Console
    from rich.progress import DownloadColumn, Progress, TransferSpeedColumn

    columns = (*Progress.get_default_columns(), DownloadColumn(), TransferSpeedColumn())
    terminal = Console(stderr=True)
    with Progress(*columns, console=terminal, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task("prices", total=None)
        return fetch(
            url, environ, lambda done, whole: bar.update(task, completed=done, total=whole or None), Bounds()
        )


def _reload(directory: Path) -> bool:
    """Whether a gateway runs on the directory and was told to read its catalog again."""
    status = find_running(directory)
    if status is None:
        return False
    os.kill(status.pid, signal.SIGHUP)
    return True


def _answer(result: Refresh, file: Path, reloaded: bool) -> UpdateAnswer:
    data = result.data
    return UpdateAnswer(
        source=data.source,
        date=data.date,
        models=sum(not model.gone for host in data.hosts for model in host.models),
        new=_lines(result.new),
        changed=_lines(result.changed),
        removed=_lines(result.removed),
        lost=_lines(result.lost),
        file=str(file),
        reloaded=reloaded,
    )


def _lines(changes: tuple[Change, ...]) -> tuple[ChangeLine, ...]:
    return tuple(ChangeLine(change.host, change.model, change.before, change.now) for change in changes)


def _tell(answer: UpdateAnswer) -> None:
    out = show.console()
    for kind in ("new", "changed", "removed", "lost"):
        lines: tuple[ChangeLine, ...] = getattr(answer, kind)
        for line in lines[:MOST_SHOWN]:
            change = " → ".join(filter(None, (_shown(line.before), _shown(line.now))))
            out.print(f"{kind:<8} {line.provider}/{line.model}  {change}", markup=False)
        if len(lines) > MOST_SHOWN:
            out.print(f"{kind:<8} … and {len(lines) - MOST_SHOWN:,} more; --json shows all", markup=False)
    counts = f"{len(answer.new):,} new, {len(answer.changed):,} changed, {len(answer.removed):,} removed"
    out.print(
        f"{answer.models:,} models from {answer.source}: {counts}. Written to {answer.file}", markup=False
    )
    if answer.lost:
        out.print("lost: listed without a price now; the last known one is kept.", markup=False)
    if answer.reloaded:
        out.print("The running gateway takes them now; calls that are booked keep their price.", markup=False)


def _shown(rates: tuple[CatalogRates, ...]) -> str:
    """Input and output of each bracket: `0.5/3 USD, 2/6 above 256,000`."""
    parts = [f"{r.input}/{r.output}" + (f" above {r.above:,}" if r.above else " USD") for r in rates]
    return ", ".join(parts)
