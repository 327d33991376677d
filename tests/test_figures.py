"""What the pages say of measurements is what the kept figures give: nothing in their tables and pictures is written by hand."""

from pathlib import Path

import pytest

from bench import figures, machine, pages, peers_table, scale, workers
from bench.measure import Sizes


@pytest.mark.parametrize(("page", "mark"), pages.TABLES, ids=lambda part: str(getattr(part, "name", part)))
def test_a_table_says_what_was_measured(page: Path, mark: str) -> None:
    assert figures.standing(page, mark) == pages.TABLES[page, mark](), (
        "write it anew: .venv/bin/python -m bench.pages"
    )


@pytest.mark.parametrize("name", pages.PICTURES)
def test_a_picture_shows_what_was_measured(name: str) -> None:
    drawn = (pages.IMAGES / name).read_text(encoding="utf-8")
    assert drawn == pages.PICTURES[name](), "draw it anew: .venv/bin/python -m bench.pages"


def test_a_limit_was_exact_with_two_workers() -> None:
    exact = figures.read("workers")["exact"]
    assert exact["answered"] == exact["settled"] == workers.LIMIT
    assert exact["answered"] + exact["refused"] == exact["asked"] > workers.LIMIT


def _figures(cpu_us: float, **others: float) -> dict[str, float]:
    return {"busy_before": 0.5, **{f"cpu_us_{size}": cpu_us for size in Sizes().bodies}, **others}


def test_a_front_that_failed_or_is_missing_has_no_row_and_is_named() -> None:
    kept = {
        "date": "2026-01-02", "machine": "a machine", "versions": "x 1", "command": "./dev bench", "sizes": vars(Sizes()),
        "direct": {"calls_per_s": 50_000.0}, "how": {"a": "as it is"}, "missing": ["c (not there)"], "failed": ["b (500)"],
        "rounds": {"a": [_figures(10.0, start_s=1.0), _figures(30.0), _figures(20.0)]},
    }  # fmt: skip
    told = peers_table.report(kept)
    assert "| a | 20 (10–30) |" in told
    assert "Missing: c (not there)." in told
    assert "a call of it failed: b (500)." in told
    assert "cannot carry 500 calls a second on one core: a." in told
    assert "Not all of 2,000 streams could be opened within two minutes: a." in told


def test_what_carries_more_needs_fewer_machines_and_the_fullest_part_is_named() -> None:
    plain = scale.Measured(100, 110, 150, 10, 100, 50, 1_000, 400, 2**26, 20_000)
    text = scale.text(plain)
    assert "| calls a second | 140,000,000,000,000 / 12,378 / 86,400 | 130,907 |" in text
    # A chunk alone: 10 less a share of the call, 100 / 100; a call: 137.9 at its body, and 343 such chunks.
    assert "| 10.00 with a share of the call's own: less 100.0 / 100 | 9.00 |" in text
    assert "The workers' cores, at" in text
    busy = scale.Measured(100, 110, 150, 1.01, 100, 120, 1_000, 400, 2**26, 20_000)
    assert "The ledger's writer, at 5,000 calls/s" in scale.text(busy)


def test_the_second_worker_is_bounded_by_the_one_writer() -> None:
    assert workers.capacity({"cpu_us": 200.0, "writer_us": 50.0}, 2) == 10_000
    assert workers.capacity({"cpu_us": 200.0, "writer_us": 150.0}, 2) == pytest.approx(6_666.7, abs=0.1)


def test_an_aim_is_met_only_where_the_medians_say_so() -> None:
    rounds = {
        "weir, ledger fsync": [
            _figures(100.0, start_s=0.5),
            _figures(90.0, start_s=1.5),
            _figures(200.0, start_s=1.2),
        ],
        "sglang-router": [_figures(180.0)],
    }
    told = peers_table.aims(rounds)
    assert "| CPU µs a call | at most 110 | 100 | yes |" in told
    assert "| CPU µs a call | at most half of sglang-router | 100 | no |" in told
    assert "| start s | at most 1.0 | 1.2 | no |" in told
    assert "chunk" not in told  # there is no such figure


def test_figures_of_a_busy_machine_come_with_a_warning() -> None:
    assert machine.warning(0.1) == ""
    assert "With 90% of it busy" in machine.warning(0.9)
