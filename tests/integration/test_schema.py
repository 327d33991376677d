"""An older file becomes a newer one, with a backup beside it; a file that is no good is left alone."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.catalog.pricing import price_id
from tokenweir.cli.first_key import first_key
from tokenweir.core.clock import FakeClock
from tokenweir.core.errors import LedgerError
from tokenweir.ledger.database import DATABASE_NAME, Connection
from tokenweir.ledger.schema import MIGRATIONS, SCHEMA_VERSION, Step, check_version, migrate
from tokenweir.ledger.sqlite import SQLITE
from tokenweir.ledger.store import Store, read_terms
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import open_reader, total, usage

#: A ledger of version 1, as the program of that version wrote it: two hours, a failed attempt, a refusal, a call in
#: another currency, one still open.
VERSION_1 = Path(__file__).parent / "ledger_v1.sql"


@pytest.fixture
def old(tmp_path: Path) -> Path:
    db = sqlite3.connect(tmp_path / DATABASE_NAME)
    db.execute("PRAGMA journal_mode = WAL")
    db.executescript(VERSION_1.read_text(encoding="utf-8"))
    db.close()
    return tmp_path


def test_a_ledger_of_version_1_becomes_the_newest(old: Path) -> None:
    with pytest.raises(LedgerError, match="start `weir up` once to migrate it"):
        open_reader(old)
    store = Store(old)
    assert store.last_seq == 9
    assert len(store.load()[0].open_calls) == 1
    store.close()
    report = verify(old)
    assert (report.ok, report.entries, report.calls, report.open_calls) == (True, 9, 4, 1)
    reader = open_reader(old)
    for group in ("model", "run", "hour", "day", "upstream"):
        whole = total(usage(reader, (group,)))
        assert (whole.calls, whole.attempts, whole.refused, whole.failed) == (2, 3, 1, 0)
        assert whole.cost_pico == {"CNY": 36, "USD": 80}


def test_weir_up_migrates_an_older_ledger_before_it_reads_it(old: Path) -> None:
    assert first_key(old, FakeClock()) == ""  # it has keys
    with closing(open_reader(old)) as reader:
        assert len(read_terms(reader).keys) > 0
    assert (old / f"{DATABASE_NAME}.v1.backup").exists()
    assert verify(old).ok


def test_a_ledger_of_version_3_gets_sums_with_details(old: Path) -> None:
    db = SQLITE.connect(old, "os")
    migrate(db, old, {version: step for version, step in MIGRATIONS.items() if version <= 3})
    saving = AppliedPrice("test", "CNY", Rates(input=5, output=9, cache_read=2))
    id, content = price_id(saving)
    db.execute("INSERT INTO prices VALUES (?, ?)", (id, content.decode()))
    db.close()
    Store(old).close()
    assert verify(old).ok
    assert (old / f"{DATABASE_NAME}.v3.backup").exists()
    reader = open_reader(old)
    assert reader.execute("SELECT cache_saves_pico FROM prices WHERE id = ?", (id,)).fetchone() == (3,)
    for table in ("hourly_accounts", "hourly_models"):
        assert reader.execute(f"SELECT sum(calls) FROM {table}").fetchone() == (2,)


def test_the_backup_is_the_file_as_it_was(old: Path) -> None:
    Store(old).close()
    backup = sqlite3.connect(old / f"{DATABASE_NAME}.v1.backup")
    assert backup.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == (1,)
    assert backup.execute("SELECT count(*) FROM entries").fetchone() == (9,)
    assert not list(old.glob("*.unfinished"))


def test_sums_that_were_wrong_are_made_anew_from_the_entries(old: Path) -> None:
    db = sqlite3.connect(old / DATABASE_NAME)
    db.execute("UPDATE hourly SET input = 12345")
    db.commit()
    db.close()
    Store(old).close()
    assert verify(old).ok


def test_a_migration_that_fails_changes_nothing(old: Path) -> None:
    def fail(_db: Connection) -> None:
        raise LedgerError("no")

    db = SQLITE.connect(old, "os")
    with pytest.raises(LedgerError, match="no"):
        migrate(db, old, {1: Step(""), 2: Step("CREATE TABLE more (x)", fail)})
    with pytest.raises(sqlite3.OperationalError):
        migrate(db, old, {1: Step(""), 2: Step("CREATE TABLE no no no")})
    assert not db.in_transaction
    assert db.execute("SELECT value FROM meta WHERE name = 'schema_version'").fetchone() == (1,)
    db.close()


def test_a_newer_file_and_a_file_of_something_else_are_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    db = SQLITE.connect(tmp_path, "os")
    check_version(db)
    db.execute("UPDATE meta SET value = ?", (SCHEMA_VERSION + 1,))
    with pytest.raises(LedgerError, match="upgrade tokenweir, nothing was changed"):
        migrate(db, tmp_path)
    db.execute("DROP TABLE meta")
    with pytest.raises(LedgerError, match="not a ledger of tokenweir"):
        migrate(db, tmp_path)
    db.close()
