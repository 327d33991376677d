"""Limits and credit replayed: entries and changes of terms, in their order, through the laws that decided them."""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from tokenweir.core.ids import uuid_text
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.budgets import NOTHING, Counted, Spent
from tokenweir.ledger.database import Connection
from tokenweir.ledger.entries import Kind
from tokenweir.ledger.history import read_history
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.rollups import REPLACED
from tokenweir.ledger.schema import UNDONE
from tokenweir.ledger.store import read_changes, read_spent
from tokenweir.ledger.terms import Audited, Limit
from tokenweir.ledger.under_way import Open
from tokenweir.ledger.windows import WINDOWS

#: What a replay reads of an entry, in this order; then the classes of tokens.
COLUMNS = (
    "seq",
    "kind",
    "call",
    "at_us",
    "key",
    "account",
    "model",
    "run",
    "price",
    "cost_pico",
    "currency",
    "charge_price",
    "charge_pico",
    "charge_currency",
    "covered_tokens",
    "provenance",
    "bound_input",
    "bound_output",
    "reserved_pico",
    "also_reserved",
    "tool_calls",
    *TOKEN_CLASSES,
)


class Row(NamedTuple):
    """An entry, as far as it is replayed."""

    seq: int
    kind: str
    call: bytes
    at_us: int
    key: str
    account: str
    model: str
    run: str
    price: str
    cost_pico: int | None
    currency: str
    charge_price: str
    charge_pico: int | None
    charge_currency: str
    covered_tokens: int
    provenance: str
    bound_input: int
    bound_output: int
    reserved_pico: int | None
    also_reserved: str
    tool_calls: int
    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int

    @property
    def who(self) -> tuple[str, str, str, str]:
        """Whose call it is, as the laws ask."""
        return self.key, self.account, self.model, self.run

    @property
    def tokens(self) -> tuple[int, ...]:
        """By class."""
        return (
            self.input,
            self.cache_read,
            self.cache_write_5m,
            self.cache_write_1h,
            self.output,
            self.reasoning,
        )

    def opened(self) -> Open:
        """What an opening has set aside."""
        reserves = {"tokens": self.bound_input + self.bound_output, "calls": 1}
        if self.currency:
            reserves[self.currency] = self.reserved_pico or 0
        return Open(
            self.key, self.at_us, self.model, self.account, self.run, "", self.bound_output, reserves | self.also(),
            by_allowance=self.covered_tokens > 0,
        )  # fmt: skip

    def also(self) -> dict[str, int]:
        """What it says of units beside its own currency: of a checkpoint, what its call can still become."""
        return msgspec.json.decode(self.also_reserved, type=dict[str, int]) if self.also_reserved else {}

    def spent(self, covered: int) -> Spent:
        """What it used and what its account pays, with so many tokens covered."""
        if self.charge_price:
            return Spent(
                sum(self.tokens), self.charge_pico or 0, self.charge_currency, covered, self.tool_calls
            )
        return Spent(sum(self.tokens), self.cost_pico or 0, self.currency, covered, self.tool_calls)


_SELECT = f"SELECT {', '.join(COLUMNS)} FROM entries"
READ = f"{_SELECT} WHERE seq > ? AND seq <= ? ORDER BY seq"
_OF_CALL = f"{_SELECT} WHERE call = ? AND seq <= ? ORDER BY seq"
_OPENED = "SELECT at_us FROM entries WHERE call = ? AND kind = 'opened'"
_END_BEFORE = (
    "SELECT at_us FROM entries WHERE call = ? AND seq < ? AND kind IN ('settled', 'late', 'repriced') "
    "ORDER BY seq DESC LIMIT 1"
)
_REPLACED = f"{_SELECT} WHERE seq = (SELECT ({REPLACED}) FROM entries AS c WHERE c.seq = ?)"
_COUNTING = frozenset({Kind.ATTEMPT, Kind.SETTLED, Kind.LATE, Kind.REPRICED, Kind.REPRICED_ATTEMPT})


class LimitReplay:
    """What has been counted, as the entries say it; entries of calls that nothing limits cost one look-up."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.state = LedgerState()
        self._changes: deque[Audited] = deque()  # that have been read, and not yet been taken in
        self._last_change = 0
        self._undone: list[
            tuple[int, int]
        ] = []  # first and last entries decided beside openings that were undone
        self._counted: dict[tuple[str, str, str, str, int], int] = {}

    def catch_up(self) -> None:
        """Read the changes of terms that have come. After entries were read, it knows all that were decided before these."""
        for audited in read_changes(self._db, self._last_change):
            self._changes.append(audited)
            self._last_change = audited.seq
        marks = self._db.execute("SELECT name, value FROM meta WHERE name LIKE ?", (f"{UNDONE}%",)).fetchall()
        self._undone = [(int(name.removeprefix(UNDONE)), last) for name, last in marks]

    def is_limited(self, row: Row) -> bool:
        """Whether anything is counted for its call now, or was at a change of terms while it was under way."""
        standing = self.state.standing(*row.who)
        return bool(standing.budgets) or standing.purse is not None or row.call in self.state.open_calls

    def change_before(self, seq: int, under_way: Mapping[bytes, tuple[str, int]]) -> None:
        """Take in the changes that were decided before entry `seq`; `under_way`: calls, and the entries that opened them."""
        while self._changes and self._changes[0].after_seq < seq:
            audited = self._changes.popleft()
            after = audited.after_seq
            for call, (_, opened) in under_way.items():  # what limits nobody until now may count from now on
                if call not in self.state.open_calls and opened <= after:
                    self._adopt(call, after)

            def history(scope: str, limit: Limit, since_us: int, after: int = after) -> int:
                return read_history(self._db, self.state.terms.below, scope, limit, since_us, after)

            self._count(self.state.change(audited.change, audited.at_us, history))

    def step(self, row: Row) -> Iterator[str]:
        """Replay one entry of a call; yields what is wrong with it."""
        if not self.is_limited(row):
            if row.covered_tokens:
                yield _wrong_cover(row, 0)
        elif row.kind == Kind.OPENED:
            yield from self._open(row)
        elif row.kind == Kind.REFUSED:
            self.state.turn(row.who, row.at_us)
        elif row.kind == Kind.CHECKPOINT:
            self.state.shrink(row.call, row.also())
        elif row.kind in _COUNTING:
            yield from self._spend(row)

    def _adopt(self, call: bytes, upto: int) -> None:
        """A call that nothing has limited so far, as it stands after an entry."""
        for values in self._db.execute(_OF_CALL, (call, upto)).fetchall():
            row = Row._make(values)
            if row.kind == Kind.OPENED:
                self.state.replay(call, row.opened())
            elif row.kind == Kind.CHECKPOINT:
                self.state.shrink(call, row.also())
            elif row.kind == Kind.ATTEMPT:
                self.state.used(call, row.spent(row.covered_tokens))

    def _open(self, row: Row) -> Iterator[str]:
        record, purse = row.opened(), self.state.standing(*row.who).purse
        tokens = record.reserves["tokens"]
        expected = tokens if purse is not None and purse.includes(tokens, row.at_us) else 0
        if row.covered_tokens != expected:
            yield _wrong_cover(row, expected)
        self.state.replay(row.call, record)

    def _spend(self, row: Row) -> Iterator[str]:
        """Count an entry with the tokens that it says are covered, and say where these should be others."""
        what, record = row.spent(row.covered_tokens), self.state.open_calls.get(row.call)
        if record is not None and row.kind in (Kind.ATTEMPT, Kind.SETTLED):
            expected = self.state.covered(row.call, what.tokens)
            self._count(self.state.spend(row.call, what, what.covered)[1])
            if row.kind == Kind.SETTLED:
                self._count(self.state.close(row.call))
        else:
            before, opened_us = self._corrected(row)
            was = NOTHING if before is None else before.spent(before.covered_tokens)
            expected = self.state.covered_anew(row.who, opened_us, was, what)
            self._count(self.state.correct(row.who, opened_us, was, what, what.covered)[1])
        if what.covered > expected or (what.covered < expected and not self._beside_undone(row.seq)):
            yield _wrong_cover(row, expected)

    def _corrected(self, row: Row) -> tuple[Row | None, int]:
        """The entry that a correction stands in place of, and when its call was opened."""
        before = None
        if row.kind != Kind.ATTEMPT:
            found = self._db.execute(_REPLACED, (row.seq,)).fetchone()
            before = None if found is None else Row._make(found)
        opened = self._db.execute(_OPENED, (row.call,)).fetchone()
        if (
            opened is None and before is None
        ):  # this ledger saw the call only late: it counts as it came first
            opened = self._db.execute(_END_BEFORE, (row.call, row.seq)).fetchone()
        if opened is not None:
            return before, opened[0]
        return before, row.at_us if before is None else before.at_us

    def _beside_undone(self, seq: int) -> bool:
        return any(first <= seq <= last for first, last in self._undone)

    def compare(self, under_way: Mapping[bytes, tuple[str, int]]) -> Iterator[str]:
        """What is kept against what was replayed; yields each difference."""
        self.change_before(2**62, under_way)
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


def _wrong_cover(row: Row, expected: int) -> str:
    return (
        f"entry {row.seq} of call {uuid_text(row.call)}: {row.covered_tokens} of its tokens are covered by an allowance, which had "
        f"to cover {expected}"
    )
