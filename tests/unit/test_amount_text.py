"""Amounts, allowances and percentages as people write them."""

import pytest

from tokenweir.catalog.charges import format_percent
from tokenweir.core.money import PICO, Money
from tokenweir.ledger.amount_text import format_allowance, parse_allowance, parse_money, parse_percent


@pytest.mark.parametrize(
    ("text", "money"),
    [
        ("¥1000", Money(1000 * PICO, "CNY")),
        ("￥1,000.5", Money(1000 * PICO + PICO // 2, "CNY")),
        ("20 USD", Money(20 * PICO, "USD")),
        ("eur 3", Money(3 * PICO, "EUR")),
        ("$2k", Money(2000 * PICO, "USD")),
        ("¥0", Money(0, "CNY")),
        ("$0.000000000001", Money(1, "USD")),
    ],
)
def test_money_is_read(text: str, money: Money) -> None:
    assert parse_money(text) == money


@pytest.mark.parametrize(
    "text", ["", "1000", "-¥5", "¥5 CNY", "5 tokens", "5 XYZ", "¥1e3", "¥0.0000000000001", "¥5/day"]
)
def test_what_is_no_money_says_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"write|known here|decimals"):
        parse_money(text)


@pytest.mark.parametrize(
    ("text", "allowance"),
    [
        ("10M tokens", (10_000_000, "tokens")),
        ("1.5k tokens", (1500, "tokens")),
        ("¥120", (120 * PICO, "CNY")),
    ],
)
def test_an_allowance_is_read_and_written(text: str, allowance: tuple[int, str]) -> None:
    assert parse_allowance(text) == allowance
    assert parse_allowance(format_allowance(*allowance)) == allowance


def test_half_a_token_is_none() -> None:
    with pytest.raises(ValueError, match="no whole number"):
        parse_allowance("0.5 tokens")


@pytest.mark.parametrize(
    ("text", "points"), [("25%", 2500), ("12.5 %", 1250), ("+0.01%", 1), ("-10%", -1000), ("0%", 0)]
)
def test_a_percentage_is_read_and_written(text: str, points: int) -> None:
    assert parse_percent(text) == points
    assert parse_percent(format_percent(points)) == points


@pytest.mark.parametrize("text", ["0.25", "25", "1.234%", "%", "a lot"])
def test_a_number_that_could_mean_either_is_no_percentage(text: str) -> None:
    with pytest.raises(ValueError, match=r"write 25%"):
        parse_percent(text)
