"""When the windows of limits begin and end. Pure.

Minutes and hours are counted from 1970-01-01 UTC. Days and months are those of a time zone: a day lasts from midnight to
midnight on its clocks, also where daylight saving makes it 23 or 25 hours long. Where clocks skip midnight the day begins
at the first moment they show; where they show it twice, at the first.
"""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

#: Windows of a limit, shortest first. "at once" counts what is under way; "total" ends never.
WINDOWS = ("at once", "minute", "hour", "day", "month", "total")
#: Windows that turn soon: who is refused by one may wait for the next.
SHORT = frozenset({"at once", "minute", "hour"})
NEVER_US = 2**63 - 1
_STEP_US = {"minute": 60_000_000, "hour": 3_600_000_000}


def is_zone(name: str) -> bool:
    """Whether `name` is a time zone of the IANA database."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def window_of(window: str, zone: str, at_us: int) -> tuple[int, int]:
    """Start (included) and end (excluded) of the window that holds a moment, in µs since 1970-01-01 UTC."""
    if window in _STEP_US:
        start_us = at_us - at_us % _STEP_US[window]
        return start_us, start_us + _STEP_US[window]
    if window in ("total", "at once"):
        return 0, NEVER_US
    day = datetime.fromtimestamp(at_us // 1_000_000, UTC).astimezone(ZoneInfo(zone)).date()
    return _days(zone, day) if window == "day" else _months(zone, day.replace(day=1))


@lru_cache(maxsize=4096)
def _days(zone: str, day: date) -> tuple[int, int]:
    return _midnight_us(zone, day), _midnight_us(zone, day + timedelta(days=1))


@lru_cache(maxsize=4096)
def _months(zone: str, first: date) -> tuple[int, int]:
    return _midnight_us(zone, first), _midnight_us(zone, next_month(first))


def next_month(first: date) -> date:
    """The first day of the month after."""
    return (first.replace(day=28) + timedelta(days=4)).replace(day=1)


def _midnight_us(zone: str, day: date) -> int:
    # fold=0: of two midnights the first. One that is skipped is read with the offset before it: the moment of the jump.
    local = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
    return int(local.timestamp()) * 1_000_000
