"""Watches every decision of a writer and asserts the laws, with sums of its own that cost little to keep.

A limit is known here by what it ought to count: a plain number for each window, and one for what is set aside in it.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.ledger import terms as t
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.journal import Durable, Journal
from tokenweir.ledger.messages import MakeChanges, OpenCall, OpenResult
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.windows import window_of

LEAST = 16


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

    def restorer(self) -> Callable[[], None]:
        limit, in_force, spent, worst = self.limit, self.in_force, self.spent, self.worst

        def restore() -> None:
            self.limit, self.in_force, self.spent, self.worst = limit, in_force, spent, worst

        return restore


@dataclass
class Under:
    """A call under way: the caps it counts in, with the window it was opened in and what is set aside there."""

    caps: list[tuple[Cap, int]]
    reserves: dict[str, int]
    prepaid: bool


class Referee:
    """Caps are known by scope, model, unit and window, as the terms know limits; `prepaid`: the account with credit."""

    def __init__(
        self, caps: dict[tuple[str, str, str, str], Cap], prepaid: str, chains: dict[str, tuple[str, ...]]
    ) -> None:
        self.caps, self._prepaid, self._chains = caps, prepaid, chains
        self.credit = self.paid = self.held = 0
        self.now_us = 0
        self.under: dict[bytes, Under] = {}
        self.ended: dict[bytes, tuple[Under, int, int]] = {}  # interrupted calls: their caps, tokens and pico
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
        if entry.kind is Kind.ATTEMPT and entry.call in self.ended:
            self._correct(entry, self.ended[entry.call][0], 0, 0)
        elif entry.kind is Kind.ATTEMPT or entry.kind is Kind.SETTLED:
            under = self.under.get(entry.call)
            assert under is not None, f"{entry.kind} of a call that is not open"
            pico = entry.pays[0]
            self._spend(entry.call, under, entry.usage.total, pico)
            if entry.kind is Kind.SETTLED:
                self._end(entry, under, pico)
        elif entry.kind is Kind.LATE:
            self.seen["late"] += 1
            self._correct(entry, *self.ended[entry.call])
        elif entry.kind is Kind.CHECKPOINT and entry.also_reserved:
            under = self.under[entry.call]
            less = msgspec.json.decode(entry.also_reserved, type=dict[str, int])
            self._reserve_only(
                entry.call, under, {u: min(v, less.get(u, v)) for u, v in under.reserves.items()}
            )

    def changed(self, changes: tuple[t.Change, ...], now_us: int) -> None:
        self.now_us = max(self.now_us, now_us)
        for change in changes:
            if isinstance(change, t.SetLimit):
                cap = self.caps[change.scope, *change.limit.name]
                self._keep(b"", cap.restorer())
                if not cap.in_force and cap.limit.window == "total":
                    cap.spent = Counter()  # counts from now on
                cap.limit, cap.in_force, cap.worst = change.limit, True, Counter()
            elif isinstance(change, t.RemoveLimit):
                cap = self.caps[change.scope, change.model, change.unit, change.window]
                self._keep(b"", cap.restorer())
                cap.in_force = False
            elif isinstance(change, t.AddCredit):
                self._pay(b"", "credit", change.credit.pico)

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
        if self._prepaid in self._chains[op.account]:
            left = self.credit - self.paid - self.held - bound.input_pico
            granted = min(granted, left // bound.output_pico) if left >= 0 else -1
        return granted

    def _begin(self, op: OpenCall, granted: int) -> None:
        bound = op.bounds[0]
        pico = bound.input_pico + bound.output_pico * granted
        reserves = {"tokens": op.input_tokens + granted, "calls": 1, bound.currency: pico}
        caps = [(cap, cap.window(self.now_us)) for cap in self.above(op.key, op.account, op.run, op.model)]
        under = self.under[op.call] = Under(
            caps, dict.fromkeys(reserves, 0), self._prepaid in self._chains[op.account]
        )
        self._keep(op.call, lambda: self.under.pop(op.call))
        self._reserve_only(op.call, under, reserves)
        for cap, window in caps:
            if not cap.in_force:
                continue
            held = cap.spent[window] + cap.reserved[window]
            if cap.limit.mode == "hard":
                assert held <= cap.limit.amount, f"{cap.limit} is passed: {held}"
            else:
                cap.worst[window] = held
        assert not under.prepaid or self.paid + self.held <= self.credit, "credit is overdrawn"

    def _reserve_only(self, call: bytes, under: Under, reserves: dict[str, int]) -> None:
        before = under.reserves
        for cap, window in under.caps:
            unit = cap.limit.unit
            more = reserves.get(unit, 0) - before.get(unit, 0)
            if more:
                self._add(call, cap.reserved, window, more)
        if under.prepaid:
            self._pay(call, "held", reserves["CNY"] - before["CNY"])
        under.reserves = reserves
        self._keep(call, lambda: setattr(under, "reserves", before))

    def _spend(self, call: bytes, under: Under, tokens: int, pico: int) -> None:
        for cap, window in under.caps:
            self._add(call, cap.spent, window, _amount(cap, tokens, pico))
        if under.prepaid:
            self._pay(call, "paid", pico)
        used = {"tokens": tokens, "CNY": pico}
        self._reserve_only(
            call, under, {u: max(0, most - used.get(u, 0)) for u, most in under.reserves.items()}
        )

    def _end(self, entry: Entry, under: Under, pico: int) -> None:
        call = entry.call
        for cap, window in under.caps:
            if cap.limit.unit == "calls" and cap.limit.window != "at once":
                self._add(call, cap.spent, window, 1)
        self._reserve_only(call, under, dict.fromkeys(under.reserves, 0))
        del self.under[call]
        self._keep(call, lambda: self.under.setdefault(call, under))
        self.seen["settled"] += 1
        if entry.outcome == "interrupted":
            self.ended[call] = under, entry.usage.total, pico

    def _correct(self, entry: Entry, under: Under, tokens: int, pico: int) -> None:
        for cap, window in under.caps:
            self._add(
                entry.call, cap.spent, window, _amount(cap, entry.usage.total - tokens, entry.pays[0] - pico)
            )
            cap.worst.pop(window, None)
        if under.prepaid:
            self._pay(entry.call, "paid", entry.pays[0] - pico)

    def _add(self, call: bytes, counter: Counter[int], window: int, amount: int) -> None:
        counter[window] += amount
        self._undo.append((call, lambda: counter.update({window: -amount})))

    def _pay(self, call: bytes, what: str, amount: int) -> None:
        setattr(self, what, getattr(self, what) + amount)
        self._undo.append((call, lambda: setattr(self, what, getattr(self, what) - amount)))

    def _keep(self, call: bytes, undo: Callable[[], object]) -> None:
        self._undo.append((call, undo))

    def above(self, key: str, account: str, run: str, model: str) -> list[Cap]:
        who = (key, account, run, model)
        known = self._above.get(who)
        if known is None:
            scopes = {f"key/{key}", f"run/{run}", *(f"account/{a}" for a in self._chains[account])}
            known = self._above[who] = [
                cap
                for name, cap in self.caps.items()
                if name[0] in scopes and fnmatchcase(model, name[1] or "*")
            ]
        return known

    def nothing_is_left_open(self) -> None:
        assert not self.under
        assert not self.held
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
