"""What a limit will have been used of when its window ends, if use goes on as it has since the window began. Pure."""

from enum import StrEnum

import msgspec

from tokenweir.ledger.views.limits import LimitNow
from tokenweir.ledger.windows import NEVER_US, window_of

#: Of a window this part has to have passed before it says anything of the rest: 2.4 hours of a day, 3 days of a month.
LEAST_PART = 10


class Known(StrEnum):
    """Whether there is a forecast, and why not."""

    YES = "yes"
    TOO_EARLY = "too early"  # less than a tenth of the window has passed
    NO_END = "no end"  # of a total, or of what is counted at once
    TOO_SHORT = "too short"  # a minute or an hour is over before anybody has read it


class Forecast(msgspec.Struct, frozen=True):
    """`amount`, in the limit's unit, will have been used when the window ends: what was spent, times the window's length, by the part
    of it that has passed. `reached_us`: when the limit is reached at that rate, if before the window's end; also where it is already.
    """

    known: Known
    amount: int | None = None
    reached_us: int | None = None


def forecast(now: LimitNow, at_us: int) -> Forecast:
    """The straight line through the window's beginning and this moment, drawn on to the window's end."""
    if now.limit.window in ("minute", "hour"):
        return Forecast(Known.TOO_SHORT)
    start_us, end_us = window_of(now.limit.window, now.zone, at_us)
    if end_us == NEVER_US:
        return Forecast(Known.NO_END)
    passed_us, length_us = at_us - start_us, end_us - start_us
    if passed_us * LEAST_PART < length_us:
        return Forecast(Known.TOO_EARLY)
    return Forecast(
        Known.YES, now.spent * length_us // passed_us, _reached_us(now, start_us, end_us, passed_us)
    )


def _reached_us(now: LimitNow, start_us: int, end_us: int, passed_us: int) -> int | None:
    if now.spent >= now.limit.amount:
        return start_us + passed_us
    if not now.spent:
        return None
    reached_us = start_us - (-now.limit.amount * passed_us // now.spent)
    return reached_us if reached_us < end_us else None
