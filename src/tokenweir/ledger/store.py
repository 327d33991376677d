"""The ledger's file: one connection that writes, and what has to be known at the start."""

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.core.money import PICO
from tokenweir.ledger import rollups
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.laws import LedgerState, Open
from tokenweir.ledger.messages import KeyRecord, Limit
from tokenweir.ledger.schema import DATABASE_NAME, ENTRY_COLUMNS, migrate

#: The write-ahead log is folded with force beyond this. Commits wait for readers meanwhile, but no longer than that.
LOG_BYTES = 64 * 1024 * 1024
FOLD_WAIT_MS = 100
BUSY_MS = 5000
_SYNCHRONOUS = {"fsync": "FULL", "os": "OFF"}

_INSERT_ENTRY = f"INSERT INTO entries VALUES ({', '.join('?' * len(ENTRY_COLUMNS))})"
_UPSERT_SPENT = (
    "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, unit, window, start_us) DO UPDATE SET "
    f"amount_high = amount_high + excluded.amount_high + (amount_low + excluded.amount_low) / {PICO}, "
    f"amount_low = (amount_low + excluded.amount_low) % {PICO}"
)


class Spending(NamedTuple):
    """What a call added to a limit in one window, in the limit's unit."""

    call: bytes
    key: str
    limit: Limit
    start_us: int  # of the window
    amount: int  # less than nothing where a correction is


class Batch:
    """What one transaction writes."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.by_call: dict[bytes, list[Entry]] = {}
        self.spending: list[Spending] = []
        self.prices: list[tuple[str, bytes]] = []
        self.created: list[KeyRecord] = []
        self.revoked: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self.entries or self.prices or self.created or self.revoked)

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
        self.spending = [s for s in self.spending if s.call not in calls]


class Store:
    """The one writing connection. Not for use by two processes: the writer's lock sees to that."""

    def __init__(self, data_dir: Path, durability: str = "fsync") -> None:
        self.path = data_dir / DATABASE_NAME
        try:
            data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            new = not self.path.exists()
            self._db = sqlite3.connect(str(self.path), isolation_level=None)
            if new:
                self.path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
            self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            self._db.execute("PRAGMA temp_store = MEMORY")
            migrate(self._db, self.path)
            rollups.prepare(self._db)
            self.last_seq, self.last_call = self._db.execute(
                "SELECT coalesce((SELECT max(seq) FROM entries), 0), coalesce((SELECT max(call) FROM entries), x'')"
            ).fetchone()
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"the ledger in {data_dir} cannot be opened: {error}") from error

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self._db.close()

    def fold(self) -> None:
        """Fold the write-ahead log into the file where readers have let it grow; it waits a moment for them."""
        log = self.path.with_name(f"{self.path.name}-wal")
        if not log.exists() or log.stat().st_size <= LOG_BYTES:
            return
        self._db.execute(f"PRAGMA busy_timeout = {FOLD_WAIT_MS}")
        self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")

    def write(self, batch: Batch, open_since_seq: int) -> None:
        """All of `batch` in one durable transaction, or nothing. Raises LedgerError.

        `open_since_seq`: every call opened before this entry has ended; the next start looks no further back.
        """
        db, seq = self._db, self.last_seq
        rows = list(map(_row, range(seq + 1, seq + 1 + len(batch.entries)), batch.entries))
        try:
            db.execute("BEGIN IMMEDIATE")
            if batch.prices or batch.created or batch.revoked:
                self._write_terms(batch)
            db.executemany(_INSERT_ENTRY, rows)
            if rows:
                rollups.add_entries(db, seq, seq + len(rows))
            db.executemany(_UPSERT_SPENT, _spent_rows(batch.spending))
            if rows:
                db.execute("INSERT OR REPLACE INTO meta VALUES ('open_since_seq', ?)", (open_since_seq,))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise LedgerError(f"the ledger cannot be written: {error}") from error
        self.last_seq = seq + len(rows)

    def _write_terms(self, batch: Batch) -> None:
        """Prices and keys, which are few."""
        db = self._db
        db.executemany(
            "INSERT OR IGNORE INTO prices VALUES (?, ?)", [(i, a.decode()) for i, a in batch.prices]
        )
        db.executemany("INSERT OR IGNORE INTO keys VALUES (?,?,?,?,?,?,?,?,?)", map(_key_row, batch.created))
        db.executemany("UPDATE keys SET revoked_us = coalesce(revoked_us, ?) WHERE id = ?", batch.revoked)

    def entry(self, call: bytes, kind: Kind, ordinal: int) -> Entry | None:
        """This very entry, if it is there."""
        return self._one("call = ? AND kind = ? AND ordinal = ?", call, kind.value, ordinal)

    def last_entry(self, call: bytes, *kinds: Kind) -> Entry | None:
        """The last entry of a call of these kinds."""
        marks = ", ".join("?" * len(kinds))
        return self._one(f"call = ? AND kind IN ({marks})", call, *(kind.value for kind in kinds))

    def _one(self, condition: str, *values: object) -> Entry | None:
        query = f"SELECT * FROM entries WHERE {condition} ORDER BY seq DESC LIMIT 1"
        row = self._db.execute(query, values).fetchone()
        return None if row is None else read_entry(row)

    def keys(self) -> list[KeyRecord]:
        """Every key, revoked ones too."""
        return read_keys(self._db)

    def load(self) -> tuple[LedgerState, dict[bytes, int]]:
        """The state to decide with, and the calls that are open with the seq of their opening."""
        state = LedgerState()
        for key in self.keys():
            state.set_key(key)
        for key_id, unit, window, start, high, low in self._db.execute("SELECT * FROM spent"):
            state.load_spent(key_id, unit, window, start, high * PICO + low)
        row = self._db.execute("SELECT value FROM meta WHERE name = 'open_since_seq'").fetchone()
        opened: dict[bytes, int] = {}
        entries: dict[bytes, Entry] = {}
        for values in self._db.execute(
            "SELECT * FROM entries WHERE seq >= ? ORDER BY seq", (row[0] if row else 0,)
        ):
            entry = read_entry(values)
            if entry.kind is Kind.OPENED:
                opened[entry.call] = int(values[0])
                entries[entry.call] = entry
            elif entry.kind is Kind.SETTLED:
                opened.pop(entry.call, None)
        for call in opened:
            e = entries[call]
            record = Open(e.key, e.at_us, e.model, e.account, e.run, e.dialect, e.bound_output)
            state.restore(call, record, e.bound_input + e.bound_output, e.currency, e.reserved_pico or 0)
        return state, opened


def read_keys(db: sqlite3.Connection) -> list[KeyRecord]:
    """Every key of an open file, oldest first."""
    rows = db.execute(
        "SELECT id, name, account, hash, hint, created_us, revoked_us, limits, run FROM keys ORDER BY created_us, id"
    )
    return [
        KeyRecord(i, n, a, h, t, c, r, msgspec.json.decode(lim, type=tuple[Limit, ...]), run)
        for i, n, a, h, t, c, r, lim, run in rows
    ]


def _key_row(key: KeyRecord) -> tuple[object, ...]:
    limits = msgspec.json.encode(key.limits).decode()
    return (
        key.id,
        key.name,
        key.account,
        key.hash,
        key.hint,
        key.created_us,
        key.revoked_us,
        limits,
        key.run,
    )


def _spent_rows(spending: list[Spending]) -> list[tuple[object, ...]]:
    """What a batch adds to each limit in each window: many calls of one key are one row."""
    added: dict[tuple[str, str, str, int], int] = {}
    for _, key, limit, start_us, amount in spending:
        name = (key, limit.unit, limit.window, start_us)
        added[name] = added.get(name, 0) + amount
    return [(*name, *divmod(amount, PICO)) for name, amount in added.items()]


def _row(seq: int, e: Entry) -> tuple[object, ...]:
    u = e.usage
    return (  # `_value_` because `value` is a property, and slow
        seq, e.kind._value_, e.at_us, e.call, e.ordinal, e.attempt, e.account, e.key, e.run, e.model, e.dialect,
        e.upstream, e.deployment, e.served_model, u.input, u.cache_read, u.cache_write_5m, u.cache_write_1h,
        u.output, u.reasoning, u.provenance._value_, e.price, e.cost_pico, e.currency, e.ttft_us, e.duration_us,
        e.status, None if e.outcome is None else e.outcome._value_, e.reason, e.bound_input, e.bound_output,
        e.reserved_pico,
    )  # fmt: skip


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
