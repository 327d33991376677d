"""The shipped catalog: whole, exact, refused when malformed; vendors' prices on known days."""

import json
from datetime import datetime

import msgspec
import pytest

from tokenweir.catalog import models_dev, providers
from tokenweir.catalog.history import with_history
from tokenweir.catalog.hosts import CatalogModel
from tokenweir.catalog.price import Price
from tokenweir.catalog.pricing import apply, cost, dearest, from_now_on, price_at
from tokenweir.catalog.vendor import vendor_prices
from tokenweir.core.errors import CatalogError
from tokenweir.core.money import format_pico
from tokenweir.core.usage import Usage

RAW = {h: {"name": h, "env": [h.upper()], "models": {}} for h in models_dev.HOSTS}
CATALOG = providers.catalog_of(providers.shipped())


def with_cost(cost: object) -> bytes:
    model = {"name": "m", "cost": cost}
    return json.dumps({**RAW, "openai": {"name": "o", "env": ["K"], "models": {"m": model}}}).encode()


def model_of(body: bytes) -> CatalogModel:
    data = models_dev.read_models_dev(body)
    return next(h for h in data.hosts if h.id == "openai").models[0]


def prices_of(body: bytes) -> tuple[Price, ...]:
    catalog = providers.Catalog(models_dev.read_models_dev(body), ())
    return catalog.prices("openai", model_of(body))


def us(moment: str) -> int:
    return int(datetime.fromisoformat(moment).timestamp()) * 1_000_000


def charged(host: str, model: str, moment: str, usage: Usage) -> str:
    """What a call at that moment costs, with its currency; empty: unpriced."""
    found = CATALOG.host(host)
    assert found is not None
    prices = CATALOG.prices(host, next(m for m in found.models if m.id == model))
    price = price_at(prices, us(moment))
    if price is None:
        return ""
    applied = apply(price, usage.prompt, us(moment))
    return f"{format_pico(cost(applied, usage))} {applied.currency}"


def test_every_shipped_host_has_an_address_a_key_and_models() -> None:
    assert [h.id for h in CATALOG.hosts] == list(models_dev.HOSTS)
    for host in CATALOG.hosts:
        assert host.url.startswith("https://") and host.key_variables and host.models


def test_every_shipped_price_can_be_reserved_for_and_stands_in_order() -> None:
    priced = {(h.id, m.id): p for h in CATALOG.hosts for m in h.models if (p := CATALOG.prices(h.id, m))}
    zero = [
        model for (_, model), prices in priced.items() if not any(max(i, o) for _, i, o in dearest(prices))
    ]
    assert len(priced) > 500
    assert all(model.endswith(":free") for model in zero)
    for prices in priced.values():
        moments = [price.valid_from_us for price in prices]
        assert moments == sorted(set(moments))
        for price in prices:
            borders = [bracket.above for bracket in price.brackets]
            assert borders == sorted(set(borders)) and borders[0] == 0


def test_every_vendor_price_names_a_host_and_a_later_one_does_not_share_its_moment() -> None:
    assert {price.host for price in vendor_prices()} <= set(models_dev.HOSTS)
    moments = [(price.host, model, price.since) for price in vendor_prices() for model in price.models]
    assert len(set(moments)) == len(moments)


def test_a_price_keeps_every_decimal() -> None:
    assert prices_of(with_cost({"input": 0.003625, "output": 2.5}))[0].brackets[0].rates.input == 3625


def test_noise_of_floats_is_not_a_price_of_its_own() -> None:
    rates = model_of(with_cost({"input": 0.049999999999999996, "output": 0.1 + 0.2})).rates[0]
    assert (rates.input, rates.output) == ("0.05", "0.3")


def test_brackets_are_in_order_and_whole_calls_fall_into_them() -> None:
    tiers = [
        {"tier": {"size": 200}, "input": 3, "output": 4},
        {"context": {"min": 100}, "input": 2, "output": 3},
    ]
    price = prices_of(with_cost({"input": 1, "output": 2, "tiers": tiers}))[0]
    assert [apply(price, n, 0).rates.input for n in (100, 101, 201)] == [1_000_000, 2_000_000, 3_000_000]


@pytest.mark.parametrize(
    "cost",
    [
        {"input": -1, "output": 1},
        {"input": "much", "output": 1},
        {"input": "NaN", "output": 1},
        {"input": 1e-8, "output": 1},
        {"input": 3_000_000, "output": 1},
        {"output": 1},
        {"input": 1, "output": 1, "tiers": [{"tier": {"size": 0}, "input": 1, "output": 1}]},
    ],
)
def test_a_malformed_price_is_refused_by_its_name(cost: object) -> None:
    with pytest.raises(CatalogError, match="openai/m"):
        models_dev.read_models_dev(with_cost(cost))


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"providers": {}}', b"[" * 100_000])
def test_what_is_no_catalog_is_refused(body: bytes) -> None:
    with pytest.raises(CatalogError):
        models_dev.read_models_dev(body)


def test_zero_is_unknown_unless_a_model_is_called_free() -> None:
    assert model_of(with_cost({"input": 0, "output": 0})).rates == ()


MILLION = Usage(input=800_000, cache_read=200_000, output=1_000_000)


@pytest.mark.parametrize(
    ("model", "moment", "amount"),
    [
        # By models.dev's history: 0.8 × 1.74 + 0.2 × 0.145 + 3.48, then 0.8 × 0.435 + 0.2 × 0.003625 + 0.87.
        ("deepseek-v4-pro", "2026-05-01T02:00:00Z", "4.901 USD"),
        ("deepseek-v4-pro", "2026-08-16T15:59:59Z", "1.218725 USD"),
        # The first moment of prices by the clock is midnight in Beijing: off-peak.
        ("deepseek-v4-pro", "2026-08-16T16:00:00Z", "2.5124 USD"),
        ("deepseek-v4-pro", "2026-08-17T01:00:00Z", "5.0248 USD"),
        ("deepseek-v4-pro", "2026-08-17T03:59:59Z", "5.0248 USD"),
        ("deepseek-v4-pro", "2026-08-17T04:00:00Z", "2.5124 USD"),
        ("deepseek-v4-pro", "2026-08-17T06:00:00Z", "5.0248 USD"),
        ("deepseek-v4-pro", "2026-08-17T10:00:00Z", "2.5124 USD"),
        # Saturday the 22nd still had peaks; Sunday the 23rd and every weekend since has none.
        ("deepseek-v4-pro", "2026-08-22T02:00:00Z", "5.0248 USD"),
        ("deepseek-v4-pro", "2026-08-23T02:00:00Z", "2.5124 USD"),
        ("deepseek-v4-pro", "2026-08-24T02:00:00Z", "5.0248 USD"),
        # Flash: 0.44 and 0.22 for input, cheaper since 2026-09-10 04:00 UTC.
        ("deepseek-v4-flash", "2026-09-10T03:59:59Z", "1.6748 USD"),
        ("deepseek-v4-flash", "2026-09-10T04:00:00Z", "0.7206 USD"),
        ("deepseek-flash", "2026-09-11T02:00:00Z", "1.4412 USD"),
        ("deepseek-flash", "2026-09-10T03:59:59Z", ""),
    ],
)
def test_deepseek_charges_by_the_clock_of_beijing(model: str, moment: str, amount: str) -> None:
    assert charged("deepseek", model, moment, MILLION) == amount


@pytest.mark.parametrize(
    ("prompt", "amount"),
    [(32_000, "0.192 CNY"), (32_001, "0.288006 CNY"), (128_001, "1.48001 CNY"), (256_001, "7.12002 CNY")],
)
def test_qwen_prices_the_whole_call_in_the_bracket_of_its_prompt(prompt: int, amount: str) -> None:
    usage = Usage(input=prompt, output=4_000 if prompt <= 128_000 else 5_000 if prompt < 256_000 else 10_000)
    assert charged("alibaba-cn", "qwen3-coder-plus", "2026-11-01T00:00:00Z", usage) == amount


@pytest.mark.parametrize(
    ("host", "model", "amount"),
    [
        ("moonshotai-cn", "kimi-k2-0905-preview", "16 CNY"),
        ("moonshotai", "kimi-k2-0905-preview", "2.5 USD"),
        ("moonshotai-cn", "kimi-k2.6", "27 CNY"),
        ("moonshotai", "kimi-k2.6", "4 USD"),
        ("zhipuai", "glm-5.1", "24 CNY"),
        ("zai", "glm-5.1", "4.4 USD"),
        ("minimax-cn", "MiniMax-M2.7", "8.4 CNY"),
        ("minimax", "MiniMax-M2.7", "1.2 USD"),
        ("alibaba-cn", "qwen3-max", "54 CNY"),
        ("alibaba", "qwen3-max", "6 USD"),
    ],
)
def test_hosts_in_china_charge_yuan_and_those_abroad_dollars(host: str, model: str, amount: str) -> None:
    million = Usage(output=1_000_000)
    assert charged(host, model, "2026-11-01T00:00:00Z", million) == amount


def test_what_is_past_is_left_out_of_what_a_worker_is_told() -> None:
    host = CATALOG.host("deepseek")
    assert host is not None
    prices = CATALOG.prices("deepseek", next(m for m in host.models if m.id == "deepseek-v4-pro"))
    told = from_now_on(prices, us("2026-08-20T00:00:00Z"))
    assert [price.valid_from_us for price in told] == [us("2026-08-16T16:00Z"), us("2026-08-22T16:00Z")]


def test_history_is_dated_and_leads_to_what_is_listed() -> None:
    columns = (
        "provider,model,committed_at,input_usd_per_mtok,cache_read_usd_per_mtok,cache_write_usd_per_mtok,"
        "output_usd_per_mtok,reasoning_usd_per_mtok,tiers,source_commit\n"
    )
    rows = (
        "openai,m,2026-01-01T08:00:00+08:00,1,,,2,,,a\n"
        "openai,m,2026-02-01T00:00:00Z,0,,,0,,,b\n"
        "openai,m,2026-03-01T00:00:00Z,3,,,4,,,c\n"
    )
    listed = models_dev.read_models_dev(with_cost({"input": 3, "output": 4}))
    data = with_history(listed, columns + rows)
    model = next(h for h in data.hosts if h.id == "openai").models[0]
    assert (model.since, [step.since for step in model.earlier]) == (
        "2026-03-01T00:00:00Z",
        ["2026-01-01T00:00:00Z"],
    )
    other = with_history(listed, columns + rows.replace(",3,,,4,", ",9,,,9,"))
    assert next(h for h in other.hosts if h.id == "openai").models[0].since == ""
    assert msgspec.json.decode(msgspec.json.encode(data)) is not None
