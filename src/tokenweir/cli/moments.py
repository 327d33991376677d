"""Moments as people write them: `24h`, `7d`, `today`, `2026-11-01`, `2026-11-01T08:00Z`."""

import re
from datetime import UTC, datetime, timedelta

_AGO = re.compile(r"(\d{1,6})\s*(m|min|h|d|w)")
_UNITS = {"m": "minutes", "min": "minutes", "h": "hours", "d": "days", "w": "weeks"}
EXAMPLES = "24h, 7d, today, 2026-11-01 or 2026-11-01T08:00"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def parse_moment(text: str, now_us: int) -> int:
    """Microseconds since 1970 UTC; a time without a zone is UTC. Raises ValueError with a sentence."""
    word = text.strip()
    now = _EPOCH + timedelta(microseconds=now_us)
    if word == "today":
        return _us(now.replace(hour=0, minute=0, second=0, microsecond=0))
    ago = _AGO.fullmatch(word)
    if ago:
        return max(0, _us(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})))
    try:
        moment = datetime.fromisoformat(word)
    except ValueError:
        raise ValueError(f"{text!r} is no moment; write {EXAMPLES}") from None
    return _us(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
