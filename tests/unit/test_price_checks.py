"""A price of a charge rule that cannot be used is refused by the ledger itself, whoever sends it."""

import msgspec
import pytest

from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import Bracket, DayWindow, Price, Rates
from tokenweir.ledger.checks import wrong_with
from tokenweir.ledger.terms import SetCharge, Terms

RATES = Rates(4_000_000, 16_000_000)
BRACKETS = (Bracket(0, RATES), Bracket(32_000, RATES))
NIGHT = DayWindow((0, 6), 30, 510, BRACKETS)
PRICE = Price("own", "CNY", BRACKETS, windows=(NIGHT,), time_zone="Asia/Shanghai")


def told(**other: object) -> str:
    price = msgspec.structs.replace(PRICE, **other)
    return wrong_with(Terms(), SetCharge("acme", ChargeRule("m", price=price)))


def window(**other: object) -> dict[str, object]:
    return {"windows": (msgspec.structs.replace(NIGHT, **other),)}


def test_a_price_that_can_be_used_is_taken() -> None:
    assert told() == ""
    assert told(**window(start_minute=0, end_minute=1440)) == ""


@pytest.mark.parametrize(
    ("other", "why"),
    [
        ({"time_zone": "Asia/Nowhere"}, "is no time zone"),
        ({"brackets": ()}, "begin above 0 tokens"),
        ({"brackets": BRACKETS[1:]}, "begin above 0 tokens"),
        ({"brackets": BRACKETS[:1] + BRACKETS[:1]}, "begin above 0 tokens"),
        (window(brackets=BRACKETS[::-1]), "begin above 0 tokens"),
        (window(start_minute=600, end_minute=600), "ends after it begins"),
        (window(end_minute=1441), "ends after it begins"),
        (window(start_minute=-1), "ends after it begins"),
        (window(weekdays=()), "weekdays"),
        (window(weekdays=(7,)), "weekdays"),
        ({"priced_at": "noon"}, "'noon'"),
        ({"currency": "yuan"}, "yuan"),
    ],
)
def test_one_that_cannot_be_used_is_refused(other: dict[str, object], why: str) -> None:
    assert why in told(**other)
