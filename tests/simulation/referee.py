"""Watches every decision of a writer and asserts the laws, with sums of its own that cost little to keep.

A limit is known here by what it ought to count: a plain number for each window, and one for what is set aside in it. What each
call has used is kept too, for limits that begin in the middle of their window.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import accumulate

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.ledger import terms as t
from tokenweir.ledger.entries import ENDS, Entry, Kind
from tokenweir.ledger.journal import Durable, Journal
from tokenweir.ledger.messages import MakeChanges, OpenCall, OpenResult
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.windows import NEVER_US, window_of

LEAST = 16
_END = b""  # of the parts of a call, its last attempt


@dataclass
class Cap:
    """A limit and its counts by the start of their window. In force or not, it is counted."""

    limit: Limit
    zone: str
    in_force: bool = False
    spent: Counter[int] = field(default_factory=Counter)
    reserved: Counter[int] = field(default_factory=Counter)
    worst: Counter[int] = field(default_factory=Counter)  # what a soft limit may come to, once it is reached
    start_us: int = 0
    end_us: int = -1

    def window(self, at_us: int) -> int:
        if not self.start_us <= at_us < self.end_us:
            self.start_us, self.end_us = window_of(self.limit.window, self.zone, at_us)
        return self.start_us


@dataclass
class Lot:
    """A credit."""

    id: str
    amount: int
    expires_us: int
    spent: int = 0

    @property
    def room(self) -> int:
        return max(0, self.amount - self.spent)


@dataclass
class Past:
    """A call that was opened, and what it has used so far: tokens and pico of each attempt."""

    key: str
    account: str
    run: str
    model: str
    opened_us: int
    parts: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    ends: int = 0

    @property
    def who(self) -> tuple[str, str, str, str]:
        return self.key, self.account, self.run, self.model


@dataclass
class Under:
    """A call under way: the caps it counts in, with the window it was opened in and what is set aside there."""

    past: Past
    caps: list[tuple[Cap, int]]
    reserves: dict[str, int]
    prepaid: bool
    disturbed: bool = False  # credit was taken away, accounts moved, or an entry was corrected, since its money was set aside


class Referee:
    """Caps are known by scope, model, unit and window, as the terms know limits; `prepaid`: the account with credit, in UTC."""

    def __init__(
        self,
        caps: dict[tuple[str, str, str, str], Cap],
        prepaid: str,
        accounts: dict[str, tuple[str, str]],
        keys: dict[str, str],
    ) -> None:
        self.caps, self._prepaid, self._keys = caps, prepaid, keys
        self.accounts = dict(accounts)  # the account above, and the time zone
        self.lots: list[Lot] = []
        self.owed: Counter[int] = Counter()  # by month
        self.now_us = 0
        self.under: dict[bytes, Under] = {}
        self.past: dict[bytes, Past] = {}  # in the order in which they were opened
        self._above: dict[tuple[str, str, str, str], list[Cap]] = {}
        self.seen: Counter[str] = Counter()
        self._durable_us = 0
        self._undo: list[tuple[bytes, Callable[[], object]]] = []  # of what is not yet durable

    # --- what happens

    def decided(self, op: OpenCall, result: OpenResult) -> None:
        """The writer's answer to a call is the right one: as much as fits, and a refusal only where too little does."""
        self.now_us = max(self.now_us, op.at_us)
        self.seen["asked"] += 1
        most = self._most(op)
        least = min(op.output_tokens, LEAST)
        if result.refused:
            self.seen[f"refused {result.refused}"] += 1
            assert result.refused == "limit" and most < least, (result, most)
            return
        assert result.output_tokens == most >= least, (result, most)
        self.seen["opened"] += 1
        self.seen["cut"] += most < op.output_tokens
        self._begin(op, most)

    def entry(self, entry: Entry) -> None:
        """A line is about to be written."""
        call, under = entry.call, self.under.get(entry.call)
        if entry.kind is Kind.CHECKPOINT and entry.also_reserved:
            assert under is not None
            less = msgspec.json.decode(entry.also_reserved, type=dict[str, int])
            self._reserve_only(call, under, {u: min(v, less.get(u, v)) for u, v in under.reserves.items()})
        elif entry.kind is Kind.SETTLED or (entry.kind is Kind.ATTEMPT and under is not None):
            assert under is not None, f"{entry.kind} of a call that is not open"
            self._spend(entry, under)
        elif entry.kind in (Kind.ATTEMPT, Kind.LATE, Kind.REPRICED, Kind.REPRICED_ATTEMPT):
            self.seen[entry.kind.value] += 1
            self._correct(entry)

    def changed(self, changes: tuple[t.Change, ...], now_us: int) -> None:
        self._keep(b"", self._restorer())
        self.now_us = max(self.now_us, now_us)
        for change in changes:
            self._change(change)
            self._share_anew(disturbs=isinstance(change, t.SetAccount | t.EndCredit))

    def _change(self, change: t.Change) -> None:
        match change:
            case t.SetLimit(scope=scope, limit=limit):
                cap = self.caps[scope, *limit.name]
                cap.limit = limit
                if not cap.in_force:
                    cap.in_force = True
                    self._begin_window(cap)
            case t.RemoveLimit(scope=scope, model=model, unit=unit, window=window):
                self.caps[scope, model, unit, window].in_force = False
            case t.AddCredit(credit=credit):
                expires_us = NEVER_US if credit.expires_us is None else credit.expires_us
                self.lots.append(Lot(credit.id, credit.pico, expires_us))
            case t.EndCredit(id=id, at_us=at_us):
                next(lot for lot in self.lots if lot.id == id).expires_us = at_us
            case t.SetAccount(account=record):
                self.accounts[record.id] = record.parent, record.time_zone
                self._move_zones()
            case _:
                pass
        self.seen[type(change).__name__] += 1

    def _move_zones(self) -> None:
        self._above.clear()
        for (scope, *_), cap in self.caps.items():
            zone = self.zone(scope)
            if zone != cap.zone:
                cap.zone, cap.end_us = zone, -1
                if cap.limit.window in ("day", "month") and cap.in_force:
                    self._begin_window(cap)

    def _begin_window(self, cap: Cap) -> None:
        """A limit that is new counts what its window has seen: of calls that are now under it."""
        start_us = cap.window(self.now_us)
        cap.spent[start_us] = 0
        if cap.limit.window not in ("total", "at once"):
            for past in reversed(self.past.values()):
                if past.opened_us < start_us:
                    break
                if cap in self.above(*past.who):
                    cap.spent[start_us] += sum(_amount(cap, *part) for part in past.parts.values())
                    cap.spent[start_us] += past.ends if cap.limit.unit == "calls" else 0

    def _share_anew(self, *, disturbs: bool) -> None:
        """Calls under way count under the limits that they are under now, in the windows that they were opened in."""
        for cap in self.caps.values():
            cap.reserved.clear()
            cap.worst.clear()
        for under in self.under.values():
            under.caps = self._caps_of(under.past)
            under.prepaid = self._prepaid in self.chain(under.past.account)
            under.disturbed |= disturbs
            for cap, window in under.caps:
                cap.reserved[window] += under.reserves.get(cap.limit.unit, 0)

    def _caps_of(self, past: Past) -> list[tuple[Cap, int]]:
        return [
            (cap, window_of(cap.limit.window, cap.zone, past.opened_us)[0]) for cap in self.above(*past.who)
        ]

    def _restorer(self) -> Callable[[], None]:
        """Everything that a change may change, as it is now."""
        caps = [
            (cap, copy(cap), Counter(cap.spent), Counter(cap.reserved), Counter(cap.worst))
            for cap in self.caps.values()
        ]
        under = [(one, one.caps, one.prepaid, one.disturbed) for one in self.under.values()]
        accounts, lots = dict(self.accounts), [copy(lot) for lot in self.lots]

        def restore() -> None:
            for cap, kept, spent, reserved, worst in caps:
                cap.__dict__.update(kept.__dict__)
                for counter, counted in ((cap.spent, spent), (cap.reserved, reserved), (cap.worst, worst)):
                    counter.clear()
                    counter.update(counted)
            for one, its_caps, prepaid, disturbed in under:
                one.caps, one.prepaid, one.disturbed = its_caps, prepaid, disturbed
            self.accounts, self.lots = accounts, lots
            self._above.clear()

        return restore

    def durable(self) -> None:
        self._undo.clear()
        self._durable_us = self.now_us

    def lost(self, only: set[bytes] | None = None) -> None:
        """What was not durable is gone: all of it, or that of some calls."""
        kept = []
        for call, undo in reversed(self._undo):
            if only is None or call in only:
                undo()
            else:
                kept.append((call, undo))
        self._undo = kept[::-1]
        if only is None:
            self.now_us = self._durable_us

    # --- the laws

    def _most(self, op: OpenCall) -> int:
        granted = op.output_tokens
        bound = op.bounds[0]
        for cap in self.above(op.key, op.account, op.run, op.model):
            if not cap.in_force:
                continue
            limit, window = cap.limit, cap.window(self.now_us)
            spent, reserved = cap.spent[window], cap.reserved[window]
            if limit.mode == "soft":
                if spent >= limit.amount:
                    worst = cap.worst.get(window)
                    assert worst is None or spent + reserved <= worst, f"{limit} went on after it was reached"
                    return -1
                continue
            left = limit.amount - spent - reserved
            if limit.unit == "calls":
                granted = granted if left >= 1 else -1
            elif limit.unit == "tokens":
                granted = min(granted, left - op.input_tokens)
            elif left < bound.input_pico:
                return -1
            elif bound.output_pico:
                granted = min(granted, (left - bound.input_pico) // bound.output_pico)
        if self._prepaid in self.chain(op.account):
            left = self.left() - bound.input_pico
            granted = min(granted, left // bound.output_pico) if left >= 0 else -1
        return granted

    def left(self) -> int:
        """Of credit: what remains for a call of now once each call under way has all it may use, from what expires first."""
        paying = [
            under for under in self.under.values() if under.prepaid
        ]  # in the order in which they were opened
        opened_us = [under.past.opened_us for under in paying]
        wanted = [0, *accumulate([under.reserves["CNY"] for under in paying])]
        drawn = left = 0
        for lot in self._in_order(opened_us[0] if paying else self.now_us):
            # Those opened before it expires may draw on it, and have drawn on what expires sooner.
            part = min(lot.room, wanted[bisect_left(opened_us, lot.expires_us)] - drawn)
            drawn += part
            if self.now_us < lot.expires_us:
                left += lot.room - part
        return left - (wanted[-1] - drawn) - sum(self.owed.values())

    def _in_order(self, opened_us: int) -> list[Lot]:
        good = [lot for lot in self.lots if opened_us < lot.expires_us]
        return sorted(good, key=lambda lot: (lot.expires_us, lot.id))

    def _begin(self, op: OpenCall, granted: int) -> None:
        bound = op.bounds[0]
        pico = bound.input_pico + bound.output_pico * granted
        reserves = {"tokens": op.input_tokens + granted, "calls": 1, bound.currency: pico}
        past = self.past[op.call] = Past(op.key, op.account, op.run, op.model, self.now_us)
        under = self.under[op.call] = Under(
            past, self._caps_of(past), dict.fromkeys(reserves, 0), self._prepaid in self.chain(op.account)
        )
        self._keep(op.call, lambda: (self.under.pop(op.call), self.past.pop(op.call)))
        self._reserve_only(op.call, under, reserves)
        for cap, window in under.caps:
            if not cap.in_force:
                continue
            held = cap.spent[window] + cap.reserved[window]
            if cap.limit.mode == "hard":
                assert held <= cap.limit.amount, f"{cap.limit} is passed: {held}"
            else:
                cap.worst[window] = held
        assert not under.prepaid or self.left() >= 0, "credit is overdrawn"

    def _reserve_only(self, call: bytes, under: Under, reserves: dict[str, int]) -> None:
        before = under.reserves
        for cap, window in under.caps:
            unit = cap.limit.unit
            more = reserves.get(unit, 0) - before.get(unit, 0)
            if more:
                self._add(call, cap.reserved, window, more)
        under.reserves = reserves
        self._keep(call, lambda: setattr(under, "reserves", before))

    def _spend(self, entry: Entry, under: Under) -> None:
        call, past, tokens, pico = entry.call, under.past, entry.usage.total, entry.pays[0]
        ends = entry.kind is Kind.SETTLED
        self._note(entry, past)
        for cap, window in under.caps:
            one = ends and cap.limit.unit == "calls" and cap.limit.window != "at once"
            self._add(call, cap.spent, window, _amount(cap, tokens, pico) + one)
        if under.prepaid:
            owed = self._draw(call, past.opened_us, pico)
            assert not owed or under.disturbed, f"{owed} pico of credit are overdrawn"
        used = {"tokens": tokens, "CNY": pico}
        left = {u: 0 if ends else max(0, most - used.get(u, 0)) for u, most in under.reserves.items()}
        self._reserve_only(call, under, left)
        if ends:
            self.seen["settled"] += 1
            past.ends += 1
            del self.under[call]

            def undo() -> None:
                past.ends -= 1
                self.under[call] = under
                self.under = dict(sorted(self.under.items(), key=lambda one: one[1].past.opened_us))

            self._keep(call, undo)

    def _note(self, entry: Entry, past: Past) -> tuple[int, int]:
        """Keep what an attempt has used; what it had been known to use."""
        name = _END if entry.kind in ENDS else entry.attempt
        before = past.parts.get(name, (0, 0))
        past.parts[name] = entry.usage.total, entry.pays[0]
        self._keep(entry.call, lambda: past.parts.update({name: before}))
        return before

    def _correct(self, entry: Entry) -> None:
        past = self.past[entry.call]
        had_tokens, had_pico = self._note(entry, past)
        tokens, pico = entry.usage.total - had_tokens, entry.pays[0] - had_pico
        for cap, window in self._caps_of(past):
            self._add(entry.call, cap.spent, window, _amount(cap, tokens, pico))
            cap.worst.pop(window, None)
        if self._prepaid in self.chain(past.account):
            self._draw(entry.call, past.opened_us, pico)
            for under in self.under.values():
                under.disturbed = True

    def _draw(self, call: bytes, opened_us: int, amount: int) -> int:
        """Take from credit, first to expire first, or give back to it, last first; how much more is owed for it."""
        month, order = window_of("month", "UTC", opened_us)[0], self._in_order(opened_us)
        if amount >= 0:
            for lot in order:
                amount -= self._take(call, lot, min(amount, lot.room))
        else:
            paid = min(-amount, self.owed[month])
            self._add(call, self.owed, month, -paid)
            amount += paid
            for lot in reversed(order):
                amount -= self._take(call, lot, -min(-amount, lot.spent))
        self._add(call, self.owed, month, amount)
        return amount

    def _take(self, call: bytes, lot: Lot, amount: int) -> int:
        if amount:
            lot.spent += amount
            id = lot.id

            def undo() -> None:  # a change that was lost has put others in their places
                next(one for one in self.lots if one.id == id).spent -= amount

            self._keep(call, undo)
        return amount

    def _add(self, call: bytes, counter: Counter[int], window: int, amount: int) -> None:
        if amount:
            counter[window] += amount
            self._undo.append((call, lambda: counter.update({window: -amount})))

    def _keep(self, call: bytes, undo: Callable[[], object]) -> None:
        self._undo.append((call, undo))

    # --- who stands above whom

    def chain(self, account: str) -> tuple[str, ...]:
        above = [account]
        while self.accounts[above[-1]][0]:
            above.append(self.accounts[above[-1]][0])
        return tuple(above)

    def zone(self, scope: str) -> str:
        kind, _, id = scope.partition("/")
        account = {"account": id, "key": self._keys.get(id, "")}.get(kind, "")
        return (
            next((self.accounts[a][1] for a in self.chain(account) if self.accounts[a][1]), "UTC")
            if account
            else "UTC"
        )

    def above(self, key: str, account: str, run: str, model: str) -> list[Cap]:
        who = (key, account, run, model)
        known = self._above.get(who)
        if known is None:
            scopes = {f"key/{key}", f"run/{run}", *(f"account/{a}" for a in self.chain(account))}
            known = self._above[who] = [
                cap
                for name, cap in self.caps.items()
                if name[0] in scopes and fnmatchcase(model, name[1] or "*")
            ]
        return known

    def nothing_is_left_open(self) -> None:
        assert not self.under
        assert not any(any(cap.reserved.values()) for cap in self.caps.values())


def _amount(cap: Cap, tokens: int, pico: int) -> int:
    return {"tokens": tokens, "calls": 0}.get(cap.limit.unit, pico)


class WatchedJournal(Journal):
    """The real journal, each of whose decisions and lines the referee sees."""

    def watch(self, referee: Referee) -> "WatchedJournal":
        self.referee = referee
        self._seen = 0  # lines of this batch
        return self

    def apply(self, operation: Durable) -> OpenResult | str | None:
        known = isinstance(operation, OpenCall) and operation.call in self.state.open_calls
        result = super().apply(operation)
        if (
            isinstance(operation, OpenCall)
            and isinstance(result, OpenResult)
            and not known
            and result.refused != "ended"
        ):
            self.referee.decided(operation, result)
        elif isinstance(operation, MakeChanges) and not result:
            self.referee.changed(operation.changes, self._clock.now_us())
        self._look()
        return result

    def interrupt(self, calls: list[bytes]) -> None:
        super().interrupt(calls)
        self._look()

    def commit(self) -> None:
        undone = set(self._opened_now)
        try:
            super().commit()
        except LedgerError:
            self.referee.lost(undone)
            self._seen = len(self._batch.entries)
            raise
        self.referee.durable()
        self._seen = 0

    def _look(self) -> None:
        entries = self._batch.entries
        for entry in entries[self._seen :]:
            self.referee.entry(entry)
        self._seen = len(entries)
