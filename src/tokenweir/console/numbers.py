"""Numbers and moments as people read them. Pure. Money stays an integer to its last digit; rounding is half to even."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tokenweir.core.money import PICO, format_pico

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: The powers of ten that are named, largest first. Chinese counts by ten thousand.
_STEPS = {
    "en": ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K")),
    "zh": ((10**12, "万亿"), (10**8, "亿"), (10**4, "万")),
}
_LONG_NUMBER = re.compile(r"(?<![\w.,])\d{5,15}(?![\w.,])")
#: Digits of an amount below one that tell something.
_SIGNIFICANT = 3


class Format:
    """By the language and the time zone of who looks."""

    def __init__(self, language: str, zone: ZoneInfo) -> None:
        self.language = language
        self.zone = zone

    @property
    def steps(self) -> tuple[tuple[int, str], ...]:
        """The powers of ten that are named, for the axes of charts."""
        return _STEPS[self.language]

    def n(self, value: int | None) -> str:
        """With separators of thousands; a dash for what is not known."""
        return "–" if value is None else f"{value:,}"

    def compact(self, value: int | float | None) -> str:
        """`1.23 M`: three digits and a step."""
        if value is None:
            return "–"
        for size, name in _STEPS[self.language]:
            if abs(value) >= size:
                return f"{_three(value / size)} {name}"
        return f"{value:,}" if isinstance(value, int) else _three(value)

    def amount(self, pico: int) -> str:
        """At least two decimals; below one, three digits that are not zero: `1,234.50`, `0.00123`."""
        sign, magnitude = ("−", -pico) if pico < 0 else ("", pico)
        decimals = 2
        while decimals < 12 and 0 < magnitude < PICO // 10 ** (decimals - _SIGNIFICANT + 1):
            decimals += 1
        grain = 10 ** (12 - decimals)
        rounded, rest = divmod(magnitude, grain)
        rounded += rest * 2 > grain or (rest * 2 == grain and rounded % 2 == 1)
        whole, fraction = divmod(rounded, 10**decimals)
        return f"{sign}{whole:,}.{fraction:0{decimals}d}"

    def exact(self, pico: int) -> str:
        """Every digit."""
        whole, point, fraction = format_pico(pico).partition(".")
        return f"{int(whole):,}{point}{fraction}" if whole != "-0" else f"-0{point}{fraction}"

    def grouped(self, text: str) -> str:
        """A text whose whole numbers of five digits and more get their separators: `12,000,000 tokens/month`."""
        return _LONG_NUMBER.sub(lambda found: f"{int(found[0]):,}", text)

    def money(self, pico: int, currency: str) -> str:
        """An amount with its currency."""
        return f"{self.amount(pico)} {currency}"

    def ms(self, value: float | None) -> str:
        """`340 ms`, `1.25 s`, `3 min 20 s`."""
        if value is None:
            return "–"
        if value < 1_000:
            return f"{value:.0f} ms" if value >= 10 else f"{value:.1f} ms"
        if value < 60_000:
            return f"{value / 1_000:.2f} s"
        minutes, seconds = divmod(round(value / 1_000), 60)
        return f"{minutes} min {seconds} s"

    def share(self, value: float | None) -> str:
        """A part of the whole, in per cent."""
        return "–" if value is None else f"{value * 100:.1f} %"

    def local(self, at_us: int) -> datetime:
        """A moment in the zone of who looks."""
        return (_EPOCH + timedelta(microseconds=at_us)).astimezone(self.zone)

    def when(self, at_us: int | None) -> str:
        """To the second."""
        return "–" if at_us is None else self.local(at_us).strftime("%Y-%m-%d %H:%M:%S")

    def day(self, at_us: int | None) -> str:
        """The day alone."""
        return "–" if at_us is None else self.local(at_us).strftime("%Y-%m-%d")

    def iso(self, at_us: int) -> str:
        """For machines, with the zone's offset."""
        return self.local(at_us).isoformat(timespec="milliseconds")


def _three(value: float) -> str:
    digits = 2 if abs(value) < 10 else 1 if abs(value) < 100 else 0
    return f"{value:,.{digits}f}"
