"""The same journal, store, views and replay over PostgreSQL and over SQLite: the same ledgers, and the same answers."""

import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from billed_ledger import CNY, DAY_US, HOUR_US, Books
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test
from postgres_server import Server
from test_invoice_properties import ACCOUNTS, STEPS, issue_last_month, play
from test_journal_stateful import JournalMachine

from tokenweir.billing.invoicing import explain, issued, preview, reckon
from tokenweir.core.errors import LedgerBusyError, LedgerError
from tokenweir.core.usage import Usage
from tokenweir.ledger.database import FAULTS, URL_NAME, Connection, database_of
from tokenweir.ledger.journal import Durable, Journal
from tokenweir.ledger.messages import MakeChanges, OpenResult
from tokenweir.ledger.rollups import ROLLUPS
from tokenweir.ledger.store import Store, read_changes, read_spent, read_terms
from tokenweir.ledger.terms import AddCredit, Credit, Limit, SetLimit
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import (
    GROUPS,
    call_detail,
    calls,
    calls_after,
    entries,
    open_reader,
    spend,
    upstreams,
    usage,
)
from tokenweir.ledger.views.accounts import month_usage
from tokenweir.ledger.views.credit import purses_now
from tokenweir.ledger.views.figures import figures, figures_by_model
from tokenweir.ledger.views.limits import limits_now
from tokenweir.ledger.views.overview import active
from tokenweir.ledger.views.run_list import entries_between, run_calls, runs
from tokenweir.ledger.views.run_tree import run_tree
from tokenweir.ledger.views.spans import Span
from tokenweir.ledger.views.standing import Asked, standing
from tokenweir.ledger.views.upstream_health import lately

_TABLES = ("prices", "changes", "meta", *(rollup.table for rollup in ROLLUPS))


def kept(db: Connection) -> dict[str, object]:
    """Every row there is."""
    rows: dict[str, object] = {
        name: sorted(db.execute(f"SELECT * FROM {name}").fetchall()) for name in _TABLES
    }
    return {
        **rows,
        "entries": list(entries(db)),
        "spent": sorted(read_spent(db)),
        "changes": list(read_changes(db)),
    }


def answers(db: Connection, now_us: int) -> dict[str, object]:
    """What every view says, asked in every way it can be."""
    found = calls(db, limit=1_000)
    middle = found[len(found) // 2] if found else None
    told: dict[str, object] = {
        "usage": [usage(db, by) for by in (*((group,) for group in GROUPS), ("model", "day"), ("hour", "key"))],
        "span": [usage(db, (group,), now_us - 40 * DAY_US, now_us - DAY_US // 3) for group in GROUPS],
        "calls": found,
        "of": calls(db, accounts=("a", "org", "team"), model="m", outcome="ok", since_us=1, until_us=now_us),
        "details": [call_detail(db, bytes.fromhex(row.call.replace("-", ""))) for row in found],
        "after": calls_after(db, 0),
        "limits": limits_now(db, now_us),
        "purses": purses_now(db, now_us),
        "upstreams": upstreams(db),
        "spend": [spend(db, name, lambda at_us: at_us // DAY_US, 0, 2**62) for name in upstreams(db)],
        "standing": [list(standing(db, asked)) for asked in (
            Asked(), Asked(model="m*"), Asked(model="?"), Asked(model="no"), Asked(accounts=("a", "org")),
            Asked(upstream="up", until_us=now_us - DAY_US),
        )],
    }  # fmt: skip
    span = Span((now_us - 40 * DAY_US) // HOUR_US, (now_us + DAY_US) // HOUR_US)
    some = ("a", "org")
    told["console"] = [
        figures(db, [span]), figures(db, [span], some), figures_by_model(db, [span], some), lately(db, span.since_us), lately(db, span.since_us, "deployment"),
        runs(db, span), runs(db, span, some), run_calls(db, ""), entries_between(db, span.since_us, span.until_us), run_tree(db, ""),
        active(db, read_terms(db), span),
    ]  # fmt: skip
    if middle is not None:
        told["page"] = calls(db, limit=7, before_seq=middle.seq)
    return told


def compare(here: Path, there: Path, now_us: int) -> None:
    """Both hold the same and say the same, and both can be replayed."""
    assert database_of(here).name != database_of(there).name
    with closing(open_reader(here)) as one, closing(open_reader(there)) as other:
        assert kept(one) == kept(other)
        assert answers(one, now_us) == answers(other, now_us)
    assert verify(here) == verify(there)


class Both:
    """Two journals that are told the same and have to answer the same."""

    def __init__(self, one: Journal, other: Journal) -> None:
        self._one, self._other = one, other
        self.state, self.store = one.state, one.store

    @property
    def open_calls(self) -> list[bytes]:
        assert self._one.open_calls == self._other.open_calls
        return self._one.open_calls

    def apply(self, operation: Durable) -> OpenResult | str | None:
        told = self._one.apply(operation)
        assert self._other.apply(operation) == told
        return told

    def commit(self) -> None:
        self._one.commit()
        self._other.commit()

    def interrupt(self, calls: list[bytes]) -> None:
        self._one.interrupt(calls)
        self._other.interrupt(calls)


class TwoStores(JournalMachine):
    """Everything that the journal's own machine does, done to both."""

    server: Server

    def __init__(self) -> None:
        super().__init__()
        self.there = self.server.hold_ledger(self.data / "there")

    def _open_files(self) -> None:
        super()._open_files()
        self.other = Store(self.there, "os")
        self.journal = Both(self.journal, Journal(self.other, self.clock, remembered_calls=3))  # type: ignore[assignment]

    def the_disk_is_full(self) -> None:
        """A rule no longer: it is done with SQLite's own means."""

    def _close_files(self) -> None:
        super()._close_files()
        self.other.close()

    def teardown(self) -> None:
        if hasattr(self, "other"):
            compare(self.data, self.there, self.clock.now_us())
        super().teardown()


def test_any_ledger_is_the_same_in_both(postgres: Server) -> None:
    machine = type("Machine", (TwoStores,), {"server": postgres})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=12, stateful_step_count=40, deadline=None)
    )


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, credit=st.integers(1, 10**11))
def test_invoices_are_the_same_in_both(
    postgres: Server, steps: list[tuple[object, ...]], credit: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        here = Path(directory)
        there = postgres.hold_ledger(here / "there")
        told = []
        for data in (here, there):
            books = stack.enter_context(Books(data))
            for id, parent in (("org", ""), ("team", "org"), ("other", "")):
                books.account(id, parent, beyond_credit="bill")
            books.change(AddCredit(Credit("top-up", "org", "CNY", credit, 0)))
            play(books, steps)
            books.clock.advance(70 * DAY_US)
            books.let_others_write(lambda books=books: issue_last_month(books, "org"))
            with closing(open_reader(data)) as db:
                documents = [reckon(db, one.invoice.id) for one in issued(db)]
                lines = [
                    list(explain(db, document, line.number)[1])
                    for document in documents
                    for line in (*document.lines, *document.corrections)
                ]
                told.append((documents, lines, [preview(db, account, "2027-12") for account in ACCOUNTS]))
                told[-1] += (month_usage(db, books.journal.state.terms, books.clock.now_us()),)
        assert told[0] == told[1]
        compare(here, there, books.clock.now_us())


@pytest.fixture
def books(postgres: Server, tmp_path: Path):  # type: ignore[no-untyped-def]
    with Books(postgres.hold_ledger(tmp_path / "ledger")) as books:
        books.account("a")
        yield books


def test_entries_and_changes_are_neither_changed_nor_removed(books: Books) -> None:
    books.call("a", Usage(input=1_000))
    for statement in ("UPDATE entries SET input = 0", "DELETE FROM entries", "TRUNCATE entries", "UPDATE changes SET actor = 'x'", "DELETE FROM changes"):  # fmt: skip
        with pytest.raises(FAULTS, match="never changed and never removed"):
            books.store._db.execute(statement)
    with closing(open_reader(books.data)) as reader, pytest.raises(FAULTS, match="read-only"):
        reader.execute("UPDATE spent SET amount_low = 1")


def test_one_alone_writes_and_a_reader_reads_beside_it(books: Books) -> None:
    with pytest.raises(LedgerBusyError, match="has a writer already"):
        Store(books.data)
    books.call("a", Usage(input=1_000))
    with closing(open_reader(books.data)) as reader:
        assert len(calls(reader)) == 1
    assert books.let_others_write(lambda: Store(books.data).close()) is None


def test_a_writer_whose_session_has_ended_is_told_although_nobody_asks_it(
    postgres: Server, tmp_path: Path
) -> None:
    data, told = postgres.hold_ledger(tmp_path / "ledger"), list[str]()
    store = Store(data, "os", told.append)
    store.fold()
    assert told == []
    with closing(database_of(data).connect_reader(data)) as other:
        (pid,) = store._db.execute("SELECT pg_backend_pid()").fetchone()
        other.execute("SELECT pg_terminate_backend(?)", (pid,))
    with pytest.raises(FAULTS, match="terminat"):
        store.fold()
    assert len(told) == 1
    Store(data, "os").close()  # another one has the lock at once


def test_a_batch_that_fails_leaves_nothing_and_is_written_later(books: Books) -> None:
    db = books.store._db
    db.execute("ALTER TABLE meta RENAME TO elsewhere")
    books.journal.apply(MakeChanges(0, "test", (SetLimit("key/a", Limit("tokens", 50_000, "day")),)))
    opened = books.open("a")
    with pytest.raises(LedgerError, match="cannot be written"):
        books.journal.commit()
    assert not db.in_transaction
    assert opened.call not in books.journal.state.open_calls
    db.execute("ALTER TABLE elsewhere RENAME TO meta")
    books.journal.commit()
    books.call("a", Usage(input=1_000))
    assert verify(books.data).ok


def test_tampering_is_found(books: Books) -> None:
    books.call("a", Usage(input=1_000), CNY)
    assert verify(books.data).ok
    books.store._db.execute("UPDATE hourly SET input = input + 1")
    books.store._db.execute("DELETE FROM daily_runs")
    problems = verify(books.data).problems
    assert any("input is 1001, the entries add up to 1000" in problem for problem in problems)
    assert any(problem.startswith("daily_runs") for problem in problems)


def test_text_that_postgresql_cannot_hold_is_kept_with_a_mark(books: Books) -> None:
    books.call("a", Usage(input=1), model="m\0n")
    with closing(open_reader(books.data)) as reader:
        assert [row.model for row in calls(reader)] == ["m\ufffdn"]
    assert verify(books.data).ok


def test_a_database_that_is_away_or_of_something_else_is_named_without_its_password(
    books: Books, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (away / URL_NAME).write_text("postgresql://weir:secret@127.0.0.1:1/none")
    for action in (lambda: open_reader(away), lambda: Store(away)):
        with pytest.raises(LedgerError, match=r"ledger\.url names does not answer") as told:
            action()
        assert "secret" not in str(told.value)
    books.store._db.execute("DROP TABLE meta")
    with pytest.raises(LedgerError, match="not a ledger of tokenweir"):
        open_reader(books.data)
