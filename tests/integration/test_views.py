"""Queries and exports over a ledger of known entries, in the real schema."""

import csv
import io
import sqlite3
from pathlib import Path

import msgspec
import pytest
from known_ledger import HOUR, RATES, START_US, Book, call_id, write_call

from tokenweir.admin.calls import told_call
from tokenweir.catalog.price import AppliedPrice
from tokenweir.cli.calls_command import call_line
from tokenweir.core.errors import LedgerError
from tokenweir.core.money import PICO
from tokenweir.ledger import export as exports
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.schema import ENTRY_COLUMNS
from tokenweir.ledger.views import (
    HOUR_US,
    call_detail,
    calls,
    calls_after,
    last_seq,
    open_reader,
    total,
    usage,
    whole_hours,
)


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


def test_calls_come_newest_first_with_the_cost_of_all_their_attempts(book: Book, tmp_path: Path) -> None:
    for number in range(5):
        write_call(book, number)
    reader = open_reader(tmp_path)
    page = calls(reader, limit=2)
    assert [row.at_us for row in page] == [START_US + 4_000_000, START_US + 3_000_000]
    row = page[0]
    assert (row.usage.input, row.usage.cache_read, row.usage.output, row.usage.reasoning) == (13, 5, 2, 1)
    assert row.cost_pico == {"CNY": 40_000_000 + 65_000_000}
    assert (row.attempts, row.upstream, row.unpriced, row.status) == (2, "u2", False, 200)
    rest = calls(reader, limit=10, before_seq=page[-1].seq)
    assert [r.at_us for r in rest] == [START_US + n * 1_000_000 for n in (2, 1, 0)]
    assert calls(reader, model="other") == []
    assert len(calls(reader, key="k1", since_us=START_US + 3_000_000)) == 2


def test_following_begins_after_an_entry(book: Book, tmp_path: Path) -> None:
    write_call(book, 1)
    reader = open_reader(tmp_path)
    seq = last_seq(reader)
    assert calls_after(reader, seq) == []
    second = write_call(book, 2)
    assert [row.call.replace("-", "") for row in calls_after(reader, seq)] == [second.hex()]


def test_a_refused_call_has_no_cost_and_says_why(book: Book, tmp_path: Path) -> None:
    book.write(
        Entry(
            kind=Kind.REFUSED,
            at_us=START_US,
            call=call_id(1),
            outcome=Outcome.REFUSED,
            reason="limit",
            status=402,
        )
    )
    row = calls(open_reader(tmp_path))[0]
    assert (row.cost_pico, row.unpriced, row.attempts, row.reason, row.status) == ({}, False, 0, "limit", 402)


def test_one_call_is_shown_with_the_products_of_its_cost(book: Book, tmp_path: Path) -> None:
    applied = AppliedPrice(ref="book", currency="CNY", rates=RATES)
    book.connection.execute(
        "INSERT INTO prices (id, applied) VALUES ('p1', ?)", (msgspec.json.encode(applied).decode(),)
    )
    detail = call_detail(open_reader(tmp_path), write_call(book, 1))
    assert detail is not None
    settled = detail.entries[-1]
    assert sum(p.pico for p in settled.products) == settled.entry.cost_pico == 65_000_000
    assert {p.token_class: p.rate_pico for p in settled.products}["reasoning"] == 16_000_000
    assert call_detail(open_reader(tmp_path), call_id(9)) is None


def test_a_call_under_way_has_entries_but_no_row(book: Book, tmp_path: Path) -> None:
    book.write(Entry(kind=Kind.OPENED, at_us=START_US, call=call_id(1)))
    detail = call_detail(open_reader(tmp_path), call_id(1))
    assert detail is not None
    assert detail.row is None
    assert len(detail.entries) == 1


def test_usage_is_summed_by_group_and_currencies_stay_apart(book: Book, tmp_path: Path) -> None:
    book.hour(HOUR, model="a", currency="CNY", calls=1, input=5, cost_units=1, cost_pico=PICO - 1)
    book.hour(HOUR + 1, model="a", currency="CNY", calls=2, output=7, cost_pico=2)
    book.hour(HOUR + 1, model="a", currency="USD", calls=1, cost_pico=3)
    book.hour(HOUR + 24, model="b", calls=1, unpriced_calls=1)
    reader = open_reader(tmp_path)
    first, second = usage(reader, ("model",))
    assert (first.by, first.calls, first.input, first.output) == ({"model": "a"}, 4, 5, 7)
    assert first.cost_pico == {"CNY": 2 * PICO + 1, "USD": 3}
    assert (second.unpriced_calls, second.cost_pico) == (1, {})
    assert [row.by["day"] for row in usage(reader, ("day",))] == ["2026-11-23", "2026-11-24"]
    assert len(usage(reader, ("model", "hour"))) == 3
    assert total([first, second]).calls == 5
    assert [r.calls for r in usage(reader, ("model",), since_us=START_US + HOUR_US + 1)] == [3, 1]
    assert [r.calls for r in usage(reader, ("model",), until_us=START_US + 1)] == [1]


def test_money_beyond_64_bits_of_pico_is_exact(book: Book, tmp_path: Path) -> None:
    for hour in range(3):
        book.hour(HOUR + hour, currency="CNY", cost_units=9_000_000_000, cost_pico=PICO - 1)
    assert usage(open_reader(tmp_path), ("model",))[0].cost_pico == {
        "CNY": 3 * (9_000_000_000 * PICO + PICO - 1)
    }


def test_bounds_are_whole_hours() -> None:
    assert whole_hours(START_US + 1, START_US + 1) == (START_US, START_US + HOUR_US)
    assert whole_hours(START_US, START_US) == (START_US, START_US)
    assert whole_hours(None, None) == (None, None)


def test_a_reader_cannot_write_and_needs_a_ledger(book: Book, tmp_path: Path) -> None:
    reader = open_reader(tmp_path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reader.execute("DELETE FROM entries")
    with pytest.raises(LedgerError, match="`weir up` makes one"):
        open_reader(tmp_path / "none")
    book.connection.execute("UPDATE meta SET value = 99 WHERE name = 'schema_version'")
    with pytest.raises(LedgerError, match="newer than this program"):
        open_reader(tmp_path)


@pytest.mark.parametrize("form", exports.FORMATS)
def test_an_export_has_every_entry_exactly(book: Book, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    calls_written = [write_call(book, number).hex() for number in range(4)]
    target = tmp_path / "out"
    seen: list[int] = []
    assert exports.export(open_reader(tmp_path), form, target, progress=seen.append) == 12
    assert seen == [12]
    rows = READERS[form](target)
    assert [row["seq"] for row in rows] == list(range(1, 13))
    assert [row["call"].replace("-", "") for row in rows[::3]] == calls_written
    assert {row["cost"] for row in rows[2::3]} == {"0.000065"}
    assert rows[0]["cost_pico"] is None
    assert not (tmp_path / "out.unfinished").exists()


@pytest.mark.parametrize("form", exports.FORMATS)
def test_an_export_has_every_column_of_an_entry(book: Book, tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    assert set(ENTRY_COLUMNS) <= set(exports.COLUMNS)
    book.write(
        Entry(
            kind=Kind.SETTLED, at_us=START_US, call=call_id(1), charge_price="p2", charge_pico=1_500_000_000_001,
            charge_currency="USD", covered_tokens=7, tool_calls=3, also_reserved='{"USD":5}', route="cheapest",
        )
    )  # fmt: skip
    target = tmp_path / "out"
    exports.export(open_reader(tmp_path), form, target)
    row = READERS[form](target)[0]
    said = {name: str(row[name]) for name in ("charge", "charge_pico", "charge_currency", "charge_price")}
    assert said == {
        "charge": "1.500000000001", "charge_pico": "1500000000001", "charge_currency": "USD", "charge_price": "p2"
    }  # fmt: skip
    assert [int(row[name]) for name in ("covered_tokens", "tool_calls")] == [7, 3]  # type: ignore[call-overload]
    assert (row["also_reserved"], row["route"], row["cost"] or None) == ('{"USD":5}', "cheapest", None)


def read_csv(path: Path) -> list[dict[str, object]]:
    rows = csv.DictReader(io.StringIO(path.read_text()))
    return [{**row, "seq": int(row["seq"]), "cost_pico": row["cost_pico"] or None} for row in rows]


def read_jsonl(path: Path) -> list[dict[str, object]]:
    return [msgspec.json.decode(line) for line in path.read_bytes().splitlines()]


def read_parquet(path: Path) -> list[dict[str, object]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    return parquet.read_table(path).to_pylist()


READERS = {"csv": read_csv, "jsonl": read_jsonl, "parquet": read_parquet}


def test_the_command_line_and_the_admin_api_say_the_same_of_a_call(book: Book, tmp_path: Path) -> None:
    write_call(book, 1)
    row = calls(open_reader(tmp_path))[0]
    line = msgspec.to_builtins(call_line(row))
    told = msgspec.to_builtins(told_call(row, tells_cost=True))
    assert (line.pop("call"), line.pop("at")) == (row.call, "2026-11-23T00:00:01.000Z")
    assert (told.pop("id"), told.pop("at")) == (row.call, "2026-11-23T00:00:01Z")
    assert line == told
    assert line["tokens"] == {"input": 13, "cache_read": 5, "cache_write": 0, "output": 2, "reasoning": 1}
    assert line["cost"] == {"CNY": "0.000105"}
