"""A ledger moved from its SQLite file into a PostgreSQL database, or back: whole, or not at all.

The new ledger is made beside the old one, in a directory of its own below the data directory. Once every row of it has been read
again and all its entries have been replayed, one rename puts it in the old one's place. Until then the old one is what counts:
whatever goes wrong leaves it as it was, and the next try begins anew.
"""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from tokenweir.core.errors import LedgerBusyError, LedgerError
from tokenweir.ledger.database import (
    DATABASE_NAME,
    FAULTS,
    URL_NAME,
    Connection,
    database_of,
    ledger_file,
)
from tokenweir.ledger.rollups import ROLLUPS
from tokenweir.ledger.schema import MOVED, check_version, migrate, set_mark
from tokenweir.ledger.service import take_lock
from tokenweir.ledger.verify import verify

#: Every table but `meta`, and the columns that its rows are in the order of.
TABLES = {
    "prices": ("id",),
    "changes": ("seq",),
    "entries": ("seq",),
    "steps": ("call",),
    "spent": ("scope", "model", "unit", '"window"', "start_us"),
    **{rollup.table: rollup.keys for rollup in ROLLUPS},
}
#: Below the data directory, while the new ledger is made.
PLACE_NAME = "ledger.moving"
#: In `meta` of a ledger that is being made: how many entries and changes it is to have. With more than that, it is in use.
_UNFINISHED = "moving"
_NOT_COPIED = ("schema_version", _UNFINISHED, MOVED)
_AT_ONCE = 5_000  # rows
_LAST = "SELECT coalesce((SELECT max(seq) FROM entries), 0), coalesce((SELECT max(seq) FROM changes), 0)"

#: Told what is being done, how many entries or rows of it are done, and of how many.
Progress = Callable[[str, int, int], None]


class Moved(msgspec.Struct, frozen=True):
    """What lies in its new place, as the replay there found it."""

    to: str  # "PostgreSQL" or "SQLite"
    entries: int
    calls: int
    changes: int
    rows: int  # of all tables
    kept: str  # the old file, or the file that named the old database


def move(data_dir: Path, url: str, progress: Progress = lambda _what, _done, _total: None) -> Moved:
    """Move the ledger into the PostgreSQL database of a URL, which has to be empty; without one, into a file.

    Raises LedgerError; then nothing has changed.
    """
    if not ledger_file(data_dir).exists():
        raise LedgerError(f"there is no ledger in {data_dir}; --data names another place")
    try:
        lock = take_lock(data_dir)
    except LedgerBusyError as error:
        raise LedgerBusyError(f"{error}; stop `weir up` first") from None
    try:
        _check_places(data_dir, url)
        with _new_place(data_dir, url) as place:
            return _move(data_dir, place, progress)
    finally:
        os.close(lock)


def _check_places(data_dir: Path, url: str) -> None:
    in_file = ledger_file(data_dir).name == DATABASE_NAME
    if url and not in_file:
        raise LedgerError(
            f"the ledger lies in PostgreSQL already: {data_dir / URL_NAME} names where; "
            "to move it elsewhere there, use pg_dump or move it into a file first"
        )
    if not url and in_file:
        raise LedgerError(f"the ledger lies in a file already: {data_dir / DATABASE_NAME}")
    if not url and (data_dir / DATABASE_NAME).exists():
        raise LedgerError(f"{data_dir / DATABASE_NAME} is in the way; give it another name first")


@contextmanager
def _new_place(data_dir: Path, url: str) -> Iterator[Path]:
    """A data directory of its own for the new ledger. What is wrong with the place is told as who named it knows it."""
    place = data_dir / PLACE_NAME
    try:
        shutil.rmtree(place, ignore_errors=True)  # of a move that was cut off
        place.mkdir(mode=0o700)
        if url:
            path = place / URL_NAME
            path.touch(mode=0o600)
            path.write_text(f"{url}\n", encoding="utf-8")
        yield place
    except (LedgerError, *FAULTS, OSError) as error:
        why = str(error).replace(f"{place / URL_NAME}", "the URL").replace(f"in {place}", "to be moved into")
        raise LedgerError(f"nothing was moved: {why}") from error
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _move(data_dir: Path, place: Path, progress: Progress) -> Moved:
    source, target = database_of(data_dir), database_of(place)
    old_file, new_file = ledger_file(data_dir), ledger_file(place)
    kept = _free_name(old_file)
    with closing(source.connect(data_dir, "fsync")) as old:
        check_version(old)
        last_entry, last_change = old.execute(_LAST).fetchone()
        with closing(target.connect(place, "fsync")) as new, _taken_back(new):
            _make_empty(new)
            migrate(new, place)
            set_mark(new, _UNFINISHED, last_entry + last_change)
            rows = _copy(old, new, progress)
            report = verify(place, lambda done, total: progress("replayed", done, total))
            if not report.ok:
                raise LedgerError(f"the ledger is not sound, see `weir ledger verify`: {report.problems[0]}")
            new.execute("DELETE FROM meta WHERE name = ?", (_UNFINISHED,))
        new_file.replace(data_dir / new_file.name)
        _sync(data_dir)
        if new_file.name == DATABASE_NAME:
            set_mark(old, MOVED, 1)  # another machine may know where it was
    old_file.rename(kept)
    _sync(data_dir)
    return Moved(target.name, report.entries, report.calls, last_change, rows, str(kept))


def _free_name(file: Path) -> Path:
    names = (f"{file.name}.moved{number}" for number in ("", *(f".{n}" for n in range(2, 1_000))))
    return next(path for path in map(file.with_name, names) if not path.exists())


def _sync(directory: Path) -> None:
    """What was renamed in it stays so, whatever happens to the machine."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# --- the new ledger


def _make_empty(db: Connection) -> None:
    """Nothing of a move that was cut off, and no ledger that nobody has used; anything else is left alone. Raises LedgerError."""
    tables = {row[0] for row in db.execute(db.database.tables)}
    if not tables:
        return
    if not {"meta", "entries", "changes"} <= tables:
        raise LedgerError(f"the {db.database.name} database is not empty: it has tables of something else")
    marks = dict(db.execute("SELECT name, value FROM meta").fetchall())
    entries, changes = db.execute(_LAST).fetchone()
    if entries + changes > marks.get(_UNFINISHED, 0):
        raise LedgerError(
            f"the {db.database.name} database is not empty: it has a ledger of {entries:,} entries and {changes:,} changes of "
            "terms; name another database or schema"
        )
    _drop(db)


def _drop(db: Connection) -> None:
    tables = {row[0] for row in db.execute(db.database.tables)}
    mine = [table for table in (*TABLES, "meta") if table in tables]
    statements = "".join(db.database.drop.format(table=table) for table in mine)
    db.executescript(f"{db.database.begin};{statements}COMMIT;")


@contextmanager
def _taken_back(db: Connection) -> Iterator[None]:
    """Leaves a database that was empty empty, where it can be; where it cannot, the next move does."""
    begun = not db.execute(db.database.tables).fetchone()
    try:
        yield
    except BaseException:
        with suppress(LedgerError, *FAULTS):
            if db.in_transaction:
                db.execute("ROLLBACK")
            if begun:
                _drop(db)
        raise


# --- rows


def _copy(old: Connection, new: Connection, progress: Progress) -> int:
    """Every row, read again where it lies now; how many. Raises LedgerError where any differs."""
    total = sum(map(int, (old.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES)))
    written = {table: _Tally() for table in TABLES}
    done = 0
    for table, tally in written.items():
        for rows in _pages(old, table):
            stored = [new.database.stored(row) for row in rows]
            new.execute(new.database.begin)
            new.database.fill(new, table, stored)
            new.execute("COMMIT")
            tally.take(stored)
            done += len(rows)
            progress("copied", done, total)
    for name, value in old.execute("SELECT name, value FROM meta").fetchall():
        if name not in _NOT_COPIED:
            set_mark(new, name, value)
    done = 0
    for table, tally in written.items():
        found = _Tally()
        for rows in _pages(new, table):
            found.take(rows)
            done += len(rows)
            progress("compared", done, total)
        if (found.rows, found.sum) != (tally.rows, tally.sum):
            raise LedgerError(
                f"{table} came out otherwise: {tally.rows} rows were written, {found.rows} are there"
            )
    return total


class _Tally:
    """How many rows there were, and what they were, in whatever order."""

    def __init__(self) -> None:
        self.rows = self.sum = 0

    def take(self, rows: Sequence[Sequence[Any]]) -> None:
        self.rows += len(rows)
        self.sum += sum(hash(tuple(row)) for row in rows)


def _pages(db: Connection, table: str) -> Iterator[list[tuple[Any, ...]]]:
    """The rows of a table, some thousands at a time, so that memory does not grow with it."""
    keys = TABLES[table]
    named, marks = ", ".join(keys), ", ".join("?" * len(keys))
    select, order = f"SELECT *, {named} FROM {table}", f"ORDER BY {named} LIMIT {_AT_ONCE}"
    rows = db.execute(f"{select} {order}").fetchall()
    while rows:
        yield [row[: -len(keys)] for row in rows]
        last = rows[-1][-len(keys) :]
        rows = db.execute(f"{select} WHERE ({named}) > ({marks}) {order}", last).fetchall()
