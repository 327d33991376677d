"""From models.dev's JSON to the catalog.

Numbers are read as their decimal text, never as floats, so that a price of 0.003625 stays one.
"""

import json
from decimal import Decimal, InvalidOperation

import msgspec

from tokenweir.catalog.hosts import CatalogData, CatalogHost, CatalogModel, CatalogRates
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

#: More than any model costs for a million tokens; beyond it, somebody mistook the unit.
MAX_PER_MTOK = Decimal(10_000)
#: models.dev computes some prices with floats (0.049999999999999996); what is off by less is taken for that.
_FLOAT_NOISE = Decimal("1e-9")
_GRAIN = Decimal("0.000001")


class _Limit(msgspec.Struct):
    context: int = 0
    output: int = 0


class _Modalities(msgspec.Struct):
    input: tuple[str, ...] = ()


class _Model(msgspec.Struct):
    name: str
    limit: _Limit = msgspec.field(default_factory=_Limit)
    release_date: str = ""
    open_weights: bool = False
    reasoning: bool = False
    tool_call: bool = False
    structured_output: bool = False
    modalities: _Modalities = msgspec.field(default_factory=_Modalities)
    cost: dict[str, object] | None = None

    def flags(self) -> tuple[str, ...]:
        """Of hosts.FLAGS."""
        images = "image" in self.modalities.input
        has = (self.reasoning, self.tool_call, images, self.structured_output)
        return tuple(
            name for name, set_ in zip(("reasoning", "tools", "images", "json"), has, strict=True) if set_
        )


class _Host(msgspec.Struct):
    name: str
    env: tuple[str, ...]
    models: dict[str, _Model]
    api: str = ""


def read_models_dev(body: bytes, *, source: str = "models.dev", date: str = "") -> CatalogData:
    """models.dev's object of providers, bare or below "providers". Raises CatalogError and replaces nothing."""
    try:
        raw = json.loads(body, parse_float=str, parse_int=str)
    except (ValueError, RecursionError) as error:
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
        rates = rates_of(model.cost or {}, free=model_id.endswith(":free"))
    except (ValueError, KeyError, TypeError) as error:
        raise CatalogError(f"the price of {host}/{model_id}: {error}") from None
    return CatalogModel(
        id=model_id,
        context=model.limit.context,
        output=model.limit.output,
        released=model.release_date,
        open_weights=model.open_weights,
        flags=model.flags(),
        rates=rates,
    )


def rates_of(cost: dict[str, object], *, free: bool) -> tuple[CatalogRates, ...]:
    """Brackets in order. A price of zero is believed only of a model that is called free; else it is unknown.

    Raises ValueError, KeyError or TypeError for what is no price.
    """
    if not cost:
        return ()
    first = _bracket(cost, 0)
    if not free and not any(pico_per_token(text) for text in (first.input, first.output)):
        return ()
    tiers = cost.get("tiers", [])
    if not isinstance(tiers, list):
        raise TypeError("tiers are not a list")
    rest = sorted((_bracket(tier, _border(tier)) for tier in tiers), key=lambda rates: rates.above)
    borders = [rates.above for rates in rest]
    if len(set(borders)) < len(borders) or 0 in borders:
        raise ValueError("two brackets have one border")
    return (first, *rest)


def _border(tier: dict[str, dict[str, str]]) -> int:
    """The size of a bracket, in the shape of today or in that of May 2026."""
    return int(tier["tier"]["size"] if "tier" in tier else tier["context"]["min"])


def _bracket(cost: dict[str, object], above: int) -> CatalogRates:
    names = ("input", "output", "cache_read", "cache_write", "reasoning")
    return CatalogRates(**{name: _amount(str(cost[name])) for name in names if name in cost}, above=above)


def _amount(text: str) -> str:
    """A price as plain decimal text. Raises ValueError for what is negative, absurd, no number, or not exact."""
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not number.is_finite() or not 0 <= number <= MAX_PER_MTOK:
        raise ValueError(f"{text} per million tokens is no price between 0 and {MAX_PER_MTOK}")
    rounded = number.quantize(_GRAIN)
    if abs(rounded - number) > _FLOAT_NOISE:
        raise ValueError(f"{text} has more than 6 decimals and would not be exact")
    plain = f"{rounded:f}".rstrip("0").rstrip(".")
    return plain or "0"
