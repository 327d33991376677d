"""The machine's clocks and random bytes: the one place where they enter."""

import os
import time


class SystemClock:
    """The real core.clock.Clock."""

    def now_us(self) -> int:
        """Microseconds since 1970-01-01 UTC, from the calendar clock."""
        return time.time_ns() // 1000

    def steady_us(self) -> int:
        """Microseconds of the monotonic clock."""
        return time.monotonic_ns() // 1000


def random_bytes(count: int) -> bytes:
    """`count` bytes from the operating system's generator, fit for secrets."""
    return os.urandom(count)
