"""What a limit, or an account's credit, has left: the counters that reservations are held against. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tokenweir.ledger.entries import Entry
from tokenweir.ledger.terms import Credit, Limit, Plan
from tokenweir.ledger.windows import NEVER_US, window_of

#: Windows of the rows that say what was drawn from an account's credit; "credit/ID" for each credit.
ALLOWANCE, OVERAGE, OWED = "allowance", "overage", "owed"


class Counted(NamedTuple):
    """What an entry added to a limit or a credit in one window, in its unit: a row of the table `spent`."""

    scope: str
    model: str
    unit: str
    window: str
    start_us: int
    amount: int  # less than nothing where a correction gives back


class Spent(msgspec.Struct, frozen=True):
    """What an entry used, and what its account pays for that: the charge where there is one, else the cost."""

    tokens: int
    pico: int
    currency: str
    covered: int = 0  # tokens of it that an allowance of tokens had room for
    tool_calls: int = 0

    @property
    def uncovered_pico(self) -> int:
        """What is to be paid beside an allowance of tokens."""
        return self.pico - self.pico * self.covered // self.tokens if self.covered else self.pico


NOTHING = Spent(0, 0, "")


def spent_by(entry: Entry, covered: int | None = None) -> Spent:
    """What an entry says; or, where `covered` is given, with that many of its tokens covered."""
    pico, currency = entry.pays
    covered = entry.covered_tokens if covered is None else covered
    return Spent(entry.usage.total, pico, currency, covered, entry.tool_calls)


class Window(msgspec.Struct):
    """What one limit holds in one window, in the limit's unit."""

    start_us: int
    end_us: int
    spent: int = 0
    reserved: int = 0


class Budget(msgspec.Struct):
    """A limit where it stands, and its latest window."""

    scope: str
    limit: Limit
    zone: str
    window: Window | None = None

    def at(self, at_us: int) -> Window:
        """The window that a call opened now belongs to; one that has turned is never opened again."""
        if self.window is None or at_us >= self.window.end_us:
            self.window = Window(*window_of(self.limit.window, self.zone, at_us))
        return self.window

    def of(self, opened_us: int) -> Window:
        """The window that a call opened then belongs to: one that has turned by now is no longer held here."""
        latest = self.at(opened_us)
        if opened_us >= latest.start_us:
            return latest
        return Window(*window_of(self.limit.window, self.zone, opened_us))

    def counted(self, window: Window, amount: int) -> Counted:
        """A row of what was spent."""
        return Counted(
            self.scope, self.limit.model, self.limit.unit, self.limit.window, window.start_us, amount
        )

    def amount_of(self, what: Spent) -> int:
        """How much of the limit that is, in its unit. Calls are counted at their end, not here."""
        if self.limit.window == "at once":
            return 0
        if self.limit.unit == "tokens":
            return what.tokens
        if self.limit.unit == "tool calls":
            return what.tool_calls
        return what.pico if self.limit.unit == what.currency else 0


class Lot(msgspec.Struct):
    """A part of a purse: a credit, or what a plan includes in one month."""

    window: str
    unit: str
    start_us: int
    amount: int
    valid_from_us: int = 0
    expires_us: int = NEVER_US
    spent: int = 0

    @property
    def room(self) -> int:
        """What has not been drawn."""
        return max(0, self.amount - self.spent)

    def left(self, at_us: int) -> int:
        """What a call opened at this moment may set aside."""
        return self.room if self.valid_from_us <= at_us < self.expires_us else 0

    def pays_for(self, opened_us: int) -> bool:
        """Whether a call opened then may draw on it. Credit that was added while the call was under way is as good."""
        begun = self.window != ALLOWANCE or self.valid_from_us <= opened_us
        return begun and opened_us < self.expires_us


class _Order(NamedTuple):
    """Lots of a unit in the order in which they are drawn from, for all calls opened in a span of one month."""

    from_us: int  # the span is known by it
    until_us: int
    month_us: int  # when that month began
    lots: list[Lot]


class Purse:
    """An account's credit and allowance. Drawn from in the order in which they expire; then on account, or as a debt.

    A call whose tokens fit into an allowance of tokens needs no money; one that does not fit as a whole sets aside money,
    and an allowance covers of it what no other call has set aside. Money that is set aside counts against the lots that its
    call may draw on, those first that expire first: so what is set against credit that has expired since is in nobody's way.
    """

    def __init__(self, account: str, zone: str) -> None:
        self.account, self.zone = account, zone
        self.currency = ""
        self.refuses = True  # beyond what it holds
        self.plan: Plan | None = None
        self._held: dict[int, int] = {}  # money set aside, by the span that its calls were opened in
        self._reserved_tokens: dict[int, int] = {}  # by the start of the month
        self._lots: dict[tuple[str, str, int], Lot] = {}  # by window, unit, start
        self._beyond: dict[tuple[str, int], int] = {}  # OVERAGE or OWED, start of the month -> pico
        self._elsewhere: dict[
            tuple[str, int], int
        ] = {}  # drawn in months of other time zones, by unit and start
        self._orders: dict[str, list[_Order]] = {}  # by unit: the spans that were asked for

    @property
    def scope(self) -> str:
        """What its rows are known by."""
        return f"account/{self.account}"

    # --- terms

    def set_credit(self, credit: Credit) -> None:
        """A top-up, or a new end of one."""
        window = f"credit/{credit.id}"
        lot = self._lots.setdefault(
            (window, credit.currency, 0), Lot(window, credit.currency, 0, credit.pico, credit.added_us)
        )
        lot.amount, lot.valid_from_us = credit.pico, credit.added_us
        lot.expires_us = NEVER_US if credit.expires_us is None else credit.expires_us
        self.currency = credit.currency
        self._orders.clear()

    def set_plan(self, plan: Plan | None) -> None:
        """What is included from the plan's first month on; months that have a lot keep what was drawn from it."""
        self.plan = plan
        self._orders.clear()
        if plan is not None and plan.allowance_unit:
            self.currency = plan.currency
        for lot in self._lots.values():
            if lot.window == ALLOWANCE:
                lot.amount = self._included(lot.start_us, lot.expires_us, lot.unit)

    def move(self, zone: str, at_us: int) -> Iterator[Counted]:
        """Months of another time zone: what has been drawn from this month's allowance stays drawn."""
        if zone == self.zone:
            return
        before = window_of("month", self.zone, at_us)[0]
        self.zone = zone
        self._orders.clear()
        after = window_of("month", zone, at_us)[0]
        months = [lot for lot in self._lots.values() if lot.window == ALLOWANCE]
        for lot in months:
            if window_of("month", zone, lot.start_us)[0] != lot.start_us:
                del self._lots[ALLOWANCE, lot.unit, lot.start_us]
        for lot in months:
            if lot.start_us == before != after:
                yield self._counted(lot, -lot.spent)
                drawn, lot.spent = lot.spent, 0
                moved = self._month_lot(lot.unit, after)
                moved.spent += drawn
                yield self._counted(moved, drawn)
        for lot in months:
            if (ALLOWANCE, lot.unit, lot.start_us) not in self._lots:
                self._elsewhere[lot.unit, lot.start_us] = lot.spent

    def load(self, unit: str, window: str, start_us: int, amount: int) -> None:
        """At the start: what has been drawn."""
        if window in (OVERAGE, OWED):
            self._beyond[window, start_us] = amount
        elif window == ALLOWANCE:
            if window_of("month", self.zone, start_us)[0] == start_us:
                self._month_lot(unit, start_us).spent = amount
            else:
                self._elsewhere[unit, start_us] = amount
        else:
            lot = self._lots.get((window, unit, start_us))
            if lot is not None:
                lot.spent = amount

    # --- what is left

    def left(self, unit: str, at_us: int) -> int:
        """Tokens, or pico of its currency, that a call opened now may set aside; less than nothing with debts."""
        if unit == "tokens":
            return self.included(at_us) - self.reserved_tokens(at_us)
        return self._free(at_us) - self._debts

    def balance_pico(self, at_us: int) -> int:
        """What is there, less debts, whoever has set it aside."""
        return sum(lot.room for lot in self._in_order(self.currency, at_us)) - self._debts

    def reserved_pico(self, at_us: int) -> int:
        """How much of that calls under way have set aside."""
        return self.balance_pico(at_us) - self.left(self.currency, at_us)

    @property
    def _debts(self) -> int:
        return sum(pico for (window, _), pico in self._beyond.items() if window == OWED)

    @property
    def is_held(self) -> bool:
        """Whether anything is set aside."""
        return any(self._held.values()) or any(self._reserved_tokens.values())

    def _free(self, at_us: int) -> int:
        """The most that a call opened now may set aside, so that nothing comes to be owed in whatever order calls end and
        however much of what they have set aside they use; less than nothing where it would be already.
        """
        now = self._order(self.currency, at_us)
        own = self._held.get(now.from_us, 0)
        spans = [from_us for from_us in sorted(self._held) if from_us != now.from_us]
        if not spans:
            return sum(lot.room for lot in now.lots) - own
        before = [(self._order(self.currency, span).lots, self._held[span]) for span in spans]
        room, owed = _drawn([*before, (now.lots, own)])
        free = sum(room.get(id(lot), lot.room) for lot in now.lots)

        def owed_at_most(more: int) -> int:
            """The earlier calls may end last: then what is their month's alone is all that is sure to be left to them."""
            return _drawn([(now.lots, own + more), *reversed(before)])[1]

        owed = max(owed, owed_at_most(0))
        low, high = 0, free
        while low < high:
            middle = high if high == free else (low + high + 1) // 2
            if owed_at_most(middle) > owed:
                high = middle - 1
            else:
                low = middle
        return low - owed

    def includes(self, tokens: int, at_us: int) -> bool:
        """Whether all that a call opened now may use fits into the allowance: then it sets aside tokens of that, and no money."""
        return self.left("tokens", at_us) >= tokens > 0

    def included(self, opened_us: int) -> int:
        """Tokens of the allowance of a month that nobody has drawn."""
        return sum(lot.left(opened_us) for lot in self._lots_at(opened_us) if lot.unit == "tokens")

    def reserved_tokens(self, at_us: int) -> int:
        """Of the month's allowance, what calls under way have set aside."""
        return self._reserved_tokens.get(self._month(at_us), 0)

    def hold(self, unit: str, amount: int, opened_us: int) -> None:
        """Set aside for a call opened then; less than nothing gives back."""
        if unit == "tokens":
            month = self._month(opened_us)
            self._reserved_tokens[month] = self._reserved_tokens.get(month, 0) + amount
        elif amount:
            span = self._order(self.currency, opened_us).from_us
            self._held[span] = self._held.get(span, 0) + amount
            if not self._held[span]:
                del self._held[span]

    def total(self, at_us: int) -> tuple[int, int]:
        """What was put in and is still good, and what of it is spent; pico."""
        lots = [
            lot
            for lot in self._lots_at(at_us)
            if lot.unit != "tokens" and lot.valid_from_us <= at_us < lot.expires_us
        ]
        return sum(lot.amount for lot in lots), sum(lot.spent for lot in lots)

    def lots(self, at_us: int) -> list[Lot]:
        """Every credit there ever was, and what was or is included, this month's among them."""
        return self._lots_at(at_us)

    def beyond(self, window: str) -> dict[int, int]:
        """What was drawn beyond all that: OVERAGE or OWED, pico by the start of the month."""
        return {start_us: pico for (name, start_us), pico in self._beyond.items() if name == window}

    # --- what is drawn

    def cover(self, tokens: int, opened_us: int, own: int = 0) -> int:
        """How many of these tokens the allowance has room for, beside what calls other than the `own` have set aside."""
        return max(0, min(tokens, self.left("tokens", opened_us) + own))

    def draw(self, before: Spent, after: Spent, opened_us: int) -> Iterator[Counted]:
        """Count what a call used, in place of what it had been counted at."""
        yield from self._move("tokens", after.covered - before.covered, opened_us)
        paid = after.uncovered_pico if after.currency == self.currency else 0
        paid -= before.uncovered_pico if before.currency == self.currency else 0
        yield from self._move(self.currency, paid, opened_us)

    def undo(self, row: Counted) -> None:
        """What `draw` counted could not be written."""
        if row.window in (OVERAGE, OWED):
            self._beyond[row.window, row.start_us] -= row.amount
        else:
            self._lots[row.window, row.unit, row.start_us].spent -= row.amount

    def _move(self, unit: str, amount: int, opened_us: int) -> Iterator[Counted]:
        if amount < 0:
            yield from self._give_back(unit, -amount, opened_us)
            return
        for lot in self._in_order(unit, opened_us):
            part = min(amount, lot.room)
            if part:
                lot.spent += part
                amount -= part
                yield self._counted(lot, part)
        if amount:
            yield self._go_beyond(unit, amount, opened_us)

    def _give_back(self, unit: str, amount: int, opened_us: int) -> Iterator[Counted]:
        start_us = self._month(opened_us)
        for window in (OWED, OVERAGE):
            part = min(amount, self._beyond.get((window, start_us), 0))
            if part and unit != "tokens":
                self._beyond[window, start_us] -= part
                amount -= part
                yield Counted(self.scope, "", unit, window, start_us, -part)
        for lot in reversed(self._in_order(unit, opened_us)):
            part = min(amount, lot.spent)
            if part:
                lot.spent -= part
                amount -= part
                yield self._counted(lot, -part)
        if amount and unit != "tokens":
            yield self._go_beyond(unit, -amount, opened_us)

    def _go_beyond(self, unit: str, amount: int, opened_us: int) -> Counted:
        start_us = self._order(unit, opened_us).month_us
        window = OWED if self.refuses else OVERAGE
        self._beyond[window, start_us] = self._beyond.get((window, start_us), 0) + amount
        return Counted(self.scope, "", unit, window, start_us, amount)

    def _counted(self, lot: Lot, amount: int) -> Counted:
        return Counted(self.scope, "", lot.unit, lot.window, lot.start_us, amount)

    def _in_order(self, unit: str, opened_us: int) -> list[Lot]:
        """Lots of a unit that a call opened then may draw on, first to expire first."""
        return self._order(unit, opened_us).lots

    def _order(self, unit: str, opened_us: int) -> _Order:
        for known in reversed(self._orders.get(unit, ())):
            if known.from_us <= opened_us < known.until_us:
                return known
        found = self._find_order(unit, opened_us)
        self._orders.setdefault(unit, []).append(found)
        return found

    def _find_order(self, unit: str, opened_us: int) -> _Order:
        """It stays the same until the month turns, or a lot begins or ends."""
        all_lots = self._lots_at(opened_us)
        month_us, end_us = window_of("month", self.zone, opened_us)
        edges = [edge for lot in all_lots for edge in (lot.valid_from_us, lot.expires_us)]
        from_us = max([month_us, *(edge for edge in edges if edge <= opened_us)])
        until_us = min([end_us, *(edge for edge in edges if edge > opened_us)])
        good = [lot for lot in all_lots if lot.unit == unit and lot.pays_for(opened_us)]
        return _Order(from_us, until_us, month_us, sorted(good, key=lambda lot: (lot.expires_us, lot.window)))

    def _lots_at(self, at_us: int) -> list[Lot]:
        plan = self.plan
        if plan is not None and plan.allowance_unit:
            self._month_lot(plan.allowance_unit, self._month(at_us))
        return list(self._lots.values())

    def _month(self, at_us: int) -> int:
        return window_of("month", self.zone, at_us)[0]

    def _month_lot(self, unit: str, start_us: int) -> Lot:
        known = self._lots.get((ALLOWANCE, unit, start_us))
        if known is None:
            end_us = window_of("month", self.zone, start_us)[1]
            included = self._included(start_us, end_us, unit)
            drawn = self._elsewhere.pop((unit, start_us), 0)  # the time zone has come back
            known = Lot(ALLOWANCE, unit, start_us, included, start_us, end_us, drawn)
            self._lots[ALLOWANCE, unit, start_us] = known
            self._orders.clear()
        return known

    def _included(self, start_us: int, end_us: int, unit: str) -> int:
        plan = self.plan
        if plan is None or plan.allowance_unit != unit or plan.from_us >= end_us:
            return 0
        return plan.allowance


def _drawn(wanted: list[tuple[list[Lot], int]]) -> tuple[dict[int, int], int]:
    """What is left of lots, by their identity, if these amounts were drawn one after the other, each from lots in their order;
    and how much would be owed.
    """
    room: dict[int, int] = {}
    owed = 0
    for lots, amount in wanted:
        for lot in lots:
            free = room.get(id(lot), lot.room)
            part = min(amount, free)
            room[id(lot)] = free - part
            amount -= part
        owed += amount
    return room, owed
