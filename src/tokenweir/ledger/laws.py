"""What may be opened: every limit above a call, its account's credit, and what is set aside. Pure; the writer alone holds one.

For every hard limit and every window, `spent + reserved <= amount` holds at all times, and no purse that refuses is
overdrawn. A call belongs to the windows it was opened in: its reservation and its cost count there, also when it ends after a window
has turned. The ledger's time never steps back, whatever the calendar's clock does, so no window is opened again.
"""

from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from typing import NamedTuple

import msgspec

from tokenweir.ledger import terms as t
from tokenweir.ledger.budgets import NOTHING, Budget, Counted, Purse, Spent, Window
from tokenweir.ledger.messages import LimitState, OpenCall, OpenResult
from tokenweir.ledger.room import LEAST_OUTPUT, cannot_bound, room_in, room_in_purse, state_of, state_of_purse
from tokenweir.ledger.terms import COUNTED_UNITS, Change, Limit, Terms
from tokenweir.ledger.under_way import Open, Share, give_back, opened, set_aside_only
from tokenweir.ledger.windows import NEVER_US, WINDOWS, window_of

_CONCERN_CALLS = (t.SetLimit, t.RemoveLimit, t.AddCredit, t.EndCredit, t.SetPlan, t.SetAccount)
#: Combinations of key, account, model and run whose limits are remembered.
MOST_STANDINGS = 65_536

#: What has been counted for a scope and a limit by calls opened from a moment on: read from the entries.
History = Callable[[str, Limit, int], int]


class Standing(NamedTuple):
    """Every limit above the calls of one key for one model, and whose credit they draw on."""

    budgets: tuple[Budget, ...]
    #: For each scope that limits money, hard: the currencies it limits, and one of its limits to tell of.
    money: tuple[tuple[frozenset[str], Budget], ...]
    purse: Purse | None
    closed: bool
    #: Hard limits on tool calls, of which it is known only at the end of a call how many it asks for.
    tools: tuple[Budget, ...]


class LedgerState:
    """The terms, the windows of their limits, and the calls under way."""

    def __init__(self, terms: Terms | None = None) -> None:
        self.terms = Terms() if terms is None else terms
        self.latest_us = (
            0  # the ledger's time: of the latest call that was opened or refused, or change of terms
        )
        self.open_calls: dict[bytes, Open] = {}
        self.budgets: dict[tuple[str, str, str, str], Budget] = {}
        self._purses: dict[str, Purse] = {}
        self._standings: dict[tuple[str, str, str, str], Standing] = {}
        for account in (*self.terms.credits, *self.terms.plans):
            self._refresh_purse(account)
        for scope, limits in self.terms.limits.items():
            for limit in limits.values():
                self._budget(scope, limit)

    # --- calls

    def decide_open(self, asked: OpenCall) -> OpenResult:
        """Reserve for a call, or say why not. Asked again about an open call, it answers as it did."""
        known = self.open_calls.get(asked.call)
        if known is not None:
            return OpenResult(asked.seq, known.output_tokens, limited=known.is_limited)
        if asked.at_us < self.latest_us:
            asked = msgspec.structs.replace(asked, at_us=self.latest_us)
        self.latest_us = asked.at_us
        key = self.terms.keys.get(asked.key)
        if key is None or not key.is_live(asked.at_us):
            return OpenResult(asked.seq, 0, "key_revoked")
        standing = self.standing(asked.key, asked.account, asked.model, asked.run)
        if standing.closed:
            return OpenResult(asked.seq, 0, "account_closed")
        granted, refused, told = self._grant(standing, asked)
        if refused:
            return OpenResult(asked.seq, 0, refused, told)
        record = opened(asked, granted)
        if standing.purse is not None:
            record.by_allowance = standing.purse.includes(record.reserves["tokens"], asked.at_us)
        self._begin(asked.call, record, standing)
        tools_left = min((b.limit.amount - b.at(asked.at_us).spent for b in standing.tools), default=None)
        return OpenResult(asked.seq, granted, limited=record.is_limited, tools_left=tools_left)

    def restore(self, call: bytes, record: Open) -> None:
        """At the start: a call that was opened, perhaps in windows that have turned, with what it had set aside."""
        standing = self.standing(record.key, record.account, record.model, record.run)
        self._begin(call, record, standing, Budget.of)

    def replay(self, call: bytes, record: Open) -> None:
        """An opening of the past, in its turn."""
        self.latest_us = max(self.latest_us, record.opened_us)
        self._begin(call, record, self.standing(record.key, record.account, record.model, record.run))

    def spend(
        self, call: bytes, what: Spent, covered: int | None = None, *, closes: bool = False
    ) -> tuple[int, list[Counted]]:
        """Count an attempt of an open call: the tokens that an allowance covers, and rows of what was counted.

        What it used is set aside no longer: the attempts of a call share what was set aside for it. `covered`: in a
        replay, what the entry says. `closes`: `close` follows, and gives back all of it.
        """
        record = self.open_calls.get(call)
        if record is None:
            return 0, []
        rows = []
        for share in record.shares:
            amount = share.budget.amount_of(what)
            if amount:
                share.window.spent += amount
                rows.append(share.budget.counted(share.window, amount))
        purse = record.purse
        if purse is not None:
            if covered is None:
                covered = self.covered(call, what.tokens)
            rows += purse.draw(NOTHING, _covered(what, covered), record.opened_us)
        if not closes:
            self.used(call, what)
        return covered or 0, rows

    def covered(self, call: bytes, tokens: int) -> int:
        """Of tokens that an attempt of an open call used, those that an allowance covers now."""
        record = self.open_calls.get(call)
        if record is None or record.purse is None:
            return 0
        return record.purse.cover(tokens, record.opened_us, record.held if record.by_allowance else 0)

    def used(self, call: bytes, what: Spent) -> None:
        """An attempt of an open call has used this much of what was set aside for it."""
        record = self.open_calls.get(call)
        if record is not None:
            used = {"tokens": what.tokens, what.currency: what.pico}
            left = {unit: max(0, most - used.get(unit, 0)) for unit, most in record.reserves.items()}
            set_aside_only(record, left)

    def close(self, call: bytes) -> list[Counted]:
        """End a call: its reservation is free again, and it counts as a call where calls are limited."""
        record = self.open_calls.pop(call, None)
        if record is None:
            return []
        rows = []
        for share in record.shares:
            share.window.reserved -= share.amount
            limit = share.budget.limit
            if limit.unit == "calls" and limit.window != "at once":
                share.window.spent += 1
                rows.append(share.budget.counted(share.window, 1))
        give_back(record)
        return rows

    def shrink(self, call: bytes, reserves: dict[str, int]) -> None:
        """An open call can cost no more than this any longer: what it had set aside beyond that is free."""
        record = self.open_calls.get(call)
        if record is None:
            return
        less = {unit: min(most, reserves.get(unit, most)) for unit, most in record.reserves.items()}
        set_aside_only(record, less)

    def correct(
        self,
        who: tuple[str, str, str, str],
        opened_us: int,
        before: Spent,
        after: Spent,
        covered: int | None = None,
    ) -> tuple[int, list[Counted]]:
        """A call that has ended used `after`, not `before`: the tokens covered, and what that adds to limits, as `spend` says.

        `who`: key, account, model, run. It counts in the windows the call was opened in, also where that passes a limit:
        it has been used. Until the window turns nothing more is opened then.
        """
        standing = self.standing(*who)
        rows = []
        for budget in standing.budgets:
            amount = budget.amount_of(after) - budget.amount_of(before)
            if amount:
                rows.append(_correct(budget, opened_us, amount))
        purse = standing.purse
        if purse is None:
            return 0, rows
        if covered is None:
            covered = self.covered_anew(who, opened_us, before, after)
        rows += purse.draw(before, _covered(after, covered), opened_us)
        return covered, rows

    def covered_anew(
        self, who: tuple[str, str, str, str], opened_us: int, before: Spent, after: Spent
    ) -> int:
        """Of the tokens of a correction, those that an allowance covers: what it covered before, and what it has room for now."""
        purse = self.standing(*who).purse
        if purse is None:
            return 0
        more = max(0, after.tokens - before.tokens)
        return min(after.tokens, before.covered + purse.cover(more, opened_us))

    def undo(self, rows: list[Counted]) -> None:
        """What was counted could not be written."""
        for row in rows:
            purse = self._purses.get(row.scope.removeprefix("account/"))
            budget = self.budgets.get((row.scope, row.model, row.unit, row.window))
            if budget is not None:
                if budget.window is not None and budget.window.start_us == row.start_us:
                    budget.window.spent -= row.amount
            elif purse is not None:
                purse.undo(row)

    def undo_open(self, call: bytes) -> None:
        """The open could not be written: as if it had never been asked for."""
        record = self.open_calls.pop(call, None)
        if record is not None:
            for share in record.shares:
                share.window.reserved -= share.amount
            give_back(record)

    # --- terms

    def load_spent(self, row: Counted) -> None:
        """At the start: what has been counted. Rows come in any order; a limit keeps that of its latest window."""
        if row.window in WINDOWS:
            budget = self._budget(row.scope, Limit(row.unit, 0, row.window, model=row.model))
            own_us, _ = window_of(row.window, budget.zone, row.start_us)
            newer = budget.window is None or row.start_us > budget.window.start_us
            if newer and own_us == row.start_us:  # else it is of a time zone before
                budget.at(row.start_us).spent = row.amount
        else:
            account = row.scope.removeprefix("account/")
            self._purse(account).load(row.unit, row.window, row.start_us, row.amount)

    def change(self, change: Change, at_us: int, history: History) -> list[Counted]:
        """Take in a change of terms that has been checked; rows of what new limits begin with.

        A limit set in the middle of its window counts what the window has seen, and what is under way.
        """
        at_us = self.latest_us = max(self.latest_us, at_us)
        under_way = self.open_calls.values() if self._concerns_calls(change) else ()
        for record in under_way:
            give_back(record)
        before = dict(self.terms.limits.get(change.scope, {})) if isinstance(change, t.SetLimit) else {}
        self.terms.apply(change)
        self._standings.clear()
        rows: list[Counted] = []
        match change:
            case t.SetLimit(scope=scope, limit=limit):
                budget = self._budget(scope, limit)
                budget.limit = limit
                if limit.name not in before:
                    rows += self._begin_window(budget, at_us, history)
            case t.AddCredit(credit=credit):
                self._refresh_purse(credit.account)
            case t.EndCredit(account=account) | t.SetPlan(account=account):
                self._refresh_purse(account)
            case t.SetAccount(account=account):
                if account.id in self._purses:
                    self._refresh_purse(account.id)
                rows += self._move_zones(at_us, history)
            case t.SetKey():
                rows += self._move_zones(at_us, history)
            case _:
                pass
        for record in under_way:
            self._share_anew(record)
        return rows

    def _concerns_calls(self, change: Change) -> bool:
        """Whether what calls under way have set aside depends on it."""
        if isinstance(change, t.SetKey):
            known = self.terms.keys.get(change.key.id)
            return known is not None and known.account != change.key.account
        return isinstance(change, _CONCERN_CALLS)

    def turn(self, who: tuple[str, str, str, str], at_us: int) -> None:
        """Time has come to a moment, as a call that was refused has shown: windows that ended before have turned."""
        self.latest_us = max(self.latest_us, at_us)
        for budget in self.standing(*who).budgets:
            budget.at(at_us)

    def reserved(self, scope: str, limit: Limit, at_us: int) -> tuple[int, int]:
        """What is spent and set aside of a limit, in the window of a moment."""
        window = self._budget(scope, limit).at(at_us)
        return window.spent, window.reserved

    def purses(self) -> tuple[Purse, ...]:
        """Of every account that has credit or a plan, or had one."""
        return tuple(self._purses.values())

    # --- one call

    def _grant(self, standing: Standing, asked: OpenCall) -> tuple[int, str, LimitState | None]:
        """How much output fits under every limit; else the refusal that lasts longest."""
        granted, least = asked.output_tokens, min(asked.output_tokens, LEAST_OUTPUT)
        for currencies, budget in standing.money:
            refused = cannot_bound(asked, currencies)
            if refused:
                return 0, refused, state_of(budget, asked.at_us)
        stopped: list[LimitState] = []
        for budget in standing.budgets:
            room = room_in(budget, asked, granted)
            if room < least:
                stopped.append(state_of(budget, asked.at_us))
            else:
                granted = room
        if standing.purse is not None and standing.purse.refuses:
            room, refused = room_in_purse(standing.purse, asked, granted)
            if refused:
                return 0, refused, state_of_purse(standing.purse, asked.at_us)
            if room < least:
                stopped.append(state_of_purse(standing.purse, asked.at_us))
            else:
                granted = room
        if stopped:
            return 0, "limit", max(stopped, key=_lasts)
        return granted, "", None

    def _begin(
        self,
        call: bytes,
        record: Open,
        standing: Standing,
        belongs_to: Callable[[Budget, int], Window] = Budget.at,
    ) -> None:
        if standing.budgets or standing.purse is not None:
            record.shares = [
                Share(budget, belongs_to(budget, record.opened_us), record.reserves.get(budget.limit.unit, 0))
                for budget in standing.budgets
            ]
            for share in record.shares:
                share.window.reserved += share.amount
            self._draw_on(record, standing.purse)
        self.open_calls[call] = record

    def _share_anew(self, record: Open) -> None:
        """Terms have changed: count the call under the limits it is under now. None is cut short for it."""
        for held in record.shares:
            held.window.reserved -= held.amount
        standing = self.standing(record.key, record.account, record.model, record.run)
        kept = {id(share.budget): share for share in record.shares}
        record.shares = []
        for budget in standing.budgets:
            latest = budget.of(record.opened_us)
            share: Share | None = kept.get(id(budget))
            if share is None or (share.window is not latest and share.window.end_us > latest.start_us):
                # New to the call; or of a day or month of another time zone.
                share = Share(budget, latest, record.reserves.get(budget.limit.unit, 0))
            share.window.reserved += share.amount
            record.shares.append(share)
        self._draw_on(record, standing.purse)

    def _draw_on(self, record: Open, purse: Purse | None) -> None:
        record.purse = purse
        if purse is not None:
            unit = record.unit_of(purse)
            record.held = record.reserves.get(unit, 0)
            purse.hold(unit, record.held, record.opened_us)

    # --- what stands above a call

    def standing(self, key: str, account: str, model: str, run: str) -> Standing:
        """Every limit above the calls of a key, in the order in which they are asked: the key's, the run's, the accounts'."""
        name = (key, account, model, run)
        known = self._standings.get(name)
        if known is None:
            if len(self._standings) >= MOST_STANDINGS:
                self._standings.clear()
            known = self._standings[name] = self._find_standing(*name)
        return known

    def _find_standing(self, key: str, account: str, model: str, run: str) -> Standing:
        scopes = [
            f"key/{key}",
            *([f"run/{run}"] if run else []),
            *(f"account/{a}" for a in self.terms.chain(account)),
        ]
        budgets = [
            self._budget(scope, limit)
            for scope in scopes
            for limit in self.terms.limits.get(scope, {}).values()
            if not limit.model or fnmatchcase(model, limit.model)
        ]
        money: dict[tuple[str, str], list[Budget]] = {}
        for budget in budgets:
            if budget.limit.unit not in COUNTED_UNITS and budget.limit.mode == "hard":
                money.setdefault((budget.scope, budget.limit.model), []).append(budget)
        purse = self.terms.purse_of(account)
        return Standing(
            tuple(budgets),
            tuple((frozenset(b.limit.unit for b in group), group[0]) for group in money.values()),
            None if purse is None else self._purse(purse),
            self.terms.is_closed(account),
            tuple(b for b in budgets if b.limit.unit == "tool calls" and b.limit.mode == "hard"),
        )

    def _budget(self, scope: str, limit: Limit) -> Budget:
        name = (scope, *limit.name)
        known = self.budgets.get(name)
        if known is None:
            known = self.budgets[name] = Budget(scope, limit, self._zone(scope))
        return known

    def _zone(self, scope: str) -> str:
        kind, _, id = scope.partition("/")
        if kind == "account":
            return self.terms.time_zone(id)
        key = self.terms.keys.get(id) if kind == "key" else None
        return "UTC" if key is None else self.terms.time_zone(key.account)

    def _purse(self, account: str) -> Purse:
        known = self._purses.get(account)
        if known is None:
            known = self._purses[account] = Purse(account, self.terms.time_zone(account))
        return known

    def _refresh_purse(self, account: str) -> None:
        purse = self._purse(account)
        for credit in self.terms.credits.get(account, {}).values():
            purse.set_credit(credit)
        purse.set_plan(self.terms.plans.get(account))
        record = self.terms.accounts.get(account)
        purse.refuses = record is None or record.beyond_credit == "refuse"

    def _move_zones(self, at_us: int, history: History) -> Iterator[Counted]:
        """Days and months of a new time zone begin with what has been used since their own midnight."""
        for account, purse in self._purses.items():
            yield from purse.move(self.terms.time_zone(account), at_us)
        for budget in self.budgets.values():
            zone, window = self._zone(budget.scope), budget.window
            if zone == budget.zone:
                continue
            budget.zone = zone
            if budget.limit.window not in ("day", "month"):
                continue
            if window is not None and window.spent and at_us < window.end_us:
                yield budget.counted(window, -window.spent)  # the zone may come back while this window lasts
            budget.window = None
            if budget.limit.name in self.terms.limits.get(budget.scope, {}):
                yield from self._begin_window(budget, at_us, history)

    def _begin_window(self, budget: Budget, at_us: int, history: History) -> Iterator[Counted]:
        window = budget.at(at_us)
        seen = 0  # in total, or at once: counts from now on
        if budget.limit.window not in ("total", "at once"):
            seen = history(budget.scope, budget.limit, window.start_us)
        if seen != window.spent:
            yield budget.counted(window, seen - window.spent)
            window.spent = seen


def _lasts(stopped: LimitState) -> int:
    """Until when it refuses: any call's end may end a limit of calls at once."""
    return 0 if stopped.limit.window == "at once" else stopped.renews_at_us or NEVER_US


def _covered(what: Spent, covered: int) -> Spent:
    return msgspec.structs.replace(what, covered=covered) if covered != what.covered else what


def _correct(budget: Budget, opened_us: int, amount: int) -> Counted:
    window = budget.of(opened_us)
    window.spent += amount
    return budget.counted(window, amount)
