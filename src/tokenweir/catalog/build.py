"""From models.dev's JSON to the catalog that ships: `python -m tokenweir.catalog.build IN OUT`.

Numbers are read as their decimal text, never as floats, so that a price of 0.003625 stays one.
"""

import gzip
import json
import sys
from pathlib import Path

import msgspec

from tokenweir.core.errors import CatalogError
from tokenweir.core.money import pico_per_token

#: Addresses of the chat dialect where models.dev names none, or that of another dialect.
ADDRESSES = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "minimax": "https://api.minimax.io/v1",
    "minimax-cn": "https://api.minimaxi.com/v1",
}

#: The hosts that ship, in the order in which they are preferred. Of two hosts that share a key's variable the first is
#: taken; the other is an `[[upstream]]` in weir.toml away.
HOSTS = (
    "moonshotai-cn",
    "moonshotai",
    "deepseek",
    "alibaba-cn",
    "alibaba",
    "zhipuai",
    "zai",
    "minimax-cn",
    "minimax",
    "stepfun",
    "siliconflow-cn",
    "siliconflow",
    "xiaomi",
    "openrouter",
    "openai",
    "anthropic",
)


class CatalogRates(msgspec.Struct, frozen=True, omit_defaults=True):
    """Units per million tokens, as decimal text; `above` is the bracket's border in tokens of prompt."""

    input: str
    output: str
    cache_read: str = ""
    cache_write: str = ""
    reasoning: str = ""
    above: int = 0


class CatalogModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model at one host. `rates` is empty where no price is known."""

    id: str
    context: int = 0
    output: int = 0
    released: str = ""
    open_weights: bool = False
    rates: tuple[CatalogRates, ...] = ()


class CatalogHost(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider: address of the chat dialect, variables that hold its key, models."""

    id: str
    name: str
    url: str
    key_variables: tuple[str, ...]
    models: tuple[CatalogModel, ...]


class CatalogData(msgspec.Struct, frozen=True):
    """All that ships, and where it comes from."""

    source: str
    date: str
    hosts: tuple[CatalogHost, ...]


class _Limit(msgspec.Struct):
    context: int = 0
    output: int = 0


class _Model(msgspec.Struct):
    name: str
    limit: _Limit = msgspec.field(default_factory=_Limit)
    release_date: str = ""
    open_weights: bool = False
    cost: dict[str, object] | None = None


class _Host(msgspec.Struct):
    name: str
    env: tuple[str, ...]
    models: dict[str, _Model]
    api: str = ""


def read_models_dev(body: bytes, *, source: str = "models.dev", date: str = "") -> CatalogData:
    """models.dev's object of providers, bare or below "providers". Raises CatalogError and replaces nothing."""
    try:
        raw = json.loads(body, parse_float=str, parse_int=str)
    except ValueError as error:
        raise CatalogError(f"the catalog is not JSON: {error}") from None
    if isinstance(raw, dict) and isinstance(raw.get("providers"), dict):
        source = f"{raw.get('source', source)}@{str(raw.get('commit', ''))[:12]}"
        date, raw = str(raw.get("date", date)), raw["providers"]
    if not isinstance(raw, dict):
        raise CatalogError("the catalog is not an object of providers")
    missing = [host for host in HOSTS if host not in raw]
    if missing:
        raise CatalogError(f"the catalog lacks {', '.join(missing)}; the one in use is kept")
    return CatalogData(source, date, tuple(_host(name, raw[name]) for name in HOSTS))


def _host(name: str, raw: object) -> CatalogHost:
    try:
        host = msgspec.convert(raw, _Host, strict=False)
    except msgspec.ValidationError as error:
        raise CatalogError(f"provider {name}: {error}") from None
    models = tuple(_model(name, model_id, model) for model_id, model in sorted(host.models.items()))
    return CatalogHost(name, host.name, ADDRESSES.get(name, host.api), host.env, models)


def _model(host: str, model_id: str, model: _Model) -> CatalogModel:
    try:
        rates = _rates(model.cost or {}, free=model_id.endswith(":free"))
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"the price of {host}/{model_id}: {error}") from None
    return CatalogModel(
        model_id, model.limit.context, model.limit.output, model.release_date, model.open_weights, rates
    )


def _rates(cost: dict[str, object], *, free: bool) -> tuple[CatalogRates, ...]:
    """Brackets in order. A price of zero is believed only of a model that is called free; else it is unknown."""
    if not cost or (not free and not any(float(str(cost[name])) for name in ("input", "output"))):
        return ()
    tiers = cost.get("tiers", [])
    if not isinstance(tiers, list):
        raise TypeError("tiers are not a list")
    first = _bracket(cost, 0)
    return (
        first,
        *sorted((_bracket(t, int(t["tier"]["size"])) for t in tiers), key=lambda rates: rates.above),
    )


def _bracket(cost: dict[str, object], above: int) -> CatalogRates:
    texts = {}
    for name in ("input", "output", "cache_read", "cache_write", "reasoning"):
        if name in cost:
            texts[name] = str(cost[name])
            pico_per_token(texts[name])  # refuses what is negative, no number, or not exact
    return CatalogRates(**texts, above=above)


def pack(data: CatalogData) -> bytes:
    """The file that ships: JSON, compressed, the same bytes for the same data."""
    return gzip.compress(msgspec.json.encode(data), mtime=0)


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(pack(read_models_dev(Path(sys.argv[1]).read_bytes())))
