"""What a model was listed at before: the dated prices of the Chinese vendors, as models.dev's repository had them."""

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, datetime

import msgspec

from tokenweir.catalog.hosts import CatalogData, CatalogHost, CatalogModel, CatalogRates, DatedRates
from tokenweir.catalog.models_dev import rates_of

_COLUMNS = {
    "input": "input_usd_per_mtok",
    "output": "output_usd_per_mtok",
    "cache_read": "cache_read_usd_per_mtok",
    "cache_write": "cache_write_usd_per_mtok",
    "reasoning": "reasoning_usd_per_mtok",
}


def with_history(data: CatalogData, table: str) -> CatalogData:
    """The catalog with each model's earlier prices, from a CSV of (provider, model, commit's date, prices)."""
    known: dict[tuple[str, str], list[DatedRates]] = {}
    for row in csv.DictReader(io.StringIO(table)):
        rates = _rates(row)
        if rates:  # a listed price of zero is not known, and says nothing of the one before
            dated = DatedRates(_utc(row["committed_at"]), rates)
            known.setdefault((row["provider"], row["model"]), []).append(dated)
    return msgspec.structs.replace(data, hosts=tuple(_host(host, known) for host in data.hosts))


def _rates(row: dict[str, str]) -> tuple[CatalogRates, ...]:
    cost: dict[str, object] = {name: row[column] for name, column in _COLUMNS.items() if row[column]}
    if row["tiers"]:
        cost["tiers"] = json.loads(row["tiers"], parse_float=str, parse_int=str)
    return rates_of(cost, free=False)


def _utc(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _host(host: CatalogHost, known: dict[tuple[str, str], list[DatedRates]]) -> CatalogHost:
    models = tuple(_model(model, known.get((host.id, model.id), ())) for model in host.models)
    return msgspec.structs.replace(host, models=models)


def _model(model: CatalogModel, rows: Iterable[DatedRates]) -> CatalogModel:
    """What it is listed at now has held since the last row that says the same; the rows before are history."""
    steps: list[DatedRates] = []
    for row in sorted(rows, key=lambda row: row.since):
        if not steps or steps[-1].rates != row.rates:
            steps.append(row)
    if steps and steps[-1].rates == model.rates:
        return msgspec.structs.replace(model, since=steps[-1].since, earlier=tuple(steps[:-1]))
    return model  # the rows do not lead to today's price: their dates are of no use
