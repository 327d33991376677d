"""A ledger in a PostgreSQL database (15 or newer), for which the extra `postgres` brings the client.

The connection's own tables come before the ledger's; the ledger's are in the first schema of the search path. It is the
writer's for as long as it holds an advisory lock, so that of several machines one alone writes.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from tokenweir.core.errors import LedgerBusyError, LedgerError
from tokenweir.ledger.database import URL_NAME, Connection, Cursor, Database, DatabaseFault, OnLost, bear_it

if TYPE_CHECKING:
    import psycopg

#: Of the writer, in the schema that its tables are in: any other number would do.
_LOCK = 0x7EE1
_SYNCHRONOUS = {"fsync": "on", "os": "off"}
#: A machine that is gone without a word is noticed within twenty seconds, by either side: the database lets go of its writer's
#: lock then, and another machine's writer takes over. The system's own time for that is two hours.
_NOTICED = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_NOTICED_BY_SERVER = {
    "tcp_keepalives_idle": 5,
    "tcp_keepalives_interval": 5,
    "tcp_keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
#: Of what the library says about a connection that fails.
_MOST_SAID = 300
T = TypeVar("T")
_PARAMETER = re.compile(r"\?|:([a-z_]+)|%")


class PostgresConnection:
    """A connection that takes the parameters of SQL as the ledger writes them, and raises DatabaseFault."""

    def __init__(self, connection: "psycopg.Connection[Any]", on_lost: OnLost = bear_it) -> None:
        self._db, self.on_lost = connection, on_lost

    @property
    def database(self) -> Database:
        """What it is connected to."""
        return POSTGRES

    @property
    def in_transaction(self) -> bool:
        """Whether one has begun that has not ended, be it well or not."""
        return self._db.info.transaction_status != 0 and not self._db.closed

    def execute(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = (), /) -> Cursor:
        """One statement."""
        return self._run(lambda: self._db.execute(_translated(sql).encode(), _storable(parameters)))

    def executemany(self, sql: str, parameters: Any, /) -> Cursor:
        """One statement for each of many rows."""
        cursor = self._db.cursor()
        rows = [_storable(row) for row in parameters]
        self._run(lambda: cursor.executemany(_translated(sql).encode(), rows))
        return cursor

    def executescript(self, sql: str, /) -> Cursor:
        """Statements without parameters."""
        return self._run(lambda: self._db.execute(sql.encode()))

    def fill(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Many whole rows, by COPY, which takes a sixth of the time that INSERT does."""

        def copy() -> None:
            with self._db.cursor().copy(f"COPY {table} FROM STDIN".encode()) as into:
                for row in rows:
                    into.write_row(row)

        self._run(copy)

    def close(self) -> None:
        """Let go of it. Another may have the writer's lock at once, and not only when the server has noticed."""
        import psycopg

        with suppress(psycopg.Error):
            self._db.execute(b"SELECT pg_advisory_unlock_all()")
        self._db.close()

    def _run(self, statement: Callable[[], T]) -> T:
        import psycopg

        try:
            return statement()
        except psycopg.Error as error:
            why = " ".join(str(error).split())
            if self._db.closed:
                self.on_lost(why)
            raise DatabaseFault(why) from error


@lru_cache(maxsize=1024)
def _translated(sql: str) -> str:
    def of(found: re.Match[str]) -> str:
        if found[0] == "%":
            return "%%"
        return f"%({found[1]})s" if found[1] else "%s"

    return _PARAMETER.sub(of, sql)


def _storable(parameters: Any) -> Any:
    """PostgreSQL's text has no NUL: what a client sent with one is kept with a mark in its place."""
    if isinstance(parameters, Mapping):
        return {name: _text(value) for name, value in parameters.items()}
    return [_text(value) for value in parameters]


def _text(value: Any) -> Any:
    return value.replace("\0", "\ufffd") if isinstance(value, str) and "\0" in value else value


def _connect(data_dir: Path) -> PostgresConnection:
    path = data_dir / URL_NAME
    try:
        url = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeError) as error:
        raise LedgerError(f"{path} cannot be read: {error}") from error
    try:
        import psycopg
        from psycopg.types.numeric import IntLoader
    except ImportError:
        raise LedgerError(
            f"{path} names a PostgreSQL database, for which psycopg is missing: pip install 'tokenweir[postgres]'"
        ) from None
    named = _parameters(url, path)
    try:
        connection = psycopg.connect(**{**_NOTICED, **named}, autocommit=True)
    except psycopg.Error as error:
        why = " ".join(str(error).split())
        for secret in filter(None, (named.get("password"), named.get("sslpassword"))):
            why = why.replace(str(secret), "…")
        raise LedgerError(
            f"the PostgreSQL database that {path} names does not answer: {why[:_MOST_SAID]}"
        ) from None
    connection.adapters.register_loader("numeric", IntLoader)  # sums of 64-bit integers
    connection.execute("SET client_min_messages = warning")
    return PostgresConnection(connection)


def _parameters(url: str, path: Path) -> "dict[str, Any]":
    """The parts of a URL. The library's own words about a wrong one would hold it, and with it a password."""
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    try:
        named = conninfo_to_dict(url)
    except psycopg.Error:
        named = {}
    if not named:
        raise LedgerError(
            f"{path} does not name a PostgreSQL database as postgresql://USER@HOST/DATABASE does"
        )
    return named


def connect(data_dir: Path, durability: str, on_lost: OnLost = bear_it) -> Connection:
    """Write. Raises LedgerBusyError or LedgerError."""
    db = _connect(data_dir)
    for name, value in _NOTICED_BY_SERVER.items():
        db.execute(f"SET {name} = {value}")
    db.execute(f"SET synchronous_commit = {_SYNCHRONOUS[durability]}")
    query = "SELECT current_schema(), pg_try_advisory_lock(?, hashtext(current_schema()))"
    schema, is_mine = db.execute(query, (_LOCK,)).fetchone()
    if schema is None:
        db.close()
        raise LedgerError(
            f"the PostgreSQL database that {data_dir / URL_NAME} names has no schema that its search path names; create one"
        )
    if not is_mine:
        db.close()
        raise LedgerBusyError(
            f"the PostgreSQL database that {data_dir / URL_NAME} names has a writer already"
        )
    db.on_lost = on_lost
    return db


def connect_reader(data_dir: Path) -> Connection:
    """Read beside the writer. Raises LedgerError."""
    return _connect(data_dir)


def _look(connection: Connection, _data_dir: Path) -> None:
    """Whether it is still there: a writer that nobody asks for anything would not notice that it has lost its lock."""
    connection.execute("SELECT 1")


POSTGRES = Database(
    name="PostgreSQL",
    ddl={
        "text": 'TEXT COLLATE "C"',  # in the order of its bytes
        "integer": "BIGINT",
        "bytes": "BYTEA",
        "any": "BIGINT",
        "rows": "",
        "keyed": "",
    },
    guard="""
CREATE FUNCTION {table}_are_never_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION '{table} are never changed and never removed'; END $$;
CREATE TRIGGER {table}_are_never_changed BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION {table}_are_never_changed();
""",
    tables="SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
    check="SELECT 'ok'",
    begin="BEGIN",
    begin_reading="BEGIN ISOLATION LEVEL REPEATABLE READ",
    empty="TRUNCATE {}",
    names="SELECT json_array_elements_text(CAST({} AS JSON))",
    connect=connect,
    connect_reader=connect_reader,
    read_only="SET default_transaction_read_only = on",
    back_up=lambda _connection, _data_dir, _version: None,  # pg_dump's
    fold=_look,  # autovacuum tidies up
    drop="DROP TABLE {table}; DROP FUNCTION IF EXISTS {table}_are_never_changed();",
    fill=lambda connection, table, rows: cast(PostgresConnection, connection).fill(table, rows),
    stored=_storable,
)
