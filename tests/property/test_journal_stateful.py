"""The journal over real SQLite: any order of messages, any of them twice, terms that change, the writer gone at any moment."""

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from made_terms import key, key_with

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.catalog.pricing import cost
from tokenweir.core.clock import FakeClock
from tokenweir.core.errors import LedgerError
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Usage
from tokenweir.ledger import terms as t
from tokenweir.ledger.entries import Kind, Outcome
from tokenweir.ledger.journal import Durable, Journal
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.messages import (
    NO_CHARGE,
    Charge,
    Checkpoint,
    CloseAttempt,
    CostBound,
    DefinePrice,
    MakeChanges,
    OpenCall,
    OpenResult,
    Reprice,
)
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import GROUPS, call_detail, open_reader, total, usage
from tokenweir.protocol.steps import AskedTool, Step

LIMITS = (Limit("CNY", 60_000, "day"), Limit("tokens", 20_000, "month"), Limit("calls", 60, "total"))
START_US = 1_793_487_600_000_000  # 2026-10-31T23:00Z, shortly before a month turns
HOUR_US = 3_600_000_000


class Priced:
    """A price as the ledger keeps it."""

    def __init__(self, ref: str, each_input: int, each_output: int) -> None:
        self.applied = AppliedPrice(ref, "CNY", Rates(input=each_input, output=each_output))
        self.json = msgspec.json.encode(self.applied, order="deterministic")
        self.id = hashlib.blake2b(self.json, digest_size=16).hexdigest()

    def of(self, used: Usage) -> int:
        return cost(self.applied, used)


#: What an agent did in a call, where it was one's.
DONE = st.none() | st.builds(
    lambda ids, more, withheld: Step(
        thread="t", asked=tuple(AskedTool(id, "bash", "d", 2) for id in ids), more_asked=more, withheld=withheld
    ),
    st.lists(st.sampled_from("abc"), max_size=2), st.integers(0, 1), st.booleans(),
)  # fmt: skip
PRICE, CHARGED, NEW = Priced("test", 2, 3), Priced("charged", 3, 5), Priced("new", 1, 4)


@dataclass
class Known:
    """A call as the worker that made it knows it."""

    asked: OpenCall
    charged: bool
    attempts: int = 0
    checkpoints: int = 0
    seen: Usage = field(default_factory=Usage)  # what it was interrupted at
    seen_attempt: bytes = b""
    spent: list[Usage] = field(default_factory=list)  # of attempts that were closed
    values: list[int] = field(default_factory=list)  # what these cost
    end: CloseAttempt | None = None
    end_value: int = 0
    interrupted: bool = False  # the ledger closed it without its worker

    @property
    def is_over(self) -> bool:
        return self.end is not None or self.interrupted


class JournalMachine(RuleBasedStateMachine):
    """What workers were told is durable has to be in the ledger, once, whatever happens in between."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.data = Path(self._directory.name)
        self.clock = FakeClock(START_US)
        self.number = 0
        self.account = "a"  # that the key is of
        self.calls: dict[bytes, Known] = {}  # opened durably
        self.refused = 0
        self.pending: list[tuple[OpenCall, OpenResult]] = []  # answers wait for the commit
        self.unconfirmed: list[Durable] = []  # a worker sends these again
        self.sent: list[Durable] = []  # anything ever sent, to be sent twice
        self.excess: dict[tuple[str, str, str, str, int], int] = {}  # how far a hard limit is passed
        self.excused = True  # terms were changed, or entries corrected, since that was looked at

    @initialize()
    def begin(self) -> None:
        self._open_files()
        assert self.journal.apply(key_with(LIMITS)) == ""
        accounts = (t.SetAccount(t.AccountRecord("top")), t.SetAccount(t.AccountRecord("a", "top")), t.SetAccount(t.AccountRecord("b", "top")))  # fmt: skip
        assert self.journal.apply(MakeChanges(0, "test", accounts)) == ""
        for price in (PRICE, CHARGED, NEW):
            self.journal.apply(DefinePrice(0, price.id, price.json))
        self.journal.commit()

    def _open_files(self) -> None:
        self.store = Store(self.data, "os")
        self.journal = Journal(self.store, self.clock, remembered_calls=3)

    def _close_files(self) -> None:
        self.store._db.close()

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self._close_files()
        self._directory.cleanup()

    # --- what workers do

    @rule(input_tokens=st.integers(0, 900), output_tokens=st.integers(1, 900), times=st.integers(1, 4))
    def open_calls(self, input_tokens: int, output_tokens: int, times: int) -> None:
        for _ in range(times):
            self._ask(input_tokens, output_tokens)

    def _ask(self, input_tokens: int, output_tokens: int, model: str = "m") -> None:
        self.number += 1
        call = uuid7(self.clock.now_us(), self.number.to_bytes(10, "big"))
        asked = OpenCall(
            self.number, call, self.clock.now_us(), "k", self.account, "r" if self.number % 2 else "", model, "chat",
            (CostBound("CNY", input_tokens * 3, 5),), False, input_tokens, output_tokens,
        )  # fmt: skip
        self.sent.append(asked)
        result = self.journal.apply(asked)
        assert isinstance(result, OpenResult)
        self.pending.append((asked, result))

    def _some_open(self, data: st.DataObject) -> Known:
        return data.draw(st.sampled_from([call for call in self.calls.values() if call.end is None]))

    def _used(self, data: st.DataObject, call: Known) -> Usage:
        """No more than was set aside, over all attempts."""
        most_input = call.asked.input_tokens - sum(used.input for used in call.spent)
        most_output = call.asked.output_tokens - sum(used.output for used in call.spent)
        return Usage(
            input=data.draw(st.integers(0, most_input)), output=data.draw(st.integers(0, most_output))
        )

    def _charge(self, call: Known, used: Usage) -> Charge:
        return Charge(CHARGED.id, CHARGED.of(used), "CNY") if call.charged else NO_CHARGE

    @precondition(lambda self: any(call.end is None for call in self.calls.values()))
    @rule(data=st.data(), shrinks=st.booleans())
    def checkpoint(self, data: st.DataObject, shrinks: bool) -> None:
        call = self._some_open(data)
        shrinks = shrinks and not call.spent
        if shrinks:
            call.asked = msgspec.structs.replace(call.asked, input_tokens=call.asked.input_tokens // 2)
        used, asked = self._used(data, call), call.asked
        call.checkpoints += 1
        still = {
            "tokens": asked.input_tokens + asked.output_tokens,
            "CNY": asked.input_tokens * 3 + asked.output_tokens * 5,
        }
        op = Checkpoint(
            0, asked.call, _attempt(call.attempts + 1), call.checkpoints, self.clock.now_us(), "u", "u/m", used,
            PRICE.id, PRICE.of(used), "CNY", self._charge(call, used), still if shrinks else {}, "1 of 2: as configured",
        )  # fmt: skip
        self.sent.append(op)
        self.journal.apply(op)

    @precondition(lambda self: any(call.end is None for call in self.calls.values()))
    @rule(data=st.data(), final=st.booleans(), twice=st.booleans(), stopped=st.booleans())
    def close(self, data: st.DataObject, final: bool, twice: bool, stopped: bool) -> None:
        call = self._some_open(data)
        if call.checkpoints and not final:
            return  # a stream that has begun is bound to its attempt
        used = self._used(data, call)
        call.attempts += 1
        ended = Outcome.INTERRUPTED if stopped else Outcome.OK
        outcome = ended if final else Outcome.UPSTREAM_BROKE
        op = CloseAttempt(
            0, call.asked.call, _attempt(call.attempts), call.attempts, final, self.clock.now_us(), "u", "u/m", "m",
            used, PRICE.id, PRICE.of(used), "CNY", 5, 10, 200, outcome, "the gateway was stopped" if stopped else "",
            self._charge(call, used), data.draw(DONE) if final else None,
            "1 of 2: as configured",
        )  # fmt: skip
        if final:
            call.end, call.end_value = op, PRICE.of(used)
        else:
            call.spent.append(used)
            call.values.append(PRICE.of(used))
        self.excused |= call.interrupted  # then it is a correction
        self.sent.append(op)
        self.unconfirmed.append(op)
        for _ in range(1 + twice):
            self.journal.apply(op)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        op = data.draw(st.sampled_from(self.sent[-40:]))
        if isinstance(op, Checkpoint) and self.calls[op.call].end is None:
            return  # one that had been lost would move the known state; checkpoints are not sent again
        if isinstance(op, OpenCall) and op.call not in self.calls:
            return  # its worker has been told that it was not opened
        self.journal.apply(op)

    # --- terms and corrections

    @rule(change=st.one_of(
        st.builds(
            lambda scope, unit, window, mode, size: t.SetLimit(scope, Limit(unit, size * {"calls": 1, "tool calls": 1, "tokens": 500}.get(unit, 2_000), window, mode)),
            st.sampled_from(("key/k", "account/a", "account/top", "run/r")), st.sampled_from(("CNY", "tokens", "calls", "tool calls", "USD")),
            st.sampled_from(("minute", "hour", "day", "month", "total")), st.sampled_from(("hard", "hard", "soft")), st.integers(1, 30),
        ),
        st.builds(lambda limit: t.RemoveLimit("key/k", *limit.name), st.sampled_from(LIMITS)),
        st.builds(lambda limit: t.SetLimit("key/k", limit), st.sampled_from(LIMITS)),
        st.builds(lambda zone, parent, beyond: t.SetAccount(t.AccountRecord("a", parent, "", zone, beyond)),
            st.sampled_from(("", "UTC", "Asia/Shanghai", "America/New_York")), st.sampled_from(("top", "b", "")), st.sampled_from(("refuse", "bill"))),
        st.builds(lambda zone: t.SetAccount(t.AccountRecord("top", "", "", zone)), st.sampled_from(("", "Asia/Tokyo"))),
        st.builds(lambda account: t.SetKey(key("k", account)), st.sampled_from(("a", "b"))),
        st.builds(lambda account, unit, size: t.SetPlan(account, t.Plan("p", "CNY", 0, size * 1_000, unit)),
            st.sampled_from(("a", "top")), st.sampled_from(("tokens", "CNY", "")), st.integers(0, 20)),
        st.builds(lambda account: t.SetPlan(account, None), st.sampled_from(("a", "top"))),
    ))  # fmt: skip
    def change_terms(self, change: t.Change) -> None:
        self._change(change)

    @rule(
        account=st.sampled_from(("a", "top")),
        thousands=st.integers(1, 30),
        hours=st.none() | st.integers(1, 40),
    )
    def add_credit(self, account: str, thousands: int, hours: int | None) -> None:
        self.number += 1
        now_us = self.clock.now_us()
        expires_us = None if hours is None else now_us + hours * HOUR_US
        self._change(
            t.AddCredit(t.Credit(f"c{self.number}", account, "CNY", thousands * 1_000, now_us, expires_us))
        )

    @precondition(lambda self: self.journal.state.terms.credits)
    @rule(data=st.data())
    def end_credit(self, data: st.DataObject) -> None:
        credits = self.journal.state.terms.credits
        account, id = data.draw(st.sampled_from([(a, c) for a, known in credits.items() for c in known]))
        self._change(t.EndCredit(account, id, self.clock.now_us()))

    def _change(self, change: t.Change) -> None:
        refused = self.journal.apply(MakeChanges(0, "test", (change,)))
        self._confirm()  # what came before was made durable first
        self.excused = True
        if not refused and isinstance(change, t.SetKey):
            self.account = change.key.account

    @precondition(lambda self: any(call.is_over for call in self.calls.values()))
    @rule(data=st.data(), twice=st.booleans(), charge=st.booleans())
    def reprice(self, data: st.DataObject, twice: bool, charge: bool) -> None:
        """Any attempt of a call that has ended, at another price."""
        call = data.draw(st.sampled_from([call for call in self.calls.values() if call.is_over]))
        last, last_id = (call.end.usage, call.end.attempt) if call.end else (call.seen, call.seen_attempt)
        number = data.draw(st.integers(0, len(call.spent)))
        used, attempt = (
            (call.spent[number], _attempt(number + 1)) if number < len(call.spent) else (last, last_id)
        )
        if not attempt:
            return  # interrupted before it said anything
        self.number += 1
        op = Reprice(
            0, call.asked.call, attempt, used, f"correction-{self.number}", NEW.id, NEW.of(used), "CNY",
            Charge(CHARGED.id, CHARGED.of(used), "CNY") if charge else NO_CHARGE,
        )  # fmt: skip
        for _ in range(1 + twice):
            self.journal.apply(op)
        self._commit()
        self.excused = True
        if number < len(call.spent):
            call.values[number] = NEW.of(used)
        else:
            call.end_value = NEW.of(used)

    # --- what the writer does, and what happens to it

    @rule()
    def commit(self) -> None:
        self._commit()

    def _commit(self) -> None:
        self.journal.commit()
        self._confirm()

    def _confirm(self) -> None:
        for asked, result in self.pending:
            if result.refused:
                self.refused += 1
            else:
                granted = msgspec.structs.replace(asked, output_tokens=result.output_tokens)
                self.calls[asked.call] = Known(granted, charged=asked.seq % 3 == 0)
        self.pending.clear()
        self.unconfirmed.clear()

    @rule()
    def the_disk_is_full(self) -> None:
        """SQLite's own SQLITE_FULL, then space again."""
        self._ask(400, 400, model="m" * 200_000)  # takes more pages than are free
        db = self.store._db
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
        try:
            self.journal.commit()
        except LedgerError as error:
            assert "full" in str(error)
            gone = {asked.call for asked, _ in self.pending}
            assert not gone & set(self.journal.state.open_calls)
            self.pending.clear()
        else:
            raise AssertionError("it was written on a full disk")
        db.execute("PRAGMA max_page_count = 1073741823")

    @rule(claimed=st.booleans())
    def the_writer_dies(self, claimed: bool) -> None:
        """What was not committed is gone. Workers send it again; opens are reported as unavailable."""
        self._close_files()
        self.pending.clear()
        self._open_files()
        self.account = self.journal.state.terms.keys["k"].account
        self.excused = True
        if not claimed:
            self._interrupt_all()
        again, self.unconfirmed = self.unconfirmed, []
        for op in again:
            self.unconfirmed.append(op)
            self.journal.apply(op)

    @rule()
    def a_worker_is_gone(self) -> None:
        self._commit()
        self._interrupt_all()

    def _interrupt_all(self) -> None:
        for name in self.journal.open_calls:
            call = self.calls.get(name)
            if call is None or call.interrupted:
                continue
            call.interrupted = True
            kept = self.store.last_entry(name, Kind.CHECKPOINT)
            call.seen, call.seen_attempt = (kept.usage, kept.attempt) if kept is not None else (Usage(), b"")
            if call.end is None:
                call.end_value = PRICE.of(call.seen)
        self.journal.interrupt(self.journal.open_calls)
        self.journal.commit()
        self.pending.clear()
        self.excused = True

    @rule(hours=st.integers(-3, 60))
    def time_passes(self, hours: int) -> None:
        self.clock.step(hours * HOUR_US)

    # --- the laws

    @invariant()
    def no_limit_is_passed_but_by_a_correction_or_other_terms(self) -> None:
        if not hasattr(self, "journal"):
            return
        state, before = self.journal.state, self.excess
        self.excess = {}
        for scope, limits in state.terms.limits.items():
            for limit in limits.values():
                window = state.budgets[scope, *limit.name].at(state.latest_us)
                assert window.reserved >= 0
                name = (scope, *limit.name, window.start_us)
                self.excess[name] = max(0, window.spent + window.reserved - limit.amount)
                # Tools are counted when an answer has asked for them: a call may have more than were left.
                if limit.mode == "hard" and limit.unit != "tool calls" and not self.excused:
                    assert self.excess[name] <= before.get(name, 0)
        self.excused = False

    @invariant()
    def nothing_leaks(self) -> None:
        if hasattr(self, "journal") and not self.journal.open_calls:
            state = self.journal.state
            assert not any(b.window.reserved for b in state.budgets.values() if b.window is not None)
            assert not any(purse.is_held for purse in state._purses.values())

    @rule()
    def everything_agrees(self) -> None:
        """The replay is clean, what would be loaded is what is known, and each call stands as its worker knows it."""
        self._commit()
        report = verify(self.data)
        assert report.ok, report.problems
        live, (loaded, _) = self.journal.state, self.store.load()
        assert set(loaded.open_calls) == set(live.open_calls)
        now_us = max(live.latest_us, loaded.latest_us)
        assert shown(loaded, now_us) == shown(live, now_us)
        reader = open_reader(self.data)
        expected_tokens = expected_cost = ended = failed = 0
        for name, call in self.calls.items():
            detail = call_detail(reader, name)
            assert detail is not None
            late = sum(priced.entry.kind is Kind.LATE for priced in detail.entries)
            assert late == (call.interrupted and call.end is not None)
            known, value = sum(used.total for used in call.spent), sum(call.values)
            if call.is_over:
                last = call.end.usage if call.end is not None else call.seen
                assert detail.row is not None
                assert detail.row.usage.total == known + last.total
                outcome = call.end.outcome if call.end is not None else Outcome.INTERRUPTED
                assert detail.row.outcome is outcome
                failed += outcome is not Outcome.OK
                known, value, ended = known + last.total, value + call.end_value, ended + 1
            expected_tokens, expected_cost = expected_tokens + known, expected_cost + value
        for group in GROUPS:
            whole = total(usage(reader, (group,)))
            assert (whole.calls, whole.tokens, whole.cost_pico.get("CNY", 0)) == (
                ended,
                expected_tokens,
                expected_cost,
            )
            assert whole.refused == self.refused
            assert whole.failed == failed
        kept = dict(reader.execute("SELECT call, step FROM steps").fetchall())
        ends = {name: call.end for name, call in self.calls.items() if call.is_over}
        assert {name: msgspec.json.decode(text, type=Step) for name, text in kept.items()} == {
            name: end.step for name, end in ends.items() if end is not None and end.step is not None
        }
        reader.close()


def _attempt(number: int) -> bytes:
    return b"attempt %d" % number


def shown(state: LedgerState, now_us: int) -> dict[str, object]:
    """What is spent and set aside of every limit, and left in every purse."""
    limits = {
        f"{scope} {limit.name}": state.reserved(scope, limit, now_us)
        for scope, known in state.terms.limits.items()
        for limit in known.values()
    }
    purses = {
        account: (
            purse.left("tokens", now_us),
            purse.left(purse.currency, now_us),
            purse.reserved_pico(now_us),
        )
        for account, purse in state._purses.items()
        if state.terms.purse_of(account) == account
    }
    return {**limits, **purses}


JournalMachine.TestCase.settings = settings(stateful_step_count=40, deadline=None)
TestJournal = JournalMachine.TestCase
