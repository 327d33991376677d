"""A search by cost finds the calls whose attempts cost so much together, in either database: as adding up the rows does."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from known_ledger import START_US, Book, call_id
from postgres_server import Server

from tokenweir.core.ids import uuid_text
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.views import CallRow, calls, open_reader

BIG = 9_000_000 * 10**12  # two of these do not fit into 64 bits
AMOUNTS = st.sampled_from([None, 0, 1, 5, 10**12 - 1, 10**12, BIG])
CURRENCIES = st.sampled_from(["CNY", "USD"])
#: What one entry says it cost, and is charged; nothing where it has no price of its own.
MONEY = st.tuples(AMOUNTS, CURRENCIES, st.booleans(), AMOUNTS, CURRENCIES)
#: Failed attempts, the end, and corrections of any of them (by place, the end last).
CALL = st.tuples(
    st.lists(MONEY, max_size=3), MONEY, st.lists(st.tuples(st.integers(0, 3), MONEY), max_size=3)
)
ASKED = (
    (1, "CNY"),
    (2, "USD"),
    (6, "CNY"),
    (10**12, "CNY"),
    (10**12 + 1, "USD"),
    (2 * BIG, "CNY"),
    (2 * BIG + 1, "CNY"),
)


def entries_of(number: int, call: tuple) -> Iterator[Entry]:
    failed, last, corrections = call
    id, at_us = call_id(number), START_US + number * 1_000_000
    yield Entry(kind=Kind.OPENED, at_us=at_us, call=id, key="k", account="a", model="m")

    def entry(kind: Kind, ordinal: int, attempt: bytes, money: tuple) -> Entry:
        cost, currency, charged, charge, charge_currency = money
        return Entry(
            kind=kind, at_us=at_us + ordinal, call=id, ordinal=ordinal, attempt=attempt, key="k", account="a", model="m", upstream="u",
            usage=Usage(input=3), price="p", cost_pico=cost, currency="" if cost is None else currency, outcome=Outcome.OK,
            charge_price="q" if charged else "", charge_pico=charge if charged else None, charge_currency=charge_currency if charged else "",
        )  # fmt: skip

    attempts = [call_id(1_000 + 10 * number + place) for place in range(len(failed) + 1)]
    for place, money in enumerate(failed):
        yield entry(Kind.ATTEMPT, place + 1, attempts[place], money)
    yield entry(Kind.SETTLED, len(failed) + 1, attempts[-1], last)
    for place, (which, money) in enumerate(corrections):
        ends = which >= len(failed)
        yield entry(
            Kind.REPRICED if ends else Kind.REPRICED_ATTEMPT,
            place + 1,
            attempts[min(which, len(failed))],
            money,
        )


def paid(row: CallRow, entries: list[Entry]) -> dict[str, int]:
    """By currency what the account pays for the entries that stand, added up by hand."""
    standing = {
        entry.attempt: entry for entry in entries if entry.upstream and uuid_text(entry.call) == row.call
    }
    sums: dict[str, int] = {}
    for entry in standing.values():
        charged = bool(entry.charge_price)
        pico = entry.charge_pico if charged else entry.cost_pico
        if pico is not None:
            currency = entry.charge_currency if charged else entry.currency
            sums[currency] = sums.get(currency, 0) + pico
    return sums


def check(directory: Path, found: list[tuple]) -> None:
    book = Book(directory)
    entries = [entry for number, call in enumerate(found) for entry in entries_of(number, call)]
    for entry in sorted(
        entries, key=lambda entry: (entry.kind in (Kind.REPRICED, Kind.REPRICED_ATTEMPT), entry.at_us)
    ):
        book.write(entry)
    with closing(open_reader(directory)) as db:
        rows = calls(db, limit=100)
        assert len(rows) == len(found)
        for asked in ASKED:
            pico, currency = asked
            costly = [row for row in rows if row.cost_pico.get(currency, -1) >= pico]
            assert calls(db, limit=100, min_cost=asked) == costly, asked
            dear = [row for row in rows if paid(row, entries).get(currency, -1) >= pico]
            assert calls(db, limit=100, min_cost=asked, as_paid=True) == dear, asked
    book.connection.close()


@given(st.lists(CALL, min_size=1, max_size=4))
@settings(max_examples=60, deadline=None)
def test_in_a_file(tmp_path_factory: pytest.TempPathFactory, found: list[tuple]) -> None:
    check(tmp_path_factory.mktemp("costs"), found)


@given(st.lists(CALL, min_size=1, max_size=4))
@settings(max_examples=10, deadline=None)
def test_in_postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgres: Server, found: list[tuple]
) -> None:
    check(postgres.hold_ledger(tmp_path_factory.mktemp("costs")), found)


def test_for_most_calls_an_index_decides(tmp_path: Path) -> None:
    book = Book(tmp_path)
    for entry in entries_of(0, ([], (5, "CNY", False, None, "CNY"), [])):
        book.write(entry)
    told: list[str] = []
    reader = open_reader(tmp_path)
    run = reader.execute

    class Explaining:
        database = reader.database

        def execute(self, sql: str, values: object = ()) -> object:
            if sql.startswith("SELECT seq, kind") and "LIMIT" in sql:
                told.extend(str(row[3]) for row in run(f"EXPLAIN QUERY PLAN {sql}", values))  # type: ignore[arg-type]
            return run(sql, values)  # type: ignore[arg-type]

    (row,) = calls(Explaining(), min_cost=(5, "CNY"), after_seq=0)  # type: ignore[arg-type]
    assert row.cost_pico == {"CNY": 5}
    assert any("beside USING INDEX entries_beside (currency=? AND cost_pico>?)" in line for line in told), (
        told
    )
    assert not any(line.startswith("SCAN beside") or "TEMP B-TREE FOR ORDER BY" in line for line in told), (
        told
    )
