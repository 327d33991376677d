"""Windows of limits: in every time zone they follow each other without a gap, and days are as long as clocks say."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.ledger.windows import NEVER_US, WINDOWS, is_zone, window_of

HOUR_US = 3_600_000_000
ZONES = (
    "UTC", "Asia/Shanghai", "Asia/Beirut", "Asia/Kolkata", "Asia/Kathmandu", "America/Havana", "America/New_York",
    "America/St_Johns", "America/Sao_Paulo", "Africa/Cairo", "Africa/Casablanca", "Australia/Lord_Howe", "Europe/Dublin",
    "Pacific/Apia", "Pacific/Chatham", "Pacific/Kiritimati", "Antarctica/Troll",
)  # fmt: skip
TURNING = ("minute", "hour", "day", "month")


def us(text: str) -> int:
    """An instant, from ISO 8601."""
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000


def jumps(zone: str) -> list[int]:
    """The instants from 2005 to 2035 at which clocks of a zone are moved, found by bisection of hours."""
    found, hour, end = [], us("2005-01-01T00:00+00:00"), us("2035-01-01T00:00+00:00")
    while hour < end:
        later = hour + 24 * HOUR_US
        if offset(zone, hour) != offset(zone, later):
            low, high = hour, later
            while high - low > 60_000_000:
                middle = (low + high) // 120_000_000 * 60_000_000
                low, high = (middle, high) if offset(zone, middle) == offset(zone, hour) else (low, middle)
            found.append(high)
        hour = later
    return found


def offset(zone: str, at_us: int) -> timedelta:
    told = datetime.fromtimestamp(at_us // 1_000_000, ZoneInfo(zone)).utcoffset()
    assert told is not None
    return told


JUMPS = {zone: jumps(zone) for zone in ZONES}


@st.composite
def moments(draw: st.DrawFn) -> tuple[str, int]:
    """A zone and an instant, often near one at which its clocks are moved."""
    zone = draw(st.sampled_from(ZONES))
    anywhere = st.integers(us("2005-01-01T00:00+00:00"), us("2035-01-01T00:00+00:00"))
    if not JUMPS[zone] or draw(st.booleans()):
        return zone, draw(anywhere)
    near = st.integers(-26 * HOUR_US, 26 * HOUR_US) | st.integers(-2, 2)
    return zone, draw(st.sampled_from(JUMPS[zone])) + draw(near)


@given(moments(), st.sampled_from(TURNING))
def test_every_moment_is_in_one_window_and_the_next_begins_where_it_ends(
    moment: tuple[str, int], window: str
) -> None:
    zone, at_us = moment
    start, end = window_of(window, zone, at_us)
    assert start <= at_us < end
    assert window_of(window, zone, start) == window_of(window, zone, end - 1) == (start, end)
    assert window_of(window, zone, end)[0] == end
    assert window_of(window, zone, start - 1)[1] == start


@given(moments())
def test_a_day_and_a_month_are_those_of_the_zones_calendar(moment: tuple[str, int]) -> None:
    """All of a window has one date (or month) on the clocks, and what lies beside it has another."""
    zone, at_us = moment
    for window, shape in (("day", "%Y-%m-%d"), ("month", "%Y-%m")):
        start, end = window_of(window, zone, at_us)
        inside = {local(zone, at, shape) for at in (start, at_us, end - 1)}
        outside = {local(zone, at, shape) for at in (start - 1, end)}
        assert len(inside) == 1
        assert not inside & outside


def local(zone: str, at_us: int, shape: str) -> str:
    return datetime.fromtimestamp(at_us // 1_000_000, ZoneInfo(zone)).strftime(shape)


@given(moments())
def test_a_day_is_as_long_as_the_clocks_were_moved(moment: tuple[str, int]) -> None:
    """24 hours, and as much less or more as clocks were moved in it; where they skip midnight see below."""
    zone, at_us = moment
    start, end = window_of("day", zone, at_us)
    if {start, end} & set(JUMPS[zone]):
        return
    within = [at for at in JUMPS[zone] if start < at < end]
    moved = sum((offset(zone, at) - offset(zone, at - 1) for at in within), timedelta())
    assert end - start == (timedelta(hours=24) - moved) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("zone", "at", "start", "hours"),
    [
        ("America/New_York", "2026-03-08T12:00-04:00", "2026-03-08T00:00-05:00", 23),
        ("America/New_York", "2026-11-01T12:00-05:00", "2026-11-01T00:00-04:00", 25),
        ("Australia/Lord_Howe", "2026-04-05T12:00+10:30", "2026-04-05T00:00+11:00", 24.5),
        ("Australia/Lord_Howe", "2026-10-04T12:00+11:00", "2026-10-04T00:00+10:30", 23.5),
        ("Asia/Shanghai", "2026-06-01T12:00+08:00", "2026-06-01T00:00+08:00", 24),
        # Midnight is skipped: at 24:00 it is 01:00.
        ("Asia/Beirut", "2026-03-29T12:00+03:00", "2026-03-29T01:00+03:00", 23),
        ("Africa/Cairo", "2026-04-24T12:00+03:00", "2026-04-24T01:00+03:00", 23),
        ("America/Havana", "2026-03-08T12:00-04:00", "2026-03-08T01:00-04:00", 23),
        # Midnight is shown twice: at 01:00 it is 00:00 again; the day begins with the first.
        ("America/Havana", "2026-11-01T12:00-05:00", "2026-11-01T00:00-04:00", 25),
        # At 24:00 it is 23:00 again: the day before lasts an hour longer.
        ("Asia/Beirut", "2026-10-24T12:00+03:00", "2026-10-24T00:00+03:00", 25),
        ("Africa/Cairo", "2026-10-29T12:00+03:00", "2026-10-29T00:00+03:00", 25),
    ],
)  # fmt: skip
def test_days_on_which_clocks_are_moved(zone: str, at: str, start: str, hours: float) -> None:
    begins, ends = window_of("day", zone, us(at))
    assert begins == us(start)
    assert ends - begins == hours * HOUR_US


def test_a_day_that_a_zone_left_out_has_no_window() -> None:
    """Samoa went from Thursday the 29th of December 2011 to Saturday the 31st."""
    before = window_of("day", "Pacific/Apia", us("2011-12-29T12:00-10:00"))
    after = window_of("day", "Pacific/Apia", us("2011-12-31T12:00+14:00"))
    assert before[1] == after[0] == us("2011-12-31T00:00+14:00")
    assert [end - start for start, end in (before, after)] == [24 * HOUR_US, 24 * HOUR_US]


def test_what_never_turns() -> None:
    for window in set(WINDOWS) - set(TURNING):
        assert window_of(window, "Asia/Shanghai", us("2026-06-01T12:00+08:00")) == (0, NEVER_US)


def test_time_zones_are_known_by_their_names() -> None:
    assert all(map(is_zone, ZONES))
    assert not any(map(is_zone, ("Mars/Olympus", "", "../etc/passwd", "+08:00", "Asia/", "\x00")))


def test_a_month_has_the_days_that_the_calendar_says() -> None:
    for month, days in ((date(2028, 2, 1), 29), (date(2027, 2, 1), 28), (date(2026, 12, 1), 31)):
        start, end = window_of("month", "UTC", us(f"{month}T00:00+00:00"))
        assert end - start == days * 24 * HOUR_US
