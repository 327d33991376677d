"""Moments as people write them."""

from collections.abc import Callable

import pytest

from tokenweir.cli.moments import parse_date, parse_day, parse_later, parse_moment, parse_month, parse_span
from tokenweir.ledger.views import iso_time

NOW_US = 1_795_426_800_250_000  # 2026-11-23T09:40:00.250Z


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("24h", "2026-11-22T09:40:00.250Z"),
        ("7d", "2026-11-16T09:40:00.250Z"),
        ("30m", "2026-11-23T09:10:00.250Z"),
        ("today", "2026-11-23T00:00:00.000Z"),
        ("2026-11-01", "2026-11-01T00:00:00.000Z"),
        ("2026-11-01T08:00", "2026-11-01T08:00:00.000Z"),
        ("2026-11-01T08:00+08:00", "2026-11-01T00:00:00.000Z"),
    ],
)
def test_a_moment_is_read(text: str, moment: str) -> None:
    assert iso_time(parse_moment(text, NOW_US)) == moment


def test_anything_else_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="write 24h, 7d, today"):
        parse_moment("yesterday-ish", NOW_US)


def test_a_span_longer_than_a_century_is_a_slip() -> None:
    with pytest.raises(ValueError, match="more than a hundred years"):
        parse_moment("999999w", NOW_US)


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("90d", "UTC", "2027-02-21T09:40:00.250Z"),
        ("24h", "UTC", "2026-11-24T09:40:00.250Z"),
        ("2026-12-31", "UTC", "2026-12-31T00:00:00.000Z"),
        ("2026-12-31", "Asia/Shanghai", "2026-12-30T16:00:00.000Z"),
        ("2026-12-31T18:00Z", "Asia/Shanghai", "2026-12-31T18:00:00.000Z"),
    ],
)
def test_a_moment_to_come_is_read(text: str, zone: str, moment: str) -> None:
    assert iso_time(parse_later(text, NOW_US, zone)) == moment


@pytest.mark.parametrize(
    ("text", "message"), [("2026-11-01", "is past"), ("soon", "write 90d"), ("-3d", "write 90d")]
)
def test_what_does_not_come_says_what_to_write(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_later(text, NOW_US)


def test_spans_months_and_days() -> None:
    assert parse_span("24h") == 86_400_000_000
    assert parse_span("0") == 0
    assert iso_time(parse_month("2026-12", "Asia/Shanghai")) == "2026-11-30T16:00:00.000Z"
    assert iso_time(parse_date("2026-12-01T08:30")) == "2026-12-01T08:30:00.000Z"
    assert parse_day(" 2026-11-01") == "2026-11-01"


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (parse_span, "a day", "write 30m, 24h or 7d"),
        (parse_month, "2026-13", "write 2026-11"),
        (parse_day, "1.11.2026", "write 2026-11-01"),
        (parse_date, "tomorrow", "write 2026-11-01"),
    ],
)
def test_each_says_what_to_write(read: Callable[[str], object], text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(text)
