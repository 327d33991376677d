"""Replay every entry and compare: the proof that what is shown follows from the ledger alone.

Entries are read a few thousand at a time, each time in a read transaction of its own, since they never change; only
the newest of them and the sums are read in one. So a ledger of any size is replayed in little memory, beside a
writer whose write-ahead log is never held for long.
"""

import hashlib
from collections.abc import Callable, Iterator
from operator import mul
from pathlib import Path

import msgspec

from tokenweir.catalog.price import SpreadCost, read_applied
from tokenweir.catalog.pricing import cache_saves, each_class
from tokenweir.core.errors import LedgerError
from tokenweir.core.ids import uuid_text
from tokenweir.core.usage import Provenance
from tokenweir.ledger import rollups
from tokenweir.ledger.database import FAULTS, Connection, database_of
from tokenweir.ledger.entries import ENDS, Kind, Outcome
from tokenweir.ledger.replay import READ, LimitReplay, Row
from tokenweir.ledger.rollups import Rollup
from tokenweir.ledger.verify_steps import wrong_steps
from tokenweir.ledger.views import iso_time, open_reader

MAX_PROBLEMS = 20  # the first differences; more say nothing new
AT_ONCE = 20_000  # entries

#: After an entry of the kind on the left, what may follow for the same call while it is open.
_FOLLOWS: dict[str, frozenset[str]] = {
    kind: frozenset({Kind.CHECKPOINT, Kind.ATTEMPT, Kind.SETTLED})
    for kind in (Kind.OPENED, Kind.CHECKPOINT, Kind.ATTEMPT)
}
_REPRICED = frozenset({Kind.REPRICED, Kind.REPRICED_ATTEMPT})
_AFTER_LATE = _REPRICED | {Kind.ATTEMPT, Kind.LATE}
#: What may follow the end of a call. An attempt only where the call was closed without its worker.
_FOLLOWS_END: dict[tuple[str, bool], frozenset[str]] = {
    (Kind.SETTLED, True): _AFTER_LATE,
    (Kind.SETTLED, False): _REPRICED | {Kind.LATE},
    (Kind.LATE, True): _AFTER_LATE,
    (Kind.LATE, False): _AFTER_LATE,
    (Kind.REPRICED, True): _AFTER_LATE,
    (Kind.REPRICED, False): _REPRICED,
    (Kind.REFUSED, False): frozenset(),
}
_PRICED = frozenset({Kind.CHECKPOINT, Kind.ATTEMPT, *ENDS, Kind.REPRICED_ATTEMPT})

_END_BEFORE = (
    "SELECT seq, kind, outcome FROM entries WHERE call = ? AND seq < ? "
    "AND kind IN ('settled', 'late', 'repriced', 'refused') ORDER BY seq DESC LIMIT 1"
)
#: Read from the index alone, in its order.
_BEGUN_TWICE = (
    "SELECT call, min(seq), max(seq) FROM entries WHERE kind IN ('opened', 'refused') "
    "GROUP BY call HAVING count(*) > 1"
)

Progress = Callable[[int, int], None]


class Verification(msgspec.Struct, frozen=True):
    """What a replay found. `ok` means: no difference anywhere. `problems` are the first ones, in the ledger's order."""

    ok: bool
    entries: int
    calls: int
    open_calls: int
    problems: tuple[str, ...] = ()


class _Rates(msgspec.Struct, frozen=True):
    """A price, ready to be multiplied."""

    currency: str
    each: tuple[int, ...]  # pico per token, in the order of TOKEN_CLASSES


class _Spread(msgspec.Struct):
    """What one correction has spread so far, and its last entry."""

    price: SpreadCost
    given: int = 0
    seq: int = 0


class _Replay:
    """What has been seen so far, entry by entry."""

    def __init__(self, db: Connection) -> None:
        self._db = db  # sums of the replay are made in tables of its own
        self._prices: dict[str, _Rates | SpreadCost | str] = {}  # or what is wrong with it
        self._spreads: dict[str, _Spread] = {}  # by price
        self._limits = LimitReplay(db)
        self.open: dict[bytes, tuple[str, int]] = {}  # the last entry of each open call, and where it began
        self.seq = self.entries = self.calls = 0

    def read(self, upto: int) -> Iterator[str]:
        """Replay entries up to this number; yields what is wrong with them."""
        after = self.seq
        rows = self._db.execute(READ, (after, upto)).fetchall()
        self._limits.catch_up()
        for row in rows:
            yield from self._step(Row._make(row))
        rollups.add_entries(self._db, after, upto, tuple(map(_replayed, rollups.FINEST)))
        if self.seq < upto:
            yield f"{_entries(self.seq + 1, upto)} missing: the ledger goes on to {upto}"
        self.seq = upto

    def _step(self, row: Row) -> Iterator[str]:
        seq, kind = row.seq, row.kind
        if seq != self.seq + 1:
            yield f"{_entries(self.seq + 1, seq - 1)} missing: after {self.seq} comes {seq}"
        self.seq = seq
        self.entries += 1
        self._limits.change_before(seq, self.open)
        yield from self._check_order(seq, kind, row.call)
        if kind in _PRICED:
            yield from self._check_amount(row, "cost", row.price, row.cost_pico, row.currency)
            if row.charge_price or row.charge_pico is not None:
                yield from self._check_amount(
                    row, "charge", row.charge_price, row.charge_pico, row.charge_currency
                )
        yield from self._limits.step(row)

    def _check_order(self, seq: int, kind: str, call: bytes) -> Iterator[str]:
        before = self.open.get(call)
        if kind in (Kind.OPENED, Kind.REFUSED) and before is None:
            self.calls += 1
            if kind == Kind.OPENED:
                self.open[call] = (kind, seq)
            return
        if before is not None:
            if kind not in _FOLLOWS[before[0]]:
                yield f"entry {seq}: {kind} of call {uuid_text(call)}, which has been open since entry {before[1]}"
            elif kind == Kind.SETTLED:
                del self.open[call]
            else:
                self.open[call] = (kind, before[1])
            return
        end = self._db.execute(_END_BEFORE, (call, seq)).fetchone()
        if end is None:
            self.calls += 1
            if kind != Kind.LATE:
                yield f"entry {seq}: {kind} of call {uuid_text(call)}, which was never opened"
        elif kind not in _FOLLOWS_END[end[1], end[2] == Outcome.INTERRUPTED]:
            yield f"entry {seq}: {kind} of call {uuid_text(call)}, which ended with entry {end[0]} ({end[1]})"

    def _check_amount(
        self, row: Row, what: str, price: str, pico: int | None, currency: str
    ) -> Iterator[str]:
        seq = row.seq
        if not price:
            if pico is not None:
                yield f"entry {seq}: its {what} is {pico} pico, but it has no price"
            return
        rates = self._price(price)
        if isinstance(rates, str):
            yield f"entry {seq} refers to price {price}, {rates}"
            return
        if isinstance(rates, SpreadCost):
            expected = pico  # they are right together: see `_compare_spread`
            spread = self._spreads.setdefault(price, _Spread(rates))
            spread.given, spread.seq = spread.given + (pico or 0), row.seq
        else:
            expected = sum(map(mul, rates.each, row.tokens)) if row.provenance != Provenance.UNKNOWN else None
        if pico != expected:
            told = (
                "its usage is unknown" if expected is None else f"its tokens times its price are {expected}"
            )
            yield f"entry {seq}: its {what} is {'none' if pico is None else f'{pico} pico'}, but {told}"
        if currency != rates.currency:
            yield f"entry {seq}: its {what} is in {currency or 'no currency'}, its price in {rates.currency}"

    def _price(self, price: str) -> _Rates | SpreadCost | str:
        known = self._prices.get(price)
        if known is None:
            known = self._prices[price] = _read_price(self._db, price)
        return known

    # --- what is derived

    def compare(self) -> Iterator[str]:
        """Everything derived against what the entries add up to; yields each difference."""
        for call, first, again in self._db.execute(_BEGUN_TWICE):
            yield f"entry {again}: call {uuid_text(call)} begins again; it began with entry {first}"
        rollups.coarsen(self._db, _replayed)
        for rollup in rollups.ROLLUPS:
            yield from _compare_rollup(self._db, rollup)
        self._limits.catch_up()
        yield from self._limits.compare(self.open)
        yield from self._compare_spread()
        yield from self._compare_mark()
        yield from wrong_steps(self._db)

    def _compare_spread(self) -> Iterator[str]:
        """What was spread over calls adds up to what there was to spread. A spread that was cut off has to be finished, unless
        a later one of the same cost stands in its place.
        """
        latest = {spread.price.ref: spread for spread in sorted(self._spreads.values(), key=lambda s: s.seq)}
        for spread in latest.values():
            if spread.given != spread.price.total_pico:
                yield (
                    f"{spread.price.ref}: {spread.given} pico are spread over calls, of {spread.price.total_pico}; if no "
                    "`weir standing spread` is at work, it was cut off: do it again and it is finished"
                )

    def _compare_mark(self) -> Iterator[str]:
        row = self._db.execute("SELECT value FROM meta WHERE name = 'open_since_seq'").fetchone()
        first = min((began for _, began in self.open.values()), default=None)
        if row is not None and first is not None and row[0] > first:
            yield f"the next start would look from entry {row[0]} on, but entry {first} opened a call still open"


def verify(data_dir: Path, progress: Progress = lambda _done, _total: None) -> Verification:
    """Replay the ledger of `data_dir`, also while it is written. Raises LedgerError where it cannot be read.

    `progress` is told how many entries have been replayed, and of how many.
    """
    open_reader(data_dir).close()  # says what is wrong where it cannot be read
    db = database_of(data_dir).connect_reader(data_dir)
    try:
        for rollup in rollups.ROLLUPS:
            rollups.make_own(db, _replayed(rollup))
        rollups.prepare(db)
        return _verify(db, progress)
    except (*FAULTS, msgspec.MsgspecError) as error:
        raise LedgerError(f"the ledger in {data_dir} cannot be read: {error}") from error
    finally:
        db.close()


def _verify(db: Connection, progress: Progress) -> Verification:
    replay = _Replay(db)
    problems: list[str] = []
    count = 0

    def note(found: Iterator[str]) -> None:
        nonlocal count
        for problem in found:
            count += 1
            if len(problems) < MAX_PROBLEMS:
                problems.append(problem)

    total = _last_seq(db)
    while replay.seq < total:
        note(replay.read(min(replay.seq + AT_ONCE, total)))
        progress(replay.seq, total)
    db.execute(db.database.begin_reading)  # what came meanwhile and the sums, as they stand at one moment
    total = _last_seq(db)
    while replay.seq < total:
        note(replay.read(min(replay.seq + AT_ONCE, total)))
    note(replay.compare())
    db.execute("ROLLBACK")
    return Verification(not count, replay.entries, replay.calls, len(replay.open), tuple(problems))


def _last_seq(db: Connection) -> int:
    return int(db.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0])


def _entries(first: int, last: int) -> str:
    return f"entry {first} is" if first == last else f"entries {first} to {last} are"


def _read_price(db: Connection, price: str) -> _Rates | SpreadCost | str:
    row = db.execute("SELECT applied, cache_saves_pico FROM prices WHERE id = ?", (price,)).fetchone()
    if row is None:
        return "which is not there"
    content = hashlib.blake2b(row[0].encode(), digest_size=16).hexdigest()
    if content != price:
        return f"whose content has been changed: it is that of {content}"
    applied = read_applied(row[0])
    if row[1] != cache_saves(applied):
        return f"by which a token read from a cache saves {cache_saves(applied)} pico, not {row[1]}"
    if isinstance(applied, SpreadCost):
        return applied
    return _Rates(applied.currency, each_class(applied.rates))


def _replayed(rollup: Rollup) -> Rollup:
    """The same as the entries add up to it, in a table of the connection's own."""
    return rollup._replace(table=f"replayed_{rollup.table}")


def _compare_rollup(db: Connection, rollup: Rollup) -> Iterator[str]:
    """Rows of the ledger's table that the replay's has not, then the other way round."""
    own, names, sums = _replayed(rollup).table, (rollup.period, *rollup.names), rollup.sums
    same = " AND ".join(f"kept.{name} = replayed.{name}" for name in names)
    kept, replayed = (", ".join(f"{table}.{name}" for name in sums) for table in ("kept", "replayed"))
    unequal = " OR ".join(f"kept.{name} <> replayed.{name}" for name in sums)
    either = (
        (
            f"{rollup.table} AS kept LEFT JOIN {own} AS replayed",
            "kept",
            f"replayed.{names[0]} IS NULL OR {unequal}",
        ),
        (
            f"{own} AS replayed LEFT JOIN {rollup.table} AS kept",
            "replayed",
            f"kept.{names[0]} IS NULL",
        ),
    )
    for tables, of, differs in either:
        key = ", ".join(f"{of}.{name}" for name in names)
        query = f"SELECT {key}, {kept}, {replayed} FROM {tables} ON {same} WHERE {differs}"
        for row in db.execute(query):
            was, expected = row[len(names) : -len(sums)], row[-len(sums) :]
            yield from _differences(rollup, row[: len(names)], was, expected)


def _differences(
    rollup: Rollup, key: tuple[object, ...], kept: tuple[int | None, ...], replayed: tuple[int | None, ...]
) -> Iterator[str]:
    begin_us = rollup.period_us * int(str(key[0]))
    named = ", ".join(f"{n} {v}" for n, v in zip(rollup.names, key[1:], strict=True) if v != "")
    for column, was, expected in zip(rollup.sums, kept, replayed, strict=True):
        if (was or 0) != (expected or 0):
            yield (
                f"{rollup.table} sums of {iso_time(begin_us)[:16]}Z ({named}): "
                f"{column} is {was or 0}, the entries add up to {expected or 0}"
            )
