"""A ledger moved between a file and PostgreSQL: whole and as it was, or not at all."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from billed_ledger import CNY, DAY_US, DEARER, USD, Books
from postgres_server import Server
from test_postgres import answers, kept
from weir_process import Home

from tokenweir.core.errors import LedgerBusyError, LedgerError
from tokenweir.core.usage import Usage
from tokenweir.ledger import moving
from tokenweir.ledger.database import DATABASE_NAME, URL_NAME, database_of
from tokenweir.ledger.moving import PLACE_NAME, TABLES, move
from tokenweir.ledger.schema import LOCK_NAME
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import AddCredit, Credit, Limit, Plan, SetLimit, SetPlan
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import open_reader
from tokenweir.protocol.steps import AskedTool, Step


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Accounts, limits, credit, an allowance, corrections, a step, a call under way, and text with a NUL in it."""
    with Books(tmp_path / "data") as books:
        books.data.mkdir(exist_ok=True)
        for id, parent in (("org", ""), ("team", "org"), ("a", "")):
            books.account(id, parent, beyond_credit="bill")
        books.change(
            SetLimit("account/org", Limit("CNY", 10**15, "month")),
            AddCredit(Credit("top-up", "org", "CNY", 7 * 10**9, 0)),
            SetPlan("a", Plan("basic", "CNY", allowance=5_000, allowance_unit="tokens")),
        )
        for number in range(30):
            books.call(
                "team", Usage(input=100 + number, output=number), CNY, charge=USD if number % 3 else None
            )
            books.call(
                "a", Usage(input=300, cache_read=7), None if number % 5 == 0 else CNY, model=f"m{number % 4}"
            )
            books.clock.advance(DAY_US // 7)
        books.reprice(books.call("team", Usage(output=9), CNY), DEARER, "corrected")
        books.call("a", Usage(input=1), CNY, model="z\0n")
        stepped, step = books.open("team"), Step(thread="t", asked=(AskedTool("1", "bash", "d", 2),))
        books.journal.apply(
            msgspec.structs.replace(books.call("team", Usage(input=1)), call=stepped.call, step=step)
        )
        books.open("team")
        books.journal.commit()
    return books.data


@pytest.fixture
def url(postgres: Server, tmp_path: Path) -> str:
    """Of a schema that is there and empty."""
    return (postgres.hold_ledger(tmp_path / "named") / URL_NAME).read_text().strip()


def said(data: Path, now_us: int = 1_800_000_000_000_000) -> tuple[object, object]:
    with closing(open_reader(data)) as db:
        return kept(db), answers(db, now_us)


def without_nul(told: object) -> str:
    return repr(told).replace("\\x00", "\\ufffd").replace("\ufffd", "\\ufffd")


def untouched(data: Path, before: object) -> None:
    assert said(data) == before and verify(data).ok
    assert not (data / PLACE_NAME).exists() and not (data / URL_NAME).exists()


def test_every_table_of_the_schema_is_moved(data: Path) -> None:
    with closing(sqlite3.connect(data / DATABASE_NAME)) as db:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert tables == {*TABLES, "meta"}


def test_a_ledger_goes_there_and_back_as_it_was(
    data: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(moving, "_AT_ONCE", 7)  # rows: many pages of each table
    before = said(data)
    told: list[tuple[str, int, int]] = []
    there = move(data, url, lambda *progress: told.append(progress))
    assert (there.to, there.kept) == ("PostgreSQL", str(data / "ledger.sqlite3.moved"))
    assert {what for what, _, _ in told} == {"copied", "compared", "replayed"}
    assert all(done <= total for _, done, total in told) and told[-1][1] == there.entries
    assert database_of(data).name == "PostgreSQL"
    assert (data / URL_NAME).stat().st_mode & 0o777 == 0o600
    assert {path.name for path in data.iterdir()} == {URL_NAME, "ledger.sqlite3.moved", LOCK_NAME}
    assert without_nul(said(data)) == without_nul(before)

    with Books(data) as books:  # calls go on, and so does what was open
        books.number = 1_000
        books.clock.advance(9 * DAY_US)
        assert len(books.journal.open_calls) == 1
        books.call("team", Usage(input=3))
    in_postgres = said(data)
    back = move(data, "")
    assert (back.to, back.kept) == ("SQLite", str(data / "ledger.url.moved"))
    assert back.entries == there.entries + 2 and back.calls == there.calls + 1
    assert said(data) == in_postgres and verify(data).ok
    (data / URL_NAME).write_text(url)
    with pytest.raises(LedgerError, match="moved elsewhere"):  # what another machine that knew it is told
        Store(data)


def test_an_old_copy_is_not_overwritten_and_the_kept_file_is_a_ledger(data: Path, url: str) -> None:
    before = said(data)
    (data / "ledger.sqlite3.moved").write_text("of last year")
    assert move(data, url).kept.endswith("ledger.sqlite3.moved.2")
    assert (data / "ledger.sqlite3.moved").read_text() == "of last year"
    (data / URL_NAME).unlink()
    (data / "ledger.sqlite3.moved.2").rename(data / DATABASE_NAME)
    Store(data).close()
    untouched(data, before)


def test_a_database_that_is_not_empty_is_left_alone(
    data: Path, postgres: Server, url: str, tmp_path: Path
) -> None:
    before = said(data)
    other = tmp_path / "named"
    with Books(other) as books:
        books.account("z")
    theirs = said(other)
    with pytest.raises(
        LedgerError, match="nothing was moved: the PostgreSQL database is not empty: it has a ledger"
    ):
        move(data, url)
    assert said(other) == theirs
    untouched(data, before)
    strange = (postgres.hold_ledger(tmp_path / "strange") / URL_NAME).read_text().strip()
    with closing(database_of(tmp_path / "strange").connect(tmp_path / "strange", "fsync")) as db:
        db.execute("CREATE TABLE meta (name TEXT)")
    with pytest.raises(LedgerError, match="not empty: it has tables of something else"):
        move(data, strange)
    untouched(data, before)


def test_somebody_who_writes_either_ledger_is_told_of(
    data: Path, postgres: Server, url: str, tmp_path: Path
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", "import sys, time; from pathlib import Path; from tokenweir.ledger.service import take_lock;"
         "take_lock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()", str(data)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert writer.stdout is not None and writer.stdout.readline() == "held\n"
    with pytest.raises(
        LedgerBusyError, match=rf"being written by process {writer.pid}; stop `weir up` first"
    ):
        move(data, url)
    writer.communicate("")
    with Books(tmp_path / "named"), pytest.raises(LedgerError, match="the URL names has a writer already"):
        move(data, url)
    with pytest.raises(LedgerError, match="lies in a file already"):
        move(data, "")
    assert verify(data).ok


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("postgresql://weir:secret@127.0.0.1:1/none", "that the URL names does not answer: .*refused"),
        ("postgresql://weir:secret@[::1/none", "the URL does not name a PostgreSQL database as"),
        ("postgresql://weir@nowhere.invalid/none", "that the URL names does not answer: .*nowhere.invalid"),
    ],
)
def test_a_wrong_url_is_told_without_its_password(data: Path, wrong: str, why: str) -> None:
    before = said(data)
    with pytest.raises(LedgerError, match=f"nothing was moved: .*{why}") as told:
        move(data, wrong)
    assert "secret" not in str(told.value)
    untouched(data, before)


def test_a_database_without_rights_or_schema_is_told(data: Path, postgres: Server) -> None:
    with pytest.raises(LedgerError, match=r"nothing was moved: .*has no schema that its search path names"):
        move(data, postgres.url("nothing_of_that_name"))
    assert verify(data).ok


def test_without_the_driver_it_is_named(data: Path, url: str) -> None:
    program = (
        "import sys; sys.modules['psycopg'] = None; from pathlib import Path; from tokenweir.ledger.moving import move;"
        "move(Path(sys.argv[1]), sys.argv[2])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, data, url], capture_output=True, text=True, check=False
    )
    assert (
        "nothing was moved: the URL names a PostgreSQL database, for which psycopg is missing: pip install 'tokenweir[postgres]'"
        in done.stderr
    )
    assert verify(data).ok


class CutOff(BaseException):
    """As if the process was killed: nothing is tidied up after it."""


def test_what_was_cut_off_is_done_again(
    data: Path, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = without_nul(said(data))
    program = (
        "import os, sys; from pathlib import Path; from tokenweir.ledger import moving;"
        "moving._AT_ONCE = 10;"
        "moving.move(Path(sys.argv[1]), sys.argv[2], lambda what, done, total: os._exit(9) if (what, done >= int(sys.argv[4])) == (sys.argv[3], True) else None)"
    )
    for what, done in (("copied", 40), ("compared", 1), ("replayed", 1)):
        killed = subprocess.run([sys.executable, "-c", program, data, url, what, str(done)], check=False)
        assert killed.returncode == 9
        assert database_of(data).name == "SQLite" and (data / PLACE_NAME).exists()
    move(data, url)
    assert without_nul(said(data)) == before and verify(data).ok


def test_a_ledger_that_is_not_sound_stays_where_it_is(data: Path, url: str, tmp_path: Path) -> None:
    with closing(sqlite3.connect(data / DATABASE_NAME)) as db:
        db.execute("UPDATE hourly SET input = input + 1")
        db.commit()
    with pytest.raises(LedgerError, match=r"is not sound, see `weir ledger verify`: .*the entries add up to"):
        move(data, url)
    with closing(database_of(tmp_path / "named").connect_reader(tmp_path / "named")) as db:
        assert not db.execute(db.database.tables).fetchall()  # and leaves nothing behind
    assert database_of(data).name == "SQLite"


def test_a_row_that_comes_out_otherwise_is_noticed(
    data: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = said(data)

    def altered(what: str, _done: int, _total: int) -> None:
        if what == "compared":
            return
        with closing(database_of(data / PLACE_NAME).connect_reader(data / PLACE_NAME)) as db:
            db.execute("UPDATE spent SET amount_low = amount_low + 1")

    with pytest.raises(LedgerError, match="spent came out otherwise"):
        move(data, url, altered)
    untouched(data, before)


def test_a_full_disk_changes_nothing(data: Path, url: str) -> None:
    move(data, url)
    before = said(data)
    program = (
        "import resource, sys; from pathlib import Path; from tokenweir.ledger.moving import move;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY)); move(Path(sys.argv[1]), '')"
    )
    done = subprocess.run([sys.executable, "-c", program, data], capture_output=True, text=True, check=False)
    assert "LedgerError: nothing was moved: " in done.stderr, done.stderr
    assert not (data / DATABASE_NAME).exists() and not (data / PLACE_NAME).exists()
    assert said(data) == before


def test_as_a_command(data: Path, url: str, tmp_path: Path) -> None:
    home = Home(tmp_path)
    there = home.good("ledger", "move", "-", "--data", str(data), text=f"{url}\n")
    assert (
        "the ledger lies in PostgreSQL now: " in there and f"kept: {data / 'ledger.sqlite3.moved'}" in there
    )
    home.good("ledger", "verify", "--data", str(data))
    back = home.good("ledger", "move", "file", "--data", str(data), "--json")
    assert '"to":"SQLite"' in back
    wrong = home.run("ledger", "move", "mysql://x", "--data", str(data))
    assert wrong.returncode == 2 and "postgresql://USER@HOST/DATABASE" in wrong.stderr
    nowhere = home.run("ledger", "move", "file", "--data", str(tmp_path / "nowhere"))
    assert nowhere.returncode == 5 and "there is no ledger in" in nowhere.stderr
    assert not (tmp_path / "nowhere").exists()
    refused = home.run("ledger", "move", "postgresql://u:secret@127.0.0.1:1/x", "--data", str(data))
    assert (
        refused.returncode == 5 and "nothing was moved" in refused.stderr and "secret" not in refused.stderr
    )
