"""The journal over real SQLite: any order of messages, any of them twice, the writer gone at any moment."""

import hashlib
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from made_terms import key_with

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.catalog.pricing import cost
from tokenweir.core.clock import FakeClock
from tokenweir.core.errors import LedgerError
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Kind, Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    Checkpoint,
    CloseAttempt,
    CostBound,
    DefinePrice,
    OpenCall,
    OpenResult,
)
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import GROUPS, call_detail, open_reader, total, usage

LIMITS = (Limit("CNY", 60_000, "day"), Limit("tokens", 20_000, "month"), Limit("calls", 60, "total"))
PRICE = AppliedPrice("test", "CNY", Rates(input=2, output=3))
APPLIED = msgspec.json.encode(PRICE, order="deterministic")
PRICE_ID = hashlib.blake2b(APPLIED, digest_size=16).hexdigest()
START_US = 20_000 * 86_400_000_000


@dataclass
class Known:
    """A call as the worker that made it knows it."""

    asked: OpenCall
    attempts: int = 0
    checkpoints: int = 0
    seen: Usage = field(default_factory=Usage)  # what it was interrupted at
    spent: list[Usage] = field(default_factory=list)  # of attempts that were closed
    end: CloseAttempt | None = None
    interrupted: bool = False  # the ledger closed it without its worker


def worth(used: Usage) -> int:
    return cost(PRICE, used)


class JournalMachine(RuleBasedStateMachine):
    """What workers were told is durable has to be in the ledger, once, whatever happens in between."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory()
        self.data = Path(self._directory.name)
        self.clock = FakeClock(START_US)
        self.number = 0
        self.calls: dict[bytes, Known] = {}  # opened durably
        self.refused = 0
        self.pending: list[tuple[OpenCall, OpenResult]] = []  # answers wait for the commit
        self.unconfirmed: list[object] = []  # a worker sends these again
        self.sent: list[object] = []  # anything ever sent, to be sent twice
        self.corrected: dict[str, int] = {}  # what corrections added, by unit: it may pass a limit

    @initialize()
    def begin(self) -> None:
        self._open_files()
        assert self.journal.apply(key_with(LIMITS)) == ""
        self.journal.apply(DefinePrice(0, PRICE_ID, APPLIED))
        self.journal.commit()

    def _open_files(self) -> None:
        self.store = Store(self.data, "os")
        self.journal = Journal(self.store, self.clock, remembered_calls=3)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
        self._directory.cleanup()

    # --- what workers do

    @rule(input_tokens=st.integers(0, 900), output_tokens=st.integers(1, 900))
    def open_call(self, input_tokens: int, output_tokens: int) -> None:
        self._ask(input_tokens, output_tokens)

    def _ask(self, input_tokens: int, output_tokens: int, model: str = "m") -> None:
        self.number += 1
        asked = OpenCall(
            self.number, self.number.to_bytes(16, "big"), self.clock.now_us(), "k", "a", "", model, "chat",
            (CostBound("CNY", input_tokens * 2, 3),), False, input_tokens, output_tokens,
        )  # fmt: skip
        self.sent.append(asked)
        result = self.journal.apply(asked)
        assert result is not None
        self.pending.append((asked, result))

    def _some_open(self, data: st.DataObject) -> Known:
        return data.draw(st.sampled_from([call for call in self.calls.values() if call.end is None]))

    def _used(self, data: st.DataObject, call: Known) -> Usage:
        """No more than was set aside, over all attempts."""
        spent = call.spent
        most_input = call.asked.input_tokens - sum(used.input for used in spent)
        most_output = call.asked.output_tokens - sum(used.output for used in spent)
        return Usage(
            input=data.draw(st.integers(0, most_input)), output=data.draw(st.integers(0, most_output))
        )

    @precondition(lambda self: any(call.end is None for call in self.calls.values()))
    @rule(data=st.data())
    def checkpoint(self, data: st.DataObject) -> None:
        call = self._some_open(data)
        used = self._used(data, call)
        call.checkpoints += 1
        op = Checkpoint(
            0, call.asked.call, b"", call.checkpoints, self.clock.now_us(), "u", "u/m", used, PRICE_ID, worth(used), "CNY",
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
            0, call.asked.call, b"", call.attempts, final, self.clock.now_us(), "u", "u/m", "m", used, PRICE_ID,
            worth(used), "CNY", 5, 10, 200, outcome, "the gateway was stopped" if stopped else "",
        )  # fmt: skip
        if final:
            call.end = op
        else:
            call.spent.append(used)
        self._note_correction(call, used, final)
        self.sent.append(op)
        self.unconfirmed.append(op)
        for _ in range(1 + twice):
            self.journal.apply(op)

    def _note_correction(self, call: Known, used: Usage, final: bool) -> None:
        if call.interrupted:
            before = call.seen if final else Usage()
            for unit, more in (("tokens", used.total - before.total), ("CNY", worth(used) - worth(before))):
                self.corrected[unit] = self.corrected.get(unit, 0) + max(0, more)

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        op = data.draw(st.sampled_from(self.sent[-40:]))
        if isinstance(op, Checkpoint) and self.calls[op.call].end is None:
            return  # one that had been lost would move the known state; checkpoints are not sent again
        if isinstance(op, OpenCall) and op.call not in self.calls:
            return  # its worker has been told that it was not opened
        self.journal.apply(op)  # type: ignore[arg-type]

    # --- what the writer does, and what happens to it

    @rule()
    def commit(self) -> None:
        self.journal.commit()
        self._confirm()

    def _confirm(self) -> None:
        for asked, result in self.pending:
            if result.refused:
                self.refused += 1
            else:
                granted = msgspec.structs.replace(asked, output_tokens=result.output_tokens)
                self.calls[asked.call] = Known(granted)
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
        self.store._db.close()
        self.pending.clear()
        self._open_files()
        if not claimed:
            self._interrupt_all()
        again, self.unconfirmed = self.unconfirmed, []
        for op in again:
            self.unconfirmed.append(op)
            self.journal.apply(op)  # type: ignore[arg-type]

    @rule()
    def a_worker_is_gone(self) -> None:
        self.commit()
        self._interrupt_all()

    def _interrupt_all(self) -> None:
        waiting = {op.call for op in self.unconfirmed if isinstance(op, CloseAttempt)}
        for name in self.journal.open_calls:
            call = self.calls.get(name)
            if call is None or call.interrupted:
                continue
            call.interrupted = True
            kept = self.store.last_entry(name, Kind.CHECKPOINT)
            call.seen = kept.usage if kept is not None else Usage()
            if name in waiting:  # its report comes after it was closed: a correction
                for op in self.unconfirmed:
                    if isinstance(op, CloseAttempt) and op.call == name:
                        self._note_correction(call, op.usage, op.final)
        self.journal.interrupt(self.journal.open_calls)
        self.journal.commit()
        self.pending.clear()

    @rule(hours=st.integers(-3, 60))
    def time_passes(self, hours: int) -> None:
        self.clock.step(hours * 3_600_000_000)

    # --- the laws

    @invariant()
    def no_limit_is_passed_but_by_a_correction(self) -> None:
        if not hasattr(self, "journal"):
            return
        for budget in self.journal.state.budgets.values():
            held = budget.at(self.journal.state.latest_us)
            assert held.reserved >= 0
            assert held.spent + held.reserved <= budget.limit.amount + self.corrected.get(
                budget.limit.unit, 0
            )

    @invariant()
    def nothing_leaks(self) -> None:
        if hasattr(self, "journal") and not self.journal.open_calls:
            budgets = self.journal.state.budgets.values()
            assert all(budget.at(self.journal.state.latest_us).reserved == 0 for budget in budgets)

    @precondition(lambda self: not self.unconfirmed and not self.pending)
    @rule()
    def everything_agrees(self) -> None:
        """The replay is clean, and each call stands as its worker knows it."""
        self.journal.commit()
        report = verify(self.data)
        assert report.ok, report.problems
        reader = open_reader(self.data)
        expected_tokens = expected_cost = ended = failed = 0
        for name, call in self.calls.items():
            detail = call_detail(reader, name)
            assert detail is not None
            late = sum(priced.entry.kind is Kind.LATE for priced in detail.entries)
            assert late == (call.interrupted and call.end is not None)
            known = sum(used.total for used in call.spent)
            value = sum(map(worth, call.spent))
            if call.end is not None or call.interrupted:
                last = call.end.usage if call.end is not None else call.seen
                assert detail.row is not None
                assert detail.row.usage.total == known + last.total
                outcome = call.end.outcome if call.end is not None else Outcome.INTERRUPTED
                assert detail.row.outcome is outcome
                failed += outcome is not Outcome.OK
                known, value, ended = known + last.total, value + worth(last), ended + 1
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
        reader.close()


JournalMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestJournal = JournalMachine.TestCase
