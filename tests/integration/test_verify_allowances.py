"""What an allowance covers of each entry is worked out anew, and terms that change meanwhile are no difference."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from billed_ledger import CNY, DAY_US, Books
from postgres_server import Server

from tokenweir.core.errors import LedgerError
from tokenweir.core.usage import Usage
from tokenweir.ledger import verify
from tokenweir.ledger.database import DATABASE_NAME
from tokenweir.ledger.messages import Checkpoint
from tokenweir.ledger.schema import UNDONE
from tokenweir.ledger.terms import (
    AccountRecord,
    AddCredit,
    Credit,
    Limit,
    Plan,
    SetAccount,
    SetLimit,
    SetPlan,
)

BOUND = 18_000  # what a call of `Books` sets aside
ALLOWANCE = 20_000


def planned(data: Path) -> Books:
    books = Books(data)
    books.account("a", beyond_credit="bill")
    books.account("b")
    books.change(SetPlan("a", Plan("basic", "CNY", allowance=ALLOWANCE, allowance_unit="tokens")))
    return books


def covered(data: Path) -> list[tuple[int, str, int]]:
    """Entries of which something is covered: number, kind, how much."""
    with closing(sqlite3.connect(data / DATABASE_NAME)) as db:
        return db.execute(
            "SELECT seq, kind, covered_tokens FROM entries WHERE covered_tokens > 0 ORDER BY seq"
        ).fetchall()


def say(data: Path, seq: int, tokens: int) -> tuple[str, ...]:
    """What verify says where an entry says that so many of its tokens are covered."""
    with closing(sqlite3.connect(data / DATABASE_NAME)) as db:
        guard = db.execute(
            "SELECT sql FROM sqlite_master WHERE name = 'entries_are_never_changed'"
        ).fetchone()[0]
        db.execute("DROP TRIGGER entries_are_never_changed")
        was = db.execute("SELECT covered_tokens FROM entries WHERE seq = ?", (seq,)).fetchone()[0]
        db.execute("UPDATE entries SET covered_tokens = ? WHERE seq = ?", (tokens, seq))
        db.commit()
        problems = verify.verify(data).problems
        db.execute("UPDATE entries SET covered_tokens = ? WHERE seq = ?", (was, seq))
        db.execute(guard)
        db.commit()
    return problems


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two calls at once on one allowance, one of them with a checkpoint and two attempts; corrections; an account without a plan."""
    with planned(tmp_path) as books:
        first = books.open("a")  # 1: all of it fits
        second = books.open("a")  # 2: it does not, beside the first
        books.journal.commit()
        seen = Usage(input=10)
        books.journal.apply(
            Checkpoint(
                0,
                first.call,
                b"",
                1,
                books.clock.now_us(),
                "up",
                "up/m",
                seen,
                *books.amount(CNY, seen),
                reserves={"tokens": 17_000},
            )
        )  # 3: a thousand free again
        books.close(second, Usage(input=2_500), final=False)  # 4: there is room for all of that
        books.close(second, Usage(input=4_000), ordinal=2)  # 5: and for 500 of this
        closed = books.close(first, Usage(input=16_000))  # 6: it has set aside enough; 1,000 are left
        books.reprice(closed, None, "corrected")  # 7
        third = books.open("a")  # 8
        books.journal.commit()
        books.journal.interrupt([third.call])  # 9
        books.close(third, Usage(input=1_500))  # 10: late, 1,000 of it
        books.call("b", Usage(input=5))  # 11, 12
    assert verify.verify(tmp_path).problems == ()
    return tmp_path


def test_what_each_entry_has_covered_is_what_the_laws_say(data: Path) -> None:
    assert covered(data) == [
        (1, "opened", BOUND), (4, "attempt", 2_500), (5, "settled", 500), (6, "settled", 16_000), (7, "repriced", 16_000), (10, "late", 1_000),
    ]  # fmt: skip


@pytest.mark.parametrize("seq", [1, 2, 4, 5, 6, 7, 9, 10, 12])
@pytest.mark.parametrize("more", [1, -1])
def test_the_first_entry_that_says_otherwise_is_named(data: Path, seq: int, more: int) -> None:
    expected = {number: tokens for number, _, tokens in covered(data)}.get(seq, 0)
    problems = say(data, seq, expected + more)
    assert problems[0].startswith(f"entry {seq} of call ")
    assert problems[0].endswith(
        f": {expected + more} of its tokens are covered by an allowance, which had to cover {expected}"
    )
    assert verify.verify(data).ok


def test_an_opening_that_could_not_be_written_leaves_the_least_unknown(tmp_path: Path) -> None:
    """It had set aside what an entry beside it could not have then; nobody knows how much. More than the laws give is found all the same."""
    with planned(tmp_path) as books:
        first, second = books.open("a"), books.open("a")
        books.journal.commit()
        books.close(first, Usage(input=1))
        undone = books.open("a")
        db = books.store._db
        db.execute("ALTER TABLE meta RENAME TO elsewhere")
        with pytest.raises(LedgerError, match="cannot be written"):
            books.close(second, Usage(input=5_000))
        db.execute("ALTER TABLE elsewhere RENAME TO meta")
        books.journal.commit()
        assert undone.call not in books.journal.state.open_calls
        marks = db.execute("SELECT name, value FROM meta WHERE name LIKE ?", (f"{UNDONE}%",)).fetchall()
        books.call("a", Usage(input=6_000))
    assert covered(tmp_path)[2:] == [
        (4, "settled", ALLOWANCE - 1 - BOUND),
        (5, "opened", BOUND),
        (6, "settled", 6_000),
    ]
    assert marks == [(f"{UNDONE}4", 4)]
    assert verify.verify(tmp_path).ok
    assert say(tmp_path, 4, 5_001)[0].endswith(
        "5001 of its tokens are covered by an allowance, which had to cover 5000"
    )
    assert say(tmp_path, 6, 5_999)[0].startswith("entry 6 ")


@pytest.mark.parametrize("restarted", [False, True])
def test_a_past_month_keeps_what_was_drawn_when_the_time_zone_moves_and_comes_back(
    tmp_path: Path, restarted: bool
) -> None:
    with planned(tmp_path) as books:
        first = books.open("a")
        books.journal.commit()
        books.journal.interrupt([first.call])
        books.call("a", Usage(input=ALLOWANCE - 500))
        books.clock.advance(40 * DAY_US)
        for zone in ("Asia/Shanghai", "UTC"):
            books.change(SetAccount(AccountRecord("a", time_zone=zone, beyond_credit="bill")))
            if restarted:
                books.let_others_write(lambda: None)
        books.close(first, Usage(input=1_500))
        assert covered(tmp_path)[-1] == (5, "late", 500)
        assert verify.verify(tmp_path).problems == ()


def test_terms_that_change_while_it_reads_are_no_difference(
    tmp_path: Path, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "AT_ONCE", 3)
    for data in (tmp_path / "here", postgres.hold_ledger(tmp_path / "there")):
        data.mkdir(exist_ok=True)
        with planned(data) as books:
            for _ in range(4):
                books.call("a", Usage(input=700))
                books.call("b", Usage(input=100))
            under_way = books.open("b")
            books.journal.commit()
            changes = iter(
                [
                    SetLimit("account/b", Limit("tokens", 10**6, "month")),
                    AddCredit(Credit("top-up", "b", "CNY", 10**12, 0)),
                    SetLimit("key/a", Limit("CNY", 10**12, "day")),
                ]
            )

            def changed(_done: int, _total: int, books: Books = books, changes=changes) -> None:  # type: ignore[no-untyped-def]
                change = next(changes, None)
                if change is not None:
                    books.change(change)
                    books.call("b", Usage(input=9))

            assert verify.verify(data, changed) == verify.Verification(
                ok=True, entries=23, calls=12, open_calls=1
            )
            assert next(changes, None) is None
            books.close(under_way, Usage(input=3))
            assert verify.verify(data).problems == ()
