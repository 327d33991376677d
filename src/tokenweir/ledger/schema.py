"""The ledger's SQLite schema, and how an older file becomes a newer one.

`entries` is the truth; the rollups, `spent` and the restart marks in `meta` are derived from it inside the same
transaction and can be rebuilt by replaying it. Money that is summed is kept in two integers, whole units and
pico, because SQLite's integers end at 9.2 million units of pico: amount = units * 10**12 + pico.
"""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tokenweir.core.errors import LedgerError
from tokenweir.ledger import rollups
from tokenweir.ledger.keys_to_changes import keys_to_changes
from tokenweir.ledger.sums_anew import sums_anew

SCHEMA_VERSION = 4

#: File names below the data directory.
DATABASE_NAME = "ledger.sqlite3"
LOCK_NAME = "ledger.lock"
SOCKET_NAME = "ledger.sock"
CONTROL_SOCKET_NAME = "control.sock"

#: Columns of `entries` in their order; the store binds rows in this order.
ENTRY_COLUMNS = (
    "seq",
    "kind",
    "at_us",
    "call",
    "ordinal",
    "attempt",
    "account",
    "key",
    "run",
    "model",
    "dialect",
    "upstream",
    "deployment",
    "served_model",
    "input",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "output",
    "reasoning",
    "provenance",
    "price",
    "cost_pico",
    "currency",
    "ttft_us",
    "duration_us",
    "status",
    "outcome",
    "reason",
    "bound_input",
    "bound_output",
    "reserved_pico",
    "charge_price",
    "charge_pico",
    "charge_currency",
    "covered_tokens",
    "also_reserved",
)

#: The first schema, as it was: files that it made are still there.
_V1 = """
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value ANY
) STRICT, WITHOUT ROWID;

CREATE TABLE prices (
    id      TEXT PRIMARY KEY,   -- of the content
    applied TEXT NOT NULL       -- JSON of AppliedPrice
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    name       TEXT NOT NULL,
    account    TEXT NOT NULL,
    hash       BLOB NOT NULL UNIQUE,   -- SHA-256 of the secret
    hint       TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    revoked_us INTEGER,
    limits     TEXT NOT NULL,          -- JSON: [{"unit": …, "amount": …, "window": …}]
    run        TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE entries (
    seq            INTEGER PRIMARY KEY,  -- 1, 2, 3 …: the order in which the ledger decided
    kind           TEXT NOT NULL,
    at_us          INTEGER NOT NULL,     -- microseconds since 1970-01-01 UTC
    call           BLOB NOT NULL,
    ordinal        INTEGER NOT NULL,
    attempt        BLOB NOT NULL,
    account        TEXT NOT NULL,
    key            TEXT NOT NULL,
    run            TEXT NOT NULL,
    model          TEXT NOT NULL,
    dialect        TEXT NOT NULL,
    upstream       TEXT NOT NULL,
    deployment     TEXT NOT NULL,
    served_model   TEXT NOT NULL,
    input          INTEGER NOT NULL,
    cache_read     INTEGER NOT NULL,
    cache_write_5m INTEGER NOT NULL,
    cache_write_1h INTEGER NOT NULL,
    output         INTEGER NOT NULL,
    reasoning      INTEGER NOT NULL,
    provenance     TEXT NOT NULL,
    price          TEXT NOT NULL,        -- prices.id; empty: none
    cost_pico      INTEGER,              -- NULL: unpriced or unknown
    currency       TEXT NOT NULL,
    ttft_us        INTEGER,
    duration_us    INTEGER,
    status         INTEGER NOT NULL,
    outcome        TEXT,
    reason         TEXT NOT NULL,
    bound_input    INTEGER NOT NULL,     -- of "opened": tokens set aside
    bound_output   INTEGER NOT NULL,
    reserved_pico  INTEGER               -- of "opened": money set aside, in `currency`; NULL: no limit in money
) STRICT;

-- One entry of each kind and ordinal per call: look-ups, and twice is once.
CREATE UNIQUE INDEX entries_once ON entries (call, kind, ordinal);

CREATE TRIGGER entries_are_never_changed BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never changed'); END;

CREATE TRIGGER entries_are_never_removed BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'entries are never removed'); END;

CREATE TABLE hourly (
    hour INTEGER NOT NULL,
    account TEXT NOT NULL, key TEXT NOT NULL, run TEXT NOT NULL, model TEXT NOT NULL,
    upstream TEXT NOT NULL, deployment TEXT NOT NULL, dialect TEXT NOT NULL, currency TEXT NOT NULL,
    calls INTEGER NOT NULL, attempts INTEGER NOT NULL, refused INTEGER NOT NULL, failed INTEGER NOT NULL,
    unpriced_calls INTEGER NOT NULL, counted_calls INTEGER NOT NULL, estimated_calls INTEGER NOT NULL, unknown_calls INTEGER NOT NULL,
    input INTEGER NOT NULL, cache_read INTEGER NOT NULL, cache_write_5m INTEGER NOT NULL, cache_write_1h INTEGER NOT NULL,
    output INTEGER NOT NULL, reasoning INTEGER NOT NULL, cost_units INTEGER NOT NULL, cost_pico INTEGER NOT NULL,
    ttft_count INTEGER NOT NULL, ttft_us INTEGER NOT NULL, duration_us INTEGER NOT NULL,
    PRIMARY KEY (hour, account, key, run, model, upstream, deployment, dialect, currency)
) STRICT, WITHOUT ROWID;

-- What calls opened in a window have cost, for keys that have a limit of that unit and window.
CREATE TABLE spent (
    key         TEXT NOT NULL,
    unit        TEXT NOT NULL,           -- a currency code, "tokens" or "calls"
    window      TEXT NOT NULL,           -- "day", "month" or "total"
    start_us    INTEGER NOT NULL,        -- of the window; 0 for "total"
    amount_high INTEGER NOT NULL,        -- amount = amount_high * 10**12 + amount_low
    amount_low  INTEGER NOT NULL,
    PRIMARY KEY (key, unit, window, start_us)
) STRICT, WITHOUT ROWID;
"""


#: Terms become changes that are replayed; two prices for a call; limits on accounts, runs and models. Sums are made anew.
_V3 = """
ALTER TABLE entries ADD COLUMN charge_price TEXT NOT NULL DEFAULT '';     -- prices.id; empty: what it cost is paid
ALTER TABLE entries ADD COLUMN charge_pico INTEGER;
ALTER TABLE entries ADD COLUMN charge_currency TEXT NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN covered_tokens INTEGER NOT NULL DEFAULT 0; -- of its tokens, by an allowance
ALTER TABLE entries ADD COLUMN also_reserved TEXT NOT NULL DEFAULT '';    -- of "opened": JSON, currency -> pico

CREATE TABLE changes (
    seq       INTEGER PRIMARY KEY,  -- 1, 2, 3 …
    at_us     INTEGER NOT NULL,
    actor     TEXT NOT NULL,        -- a key's id, or "command line"
    after_seq INTEGER NOT NULL,     -- decided after this entry
    change    TEXT NOT NULL         -- JSON of a terms.Change
) STRICT;

CREATE TRIGGER changes_are_never_changed BEFORE UPDATE ON changes
BEGIN SELECT RAISE(ABORT, 'changes are never changed'); END;

CREATE TRIGGER changes_are_never_removed BEFORE DELETE ON changes
BEGIN SELECT RAISE(ABORT, 'changes are never removed'); END;

ALTER TABLE spent RENAME TO spent_v2;

-- What calls opened in a window have used of a limit, and what was drawn from credit.
CREATE TABLE spent (
    scope       TEXT NOT NULL,           -- "account/ID", "key/ID" or "run/ID"
    model       TEXT NOT NULL,           -- of limits for some models; empty: all
    unit        TEXT NOT NULL,           -- a currency code, "tokens" or "calls"
    window      TEXT NOT NULL,           -- of a limit; or "credit/ID", "allowance", "overage", "owed"
    start_us    INTEGER NOT NULL,        -- of the window; 0 for "total" and credit
    amount_high INTEGER NOT NULL,        -- amount = amount_high * 10**12 + amount_low
    amount_low  INTEGER NOT NULL,
    PRIMARY KEY (scope, model, unit, window, start_us)
) STRICT, WITHOUT ROWID;
"""

#: Sums with details, for the console; and what a token read from a cache saves by each price.
_V4 = """
ALTER TABLE prices ADD COLUMN cache_saves_pico INTEGER NOT NULL DEFAULT 0;  -- a token of cache read, beside one of input

DROP TABLE IF EXISTS hourly;
DROP TABLE IF EXISTS hourly_models;
DROP TABLE IF EXISTS daily;
DROP TABLE IF EXISTS daily_runs;
"""


class Step(NamedTuple):
    """What leads to a version from the one before: statements, then what Python has to do, in one transaction."""

    script: str
    fill: Callable[[sqlite3.Connection], None] = lambda _db: None


#: Version reached -> how. Versions 2 and 3 had other sums; the newest that changes any makes all of them anew.
MIGRATIONS: dict[int, Step] = {
    1: Step(_V1),
    2: Step(""),
    3: Step(_V3, keys_to_changes),
    4: Step(_V4 + "".join(map(rollups.ddl, rollups.ROLLUPS)), sums_anew),
}


def read_version(connection: sqlite3.Connection) -> int:
    """The schema version of an open file; 0 for an empty one. Raises LedgerError when it is not a ledger."""
    tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not tables:
        return 0
    if "meta" not in tables:
        raise LedgerError("the file is an SQLite database, but not a ledger of tokenweir")
    row = connection.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone()
    if row is None or not isinstance(row[0], int):
        raise LedgerError("the ledger's file does not name its schema version; restore it from a backup")
    return int(row[0])


def check_version(connection: sqlite3.Connection) -> None:
    """For readers. Raises LedgerError unless the file has exactly the version this program knows."""
    version = read_version(connection)
    if version > SCHEMA_VERSION:
        raise LedgerError(_newer(version))
    if version < SCHEMA_VERSION:
        raise LedgerError(
            f"the ledger has schema version {version}, this program reads {SCHEMA_VERSION}; "
            "start `weir up` once to migrate it"
        )


def migrate(connection: sqlite3.Connection, path: Path, migrations: dict[int, Step] | None = None) -> int:
    """Bring the file to the newest version, with a backup beside it first; the version it had.

    The connection is in autocommit mode. Each step is one transaction. Raises LedgerError for a newer file.
    """
    steps = MIGRATIONS if migrations is None else migrations
    newest = max(steps)
    version = read_version(connection)
    if version > newest:
        raise LedgerError(_newer(version))
    if 0 < version < newest:
        back_up(connection, path.with_name(f"{path.name}.v{version}.backup"))
    for step in range(version + 1, newest + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{steps[step].script}")
            steps[step].fill(connection)
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('schema_version', ?)", (step,))
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    return version


def back_up(
    connection: sqlite3.Connection,
    target: Path,
    connect: Callable[[str], sqlite3.Connection] = sqlite3.connect,
) -> None:
    """A consistent copy of the whole file at `target`, replaced only once it is complete."""
    unfinished = target.with_name(f"{target.name}.unfinished")
    unfinished.unlink(missing_ok=True)
    copy = connect(str(unfinished))
    try:
        connection.backup(copy)
    finally:
        copy.close()
    unfinished.replace(target)


def _newer(version: int) -> str:
    return (
        f"the ledger has schema version {version}, which is newer than this program ({SCHEMA_VERSION}); "
        "upgrade tokenweir, nothing was changed"
    )
