"""Limits and credit replayed: entries and changes of terms, in their order, through the laws that decided them."""

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
from tokenweir.ledger.store import read_changes, read_spent
from tokenweir.ledger.terms import Limit
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

    def spent(self, covered: int) -> Spent:
        """What it used and what its account pays, with so many tokens covered."""
        if self.charge_price:
            return Spent(
                sum(self.tokens), self.charge_pico or 0, self.charge_currency, covered, self.tool_calls
            )
        return Spent(sum(self.tokens), self.cost_pico or 0, self.currency, covered, self.tool_calls)


_SELECT = f"SELECT {', '.join(COLUMNS)} FROM entries"
READ = f"{_SELECT} WHERE seq > ? AND seq <= ? ORDER BY seq"
_OPENED = "SELECT at_us FROM entries WHERE call = ? AND kind = 'opened'"
_REPLACED = f"{_SELECT} WHERE seq = (SELECT ({REPLACED}) FROM entries AS c WHERE c.seq = ?)"
_COUNTING = frozenset({Kind.ATTEMPT, Kind.SETTLED, Kind.LATE, Kind.REPRICED, Kind.REPRICED_ATTEMPT})


class LimitReplay:
    """What has been counted, as the entries say it; entries of calls that nothing limits cost one look-up."""

    def __init__(self, db: Connection) -> None:
        self._db = db
        self.state = LedgerState()
        self._changes = list(read_changes(db))
        self._next = 0
        self._counted: dict[tuple[str, str, str, str, int], int] = {}

    def is_limited(self, row: Row) -> bool:
        """Whether anything is counted for its call now, or was at a change of terms while it was under way."""
        standing = self.state.standing(*row.who)
        return bool(standing.budgets) or standing.purse is not None or row.call in self.state.open_calls

    def change_before(self, seq: int, under_way: Mapping[bytes, tuple[str, int]]) -> None:
        """Take in the changes that were decided before entry `seq`; `under_way`: calls, and the entries that opened them."""
        while self._next < len(self._changes) and self._changes[self._next].after_seq < seq:
            audited = self._changes[self._next]
            self._next += 1
            after = audited.after_seq
            for call, (_, opened) in under_way.items():  # what limits nobody until now may count from now on
                if call not in self.state.open_calls and opened <= after:
                    self.state.replay(call, _open(self._row(opened)))

            def history(scope: str, limit: Limit, since_us: int, after: int = after) -> int:
                return read_history(self._db, self.state.terms.below, scope, limit, since_us, after)

            self._count(self.state.change(audited.change, audited.at_us, history))

    def step(self, row: Row) -> Iterator[str]:
        """Replay one entry of a call under limits; yields what is wrong with it."""
        if row.kind == Kind.OPENED:
            self.state.replay(row.call, _open(row))
        elif row.kind == Kind.REFUSED:
            self.state.turn(row.who, row.at_us)
        elif row.kind in _COUNTING:
            room = self._spend(row)
            if row.covered_tokens > room:
                yield (
                    f"entry {row.seq} of call {uuid_text(row.call)}: {row.covered_tokens} tokens are covered by an "
                    f"allowance, which had room for {room}"
                )

    def _row(self, seq: int) -> Row:
        return Row._make(self._db.execute(READ, (seq - 1, seq)).fetchone())

    def _spend(self, row: Row) -> int:
        """Count an entry; how many of its tokens an allowance had room for, if no other call had set any aside."""
        what, record = row.spent(row.covered_tokens), self.state.open_calls.get(row.call)
        if record is not None and row.kind in (Kind.ATTEMPT, Kind.SETTLED):
            room = 0 if record.purse is None else record.purse.included(record.opened_us)
            self._count(self.state.spend(row.call, what, what.covered)[1])
            if row.kind == Kind.SETTLED:
                self._count(self.state.close(row.call))
            return room
        before = None
        if row.kind != Kind.ATTEMPT:
            found = self._db.execute(_REPLACED, (row.seq,)).fetchone()
            before = None if found is None else Row._make(found)
        opened = self._db.execute(_OPENED, (row.call,)).fetchone()
        opened_us = opened[0] if opened else row.at_us if before is None else before.at_us
        was = NOTHING if before is None else before.spent(before.covered_tokens)
        purse = self.state.standing(*row.who).purse
        room = 0 if purse is None else was.covered + purse.included(opened_us)
        self._count(self.state.correct(row.who, opened_us, was, what, what.covered)[1])
        return room

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


def _open(row: Row) -> Open:
    reserves = {"tokens": row.bound_input + row.bound_output, "calls": 1}
    if row.currency:
        reserves[row.currency] = row.reserved_pico or 0
    if row.also_reserved:
        reserves |= msgspec.json.decode(row.also_reserved, type=dict[str, int])
    return Open(
        row.key, row.at_us, row.model, row.account, row.run, "", row.bound_output, reserves,
        by_allowance=row.covered_tokens > 0,
    )  # fmt: skip
