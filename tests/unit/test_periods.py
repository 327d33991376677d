"""Days, months and spans of bills."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from tokenweir.billing.bill import Period
from tokenweir.billing.periods import Periods, day_of, month_of, read_time, span_of, us_of

BERLIN, BEIJING = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Shanghai")
HOUR_US = 3_600_000_000


def test_a_day_begins_where_its_zone_has_midnight() -> None:
    day = day_of(datetime(2026, 11, 23, 5, tzinfo=BEIJING))
    assert day.start_us == us_of(datetime(2026, 11, 22, 16, tzinfo=UTC))
    assert (day.end_us - day.start_us, day.label) == (24 * HOUR_US, "2026-11-23")


def test_a_day_of_changed_clocks_has_23_or_25_hours() -> None:
    spring, autumn = (day_of(datetime(2026, *date, 12, tzinfo=BERLIN)) for date in ((3, 29), (10, 25)))
    assert (spring.end_us - spring.start_us) // HOUR_US == 23
    assert (autumn.end_us - autumn.start_us) // HOUR_US == 25


def test_a_month_ends_with_its_last_day() -> None:
    month = month_of(datetime(2028, 2, 29, 23, tzinfo=UTC))
    assert (month.label, (month.end_us - month.start_us) // HOUR_US) == ("2028-02", 29 * 24)


def test_the_end_of_a_span_is_included() -> None:
    start = datetime(2026, 11, 1, tzinfo=UTC)
    assert span_of(start, datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC)) == span_of(
        start, datetime(2026, 11, 30, tzinfo=UTC)
    )
    with pytest.raises(ValueError, match="before its beginning"):
        span_of(start, start - timedelta(days=2))


def test_a_time_keeps_its_own_offset() -> None:
    forms = ("%Y-%m-%d", "%Y%m%d", "iso", "unix")
    assert read_time("20261123", forms, BEIJING) == datetime(2026, 11, 23, tzinfo=BEIJING)
    read = read_time("2026-11-23T00:00:00-03:00", forms, BEIJING)
    assert read.utcoffset() == timedelta(hours=-3)
    assert read_time("1795392000", forms, BEIJING) == datetime(2026, 11, 23, tzinfo=UTC)
    for text in ("", "1926-01-01", "soon", "9" * 30, "10000-01-01", "2026-13-01"):
        with pytest.raises(ValueError, match=r"a time as %Y-%m-%d or"):
            read_time(text, forms, UTC)


def test_a_moment_lies_in_a_period_of_the_bill_or_in_a_day_of_its_zone() -> None:
    zone = timezone(timedelta(hours=3))
    span = Period(10 * HOUR_US, 12 * HOUR_US, "two hours")
    periods = Periods([span, span], "day", zone)
    assert periods.at(10 * HOUR_US) == periods.at(12 * HOUR_US - 1) == span
    assert periods.at(12 * HOUR_US).label == "1970-01-01"
    assert periods.at(22 * HOUR_US).label == "1970-01-02"
    assert Periods([], "month", zone).at(0).label == "1970-01"
