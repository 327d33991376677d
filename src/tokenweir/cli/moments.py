"""Moments as people write them: `24h`, `7d`, `today`, `2026-11-01`, `2026-11-01T08:00Z`; months, and spans of time."""

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

_AGO = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
EXAMPLES = "24h, 7d, today, 2026-11-01 or 2026-11-01T08:00"
LATER_EXAMPLES = "90d, 2026-12-31 or 2026-12-31T18:00"
LONGEST = timedelta(days=36_525)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str, now_us: int) -> int:
    """Microseconds since 1970 UTC; a time without a zone is UTC. Raises ValueError with a sentence."""
    word = text.strip()
    now = _EPOCH + timedelta(microseconds=now_us)
    if word == "today":
        return _us(now.replace(hour=0, minute=0, second=0, microsecond=0))
    if _AGO.fullmatch(word):
        return max(0, now_us - parse_span(word))
    return parse_date(text, examples=EXAMPLES)


def parse_later(text: str, now_us: int, zone: str = "UTC") -> int:
    """A moment to come, `90d` from now or a date; a time without a zone is of `zone`. Raises ValueError with a sentence."""
    word = text.strip()
    if _AGO.fullmatch(word):
        return now_us + parse_span(word)
    moment_us = parse_date(text, zone, LATER_EXAMPLES)
    if moment_us <= now_us:
        raise ValueError(f"{text!r} is past; write a moment to come, such as {LATER_EXAMPLES}")
    return moment_us


def parse_date(text: str, zone: str = "UTC", examples: str = "2026-11-01 or 2026-11-01T08:00") -> int:
    """A date or a time by itself; without a zone of its own it is of `zone`. Raises ValueError with a sentence."""
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no moment; write {examples}") from None
    return _us(moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone)))


def parse_span(text: str) -> int:
    """Microseconds of `24h`, `30m`, `7d`; `0` is none. Raises ValueError with a sentence."""
    word = text.strip()
    span = _AGO.fullmatch(word)
    if word == "0":
        return 0
    if span is None:
        raise ValueError(f"{text!r} is no span of time; write 30m, 24h or 7d")
    length = timedelta(**{_UNITS[span[2]]: int(span[1])})
    if length > LONGEST:
        raise ValueError(f"{text!r} is more than a hundred years")
    return length // timedelta(microseconds=1)


def parse_month(text: str, zone: str = "UTC") -> int:
    """The beginning of `2026-11`, in a time zone. Raises ValueError with a sentence."""
    try:
        first = datetime.strptime(text.strip(), "%Y-%m")
    except ValueError:
        raise ValueError(f"{text!r} is no month; write 2026-11") from None
    return _us(first.replace(tzinfo=ZoneInfo(zone)))


def parse_day(text: str) -> str:
    """A day, `2026-11-01`, as rates are kept by. Raises ValueError with a sentence."""
    try:
        return date.fromisoformat(text.strip()).isoformat()
    except ValueError:
        raise ValueError(f"{text!r} is no day; write 2026-11-01") from None


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
