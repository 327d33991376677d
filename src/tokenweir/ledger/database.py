"""The seam to the database that a ledger lies in: what differs between databases, as data. All other SQL is standard.

It lies in an SQLite file of its data directory or, where the directory has a file `ledger.url`, in the PostgreSQL database
that is named there. SQL is written with `?` and `:name` for its parameters, and means the same in both.
"""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

#: File names below the data directory.
DATABASE_NAME = "ledger.sqlite3"
URL_NAME = "ledger.url"


#: Told why, once.
OnLost = Callable[[str], object]


def bear_it(_why: str) -> None:
    """A connection that is lost raises what its statements raise, and that is all."""


class Cursor(Protocol):
    """What a statement answered: rows are tuples."""

    def fetchone(self) -> Any: ...

    def fetchall(self) -> list[Any]: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """Of PEP 249 what the ledger uses, in autocommit mode: transactions begin and end by statements. Not for use by two threads."""

    @property
    def database(self) -> "Database": ...

    @property
    def in_transaction(self) -> bool: ...

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ..., /) -> Cursor: ...

    def executemany(self, sql: str, parameters: Any, /) -> Cursor: ...

    def executescript(self, sql: str, /) -> Cursor: ...

    def close(self) -> None: ...


class Database(NamedTuple):
    """What differs."""

    name: str
    #: In DDL, by the names that it has in braces: types of columns, and what follows a table's columns.
    ddl: Mapping[str, str]
    #: DDL after which rows of {table} can be neither changed nor removed.
    guard: str
    tables: str  # a query for the names of all tables
    check: str  # a query whose rows say what is damaged; "ok" where nothing is, as far as a reader sees
    begin: str  # a transaction that writes, alone
    begin_reading: str  # one that sees one moment
    empty: str  # remove all rows of the connection's own table {}
    names: str  # the strings of a JSON array, for `IN`; {} is its parameter
    #: To write, in a data directory that is there, as durable as it says; it tells where a connection is lost for good.
    connect: Callable[..., Connection]
    connect_reader: Callable[[Path], Connection]  # to read, and to write tables of the connection's own
    read_only: str  # from this statement on it writes no tables of its own either
    #: A copy of the whole before a migration from a version; nothing where that is left to the database's own tools.
    back_up: Callable[[Connection, Path, int], None]
    fold: Callable[[Connection, Path], None]  # tidy up now and then, in the writer
    drop: str  # DDL that removes {table} and its guard
    fill: Callable[
        [Connection, str, Sequence[Sequence[Any]]], None
    ]  # many whole rows, into the table of a name
    stored: Callable[[Sequence[Any]], Sequence[Any]]  # what becomes of values that it cannot hold as they are


class DatabaseFault(Exception):
    """What a statement raises where the database's own library is an extra."""


#: What statements raise.
FAULTS = (sqlite3.Error, DatabaseFault)


def ledger_file(data_dir: Path) -> Path:
    """The file that the ledger of a data directory lies in, or that says where it lies."""
    url = data_dir / URL_NAME
    return url if url.exists() else data_dir / DATABASE_NAME


def database_of(data_dir: Path) -> Database:
    """Where the ledger of a data directory lies."""
    if ledger_file(data_dir).name == URL_NAME:
        from tokenweir.ledger.postgres import POSTGRES

        return POSTGRES
    from tokenweir.ledger.sqlite import SQLITE

    return SQLITE
