"""What stands whether it is used or not, laid on the calls that used it: exact to the pico. Pure."""

from array import array
from collections.abc import Iterator, Sequence

import msgspec

from tokenweir.billing.months import month_bounds
from tokenweir.ledger.entries import Entry
from tokenweir.ledger.terms import StandingCost

_HOUR_US = 3_600_000_000
#: Months of standing costs are those of UTC: they belong to an upstream, not to an account.
ZONE = "UTC"


class Period(msgspec.Struct, frozen=True):
    """What a standing cost comes to in the part of a month in which it is in force."""

    cost: StandingCost
    month: str
    start_us: int
    end_us: int
    total_pico: int

    def weight(self, entry: Entry) -> int:
        """What an attempt counts for: its tokens, or the microseconds that it took."""
        if not self.start_us <= entry.at_us < self.end_us:
            return 0
        return entry.usage.total if self.cost.spread_by == "tokens" else entry.duration_us or 0


def period_of(cost: StandingCost, month: str) -> Period | None:
    """A month that is covered in part costs that part, by time, rounded down to a pico. None: not in force in it."""
    first_us, last_us = month_bounds(month, ZONE)
    start_us = max(first_us, cost.from_us)
    end_us = last_us if cost.until_us is None else min(last_us, cost.until_us)
    if start_us >= end_us:
        return None
    whole_us = last_us - first_us if cost.per == "month" else _HOUR_US
    total = cost.pico * cost.units * (end_us - start_us) // whole_us
    return Period(cost, month, start_us, end_us, total)


def shares(total: int, weights: Sequence[int]) -> Iterator[int]:
    """`total` parted in proportion to weights, by largest remainder: whole numbers that add up to it.

    Of equal remainders the earlier ones are rounded up. Nothing is given where every weight is 0.
    """
    whole = sum(weights)
    if not whole:
        yield from (0 for _ in weights)
        return
    left = total - sum(total * weight // whole for weight in weights)
    remainders = array("Q", (total * weight % whole for weight in weights))
    least = sorted(remainders, reverse=True)[left - 1] if left else whole
    of_least = left - sum(remainder > least for remainder in remainders)
    for weight, remainder in zip(weights, remainders, strict=True):
        more = remainder > least
        if remainder == least and of_least:
            more, of_least = True, of_least - 1
        yield total * weight // whole + more
