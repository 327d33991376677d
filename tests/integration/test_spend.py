"""What calls to one upstream cost, summed over a ledger of known entries."""

from pathlib import Path

import msgspec
import pytest
from known_ledger import RATES, START_US, Book, call_id, write_call

from tokenweir.catalog.price import AppliedPrice
from tokenweir.core.money import PICO
from tokenweir.core.usage import NO_USAGE, Provenance, Usage
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.views import Spend, open_reader, spend, upstreams
from tokenweir.ledger.views.spend import SLOT_US

DAY_US = 86_400_000_000


@pytest.fixture
def book(tmp_path: Path) -> Book:
    book = Book(tmp_path)
    applied = AppliedPrice(ref="book", currency="CNY", rates=RATES)
    book.connection.execute(
        "INSERT INTO prices (id, applied) VALUES ('p1', ?)", (msgspec.json.encode(applied).decode(),)
    )
    return book


def entry(number: int, **fields: object) -> Entry:
    plain = Entry(
        kind=Kind.SETTLED,
        at_us=START_US,
        call=call_id(number),
        upstream="u1",
        deployment="u1/k",
        usage=Usage(input=10),
        price="p1",
        cost_pico=40_000_000,
        currency="CNY",
        outcome=Outcome.OK,
    )
    return msgspec.structs.replace(plain, **fields)


def of(book: Book, directory: Path, upstream: str = "u1", **bounds: int) -> Spend[int]:
    span = {"since_us": 0, "until_us": 2**62} | bounds
    return spend(open_reader(directory), upstream, lambda at_us: at_us // DAY_US, **span)


def flat(spent: Spend[int]) -> set[tuple[object, ...]]:
    return {(row.deployment, row.token_class, row.tokens, row.cost_pico, row.currency) for row in spent.rows}


def test_each_upstream_has_its_own_attempts_by_class(book: Book, tmp_path: Path) -> None:
    for number in range(3):
        write_call(book, number)
    assert flat(of(book, tmp_path)) == {("u1/k", "input", 30, 120_000_000, "CNY")}
    assert flat(of(book, tmp_path, "u2")) == {
        ("u2/k", "input", 9, 36_000_000, "CNY"),
        ("u2/k", "cache_read", 15, 15_000_000, "CNY"),
        ("u2/k", "output", 6, 96_000_000, "CNY"),
        ("u2/k", "reasoning", 3, 48_000_000, "CNY"),
    }
    assert of(book, tmp_path, "u3").rows == ()


def test_a_late_entry_takes_the_place_of_the_one_before(book: Book, tmp_path: Path) -> None:
    book.write(entry(1, outcome=Outcome.INTERRUPTED))
    book.write(entry(1, kind=Kind.LATE, usage=Usage(input=4), cost_pico=16_000_000, at_us=START_US + 1))
    book.write(entry(2))
    spent = of(book, tmp_path)
    assert flat(spent) == {("u1/k", "input", 14, 56_000_000, "CNY")}
    assert spent.entries == 2


def test_a_repriced_entry_takes_the_place_of_the_one_before(book: Book, tmp_path: Path) -> None:
    attempt = entry(1, kind=Kind.ATTEMPT, attempt=b"a" * 16)
    book.write(attempt)
    book.write(entry(1, kind=Kind.ATTEMPT, attempt=b"b" * 16, ordinal=1))
    book.write(entry(1, attempt=b"c" * 16))
    for ordinal, kind, cost in (
        (1, Kind.REPRICED_ATTEMPT, 7),
        (2, Kind.REPRICED_ATTEMPT, 8),
        (3, Kind.REPRICED, 9),
    ):
        at = b"c" * 16 if kind is Kind.REPRICED else b"a" * 16
        book.write(entry(1, kind=kind, ordinal=ordinal, attempt=at, price="p2", cost_pico=cost))
    spent = of(book, tmp_path)
    assert spent.entries == 3
    assert sum(row.cost_pico or 0 for row in spent.rows) == 40_000_000 + 8 + 9
    assert sum(row.tokens for row in spent.rows) == 30


def test_a_part_of_the_ledger_at_a_time_gives_the_same(book: Book, tmp_path: Path) -> None:
    for number in range(4):
        write_call(book, number)
        book.write(entry(number, kind=Kind.LATE, upstream="u2", deployment="u2/k"))
    whole = of(book, tmp_path, "u2")
    parts = of(book, tmp_path, "u2", at_once=1)
    assert flat(parts) == flat(whole) == {("u2/k", "input", 40, 160_000_000, "CNY")}


def test_spans_are_the_callers_and_bounds_are_kept(book: Book, tmp_path: Path) -> None:
    for day in range(3):
        book.write(entry(day, at_us=START_US + day * DAY_US))
    assert {row.span for row in of(book, tmp_path).rows} == {START_US // DAY_US + day for day in range(3)}
    assert len(of(book, tmp_path, since_us=START_US + 1, until_us=START_US + 2 * DAY_US).rows) == 1
    none = spend(open_reader(tmp_path), "u1", lambda _: None, 0, 2**62)
    assert (none.rows, none.entries) == ((), 0)
    asked: list[int] = []
    spend(open_reader(tmp_path), "u1", asked.append, 0, 2**62)
    assert all(moment % SLOT_US == 0 for moment in asked)


def test_the_unpriced_and_the_unknown_are_told_apart(book: Book, tmp_path: Path) -> None:
    book.write(entry(1, price="", cost_pico=None, currency=""))
    book.write(entry(2, price="", cost_pico=None, currency="", usage=NO_USAGE))
    book.write(entry(3, usage=Usage(input=1, provenance=Provenance.ESTIMATED), cost_pico=4_000_000))
    spent = of(book, tmp_path)
    assert flat(spent) == {("u1/k", "input", 10, None, ""), ("u1/k", "input", 1, 4_000_000, "CNY")}
    assert (spent.entries, spent.unknown, spent.estimated) == (3, 1, 1)


def test_a_cost_that_its_price_does_not_account_for_stands_without_a_class(
    book: Book, tmp_path: Path
) -> None:
    book.write(entry(1, price="lost", cost_pico=41))
    assert flat(of(book, tmp_path)) == {("u1/k", "input", 10, 0, "CNY"), ("u1/k", "", 0, 41, "CNY")}


def test_sums_beyond_64_bits_are_exact(book: Book, tmp_path: Path) -> None:
    for number in range(3):
        book.write(entry(number, price="lost", cost_pico=9_000_000 * PICO + PICO - 1))
    total = sum(row.cost_pico or 0 for row in of(book, tmp_path).rows)
    assert total == 3 * (9_000_000 * PICO + PICO - 1)


def test_upstreams_are_those_with_calls(book: Book, tmp_path: Path) -> None:
    book.hour(0, upstream="u1")
    book.hour(0, upstream="")
    assert upstreams(open_reader(tmp_path)) == ("u1",)
