"""Limits as people write them."""

import msgspec
import pytest

from tokenweir.ledger.limit_text import parse_limit
from tokenweir.ledger.terms import Limit

PICO = 10**12


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("¥5/day", Limit("CNY", 5 * PICO, "day")),
        ("￥0.5 / day", Limit("CNY", PICO // 2, "day")),
        ("$20", Limit("USD", 20 * PICO, "total")),
        ("20 USD/month", Limit("USD", 20 * PICO, "month")),
        ("CNY 1,000 per month", Limit("CNY", 1000 * PICO, "month")),
        ("2M tokens/month", Limit("tokens", 2_000_000, "month")),
        ("1.5k tokens daily", Limit("tokens", 1_500, "day")),
        ("100 calls/day", Limit("calls", 100, "day")),
        ("1 call total", Limit("calls", 1, "total")),
        ("$20 soft", Limit("USD", 20 * PICO, "total", "soft")),
        ("¥5 daily", Limit("CNY", 5 * PICO, "day")),
        ("5 CNY/month soft", Limit("CNY", 5 * PICO, "month", "soft")),
        ("90 calls/min", Limit("calls", 90, "minute")),
        ("4 calls at once", Limit("calls", 4, "at once")),
    ],
)
def test_a_limit_is_read(text: str, limit: Limit) -> None:
    assert parse_limit(text) == limit


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a limit"),
        ("5/day", "does not say of what"),
        ("-5 USD", "is not a limit"),
        ("0 calls/day", "whole number of at least 1"),
        ("0.5 calls/day", "whole number of at least 1"),
        ("¥0/day", "must be more than 0"),
        ("¥5 tokens/day", "two units"),
        ("5 tok/day", "no currency known here"),
        ("5 USD/year", "per minute, hour, day or month"),
        ("¥0.0000000000001", "more than 12 decimals"),
    ],
)
def test_a_wrong_limit_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_limit(text)


def test_the_largest_limits_travel_to_the_ledger_and_larger_ones_are_refused() -> None:
    for text in ("9,000,000 CNY/month", "4000000000000M tokens"):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(parse_limit(text)), type=Limit) == parse_limit(
            text
        )
    with pytest.raises(ValueError, match="at most 9,000,000"):
        parse_limit("9,000,001 CNY/month")
