"""The laws of limits and credit beside a plain model: accounts that move, terms that change, clocks that step, under open calls.

After every step the state says of each limit and purse what the model finds by adding everything up, and each law holds.
"""

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from limits_model import LEAST, Account, Asked, Call, Lot, Model, Name
from made_terms import key

from tokenweir.ledger import checks
from tokenweir.ledger import terms as t
from tokenweir.ledger.budgets import NOTHING, Spent
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.messages import CostBound, LimitState, OpenCall
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.windows import NEVER_US

START_US = 1_793_487_600_000_000  # 2026-10-31T23:00Z: a month turns, and on the 1st New York moves its clocks
HOUR_US = 3_600_000_000
ACCOUNTS = ("org", "team", "other", "person")
KEYS = {"k1": "person", "k2": "team", "k3": "other"}
RUNS = {"k1": "", "k2": "r", "k3": "r"}
ZONES = ("", "UTC", "Asia/Shanghai", "America/New_York", "Asia/Beirut")
MODELS = ("m-small", "m-large", "x")
PATTERNS = ("", "", "", "m-*", "x", "?-small")
SCOPES = (*(f"account/{a}" for a in ACCOUNTS), *(f"key/{k}" for k in KEYS), "run/r")
CURRENCIES = ("CNY", "USD")


@dataclass
class Known:
    """A call of the model with its name in the state, and what its end was counted at."""

    id: bytes
    call: Call
    end: Spent = NOTHING


class Laws(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.model, self.state = Model(), LedgerState()
        self.clock_us = START_US
        self.number = 0
        self.known: list[Known] = []
        self.credit_number = 0
        self.excess: dict[
            Name, int
        ] = {}  # how far a hard limit is passed, by corrections and changed terms alone
        self.reach: dict[
            Name, int
        ] = {}  # what a soft limit had spent and reserved when last it was not reached
        self.windows: dict[Name, tuple[int, int]] = {}

    @initialize()
    def begin(self) -> None:
        self.model.now_us = self.clock_us
        for name, parent in (("org", ""), ("team", "org"), ("other", "org"), ("person", "team")):
            self.model.accounts[name] = Account(parent)
            self._apply(t.SetAccount(t.AccountRecord(name, parent)))
        for name, account in KEYS.items():
            self.model.keys[name] = account
            self._apply(t.SetKey(key(name, account)))

    # --- terms

    def _apply(self, change: t.Change) -> None:
        assert checks.wrong_with(self.state.terms, change) == ""
        self.state.change(change, self.clock_us, self._history)

    def _history(self, scope: str, limit: Limit, since_us: int) -> int:
        return self.model.history((scope, *limit.name), since_us)

    def _change(self, change: t.Change) -> None:
        """One that the model takes in too, unless it is refused."""
        if checks.wrong_with(self.state.terms, change):
            return
        self.model.now_us = max(self.model.now_us, self.clock_us)
        months = {
            account: (self.model.zone(f"account/{account}"), self.model.month(account, self.model.now_us)[0])
            for account in self.model.purses
        }
        zones = {name: self.model.zone(name[0]) for name in self.model.caps}
        self._to_model(change)
        self.model.move_months(months)
        for name, zone in zones.items():
            if name in self.model.caps and name[3] in ("day", "month") and self.model.zone(name[0]) != zone:
                self.model.begin(name, self.model.caps[name].limit)
        self._apply(change)
        self._disturb()

    def _to_model(self, change: t.Change) -> None:
        match change:
            case t.SetLimit(scope=scope, limit=limit):
                self.model.set_limit(scope, limit)
            case t.RemoveLimit(scope=scope, model=model, unit=unit, window=window):
                del self.model.caps[scope, model, unit, window]
            case t.SetKey(key=record):
                self.model.keys[record.id] = record.account
            case t.AddCredit(credit=credit):
                self.model.credits.setdefault(credit.account, {})[credit.id] = credit
                amount = (credit.id, credit.currency, credit.pico, credit.added_us, 0)

                self.model.lots(credit.account, self.model.now_us).append(Lot(*amount))
            case t.EndCredit(account=account, id=id, at_us=at_us):
                old = self.model.credits[account][id]
                self.model.credits[account][id] = t.Credit(
                    id, account, old.currency, old.pico, old.added_us, at_us
                )
            case t.SetPlan(account=account, plan=None):
                del self.model.plans[account]
            case t.SetPlan(account=account, plan=plan) if plan is not None:
                self.model.plans[account] = plan
            case t.SetAccount(account=record):
                closed = record.closed_us is not None
                self.model.accounts[record.id] = Account(
                    record.parent, record.time_zone, record.beyond_credit, closed
                )

    def _disturb(self) -> None:
        """Terms have changed: what was set aside by the old ones need not suffice."""
        for known in self.known:
            known.call.undisturbed = False
        self._note(excused=True)

    @rule(
        scope=st.sampled_from(SCOPES), unit=st.sampled_from(("tokens", "calls", *CURRENCIES)),
        window=st.sampled_from(("minute", "hour", "day", "day", "month", "total", "at once")), model=st.sampled_from(PATTERNS),
        mode=st.sampled_from(("hard", "hard", "soft")), size=st.integers(0, 20),
    )  # fmt: skip
    def set_limit(self, scope: str, unit: str, window: str, model: str, mode: str, size: int) -> None:
        if window == "at once":
            unit, mode = "calls", "hard"
        amount = size * {"tokens": 60, "calls": 1}.get(unit, 400)
        self._change(t.SetLimit(scope, Limit(unit, amount, window, mode, model)))

    @precondition(lambda self: self.model.caps)
    @rule(data=st.data(), halves=st.integers(0, 6))
    def lower_or_raise(self, data: st.DataObject, halves: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.caps)))
        limit = self.model.caps[name].limit
        self._change(
            t.SetLimit(
                name[0], Limit(limit.unit, limit.amount * halves // 2, limit.window, limit.mode, limit.model)
            )
        )

    @precondition(lambda self: self.model.caps)
    @rule(data=st.data(), again=st.booleans())
    def lift(self, data: st.DataObject, again: bool) -> None:
        scope, model, unit, window = name = data.draw(st.sampled_from(sorted(self.model.caps)))
        limit = self.model.caps[name].limit
        self._change(t.RemoveLimit(scope, model, unit, window))
        if again:
            self._change(t.SetLimit(scope, limit))

    @rule(data=st.data())
    def change_credit(self, data: st.DataObject) -> None:
        """A top-up, its end, a plan, or none."""
        self.credit_number += 1
        account, now_us = data.draw(st.sampled_from(ACCOUNTS)), self.clock_us
        expires_us = data.draw(st.none() | st.integers(1, 800).map(lambda hours: now_us + hours * HOUR_US))
        credit = t.Credit(
            f"c{self.credit_number}", account, "CNY", data.draw(st.integers(1, 20)) * 100, now_us, expires_us
        )
        unit = data.draw(st.sampled_from(("tokens", "tokens", "CNY", "")))
        plan = t.Plan("plan", "CNY", 0, data.draw(st.integers(0, 15)) * 100 if unit else 0, unit)
        known = [t.EndCredit(a, id, now_us) for a, credits in self.model.credits.items() for id in credits]
        taken = [t.SetPlan(a, None) for a in sorted(self.model.plans)]
        self._change(
            data.draw(st.sampled_from([t.AddCredit(credit), t.SetPlan(account, plan), *known[-2:], *taken]))
        )

    @rule(
        account=st.sampled_from(ACCOUNTS), zone=st.sampled_from(ZONES), moves=st.booleans(), name=st.sampled_from((*KEYS, "")),
        beyond=st.sampled_from(("refuse", "refuse", "bill")), closed=st.sampled_from((*[False] * 9, True)),
    )  # fmt: skip
    def change_accounts(
        self, account: str, zone: str, moves: bool, name: str, beyond: str, closed: bool
    ) -> None:
        """An account lives by other clocks, stands elsewhere, refuses or not; or a key is of another account."""
        if name:
            self._change(t.SetKey(key(name, account)))
            return
        parents = {
            "org": ("", ""),
            "team": ("org", ""),
            "other": ("org", "team"),
            "person": ("team", "other"),
        }
        closed_us = self.clock_us if closed else None
        self._change(
            t.SetAccount(t.AccountRecord(account, parents[account][moves], "", zone, beyond, 0, closed_us))
        )

    # --- calls

    @rule(
        times=st.integers(1, 5), name=st.sampled_from(sorted(KEYS)), model=st.sampled_from(MODELS),
        input_tokens=st.integers(0, 60), output_tokens=st.integers(0, 120), priced=st.sampled_from(((), ("CNY",), ("CNY",), ("CNY",), ("USD",), CURRENCIES)),
        rates=st.tuples(st.integers(0, 4), st.integers(0, 5)), undone=st.sampled_from((False, False, False, True)),
    )  # fmt: skip
    def open_calls(self, times: int, **asked: object) -> None:
        for _ in range(times):
            self._open(**asked)  # type: ignore[arg-type]

    def _open(
        self, name: str, model: str, input_tokens: int, output_tokens: int, priced: tuple[str, ...],
        rates: tuple[int, int], undone: bool,
    ) -> None:  # fmt: skip
        self.number += 1
        bounds = tuple((c, input_tokens * rates[0], rates[1]) for c in priced)
        account = self.model.keys[name]
        id = self.number.to_bytes(16, "big")
        op = OpenCall(
            1, id, self.clock_us, name, account, RUNS[name], model, "chat",
            tuple(CostBound(*bound) for bound in bounds), not priced, input_tokens, output_tokens,
        )  # fmt: skip
        self.model.now_us = max(self.model.now_us, self.clock_us)
        asked = Asked(name, account, RUNS[name], model, input_tokens, output_tokens, bounds, not priced)
        result = self.state.decide_open(op)
        if any(self.model.accounts[a].closed for a in self.model.chain(account)):
            assert result.refused == "account_closed"
        elif self.model.cannot_hold(asked):
            assert result.refused in ("unpriced", "currency")
        else:
            self._compare(op, asked, undone)
        self._note()

    def _compare(self, op: OpenCall, asked: Asked, undone: bool) -> None:
        """The decision is what the model finds by trying: as much output as fits, refused only where too little does."""
        result = self.state.decide_open(op)  # twice is once
        most = self.model.most_output(asked)
        least = min(asked.output_tokens, LEAST)
        if most < least:
            assert result.refused, (most, least)
            if result.refused == "limit":
                self._the_longest_is_told(asked, least, result.limit)
            return
        assert (result.refused, result.output_tokens) == ("", most)
        if undone:
            self.state.undo_open(op.call)
            return
        self.known.append(Known(op.call, self.model.open(asked, most)))

    def _the_longest_is_told(self, asked: Asked, least: int, told: LimitState | None) -> None:
        assert told is not None
        lasts_us = 0 if told.limit.window == "at once" else told.renews_at_us or NEVER_US
        assert lasts_us == max(self.model.in_the_way(asked, least))

    def _some(self, data: st.DataObject, *, ended: bool = False) -> Known:
        return data.draw(st.sampled_from([k for k in self.known if k.call.open != ended]))

    def _use(self, data: st.DataObject, call: Call) -> Spent:
        """No more than is set aside."""
        currency = data.draw(st.sampled_from([*(c for c in CURRENCIES if c in call.reserves), ""]))
        tokens = data.draw(st.integers(0, call.reserves["tokens"]))
        most = call.reserves.get(currency, 0) if currency and tokens else 0
        return Spent(tokens, data.draw(st.integers(0, most)), currency)

    @precondition(lambda self: any(k.call.open for k in self.known))
    @rule(data=st.data(), final=st.booleans())
    def attempt(self, data: st.DataObject, final: bool) -> None:
        known = self._some(data)
        what = self._use(data, known.call)
        covered, rows = self.state.spend(known.id, what)
        expected, owed = self.model.spend(known.call, what.tokens, what.pico, what.currency)
        assert covered == expected
        assert all(row.amount for row in rows)
        assert owed <= 0 or not known.call.undisturbed, "a purse that refuses was overdrawn"
        if final:
            known.end = Spent(what.tokens, what.pico, what.currency, covered)
            self._close(known)
        self._note()

    @precondition(lambda self: any(k.call.open for k in self.known))
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        self._close(self._some(data))
        self._note()

    def _close(self, known: Known) -> None:
        self.state.close(known.id)
        assert self.state.close(known.id) == []  # an end happens once
        self.model.close(known.call)

    @precondition(lambda self: any(k.call.open for k in self.known))
    @rule(data=st.data())
    def shrink(self, data: st.DataObject) -> None:
        known = self._some(data)
        less = {
            unit: data.draw(st.integers(0, most + 50))
            for unit, most in known.call.reserves.items()
            if unit != "calls"
        }
        self.state.shrink(known.id, less)
        known.call.reserves |= {unit: min(known.call.reserves[unit], most) for unit, most in less.items()}
        self._note()

    @precondition(lambda self: any(not k.call.open for k in self.known))
    @rule(
        data=st.data(),
        tokens=st.integers(0, 500),
        pico=st.integers(0, 2000),
        currency=st.sampled_from(("CNY", "CNY", "USD")),
    )
    def correct(self, data: st.DataObject, tokens: int, pico: int, currency: str) -> None:
        known, after = self._some(data, ended=True), Spent(tokens, pico if tokens else 0, currency)
        call, before = known.call, known.end
        who = (call.key, call.account, call.model, call.run)
        covered, _ = self.state.correct(who, call.opened_us, before, after)
        had = (before.tokens, before.pico, before.currency, before.covered)
        assert covered == self.model.correct(call, had, (after.tokens, after.pico, after.currency))
        known.end = Spent(after.tokens, after.pico, after.currency, covered)
        self._disturb()

    @precondition(lambda self: any(k.call.open for k in self.known))
    @rule(data=st.data(), credit=st.booleans())
    def undone_settlement(self, data: st.DataObject, credit: bool) -> None:
        """An opening, used and closed in one batch that could not be written: as if nothing of it had been."""
        known = self._some(data)
        op = OpenCall(
            1, b"undone".ljust(16), self.clock_us, known.call.key, self.model.keys[known.call.key], "", "x", "chat",
            (CostBound("CNY", 0, 1),), False, 10, 10,
        )  # fmt: skip
        self.model.now_us = max(self.model.now_us, self.clock_us)
        if not self.state.decide_open(op).refused:
            rows = self.state.spend(op.call, Spent(5, 5 if credit else 0, "CNY"))[1] + self.state.close(
                op.call
            )
            self.state.undo_open(op.call)
            self.state.undo(rows)
        self._note()

    # --- time

    @rule(minutes=st.sampled_from((-90, -1, 1, 30, 60, 300, 1440, 3000, 20_000, 45_000)))
    def time_passes(self, minutes: int) -> None:
        self.clock_us += minutes * 60_000_000

    # --- laws

    def _note(self, *, excused: bool = False) -> None:
        """How far limits are passed now. Only a correction, or other terms, may take one further than it was."""
        for name, cap in self.model.caps.items():
            window = self.model.window(name)
            if self.windows.get(name) != window:
                self.windows[name] = window
                self.excess.pop(name, None)
                self.reach.pop(name, None)
            spent, reserved = self.model.spent(name), self.model.reserved(name)
            over = max(0, spent + reserved - cap.limit.amount)
            if cap.limit.mode == "hard":
                assert excused or over <= self.excess.get(name, 0), f"{name} is passed by {over}"
                self.excess[name] = over
            elif excused or spent < cap.limit.amount:
                self.reach[name] = spent + reserved
            else:  # reached: no more than what was under way then comes on top
                assert spent + reserved <= self.reach.get(name, 0), f"{name} went on after it was reached"

    @invariant()
    def the_state_is_what_the_model_finds(self) -> None:
        assert self.state.latest_us == self.model.now_us
        for name, cap in self.model.caps.items():
            expected = self.model.spent(name), self.model.reserved(name)
            assert self.state.reserved(name[0], cap.limit, self.model.now_us) == expected, name

    @invariant()
    def purses_are_what_the_model_finds(self) -> None:
        for account in self.model.purses:
            purse = self.state._purses[account]
            for unit in ("tokens", self.model.currency(account)):
                if unit:
                    assert purse.left(unit, self.model.now_us) == self.model.left(
                        account, unit, self.model.now_us
                    )

    @invariant()
    def nothing_stays_reserved(self) -> None:
        if not any(known.call.open for known in self.known):
            assert all(
                budget.window is None or not budget.window.reserved for budget in self.state.budgets.values()
            )
            assert not any(purse.is_held for purse in self.state._purses.values())


Laws.TestCase.settings = settings(stateful_step_count=50, deadline=None)
TestLaws = Laws.TestCase
