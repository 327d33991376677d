"""The ledger's store: one connection that writes, and what has to be known at the start."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from tokenweir.catalog.price import read_applied
from tokenweir.catalog.pricing import cache_saves
from tokenweir.core.errors import LedgerError
from tokenweir.core.money import PICO
from tokenweir.ledger import rollups
from tokenweir.ledger.budgets import Counted, spent_by
from tokenweir.ledger.database import FAULTS, Connection, OnLost, bear_it, database_of
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.history import Below, read_history
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.rows import rows_by_statement
from tokenweir.ledger.schema import ENTRY_COLUMNS, UNDONE, migrate, set_mark
from tokenweir.ledger.summing import rows_of, summed
from tokenweir.ledger.terms import Audited, Change, Limit, Terms
from tokenweir.ledger.under_way import Open
from tokenweir.protocol.steps import Step

_CHANGE: msgspec.json.Decoder[Change] = msgspec.json.Decoder(Change)
_JSON_INTS: msgspec.json.Decoder[dict[str, int]] = msgspec.json.Decoder(dict[str, int])
_SINCE = "SELECT seq, kind, call FROM entries WHERE seq >= ? AND kind IN ('opened', 'settled') ORDER BY seq"
_SPENT = 'SELECT scope, model, unit, "window", start_us, amount_high, amount_low FROM spent'
#: What counts now: of minutes and hours, which are many, the latest alone.
_SPENT_NOW = f"""
{_SPENT} WHERE "window" NOT IN ('minute', 'hour') UNION ALL
{_SPENT} JOIN (
    SELECT scope, model, unit, "window", max(start_us) AS start_us FROM spent
    WHERE "window" IN ('minute', 'hour') GROUP BY scope, model, unit, "window"
) AS latest USING (scope, model, unit, "window", start_us)
"""
_UPSERT_SPENT = f"""
INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (scope, model, unit, "window", start_us) DO UPDATE SET
amount_high = spent.amount_high + excluded.amount_high + (spent.amount_low + excluded.amount_low) / {PICO},
amount_low = (spent.amount_low + excluded.amount_low) % {PICO}
"""
#: The greatest id is looked up in the index of ids: not every database knows the greatest of bytes.
_LAST = """
SELECT coalesce((SELECT max(seq) FROM entries), 0), coalesce((SELECT max(seq) FROM changes), 0),
(SELECT call FROM entries ORDER BY call DESC LIMIT 1)
"""


class Batch:
    """What one transaction writes."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.by_call: dict[bytes, list[Entry]] = {}
        self.counted: list[tuple[bytes, Counted]] = []  # by which call; empty: by new terms
        self.prices: list[tuple[str, bytes]] = []
        self.changes: list[tuple[int, str, Change]] = []  # at_us, actor
        self.steps: list[tuple[bytes, str, Step]] = []  # call, run
        self.beside_undone = False  # its entries were decided beside openings that could not be written

    def __bool__(self) -> bool:
        return bool(self.entries or self.prices or self.changes)

    def add(self, entry: Entry) -> None:
        """Take an entry that is not there yet."""
        self.entries.append(entry)
        self.by_call.setdefault(entry.call, []).append(entry)

    def forget(self, calls: set[bytes]) -> None:
        """Drop these calls, and all refusals."""
        kept = [e for e in self.entries if e.call not in calls and e.kind is not Kind.REFUSED]
        self.entries, self.by_call = [], {}
        for entry in kept:
            self.add(entry)
        self.counted = [(call, row) for call, row in self.counted if call not in calls]
        self.steps = [step for step in self.steps if step[0] not in calls]


class Store:
    """The one writing connection. Not for use by two processes: the writer's lock sees to that."""

    def __init__(self, data_dir: Path, durability: str = "fsync", on_lost: OnLost = bear_it) -> None:
        self._data_dir = data_dir
        self._database = database_of(data_dir)
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = self._database.connect(data_dir, durability, on_lost)
            migrate(self._db, data_dir)
            rollups.prepare(self._db)
            self.last_seq, self.last_change, last_call = self._db.execute(_LAST).fetchone()
            self.last_call = last_call or b""
            self._saves: dict[str, int] = dict(self._db.execute("SELECT id, cache_saves_pico FROM prices"))
        except (*FAULTS, OSError) as error:
            raise LedgerError(f"the ledger in {data_dir} cannot be opened: {error}") from error

    def close(self) -> None:
        """Let go of it; a file is left with nothing beside it."""
        self._db.close()

    def fold(self) -> None:
        """Tidy up what readers have let grow, as the database has it; it waits a moment for them."""
        self._database.fold(self._db, self._data_dir)

    def write(self, batch: Batch, open_since_seq: int) -> None:
        """All of `batch` in one durable transaction, or nothing. Raises LedgerError.

        `open_since_seq`: every call opened before this entry has ended; the next start looks no further back.
        """
        db, seq = self._db, self.last_seq
        try:
            db.execute(self._database.begin)
            if batch.prices or batch.changes:
                self._write_terms(batch)
            for statement, rows in rows_by_statement(batch.entries, seq + 1).items():
                db.executemany(statement, rows)
            if batch.entries:
                self._add_to_rollups(batch, seq, seq + len(batch.entries))
            db.executemany(_UPSERT_SPENT, _spent_rows(batch.counted))
            if batch.steps:
                steps = [(call, run, msgspec.json.encode(step).decode()) for call, run, step in batch.steps]
                db.executemany("INSERT INTO steps VALUES (?, ?, ?) ON CONFLICT (call) DO NOTHING", steps)
            if batch.entries:
                set_mark(db, "open_since_seq", open_since_seq)
                if batch.beside_undone:
                    set_mark(db, f"{UNDONE}{seq + 1}", seq + len(batch.entries))
            db.execute("COMMIT")
        except FAULTS as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise LedgerError(f"the ledger cannot be written: {error}") from error
        self.last_seq = seq + len(batch.entries)
        self.last_change += len(batch.changes)

    def _add_to_rollups(self, batch: Batch, after: int, upto: int) -> None:
        found = summed(batch.entries, self._saves)
        if found is None:
            rollups.add_entries(self._db, after, upto)
            return
        for rollup in rollups.ROLLUPS if found else ():
            self._db.executemany(rollups.upsert(rollup), rows_of(rollup, found))

    def _write_terms(self, batch: Batch) -> None:
        """Prices and changes, which are few."""
        prices = [(id, applied.decode(), cache_saves(read_applied(applied))) for id, applied in batch.prices]
        self._db.executemany("INSERT INTO prices VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", prices)
        self._saves |= {id: saves for id, _, saves in prices}
        rows = [
            (self.last_change + number, at_us, actor, self.last_seq, msgspec.json.encode(change).decode())
            for number, (at_us, actor, change) in enumerate(batch.changes, 1)
        ]
        self._db.executemany("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", rows)

    def entry(self, call: bytes, kind: Kind, ordinal: int) -> Entry | None:
        """This very entry, if it is there."""
        return self._one("call = ? AND kind = ? AND ordinal = ?", call, kind.value, ordinal)

    def last_entry(self, call: bytes, *kinds: Kind, attempt: bytes = b"") -> Entry | None:
        """The last entry of a call of these kinds, and of one attempt if it is named."""
        marks = ", ".join("?" * len(kinds))
        condition, values = f"call = ? AND kind IN ({marks})", [call, *(kind.value for kind in kinds)]
        return self._one(
            f"{condition} AND attempt = ?" if attempt else condition, *values, *([attempt] if attempt else ())
        )

    def _one(self, condition: str, *values: object) -> Entry | None:
        query = f"SELECT * FROM entries WHERE {condition} ORDER BY seq DESC LIMIT 1"
        row = self._db.execute(query, values).fetchone()
        return None if row is None else read_entry(row)

    def corrections(self, call: bytes) -> int:
        """How many of a call's entries stand in the place of others at another price."""
        query = "SELECT count(*) FROM entries WHERE call = ? AND kind IN ('repriced', 'repriced_attempt')"
        return int(self._db.execute(query, (call,)).fetchone()[0])

    def changes_after(self, seq: int) -> Iterator[Change]:
        """Every change of terms after one."""
        return (audited.change for audited in read_changes(self._db, seq))

    def history(self, below: Below, scope: str, limit: Limit, since_us: int) -> int:
        """What calls opened from a moment on have used of a limit: what it begins with where it is new."""
        return read_history(self._db, below, scope, limit, since_us)

    def load(self) -> tuple[LedgerState, dict[bytes, int]]:
        """See `load_state`."""
        return load_state(self._db)


def load_state(db: Connection) -> tuple[LedgerState, dict[bytes, int]]:
    """The state to decide with, or to show, and the calls that are open with the seq of their opening."""
    state = LedgerState(read_terms(db))
    state.latest_us = latest_us(db)
    for row in read_spent(db, _SPENT_NOW):
        state.load_spent(row)
    mark = db.execute("SELECT value FROM meta WHERE name = 'open_since_seq'").fetchone()
    opened: dict[bytes, int] = {}
    for seq, kind, call in db.execute(_SINCE, (mark[0] if mark else 0,)):
        if kind == Kind.OPENED:
            opened[call] = seq
        else:
            opened.pop(call, None)
    for call in opened:
        for entry in map(
            read_entry, db.execute("SELECT * FROM entries WHERE call = ? ORDER BY seq", (call,))
        ):
            if entry.kind is Kind.OPENED:
                state.restore(call, opened_as(entry))
            elif entry.kind is Kind.ATTEMPT:
                state.used(call, spent_by(entry))
            elif entry.also_reserved:
                state.shrink(call, _JSON_INTS.decode(entry.also_reserved))
    return state, opened


def latest_us(db: Connection) -> int:
    """The ledger's time: of the latest call that was opened or refused, or change of terms."""
    queries = (
        "SELECT at_us FROM entries WHERE kind IN ('opened', 'refused') ORDER BY seq DESC LIMIT 1",
        "SELECT at_us FROM changes ORDER BY seq DESC LIMIT 1",
    )
    return max((int(row[0]) for query in queries for row in db.execute(query)), default=0)


def opened_as(e: Entry) -> Open:
    """What an "opened" entry says that a call has set aside."""
    reserves = {"tokens": e.bound_input + e.bound_output, "calls": 1}
    if e.currency:
        reserves[e.currency] = e.reserved_pico or 0
    if e.also_reserved:
        reserves |= _JSON_INTS.decode(e.also_reserved)
    return Open(
        e.key, e.at_us, e.model, e.account, e.run, e.dialect, e.bound_output, reserves,
        by_allowance=e.covered_tokens > 0,
    )  # fmt: skip


def read_spent(db: Connection, query: str = _SPENT) -> Iterator[Counted]:
    """What has been used of each limit and credit, in each of its windows."""
    for scope, model, unit, window, start_us, high, low in db.execute(query):
        yield Counted(scope, model, unit, window, start_us, high * PICO + low)


def read_changes(db: Connection, after: int = 0) -> Iterator[Audited]:
    """Every change of terms after one, oldest first."""
    query = "SELECT seq, at_us, actor, after_seq, change FROM changes WHERE seq > ? ORDER BY seq"
    for seq, at_us, actor, after_seq, change in db.execute(query, (after,)):
        told: Change = _CHANGE.decode(change)
        yield Audited(seq=seq, at_us=at_us, actor=actor, after_seq=after_seq, change=told)


def read_terms(db: Connection) -> Terms:
    """The terms in force in an open file."""
    terms = Terms()
    for audited in read_changes(db):
        terms.apply(audited.change)
        terms.seq = audited.seq
    return terms


def _spent_rows(counted: list[tuple[bytes, Counted]]) -> list[tuple[object, ...]]:
    """What a batch adds to each limit in each window: many calls of one key are one row."""
    added: dict[tuple[object, ...], int] = {}
    for _, (*where, amount) in counted:
        name = tuple(where)
        added[name] = added.get(name, 0) + amount
    return [(*name, *divmod(amount, PICO)) for name, amount in added.items()]


def read_entry(row: Iterable[object]) -> Entry:
    """An entry from a row of all columns in their order."""
    values = dict(zip(ENTRY_COLUMNS, row, strict=True))
    del values["seq"]
    usage = {
        name: values.pop(name)
        for name in (
            "input",
            "cache_read",
            "cache_write_5m",
            "cache_write_1h",
            "output",
            "reasoning",
            "provenance",
        )
    }
    return msgspec.convert({**values, "usage": usage}, Entry)
