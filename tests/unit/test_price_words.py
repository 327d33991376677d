"""A price at a moment, with what else it may be, as the console's pages say it."""

from zoneinfo import ZoneInfo

from tokenweir.catalog.price import Bracket, DayWindow, Price, Rates
from tokenweir.console.numbers import Format
from tokenweir.console.price_words import PriceNow, price_now
from tokenweir.console.words import words

HOUR_US = 3_600_000_000
#: 2026-11-25 09:30 UTC, a Wednesday: 17:30 in Shanghai.
NOW_US = 1_795_599_000_000_000
UTC = Format("en", ZoneInfo("UTC"))
DAY = (Bracket(0, Rates(2_000_000, 8_000_000, 500_000)), Bracket(32_000, Rates(4_000_000, 16_000_000)))
NIGHT = (Bracket(0, Rates(1_000_000, 4_000_000)),)
PRICE = Price(
    "vendor's page",
    "CNY",
    DAY,
    windows=(DayWindow(tuple(range(7)), 30, 510, NIGHT),),
    time_zone="Asia/Shanghai",
)


def test_by_day_the_price_of_the_night_is_told_beside_it_and_longer_prompts() -> None:
    assert price_now((PRICE,), NOW_US, words("en"), UTC) == PriceNow(
        "2", "0.5", "8", "CNY",
        "prompts beyond 32,000 tokens: 4 / 16; 00:30–08:30 Asia/Shanghai: 1 / 4", "vendor's page",
    )  # fmt: skip


def test_by_night_the_price_of_the_night_is_the_one_in_force() -> None:
    found = price_now((PRICE,), NOW_US + 8 * HOUR_US, words("en"), UTC)
    assert (found.input, found.cache_read, found.output) == ("1", "1", "4")
    assert found.remarks == "now, 00:30–08:30 Asia/Shanghai; else 2 / 8"
    chinese = price_now((PRICE,), NOW_US + 8 * HOUR_US, words("zh"), UTC)
    assert chinese.remarks == "当前为 00:30–08:30 Asia/Shanghai; 其余时段 2 / 8"


def test_days_are_named_where_it_is_not_every_day_and_the_next_change_where_there_is_one() -> None:
    window = DayWindow((0, 1), 0, 1440, NIGHT)
    weekly = Price("page", "USD", DAY[:1], windows=(window,))
    later = Price("page", "USD", NIGHT, valid_from_us=NOW_US + 24 * HOUR_US)
    found = price_now((weekly, later), NOW_US, words("en"), UTC)
    assert found.remarks == "Mon Tue 00:00–24:00 UTC: 1 / 4; changes on 2026-11-26"


def test_what_has_no_price_yet_is_unpriced() -> None:
    later = Price("page", "USD", NIGHT, valid_from_us=NOW_US + 1)
    assert price_now((later,), NOW_US, words("en"), UTC) == PriceNow(remarks="unpriced")
