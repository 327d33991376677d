"""The ledger's file: one connection that writes, and what has to be known at the start."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.core.money import PICO
from tokenweir.core.usage import Provenance
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.laws import LedgerState, Open
from tokenweir.ledger.messages import KeyRecord, Limit
from tokenweir.ledger.schema import DATABASE_NAME, ENTRY_COLUMNS, HOURLY_KEYS, HOURLY_SUMS, migrate

_HOUR_US = 3_600_000_000
_SYNCHRONOUS = {"fsync": "FULL", "os": "OFF"}

_INSERT_ENTRY = f"INSERT INTO entries VALUES ({', '.join('?' * len(ENTRY_COLUMNS))})"
_UPSERT_HOURLY = (
    f"INSERT INTO hourly VALUES ({', '.join('?' * (len(HOURLY_KEYS) + len(HOURLY_SUMS)))}) "
    f"ON CONFLICT ({', '.join(HOURLY_KEYS)}) DO UPDATE SET "
    + ", ".join(
        f"{name} = {name} + excluded.{name}"
        for name in HOURLY_SUMS
        if name not in ("cost_units", "cost_pico")
    )
    # Units and pico carry, so that neither leaves SQLite's 64 bits.
    + f", cost_units = cost_units + excluded.cost_units + (cost_pico + excluded.cost_pico) / {PICO}"
    + f", cost_pico = (cost_pico + excluded.cost_pico) % {PICO}"
)
_UPSERT_SPENT = (
    "INSERT INTO spent VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key, unit, window, start_us) DO UPDATE SET "
    f"amount_high = amount_high + excluded.amount_high + (amount_low + excluded.amount_low) / {PICO}, "
    f"amount_low = (amount_low + excluded.amount_low) % {PICO}"
)

Spending = tuple[str, Limit, int, int]  # key, limit, start of the window, amount


class Batch:
    """What one transaction writes."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.spending: list[Spending] = []
        self.prices: list[tuple[str, bytes]] = []
        self.created: list[KeyRecord] = []
        self.revoked: list[tuple[int, str]] = []

    def __bool__(self) -> bool:
        return bool(self.entries or self.prices or self.created or self.revoked)


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
            self._db.execute("PRAGMA busy_timeout = 5000")
            migrate(self._db, self.path)
            self.last_seq = int(self._db.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0])
        except (sqlite3.Error, OSError) as error:
            raise LedgerError(f"the ledger in {data_dir} cannot be opened: {error}") from error

    def close(self) -> None:
        """Fold the write-ahead log into the file and let go of it."""
        self._db.close()

    def write(self, batch: Batch, open_since_seq: int) -> None:
        """All of `batch` in one durable transaction, or nothing. Raises LedgerError.

        `open_since_seq`: every call opened before this entry has ended; the next start looks no further back.
        """
        db, seq = self._db, self.last_seq
        rows = [_row(seq + 1 + number, entry) for number, entry in enumerate(batch.entries)]
        try:
            db.execute("BEGIN IMMEDIATE")
            db.executemany(
                "INSERT OR IGNORE INTO prices VALUES (?, ?)", [(i, a.decode()) for i, a in batch.prices]
            )
            db.executemany(
                "INSERT OR IGNORE INTO keys VALUES (?,?,?,?,?,?,?,?,?)", map(_key_row, batch.created)
            )
            db.executemany("UPDATE keys SET revoked_us = coalesce(revoked_us, ?) WHERE id = ?", batch.revoked)
            db.executemany(_INSERT_ENTRY, rows)
            db.executemany(_UPSERT_HOURLY, hourly(batch.entries))
            db.executemany(
                _UPSERT_SPENT,
                [(k, lim.unit, lim.window, s, *divmod(a, PICO)) for k, lim, s, a in batch.spending],
            )
            if rows:
                db.execute("INSERT OR REPLACE INTO meta VALUES ('open_since_seq', ?)", (open_since_seq,))
            db.execute("COMMIT")
        except sqlite3.Error as error:
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise LedgerError(f"the ledger cannot be written: {error}") from error
        self.last_seq = seq + len(rows)

    def has_ended(self, call: bytes) -> bool:
        """Whether the ledger holds the end of this call."""
        found = self._db.execute(
            "SELECT 1 FROM entries WHERE call = ? AND kind IN ('settled', 'refused') LIMIT 1", (call,)
        ).fetchone()
        return found is not None

    def has_entry(self, call: bytes, kind: Kind, ordinal: int) -> bool:
        """Whether this very entry is there already."""
        found = self._db.execute(
            "SELECT 1 FROM entries WHERE call = ? AND kind = ? AND ordinal = ?", (call, kind.value, ordinal)
        ).fetchone()
        return found is not None

    def last_checkpoint(self, call: bytes) -> Entry | None:
        """The furthest checkpoint of a call."""
        row = self._db.execute(
            "SELECT * FROM entries WHERE call = ? AND kind = 'checkpoint' ORDER BY ordinal DESC LIMIT 1",
            (call,),
        ).fetchone()
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


def _row(seq: int, e: Entry) -> tuple[object, ...]:
    u = e.usage
    return (
        seq, e.kind.value, e.at_us, e.call, e.ordinal, e.attempt, e.account, e.key, e.run, e.model, e.dialect,
        e.upstream, e.deployment, e.served_model, u.input, u.cache_read, u.cache_write_5m, u.cache_write_1h,
        u.output, u.reasoning, u.provenance.value, e.price, e.cost_pico, e.currency, e.ttft_us, e.duration_us,
        e.status, None if e.outcome is None else e.outcome.value, e.reason, e.bound_input, e.bound_output,
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


#: What an entry adds to its hour, by kind: attempts and late reports cost, refusals and settlements count.
_COSTS = frozenset({Kind.ATTEMPT, Kind.SETTLED, Kind.LATE})


def sums(entry: Entry) -> tuple[int, ...]:
    """What an entry adds to the sums of its `hourly` row, in the order of HOURLY_SUMS."""
    settled, costs, u = entry.kind is Kind.SETTLED, entry.kind in _COSTS, entry.usage
    sent = bool(entry.upstream)
    tokens = (
        (u.input, u.cache_read, u.cache_write_5m, u.cache_write_1h, u.output, u.reasoning)
        if costs
        else (0,) * 6
    )
    units, pico = divmod(entry.cost_pico or 0, PICO) if costs else (0, 0)
    timed = settled and entry.ttft_us is not None
    return (
        int(settled),
        int(sent and entry.kind in (Kind.ATTEMPT, Kind.SETTLED)),
        int(entry.kind is Kind.REFUSED),
        int(settled and entry.outcome is not Outcome.OK),
        int(settled and entry.cost_pico is None and entry.outcome is not Outcome.FAILED),
        *(
            int(settled and u.provenance is p)
            for p in (Provenance.COUNTED, Provenance.ESTIMATED, Provenance.UNKNOWN)
        ),
        *tokens,
        units,
        pico,
        int(timed),
        (entry.ttft_us or 0) if timed else 0,
        (entry.duration_us or 0) if settled else 0,
    )


def hourly(entries: Iterable[Entry]) -> list[tuple[object, ...]]:
    """The rows to add to `hourly`: summed here first, since a batch mostly falls into a few groups."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0] * len(HOURLY_SUMS))
    at_cost = HOURLY_SUMS.index("cost_units")
    for e in entries:
        if e.kind in (Kind.OPENED, Kind.CHECKPOINT):
            continue
        name = (
            e.at_us // _HOUR_US,
            e.account,
            e.key,
            e.run,
            e.model,
            e.upstream,
            e.deployment,
            e.dialect,
            e.currency,
        )
        total = groups[name]
        for index, amount in enumerate(sums(e)):
            total[index] += amount
        carried, total[at_cost + 1] = divmod(total[at_cost + 1], PICO)
        total[at_cost] += carried
    return [(*name, *total) for name, total in groups.items()]
