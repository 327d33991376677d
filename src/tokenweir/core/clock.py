"""Time is passed in: a real clock at the edge, a fake one in tests."""

from typing import Protocol


class Clock(Protocol):
    """Two clocks: the calendar's, which may step, and a steady one, which never does."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC."""
        ...

    def steady_us(self) -> int:
        """Microseconds of a clock that never steps back; only differences mean anything."""
        ...


class FakeClock:
    """A clock that moves only when told to."""

    def __init__(self, now_us: int = 1_800_000_000_000_000) -> None:
        self._now_us = now_us
        self._steady_us = 0

    def now_us(self) -> int:
        return self._now_us

    def steady_us(self) -> int:
        return self._steady_us

    def advance(self, delta_us: int) -> None:
        """Move both clocks forward by `delta_us` (microseconds, not negative)."""
        if delta_us < 0:
            raise ValueError("time only advances; use step() to move the calendar back")
        self._now_us += delta_us
        self._steady_us += delta_us

    def step(self, delta_us: int) -> None:
        """Step the calendar clock alone, as a time server would."""
        self._now_us += delta_us
