"""Spans of time as sums are kept: whole hours of UTC, and the hours, days or months of a time zone in them. Pure.

A moment stands for the whole hour of its zone that it lies in. Where a zone is off by half an hour or a quarter, that begins
with the hour of UTC in which the zone's own begins: a day of Kolkata is counted from 18:00 UTC, not from 18:30.
"""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec

from tokenweir.ledger.windows import window_of

HOUR_US = 3_600_000_000
#: Up to so many hours a series has a point for each hour; up to so many days, for each day; beyond, for each month.
MOST_HOURS = 49
MOST_DAYS = 400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(msgspec.Struct, frozen=True, order=True):
    """Hours since 1970-01-01 UTC: from `first` to before `end`."""

    first: int
    end: int

    @property
    def hours(self) -> int:
        """How long it is."""
        return self.end - self.first

    @property
    def before(self) -> "Span":
        """As long, and ends where this one begins."""
        return Span(self.first - self.hours, self.first)

    @property
    def since_us(self) -> int:
        """Its beginning, in µs since 1970-01-01 UTC."""
        return self.first * HOUR_US

    @property
    def until_us(self) -> int:
        """Its end (excluded)."""
        return self.end * HOUR_US


class Part(msgspec.Struct, frozen=True):
    """An hour, day or month of a series; `start_us` is where it begins on the zone's clocks, also where its span begins later."""

    start_us: int
    span: Span


class Series(msgspec.Struct, frozen=True):
    """A span in parts. `grain`: "hour", "day" or "month"."""

    grain: str
    parts: tuple[Part, ...]


def span_of(since_us: int, until_us: int, zone: ZoneInfo) -> Span:
    """The hours that hold what lies between two moments; at least one."""
    first = _hour_start_us(since_us, zone) // HOUR_US
    last = _hour_start_us(max(since_us, until_us - 1), zone) // HOUR_US
    return Span(first, last + 1)


def as_long_from(since_us: int, span: Span, zone: ZoneInfo) -> Span:
    """A span of the same length that begins with the hour of a moment: what another one is compared with."""
    first = _hour_start_us(since_us, zone) // HOUR_US
    return Span(first, first + span.hours)


def series_of(span: Span, zone: ZoneInfo) -> Series:
    """The hours of a short span, the days of a longer one, the months of a very long one."""
    if span.hours <= MOST_HOURS:
        hours = (Span(hour, hour + 1) for hour in range(span.first, span.end))
        return Series("hour", tuple(Part(_hour_start_us(hour.until_us - 1, zone), hour) for hour in hours))
    grain = "day" if span.hours <= MOST_DAYS * 24 else "month"
    parts, first = [], span.first
    while first < span.end:
        # The last moment of the hour: where the zone's day begins within it, it is of that day.
        start_us, end_us = window_of(grain, zone.key, (first + 1) * HOUR_US - 1)
        end = min(max(end_us // HOUR_US, first + 1), span.end)
        parts.append(Part(start_us, Span(first, end)))
        first = end
    return Series(grain, tuple(parts))


def day_of(at_us: int, zone: ZoneInfo) -> date:
    """The day of a moment on the zone's clocks."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone).date()


def _hour_start_us(at_us: int, zone: ZoneInfo) -> int:
    """Where the hour of the zone's clocks that holds a moment begins."""
    local = (_EPOCH + timedelta(microseconds=at_us)).astimezone(zone)
    into = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
    return at_us - into // timedelta(microseconds=1)
