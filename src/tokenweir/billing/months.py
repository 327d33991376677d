"""Calendar months as invoices and standing costs go by them: `2026-11`, in a time zone."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from tokenweir.core.sentence import say
from tokenweir.ledger.windows import next_month, window_of

_MONTH = re.compile(r"(\d{4})-(\d\d)")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Months of invoices; what lies outside is a slip of the pen.
FIRST_YEAR, LAST_YEAR = 2000, 2199
FIRST_US = 946_857_600_000_000  # two days into it: in 2000 in every zone


def month_bounds(month: str, zone: str) -> tuple[int, int]:
    """First and last moment (excluded) of `2026-11` in a zone, in µs since 1970 UTC. Raises ValueError."""
    first = _first(month)
    inside = datetime(first.year, first.month, 15, tzinfo=UTC)  # the 15th in every zone
    return window_of("month", zone, (inside - _EPOCH) // timedelta(microseconds=1))


def month_at(at_us: int, zone: str) -> str:
    """The month that holds a moment, in a zone."""
    return (_EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(zone)).strftime("%Y-%m")


def months(first: str, last: str) -> Iterator[str]:
    """From one month to another, both included."""
    day, end = _first(first), _first(last)
    while day <= end:
        yield day.strftime("%Y-%m")
        day = next_month(day)


def last_day(month: str) -> str:
    """`2026-11-30`."""
    return (next_month(_first(month)) - timedelta(days=1)).isoformat()


def _first(month: str) -> date:
    match = _MONTH.fullmatch(month.strip())
    if not match or not 1 <= int(match[2]) <= 12 or not FIRST_YEAR <= int(match[1]) <= LAST_YEAR:
        raise ValueError(say("{month!r} is no month; write it as 2026-11", month=month))
    return date(int(match[1]), int(match[2]), 1)
