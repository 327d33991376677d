"""Amounts, currencies and counts as bills write them."""

import pytest

from tokenweir.billing.bill_numbers import read_amount, read_count, read_currency, says_nothing
from tokenweir.core.money import PICO


@pytest.mark.parametrize(
    ("text", "pico", "decimals", "currency"),
    [
        ("0", 0, 0, ""),
        ("0.25", PICO // 4, 2, ""),
        ("1,234,567.50", 1_234_567 * PICO + PICO // 2, 2, ""),
        ("¥3", 3 * PICO, 0, "CNY"),
        ("￥１２．５", 12 * PICO + PICO // 2, 1, "CNY"),
        ("0.032元", 32_000_000_000, 3, "CNY"),
        ("$ 0.10", PICO // 10, 2, "USD"),
        ("0.10 USD", PICO // 10, 2, "USD"),
        ("-¥0.05", -PICO // 20, 2, "CNY"),
        ("¥-0.05", -PICO // 20, 2, "CNY"),
        ("(0.05)", -PICO // 20, 2, ""),
        ("3.6e-9", 3_600, 10, ""),
        (".5", PICO // 2, 1, ""),
        ("7.", 7 * PICO, 0, ""),
        ("0.000000000001", 1, 12, ""),
    ],
)
def test_amounts_are_exact(text: str, pico: int, decimals: int, currency: str) -> None:
    read = read_amount(text)
    assert (read.pico, read.decimals, read.currency, read.exact) == (pico, decimals, currency, True)


def test_zeros_beyond_pico_are_exact_and_other_digits_are_rounded_and_told() -> None:
    assert read_amount("0.003835980000000000000000000000").pico == 3_835_980_000
    assert read_amount("0.003835980000000000000000000000").exact
    read = read_amount("0.0000000000015")
    assert (read.pico, read.exact) == (2, False)
    assert read_amount("0.0000000000025").pico == 2  # half to even
    assert read_amount("0.00085249999999999999").pico == 852_500_000


def test_cents_are_a_hundredth() -> None:
    read = read_amount("12.5", "0.01")
    assert (read.pico, read.decimals) == (PICO // 8, 3)


@pytest.mark.parametrize(
    "text", ["", "abc", "1.2.3", "1,23", "12,3456", "--1", "-¥-1", "¥1 CNY", "1e999", "0x1", "9" * 65, "١"]
)
def test_what_is_no_amount_says_what_was_expected(text: str) -> None:
    with pytest.raises(ValueError, match="an amount, such as"):
        read_amount(text)


def test_counts_may_stand_in_thousands_but_must_be_whole() -> None:
    assert read_count("59200.0") == 59_200
    assert read_count("1,234") == 1_234
    assert read_count("1,234.567", 1000) == 1_234_567
    for text, unit in (("1.5", 1), ("0.0001", 1000), ("-3", 1), ("three", 1)):
        with pytest.raises(ValueError, match="whole"):
            read_count(text, unit)


def test_currencies_have_marks_and_words() -> None:
    marks = ("¥", "￥", "人民币", "RMB", "元", "cny")
    assert {read_currency(mark) for mark in marks} == {"CNY"}
    assert read_currency("usd") == "USD"
    assert read_currency("jpy") == "JPY"
    with pytest.raises(ValueError, match="a currency"):
        read_currency("points")


def test_cells_that_say_nothing() -> None:
    assert all(says_nothing(text) for text in ("", " ", "-", "<nil>", "N/A", "null"))
    assert not says_nothing("0")
