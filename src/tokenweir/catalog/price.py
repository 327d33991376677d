"""Prices: dated, per token class, per context bracket, per time of day, in their own currency.

All rates are integers of pico (10⁻¹² of the currency's unit) per token, so that a cost is a sum of products
of integers and is exact.
"""

import msgspec


class Rates(msgspec.Struct, frozen=True, omit_defaults=True, cache_hash=True):
    """Pico per token of each class. A class of None is priced as the class it specialises (see `of`)."""

    input: int
    output: int
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None


class Bracket(msgspec.Struct, frozen=True):
    """Rates for a whole call whose prompt has more than `above` tokens; not marginal, as Qwen prices (LiteLLM's price map)."""

    above: int
    rates: Rates


class DayWindow(msgspec.Struct, frozen=True):
    """A span of local time on certain weekdays with brackets of its own."""

    weekdays: tuple[int, ...]  # 0 is Monday, by the calendar of `time_zone`
    start_minute: int  # of the local day, inclusive
    end_minute: int  # exclusive; at most 1440
    brackets: tuple[Bracket, ...]


class Price(msgspec.Struct, frozen=True, omit_defaults=True, cache_hash=True):
    """What one deployment costs from `valid_from_us` on, until a later price of the same deployment.

    `ref` says where the price comes from. `brackets` is sorted by `above` and begins at 0. `windows` are
    tried in order before `brackets`, in `time_zone` (IANA name). A call is priced at the moment it was
    sent (`priced_at="start"`) or answered (`"end"`), as its vendor does.
    """

    ref: str
    currency: str
    brackets: tuple[Bracket, ...]
    valid_from_us: int = 0
    windows: tuple[DayWindow, ...] = ()
    time_zone: str = "UTC"
    priced_at: str = "start"


class AppliedPrice(msgspec.Struct, frozen=True, cache_hash=True):
    """The rates that one attempt was priced at: what a ledger entry refers to."""

    ref: str
    currency: str
    rates: Rates
    note: str = ""  # which bracket and window, in words


class SpreadCost(msgspec.Struct, frozen=True, cache_hash=True):
    """A cost that does not go by tokens, spread over the calls it was for: theirs add up to `total_pico`."""

    ref: str
    currency: str
    total_pico: int
    note: str = ""  # what it was for, and by what it was spread


def read_applied(content: bytes | str) -> AppliedPrice | SpreadCost:
    """What an entry's price refers to, from its JSON. Raises msgspec.MsgspecError."""
    found = msgspec.json.decode(content, type=_Either)
    if found.total_pico is not None:
        return SpreadCost(found.ref, found.currency, found.total_pico, found.note)
    if found.rates is None:
        raise msgspec.ValidationError("a price has rates, or a total that is spread")
    return AppliedPrice(found.ref, found.currency, found.rates, found.note)


class _Either(msgspec.Struct):
    ref: str
    currency: str
    rates: Rates | None = None
    total_pico: int | None = None
    note: str = ""
