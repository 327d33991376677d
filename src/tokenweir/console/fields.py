"""What people write into forms, as the operations of the admin API take it. Pure."""

from collections.abc import Mapping
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

from tokenweir.core.money import parse_amount


def words_of(text: str) -> list[str]:
    """Words with spaces or commas between."""
    return text.replace(",", " ").split()


def lines_of(text: str) -> list[str]:
    """Lines that are not empty."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def moment_of(text: str, zone: ZoneInfo) -> str | None:
    """Midnight at the beginning of a day in a zone, as RFC 3339; None for nothing. A wrong one is left for the operation to refuse."""
    if not text:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone).isoformat()
    except ValueError:
        return text


def said(fields: Mapping[str, str], *names: str) -> dict[str, object]:
    """Those fields that are not empty."""
    return {name: fields[name] for name in names if fields.get(name)}


def pico_of(text: str) -> int:
    """An exact decimal as answers have it; with a sign where it is less than nothing."""
    return -parse_amount(text[1:]) if text.startswith("-") else parse_amount(text)
