"""What may be opened: limits, reservations and what has been spent. Pure; the writer alone holds one.

For every limit of a key and every window, `spent + reserved <= amount` holds at all times. A call belongs to the window
it was opened in: its reservation and its cost count there, also when it ends after the window has turned.
A calendar clock that steps back never re-opens a window that has turned.
"""

from datetime import UTC, datetime

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.ledger.messages import KeyRecord, Limit, LimitState, OpenCall, OpenResult

#: A call is refused rather than cut to fewer tokens of output than this (or than it asked for, if that is less).
LEAST_OUTPUT = 16

_COUNTED_UNITS = frozenset({"tokens", "calls"})
_NEVER_US = 2**63


def window_start_us(window: str, at_us: int) -> int:
    """When the window that holds `at_us` began; 0 for "total". Windows are UTC."""
    if window == "total":
        return 0
    moment = datetime.fromtimestamp(at_us // 1_000_000, UTC).replace(hour=0, minute=0, second=0)
    if window == "month":
        moment = moment.replace(day=1)
    return int(moment.timestamp()) * 1_000_000


def renews_at_us(window: str, start_us: int) -> int | None:
    """When the window that began at `start_us` ends; None: never."""
    if window == "total":
        return None
    start = datetime.fromtimestamp(start_us // 1_000_000, UTC)
    if window == "day":
        return start_us + 86_400_000_000
    following = start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
    return int(following.timestamp()) * 1_000_000


class Window(msgspec.Struct):
    """What one limit holds in one window, in the limit's unit."""

    start_us: int
    end_us: int
    spent: int = 0
    reserved: int = 0


class Share(msgspec.Struct, frozen=True):
    """What a call has set aside of one limit."""

    limit: Limit
    window: Window
    amount: int


class Spent(msgspec.Struct, frozen=True):
    """What an entry used, and what that cost."""

    usage: Usage
    cost_pico: int | None
    currency: str


class Open(msgspec.Struct):
    """A call under way."""

    key: str
    opened_us: int
    model: str
    account: str
    run: str
    dialect: str
    output_tokens: int
    shares: tuple[Share, ...] = ()


class LedgerState:
    """Keys, the windows of their limits, and the calls under way."""

    def __init__(self) -> None:
        self.keys: dict[str, KeyRecord] = {}
        self.open_calls: dict[bytes, Open] = {}
        self._windows: dict[tuple[str, str, str], Window] = {}

    def set_key(self, key: KeyRecord) -> None:
        """Add a key, or replace what is known of it."""
        self.keys[key.id] = key

    def load_spent(self, key: str, unit: str, window: str, start_us: int, amount: int) -> None:
        """At the start: what has been spent of a limit in its latest window."""
        known = self._windows.get((key, unit, window))
        if known is None or start_us >= known.start_us:
            end_us = renews_at_us(window, start_us) or _NEVER_US
            self._windows[key, unit, window] = Window(start_us, end_us, amount)

    def decide_open(self, asked: OpenCall) -> OpenResult:
        """Reserve for a call, or say why not. Asked again about an open call, it answers as it did."""
        known = self.open_calls.get(asked.call)
        if known is not None:
            return OpenResult(asked.seq, known.output_tokens)
        key = self.keys.get(asked.key)
        if key is None or key.revoked_us is not None:
            return OpenResult(asked.seq, 0, "key_revoked")
        granted = asked.output_tokens
        wanted: list[tuple[Limit, Window, int, int]] = []
        for limit in key.limits:
            refused = _cannot_bound(limit, asked)
            if refused:
                return OpenResult(asked.seq, 0, refused, self._state_of(key.id, limit, asked.at_us))
            window = self._window(key.id, limit, asked.at_us)
            fixed, per_token = _bound(limit, asked)
            granted = _fits(limit, window, fixed, per_token, granted)
            if granted < min(asked.output_tokens, LEAST_OUTPUT):
                return OpenResult(asked.seq, 0, "limit", self._state_of(key.id, limit, asked.at_us))
            wanted.append((limit, window, fixed, per_token))
        shares = tuple(Share(limit, window, fixed + each * granted) for limit, window, fixed, each in wanted)
        for share in shares:
            share.window.reserved += share.amount
        self.open_calls[asked.call] = Open(
            asked.key, asked.at_us, asked.model, asked.account, asked.run, asked.dialect, granted, shares
        )
        return OpenResult(asked.seq, granted)

    def restore(self, call: bytes, record: Open, tokens: int, currency: str, pico: int) -> None:
        """At the start: a call that was open when the writer ended, with what it had set aside.

        `tokens` is its bound of input and output; `pico` of `currency` its bound in money.
        """
        key = self.keys.get(record.key)
        shares = []
        for limit in key.limits if key is not None else ():
            window = self._window(record.key, limit, record.opened_us)
            amount = {"tokens": tokens, "calls": 1, currency: pico}.get(limit.unit, 0)
            window.reserved += amount
            shares.append(Share(limit, window, amount))
        record.shares = tuple(shares)
        self.open_calls[call] = record

    def reserved_money(self, call: bytes) -> tuple[str, int | None]:
        """What a call has set aside in money: currency and pico; ("", None) if it is not open or has no such limit."""
        record = self.open_calls.get(call)
        dearest: tuple[str, int | None] = ("", None)
        for share in record.shares if record is not None else ():
            if share.limit.unit not in _COUNTED_UNITS and (dearest[1] is None or share.amount > dearest[1]):
                dearest = (share.limit.unit, share.amount)
        return dearest

    def spend(self, call: bytes, what: Spent) -> tuple[tuple[Limit, int, int], ...]:
        """Count an entry of an open call: (limit, start of its window, amount) for each limit that it counts in."""
        record = self.open_calls.get(call)
        if record is None:
            return ()
        counted = []
        for share in record.shares:
            amount = _amount(share.limit, what)
            if amount:
                share.window.spent += amount
                counted.append((share.limit, share.window.start_us, amount))
        return tuple(counted)

    def close(self, call: bytes) -> tuple[tuple[Limit, int, int], ...]:
        """End a call: its reservation is free again, and it counts as a call where calls are limited."""
        record = self.open_calls.pop(call, None)
        if record is None:
            return ()
        counted = []
        for share in record.shares:
            share.window.reserved -= share.amount
            if share.limit.unit == "calls":
                share.window.spent += 1
                counted.append((share.limit, share.window.start_us, 1))
        return tuple(counted)

    def correct(
        self, key: str, opened_us: int, before: Spent | None, after: Spent
    ) -> tuple[tuple[Limit, int, int], ...]:
        """A call that has ended cost `after`, not `before`: what that adds to its limits, as `spend` says it.

        It counts in the window the call was opened in, also where that passes the limit: it has been used. Until
        the window turns nothing more is opened then.
        """
        known = self.keys.get(key)
        counted = []
        for limit in known.limits if known is not None else ():
            amount = _amount(limit, after) - (_amount(limit, before) if before is not None else 0)
            start_us = window_start_us(limit.window, opened_us)
            window = self._window(key, limit, opened_us)
            if amount and window.start_us == start_us:
                window.spent += amount
            if amount:
                counted.append((limit, start_us, amount))
        return tuple(counted)

    def unspend(self, key: str, limit: Limit, start_us: int, amount: int) -> None:
        """What `spend` or `close` counted could not be written."""
        window = self._windows.get((key, limit.unit, limit.window))
        if window is not None and window.start_us == start_us:
            window.spent -= amount

    def undo_open(self, call: bytes) -> None:
        """The open could not be written: as if it had never been asked for."""
        record = self.open_calls.pop(call, None)
        for share in record.shares if record is not None else ():
            share.window.reserved -= share.amount

    # --- one limit

    def _window(self, key: str, limit: Limit, at_us: int) -> Window:
        name = (key, limit.unit, limit.window)
        window = self._windows.get(name)
        if window is None or at_us >= window.end_us:
            start_us = window_start_us(limit.window, at_us)
            end_us = renews_at_us(limit.window, start_us) or _NEVER_US
            window = self._windows[name] = Window(start_us, end_us)
        return window

    def _state_of(self, key: str, limit: Limit, at_us: int) -> LimitState:
        window = self._window(key, limit, at_us)
        return LimitState(limit, window.spent, window.reserved, renews_at_us(limit.window, window.start_us))


def _amount(limit: Limit, what: Spent) -> int:
    """How much of a limit that is, in the limit's unit. Calls are counted at their end, not here."""
    if limit.unit == "tokens":
        return what.usage.total
    return (what.cost_pico or 0) if limit.unit == what.currency else 0


def _cannot_bound(limit: Limit, asked: OpenCall) -> str:
    """Why a limit in money cannot hold for this call: a price that is unknown or in another currency."""
    if limit.unit in _COUNTED_UNITS:
        return ""
    if asked.unpriced:
        return "unpriced"
    for bound in asked.bounds:
        if bound.currency != limit.unit and (bound.input_pico or bound.output_pico):
            return "currency"
    return ""


def _bound(limit: Limit, asked: OpenCall) -> tuple[int, int]:
    """What the call sets aside of a limit whatever it is granted, and what each token of output does."""
    if limit.unit == "calls":
        return 1, 0
    if limit.unit == "tokens":
        return asked.input_tokens, 1
    input_pico = output_pico = 0
    for bound in asked.bounds:
        if bound.currency == limit.unit:
            input_pico, output_pico = (
                max(input_pico, bound.input_pico),
                max(output_pico, bound.output_pico),
            )
    return input_pico, output_pico


def _fits(limit: Limit, window: Window, fixed: int, per_token: int, asked: int) -> int:
    """How many of the tokens of output asked for this limit has room for; -1 when not even the input fits."""
    left = limit.amount - window.spent - window.reserved - fixed
    if left < 0:
        return -1
    return asked if per_token == 0 else min(asked, left // per_token)
