"""The shipped catalog: whole, exact, and refused when malformed."""

import json

import pytest

from tokenweir.catalog import build, providers
from tokenweir.catalog.pricing import apply, dearest
from tokenweir.cli.sources import CatalogBook
from tokenweir.core.errors import CatalogError

RAW = {h: {"name": h, "env": [h.upper()], "models": {}} for h in build.HOSTS}


def with_cost(cost: object) -> bytes:
    model = {"name": "m", "cost": cost}
    return json.dumps({**RAW, "openai": {"name": "o", "env": ["K"], "models": {"m": model}}}).encode()


def model_of(body: bytes) -> build.CatalogModel:
    data = build.read_models_dev(body)
    return next(h for h in data.hosts if h.id == "openai").models[0]


def test_every_shipped_host_has_an_address_a_key_and_models() -> None:
    assert [h.id for h in providers.hosts()] == list(build.HOSTS)
    for host in providers.hosts():
        assert host.url.startswith("https://") and host.key_variables and host.models


def test_every_shipped_price_can_be_reserved_for() -> None:
    priced = {
        (h.id, m.id): prices
        for h in providers.hosts()
        for m in h.models
        if (prices := providers.prices(h.id, m))
    }
    zero = [
        model for (_, model), prices in priced.items() if not any(max(i, o) for _, i, o in dearest(prices))
    ]
    assert len(priced) > 500
    assert all(model.endswith(":free") for model in zero)


def test_a_price_keeps_every_decimal() -> None:
    model = model_of(with_cost({"input": 0.003625, "output": 2.5}))
    assert providers.prices("openai", model)[0].brackets[0].rates.input == 3625


def test_brackets_are_in_order_and_whole_calls_fall_into_them() -> None:
    tiers = [
        {"tier": {"size": 200}, "input": 3, "output": 4},
        {"tier": {"size": 100}, "input": 2, "output": 3},
    ]
    price = providers.prices("openai", model_of(with_cost({"input": 1, "output": 2, "tiers": tiers})))[0]
    assert [apply(price, n, 0).rates.input for n in (100, 101, 201)] == [1_000_000, 2_000_000, 3_000_000]


@pytest.mark.parametrize(
    "cost",
    [{"input": -1, "output": 1}, {"input": "much", "output": 1}, {"input": 1e-9, "output": 1}, {"output": 1}],
)
def test_a_malformed_price_is_refused_by_its_name(cost: object) -> None:
    with pytest.raises(CatalogError, match="openai/m"):
        build.read_models_dev(with_cost(cost))


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"providers": {}}'])
def test_what_is_no_catalog_is_refused(body: bytes) -> None:
    with pytest.raises(CatalogError):
        build.read_models_dev(body)


def test_zero_is_unknown_unless_a_model_is_called_free() -> None:
    assert model_of(with_cost({"input": 0, "output": 0})).rates == ()


def test_deepseek_costs_half_outside_the_peaks() -> None:
    host = providers.host("deepseek")
    assert host is not None
    old, by_the_clock = providers.prices("deepseek", host.models[0])
    peak = by_the_clock.windows[0].brackets[0].rates.input
    assert old.brackets[0].rates.input == peak == 2 * by_the_clock.brackets[0].rates.input


def test_the_book_of_the_command_line_knows_the_kimi_variable() -> None:
    known = CatalogBook().providers()[0]
    assert (known.id, "KIMI_API_KEY" in known.key_variables) == ("moonshotai-cn", True)
    assert CatalogBook().offers("moonshotai-cn") and CatalogBook().offers("nobody") == ()
