"""What limits and credit ought to do, written as plainly as possible: lists that are added up anew for every question.

Nothing here is shared with `ledger.laws` and `ledger.budgets` but the windows' borders, which have a test of their own.
"""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import permutations

from tokenweir.ledger.terms import Credit, Limit, Plan
from tokenweir.ledger.windows import NEVER_US, window_of

LEAST = 16
Name = tuple[str, str, str, str]  # scope, model, unit, window


@dataclass
class Account:
    parent: str = ""
    zone: str = ""
    beyond: str = "refuse"
    closed: bool = False


@dataclass
class Call:
    """A call under way or ended. `reserves`: the dearest it can still become."""

    key: str
    account: str
    run: str
    model: str
    opened_us: int
    reserves: dict[str, int]
    by_allowance: bool = False
    open: bool = True
    undisturbed: bool = True  # neither the terms of its purse were changed nor a correction drew on it


@dataclass
class Used:
    """Something was used by a call: which accounts were above it then, and how much it was."""

    call: Call
    chain: tuple[str, ...]
    tokens: int
    pico: int
    currency: str
    calls: int


@dataclass
class Cap:
    """A limit in force. It counts `base`, which it began with in the window from `base_us` on, and all events since."""

    limit: Limit
    since: int  # events before it was set do not count one by one
    base_us: int
    base: int


@dataclass
class Lot:
    name: str
    unit: str
    amount: int
    from_us: int
    until_us: int
    spent: int = 0


@dataclass
class Purse:
    lots: list[Lot] = field(default_factory=list)
    beyond: dict[tuple[str, int], int] = field(default_factory=dict)  # ("owed" or "overage", month) -> pico


@dataclass
class Asked:
    key: str
    account: str
    run: str
    model: str
    input_tokens: int
    output_tokens: int
    bounds: tuple[tuple[str, int, int], ...]  # currency, for the input, for each token of output
    unpriced: bool


class Model:
    def __init__(self) -> None:
        self.now_us = 0  # the ledger's time
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, str] = {}  # id -> account
        self.caps: dict[Name, Cap] = {}
        self.credits: dict[str, dict[str, Credit]] = {}
        self.plans: dict[str, Plan] = {}
        self.purses: dict[str, Purse] = {}
        self.calls: list[Call] = []
        self.events: list[Used] = []

    # --- who stands above whom

    def chain(self, account: str) -> tuple[str, ...]:
        above = [account]
        while self.accounts[above[-1]].parent:
            above.append(self.accounts[above[-1]].parent)
        return tuple(above)

    def zone(self, scope: str) -> str:
        kind, _, id = scope.partition("/")
        if kind == "run":
            return "UTC"
        account = self.keys[id] if kind == "key" else id
        return next((self.accounts[a].zone for a in self.chain(account) if self.accounts[a].zone), "UTC")

    def above(self, key: str, account: str, run: str, model: str) -> list[Name]:
        scopes = {f"key/{key}", f"run/{run}" if run else "", *(f"account/{a}" for a in self.chain(account))}
        return [name for name in self.caps if name[0] in scopes and fnmatchcase(model, name[1] or "*")]

    def is_above(self, name: Name, call: Call) -> bool:
        return name in self.above(call.key, call.account, call.run, call.model)

    # --- limits

    def window(self, name: Name) -> tuple[int, int]:
        return window_of(name[3], self.zone(name[0]), self.now_us)

    def spent(self, name: Name) -> int:
        start, end = self.window(name)
        cap = self.caps[name]
        amount = cap.base if cap.base_us == start else 0
        for used in self.events[cap.since :]:
            if start <= used.call.opened_us < end and self._counts(name, used, used.chain):
                amount += self._amount(name, used)
        return amount

    def reserved(self, name: Name) -> int:
        start, end = self.window(name)
        under = [c for c in self.calls if c.open and start <= c.opened_us < end and self.is_above(name, c)]
        return sum(call.reserves.get(name[2], 0) for call in under)

    def history(self, name: Name, since_us: int) -> int:
        """What calls opened since then have used, by the accounts as they stand now."""
        seen = 0
        for used in self.events:
            if used.call.opened_us >= since_us and self._counts(name, used, self.chain(used.call.account)):
                seen += self._amount(name, used)
        return seen

    def _counts(self, name: Name, used: Used, chain: tuple[str, ...]) -> bool:
        call = used.call
        scopes = {f"key/{call.key}", f"run/{call.run}", *(f"account/{a}" for a in chain)}
        return name[0] in scopes and fnmatchcase(call.model, name[1] or "*")

    def _amount(self, name: Name, used: Used) -> int:
        if name[3] == "at once":
            return 0
        by_unit = {"tokens": used.tokens, "calls": used.calls}
        return by_unit.get(name[2], used.pico if used.currency == name[2] else 0)

    def set_limit(self, scope: str, limit: Limit) -> None:
        name = (scope, *limit.name)
        if name in self.caps:
            self.caps[name].limit = limit
        else:
            self.begin(name, limit)

    def begin(self, name: Name, limit: Limit) -> None:
        start, _ = self.window(name)
        base = 0 if name[3] in ("total", "at once") else self.history(name, start)
        self.caps[name] = Cap(limit, len(self.events), start, base)

    # --- credit

    def purse_of(self, account: str) -> str | None:
        for name in self.chain(account):
            plan = self.plans.get(name)
            if name in self.credits or (plan is not None and plan.allowance_unit):
                return name
        return None

    def currency(self, account: str) -> str:
        plan = self.plans.get(account)
        codes = {c.currency for c in self.credits.get(account, {}).values()}
        if plan is not None and plan.allowance_unit:
            codes.add(plan.currency)
        return codes.pop() if codes else ""

    def month(self, account: str, at_us: int) -> tuple[int, int]:
        return window_of("month", self.zone(f"account/{account}"), at_us)

    def lots(self, account: str, at_us: int) -> list[Lot]:
        """All lots of a purse, with that of the month in question; amounts by the terms in force."""
        purse = self.purses.setdefault(account, Purse())
        plan = self.plans.get(account)
        start, end = self.month(account, at_us)
        if plan is not None and plan.allowance_unit:
            names = [(lot.unit, lot.from_us) for lot in purse.lots if lot.name == "month"]
            if (plan.allowance_unit, start) not in names:
                purse.lots.append(Lot("month", plan.allowance_unit, 0, start, end))
        for lot in purse.lots:
            if lot.name == "month":
                good = plan is not None and plan.allowance_unit == lot.unit and plan.from_us < lot.until_us
                lot.amount = plan.allowance if plan is not None and good else 0
            else:
                credit = self.credits[account][lot.name]
                lot.until_us = NEVER_US if credit.expires_us is None else credit.expires_us
        return purse.lots

    def under_way(self, account: str) -> list[Call]:
        return [c for c in self.calls if c.open and self.purse_of(c.account) == account]

    def left(self, account: str, unit: str, at_us: int) -> int:
        if unit == "tokens":
            month_us = self.month(account, at_us)[0]
            room = sum(max(0, lot.amount - lot.spent) for lot in self.usable(account, unit, at_us))
            held = [
                c
                for c in self.under_way(account)
                if c.by_allowance and self.month(account, c.opened_us)[0] == month_us
            ]
            return room - sum(c.reserves["tokens"] for c in held)
        owed = sum(pico for (kind, _), pico in self.purses[account].beyond.items() if kind == "owed")
        return self.free(account, unit, at_us) - owed

    def free(self, account: str, unit: str, at_us: int) -> int:
        """The most money that a call opened now may set aside: found by trying, with every order in which it and the calls under
        way may end. Calls that draw on the same lots are one; each uses all that it has set aside.
        """
        room: dict[str, int] = {}
        wanted: dict[tuple[str, ...], int] = {}

        def lots_of(opened_us: int) -> tuple[str, ...]:
            usable = self.usable(account, unit, opened_us)
            room.update({f"{lot.name} {lot.from_us}": max(0, lot.amount - lot.spent) for lot in usable})
            return tuple(f"{lot.name} {lot.from_us}" for lot in usable)

        for call in self.under_way(account):
            if not call.by_allowance:
                lots = lots_of(call.opened_us)
                wanted[lots] = wanted.get(lots, 0) + call.reserves.get(unit, 0)
        new = lots_of(at_us)
        orders = list(permutations({**wanted, new: 0} if any(wanted.values()) else (new,)))

        def owed(more: int) -> int:
            return max(
                self._owed(order, {**wanted, new: wanted.get(new, 0) + more}, room) for order in orders
            )

        base, low, high = owed(0), 0, sum(room.values())
        while low < high:
            middle = (low + high + 1) // 2
            if owed(middle) > base:
                high = middle - 1
            else:
                low = middle
        return low - base

    def _owed(
        self, order: tuple[tuple[str, ...], ...], wanted: dict[tuple[str, ...], int], room: dict[str, int]
    ) -> int:
        left, owed = dict(room), 0
        for lots in order:
            amount = wanted[lots]
            for lot in lots:
                part = min(amount, left[lot])
                left[lot], amount = left[lot] - part, amount - part
            owed += amount
        return owed

    def usable(self, account: str, unit: str, opened_us: int) -> list[Lot]:
        """What a call opened then may draw on, in the order in which it does."""
        usable = [
            lot
            for lot in self.lots(account, opened_us)
            if lot.unit == unit and opened_us < lot.until_us and (lot.name != "month" or lot.from_us <= opened_us)
        ]  # fmt: skip
        return sorted(usable, key=lambda lot: (lot.until_us, lot.name != "month", lot.name))

    def draw(self, account: str, unit: str, amount: int, opened_us: int) -> int:
        """Take from lots in the order in which they expire; what that leaves is owed. How much is owed more."""
        usable = self.usable(account, unit, opened_us)
        beyond, month = self.purses[account].beyond, self.month(account, opened_us)[0]
        if amount >= 0:
            for lot in usable:
                part = min(amount, max(0, lot.amount - lot.spent))
                lot.spent, amount = lot.spent + part, amount - part
        else:
            for kind in ("owed", "overage") if unit != "tokens" else ():
                part = min(-amount, beyond.get((kind, month), 0))
                if part > 0:
                    beyond[kind, month], amount = beyond[kind, month] - part, amount + part
            for lot in reversed(usable):
                part = min(-amount, lot.spent)
                lot.spent, amount = lot.spent - part, amount + part
        if amount and unit != "tokens":
            kind = "owed" if self.accounts[account].beyond == "refuse" else "overage"
            beyond[kind, month] = beyond.get((kind, month), 0) + amount
            return amount if kind == "owed" else 0
        return 0

    def move_months(self, before: dict[str, tuple[str, int]]) -> None:
        """Time zones have changed: what was drawn from this month's allowance is drawn from the new month's."""
        for account, (zone, start) in before.items():
            purse, after = self.purses[account], self.month(account, self.now_us)[0]
            if zone == self.zone(f"account/{account}"):
                continue
            old = [lot for lot in purse.lots if lot.name == "month" and lot.from_us == start != after]
            purse.lots = [
                lot
                for lot in purse.lots
                if lot.name != "month" or self.month(account, lot.from_us)[0] == lot.from_us
            ]
            for lot in old:
                moved = next(
                    (m for m in purse.lots if (m.name, m.unit, m.from_us) == ("month", lot.unit, after)), None
                )
                if moved is None:
                    moved = Lot("month", lot.unit, 0, *self.month(account, after))
                    purse.lots.append(moved)
                moved.spent, lot.spent = moved.spent + lot.spent, 0

    # --- calls

    def in_the_way(self, asked: Asked, output: int) -> list[int]:
        """Until when something refuses a call with that much output; 0 for what any call's end may end."""
        amounts = {"tokens": asked.input_tokens + output, "calls": 1}
        for currency, each_input, each_output in asked.bounds:
            amounts[currency] = max(amounts.get(currency, 0), each_input + each_output * output)
        stopped = []
        for name in self.above(asked.key, asked.account, asked.run, asked.model):
            limit = self.caps[name].limit
            if limit.mode == "soft":
                if self.spent(name) >= limit.amount:
                    stopped.append(0 if name[3] == "at once" else self.window(name)[1])
            elif self.spent(name) + self.reserved(name) + amounts.get(name[2], 0) > limit.amount:
                stopped.append(0 if name[3] == "at once" else self.window(name)[1])
        purse = self.purse_of(asked.account)
        if purse is not None and self.accounts[purse].beyond == "refuse":
            currency = self.currency(purse)
            known = not asked.unpriced and all(
                code == currency or not (i or o) for code, i, o in asked.bounds
            )
            by_tokens = amounts["tokens"] <= self.left(purse, "tokens", self.now_us)
            by_money = known and amounts.get(currency, 0) <= self.left(purse, currency, self.now_us)
            if not (by_tokens or by_money):
                stopped.append(NEVER_US)
        return stopped

    def cannot_hold(self, asked: Asked) -> bool:
        """A hard limit in money stands above, and the call's price is unknown or not in its currencies."""
        groups: dict[tuple[str, str], set[str]] = {}
        for name in self.above(asked.key, asked.account, asked.run, asked.model):
            if name[2] not in ("tokens", "calls") and self.caps[name].limit.mode == "hard":
                groups.setdefault(name[:2], set()).add(name[2])
        return any(
            asked.unpriced or any(code not in codes and (i or o) for code, i, o in asked.bounds)
            for codes in groups.values()
        )

    def most_output(self, asked: Asked) -> int:
        """The most output that fits, by halving; -1 where not even none does."""
        low, high = -1, asked.output_tokens
        while low < high:
            middle = (low + high + 1) // 2
            if self.in_the_way(asked, middle):
                high = middle - 1
            else:
                low = middle
        return low

    def open(self, asked: Asked, granted: int) -> Call:
        reserves = {"tokens": asked.input_tokens + granted, "calls": 1}
        for currency, each_input, each_output in asked.bounds:
            reserves[currency] = max(reserves.get(currency, 0), each_input + each_output * granted)
        call = Call(asked.key, asked.account, asked.run, asked.model, self.now_us, reserves)
        purse = self.purse_of(asked.account)
        if purse is not None:
            call.by_allowance = self.left(purse, "tokens", self.now_us) >= reserves["tokens"] > 0
        self.calls.append(call)
        return call

    def spend(self, call: Call, tokens: int, pico: int, currency: str) -> tuple[int, int]:
        """An attempt of an open call; tokens that an allowance covers, and what the purse is owed more than before."""
        self.events.append(Used(call, self.chain(call.account), tokens, pico, currency, 0))
        purse, covered, owed = self.purse_of(call.account), 0, 0
        if purse is not None:
            own = call.reserves["tokens"] if call.by_allowance else 0
            covered = max(0, min(tokens, self.left(purse, "tokens", call.opened_us) + own))
            self.draw(purse, "tokens", covered, call.opened_us)
            if currency == self.currency(purse):
                owed = self.draw(
                    purse, currency, pico - (pico * covered // tokens if covered else 0), call.opened_us
                )
        call.reserves["tokens"] = max(0, call.reserves["tokens"] - tokens)
        if currency in call.reserves:
            call.reserves[currency] = max(0, call.reserves[currency] - pico)
        return covered, owed

    def close(self, call: Call) -> None:
        call.open = False
        self.events.append(Used(call, self.chain(call.account), 0, 0, "", 1))

    def correct(self, call: Call, before: tuple[int, int, str, int], after: tuple[int, int, str]) -> int:
        """A call that has ended used `after` and not `before` (tokens, pico, currency, covered); tokens covered."""
        tokens, pico, currency, had = before
        for sign, (t, p, c) in ((-1, (tokens, pico, currency)), (1, after)):
            self.events.append(Used(call, self.chain(call.account), sign * t, sign * p, c, 0))
        purse = self.purse_of(call.account)
        if purse is None:
            return 0
        more = max(0, after[0] - tokens)
        covered = min(after[0], had + max(0, min(more, self.left(purse, "tokens", call.opened_us))))
        self.draw(purse, "tokens", covered - had, call.opened_us)
        mine, paid = self.currency(purse), 0
        for sign, (t, p, c), part in ((1, after, covered), (-1, (tokens, pico, currency), had)):
            if c == mine:
                paid += sign * (p - (p * part // t if part else 0))
        self.draw(purse, mine, paid, call.opened_us)
        return covered
