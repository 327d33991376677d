"""The span that a page shows: whole days in the zone of who looks, or some hours up to now. Pure."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

#: `?range=`: hours up to now, or days up to the end of today.
RANGES = {"1h": 1, "24h": 24, "7d": 7, "30d": 30, "90d": 90, "365d": 365}
DEFAULT = "7d"
HOUR_US = 3_600_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Period(msgspec.Struct, frozen=True):
    """From `since_us` to before `until_us`. `range` is a word of RANGES, or "" where days were named."""

    range: str
    since_us: int
    until_us: int

    @property
    def before(self) -> "Period":
        """The span of the same length that ends where this one begins."""
        return Period("", 2 * self.since_us - self.until_us, self.since_us)


def unreadable(query: Mapping[str, str]) -> list[str]:
    """What of the query names a time and cannot be read, as it stands there: `from=2026-13-99`."""
    wrong = [
        name
        for name in ("from", "to", "against")
        if query.get(name) and day_of(query[name]) is None and _moment(query[name]) is None
    ]
    wrong += ["range"] if query.get("range") and query["range"] not in RANGES else []
    return [f"{name}={query[name]}" for name in wrong]


def period_of(query: Mapping[str, str], now_us: int, zone: ZoneInfo, default: str = DEFAULT) -> Period:
    """What `?range=7d`, or `?from=2026-11-01&to=2026-11-30` (both included), asks for; else the default.

    Links name moments too, with the zone's offset; then `to` is the first that is not included.
    """
    begin, end = (_moment(query.get(name, "")) for name in ("from", "to"))
    if begin is not None and end is not None and begin < end:
        return Period("", begin, end)
    return _days(query, now_us, zone, default)


def _days(query: Mapping[str, str], now_us: int, zone: ZoneInfo, default: str) -> Period:
    begin, end = day_of(query.get("from", "")), day_of(query.get("to", ""))
    today = (_EPOCH + timedelta(microseconds=now_us)).astimezone(zone).date()
    if begin is not None or end is not None:
        last = today if end is None else end
        first = last if begin is None else min(begin, last)
        return Period("", _midnight(first, zone), _midnight(last + timedelta(days=1), zone))
    name = query.get("range", default)
    name = name if name in RANGES else default
    if name.endswith("h"):
        return Period(name, now_us - RANGES[name] * HOUR_US, now_us + 1)
    since = _midnight(today - timedelta(days=RANGES[name] - 1), zone)
    return Period(name, since, _midnight(today + timedelta(days=1), zone))


def day_of(text: str) -> date | None:
    """A day that people wrote; None where it is none."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if 1971 <= found.year <= 9000 else None


def _moment(text: str) -> int | None:
    try:
        found = datetime.fromisoformat(text) if "T" in text else None
    except ValueError:
        return None
    if found is None or found.tzinfo is None or not 1971 <= found.year <= 9000:
        return None
    return (found - _EPOCH) // timedelta(microseconds=1)


def _midnight(day: date, zone: ZoneInfo) -> int:
    return (datetime.combine(day, time(), zone) - _EPOCH) // timedelta(microseconds=1)
