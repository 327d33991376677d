"""A ledger in an SQLite file: the store that is there without anything else."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tokenweir.core.errors import LedgerError
from tokenweir.ledger.database import DATABASE_NAME, Connection, Database, OnLost, bear_it

#: The write-ahead log is folded with force beyond this. Commits wait for readers meanwhile, but no longer than that.
LOG_BYTES = 64 * 1024 * 1024
FOLD_WAIT_MS = 100
BUSY_MS = 5000
_SYNCHRONOUS = {"fsync": "FULL", "os": "OFF"}


class SqliteConnection(sqlite3.Connection):
    """A connection that says what it is connected to."""

    database: Database


def connect(data_dir: Path, durability: str, on_lost: OnLost = bear_it) -> Connection:
    """Write; the file is made where there is none, and is never lost. Raises sqlite3.Error or OSError."""
    path = data_dir / DATABASE_NAME
    new = not path.exists()
    db = sqlite3.connect(str(path), isolation_level=None, factory=SqliteConnection)
    if new:
        path.chmod(0o600)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability]}")
    db.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
    db.execute("PRAGMA temp_store = MEMORY")
    return db


def connect_reader(data_dir: Path) -> Connection:
    """Read beside the writer. Raises LedgerError or sqlite3.Error."""
    path = data_dir / DATABASE_NAME
    if not path.is_file():
        raise LedgerError(
            f"there is no ledger in {data_dir} yet; `weir up` makes one, --data names another place"
        )
    uri = f"{path.absolute().as_uri()}?mode=ro"
    db = sqlite3.connect(uri, uri=True, isolation_level=None, factory=SqliteConnection)
    db.execute("PRAGMA mmap_size = 268435456")
    return db


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


def fold(connection: Connection, data_dir: Path) -> None:
    """Fold the write-ahead log into the file where readers have let it grow; it waits a moment for them."""
    log = data_dir / f"{DATABASE_NAME}-wal"
    if not log.exists() or log.stat().st_size <= LOG_BYTES:
        return
    connection.execute(f"PRAGMA busy_timeout = {FOLD_WAIT_MS}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute(f"PRAGMA busy_timeout = {BUSY_MS}")


def _back_up_before(connection: Connection, data_dir: Path, version: int) -> None:
    assert isinstance(connection, sqlite3.Connection)
    back_up(connection, data_dir / f"{DATABASE_NAME}.v{version}.backup")


def _fill(connection: Connection, table: str, rows: Sequence[Sequence[Any]]) -> None:
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(rows[0]))})", rows)


SQLITE = Database(
    name="SQLite",
    ddl={
        "text": "TEXT",
        "integer": "INTEGER",
        "bytes": "BLOB",
        "any": "ANY",
        "rows": "STRICT",  # by number
        "keyed": "STRICT, WITHOUT ROWID",  # by another primary key
    },
    guard="""
CREATE TRIGGER {table}_are_never_changed BEFORE UPDATE ON {table}
BEGIN SELECT RAISE(ABORT, '{table} are never changed'); END;
CREATE TRIGGER {table}_are_never_removed BEFORE DELETE ON {table}
BEGIN SELECT RAISE(ABORT, '{table} are never removed'); END;
""",
    tables="SELECT name FROM sqlite_master WHERE type = 'table'",
    check="PRAGMA quick_check(1)",
    begin="BEGIN IMMEDIATE",
    begin_reading="BEGIN",
    empty="DELETE FROM {}",
    names="SELECT value FROM json_each({})",
    connect=connect,
    connect_reader=connect_reader,
    read_only="PRAGMA query_only = ON",
    back_up=_back_up_before,
    fold=fold,
    drop="DROP TABLE {table};",
    fill=_fill,
    stored=lambda values: values,
)
SqliteConnection.database = SQLITE
