"""Spans of time as people write them: `90s`, `30m`, `2h`."""

import re

_SHAPE = re.compile(r"(\d{1,6})\s*(s|m|min|h|d)")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400}
MOST_S = 30 * 86_400


def parse_duration(text: str) -> int:
    """Seconds. Raises ValueError with a sentence."""
    match = _SHAPE.fullmatch(text.strip())
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= MOST_S:
        raise ValueError(f"{text!r} is no span of time up to 30 days; write 90s, 30m or 2h")
    return seconds


def format_duration(duration_us: int) -> str:
    """Such as 25 ms, 4.2 s, 3 min 20 s or 2 h 5 min."""
    seconds = duration_us / 1e6
    if seconds < 1:
        return f"{duration_us / 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
