"""Limits and credit replayed: entries and changes of terms, in their order, through the laws that decided them."""

import sqlite3
from collections.abc import Iterator

from tokenweir.core.ids import uuid_text
from tokenweir.ledger.budgets import NOTHING, Counted, spent_by
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.history import read_history
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.rollups import REPLACED
from tokenweir.ledger.schema import ENTRY_COLUMNS
from tokenweir.ledger.store import opened_as, read_changes, read_entry, read_spent
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.windows import WINDOWS

_COLUMNS = ", ".join(ENTRY_COLUMNS)
_ONE = f"SELECT {_COLUMNS} FROM entries WHERE seq = ?"
_OPENED = "SELECT at_us FROM entries WHERE call = ? AND kind = 'opened'"
_REPLACED = (
    f"SELECT {_COLUMNS} FROM entries WHERE seq = (SELECT ({REPLACED}) FROM entries AS c WHERE c.seq = ?)"
)
_COUNTING = frozenset({Kind.ATTEMPT, Kind.SETTLED, Kind.LATE, Kind.REPRICED, Kind.REPRICED_ATTEMPT})


class LimitReplay:
    """What has been counted, as the entries say it; entries of calls that nothing limits cost one look-up."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self.state = LedgerState()
        self._changes = list(read_changes(db))
        self._next = 0
        self._counted: dict[tuple[str, str, str, str, int], int] = {}

    def is_limited(self, key: str, account: str, model: str, run: str) -> bool:
        """Whether anything is counted for such calls now."""
        standing = self.state.standing(key, account, model, run)
        return bool(standing.budgets) or standing.purse is not None

    def change_before(self, seq: int) -> None:
        """Take in the changes that were decided before entry `seq`."""
        while self._next < len(self._changes) and self._changes[self._next].after_seq < seq:
            audited = self._changes[self._next]
            self._next += 1
            after = audited.after_seq

            def history(scope: str, limit: Limit, since_us: int, after: int = after) -> int:
                return read_history(self._db, self.state.terms.below, scope, limit, since_us, after)

            self._count(self.state.change(audited.change, audited.at_us, history))

    def step(self, seq: int) -> Iterator[str]:
        """Replay one entry of a call under limits; yields what is wrong with it."""
        entry = read_entry(self._db.execute(_ONE, (seq,)).fetchone())
        if entry.kind is Kind.OPENED:
            self.state.replay(entry.call, opened_as(entry))
        elif entry.kind is Kind.REFUSED:
            self.state.turn((entry.key, entry.account, entry.model, entry.run), entry.at_us)
        elif entry.kind in _COUNTING:
            covered = self._spend(seq, entry)
            if covered != entry.covered_tokens:
                yield (
                    f"entry {seq} of call {uuid_text(entry.call)}: {entry.covered_tokens} tokens are covered by an "
                    f"allowance, which had room for {covered}"
                )

    def _spend(self, seq: int, entry: Entry) -> int:
        what = spent_by(entry, covered=0)
        if entry.call in self.state.open_calls and entry.kind in (Kind.ATTEMPT, Kind.SETTLED):
            covered, rows = self.state.spend(entry.call, what)
            self._count(rows)
            if entry.kind is Kind.SETTLED:
                self._count(self.state.close(entry.call))
            return covered
        before = None
        if entry.kind is not Kind.ATTEMPT:
            row = self._db.execute(_REPLACED, (seq,)).fetchone()
            before = None if row is None else read_entry(row)
        opened = self._db.execute(_OPENED, (entry.call,)).fetchone()
        opened_us = opened[0] if opened else entry.at_us if before is None else before.at_us
        who = (entry.key, entry.account, entry.model, entry.run)
        covered, rows = self.state.correct(
            who, opened_us, NOTHING if before is None else spent_by(before), what
        )
        self._count(rows)
        return covered

    def compare(self) -> Iterator[str]:
        """What is kept against what was replayed; yields each difference."""
        self.change_before(2**62)
        kept = {row[:5]: row.amount for row in read_spent(self._db)}
        for name in sorted(kept.keys() | self._counted.keys()):
            was, expected = kept.get(name, 0), self._counted.get(name, 0)
            if was != expected:
                scope, model, unit, window, _ = name
                of_model = f" for {model}" if model else ""
                per = f"{unit} per {window}" if window in WINDOWS else f"{unit} of {window}"
                yield f"spent of {scope}{of_model}, {per}: {was} is there, the entries add up to {expected}"

    def _count(self, rows: list[Counted]) -> None:
        for row in rows:
            name = (row.scope, row.model, row.unit, row.window, row.start_us)
            self._counted[name] = self._counted.get(name, 0) + row.amount
