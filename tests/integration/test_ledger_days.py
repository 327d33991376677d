"""A ledger that was made longer by its own days is a ledger like any other: its sums and limits are those of its entries."""

from pathlib import Path

from bench.ledger_days import later, lengthen
from bench.ledger_size import Filler
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import open_reader, usage


def totals(data: Path) -> tuple[int, int, int]:
    """Calls, refusals, and pico."""
    connection = open_reader(data)
    rows = usage(connection, ("day",))
    connection.close()
    return (
        sum(row.calls for row in rows),
        sum(row.refused for row in rows),
        sum(row.cost_pico.get("CNY", 0) for row in rows),
    )


def test_what_is_added_again_adds_up_and_is_written_on(tmp_path: Path) -> None:
    filler = Filler(tmp_path, calls_a_day=100, seed=1)
    for _ in range(4):
        filler.write(500)  # 20 days of November
    last = filler.last_seq
    filler.close()
    calls, refused, pico = totals(tmp_path)
    assert calls + refused == 2_000
    next_us = lengthen(tmp_path, last, 2_000, times=2)
    assert totals(tmp_path) == (calls * 3, refused * 3, pico * 3)
    report = verify(tmp_path)  # two months are counted against limits
    assert report.ok, report.problems
    assert report.calls == 6_000
    filler.goes_on(6_000, next_us)
    filler.open()
    filler.write(300)
    filler.close()
    lengthen(tmp_path, last, 2_000, times=1)
    report = verify(tmp_path)
    assert report.ok, report.problems
    assert report.calls == 8_300


def test_an_id_is_that_of_a_later_moment() -> None:
    assert later(bytes(6) + b"\x70rest", 3_600_000_000) == (3_600_000).to_bytes(6, "big") + b"\x70rest"
    assert later(b"", 1_000) == b""
