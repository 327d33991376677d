"""Prices that are set right: a file of them, and the catalog's past ones."""

from pathlib import Path

import pytest

from tokenweir.catalog.pricing import price_at
from tokenweir.cli.price_source import prices_by, read_price_file

GOOD = """
[[price]]
deployment = "up/kimi-*"
from = 2026-11-05
currency = "CNY"
input = 4.0
output = 16
[[price]]
deployment = "up/kimi-*"
currency = "CNY"
input = 3
output = 12.000001
[[price]]
currency = "USD"
input = 1
output = 2
"""


def test_a_file_of_dated_prices_by_deployment(tmp_path: Path) -> None:
    file = tmp_path / "right.toml"
    file.write_text(GOOD)
    prices_of = prices_by(str(file), tmp_path, {}, None)
    kimi = prices_of("up", "up/kimi-k2")
    assert [price.brackets[0].rates.input for price in kimi] == [3_000_000, 4_000_000]
    assert kimi[0].brackets[0].rates.output == 12_000_001
    assert price_at(kimi, 1_793_836_800_000_000 - 1) is kimi[0]  # 2026-11-05T00:00Z
    assert price_at(kimi, 1_793_836_800_000_000) is kimi[1]
    assert [price.currency for price in prices_of("other", "other/m")] == ["USD"]
    assert {price.ref for price in kimi} == {"corrected: right.toml"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("price = 3", r"must hold \[\[price\]\] tables"),
        ("[[price]]\ncurrency = 'CNY'\ninput = 1", r"\[\[price\]\] 1 lacks output"),
        ("[[price]]\ncurrency = 'yuan'\ninput = 1\noutput = 1", "not a currency code"),
        ("[[price]]\ncurrency = 'CNY'\ninput = 1\noutput = 1\nfrom = 'soon'", "'soon' is no moment"),
        ("[[price]]\ncurrency = 'CNY'\ninput = 1\noutput = 1\nmodel = 'm'", "has no 'model'"),
        ("[[price]]\ncurrency = 'CNY'\ninput = 1\noutput = 1\ndeployment = 1", "deployment must be a text"),
        ("[[price]]\ncurrency = 'CNY'\ninput = 0.0000001\noutput = 1", "would not be exact"),
        ("[[price", "is not TOML"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path: Path, text: str, told: str) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=told):
        read_price_file(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"gone\.toml cannot be read"):
        read_price_file(tmp_path / "gone.toml")


def test_settings_go_over_the_catalog_and_no_key_is_needed(tmp_path: Path) -> None:
    config = tmp_path / "weir.toml"
    config.write_text(
        '[[upstream]]\nname = "moon"\nkind = "moonshotai-cn"\napi_key = "env:NOT_SET"\n'
        '[[model]]\nname = "k"\ndeployments = ["moon/kimi-k2-0905-preview"]\n'
        'price = { input = 1, output = 2, currency = "CNY" }\n'
    )
    own = prices_by("", tmp_path, {}, config)("moon", "moon/kimi-k2-0905-preview")
    assert [price.ref for price in own] == ["settings"]
    listed = prices_by("catalog", tmp_path, {}, config)("moon", "moon/kimi-k2-0905-preview")
    assert listed and all(price.ref != "settings" for price in listed)
    assert listed == prices_by("", tmp_path, {}, config)(
        "moonshotai-cn", "moonshotai-cn/kimi-k2-0905-preview"
    )
    assert prices_by("", tmp_path, {}, config)("moon", "moon/no-such-model") == ()
