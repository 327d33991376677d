"""How a ledger behaves as it grows: one file, written to and read at several sizes.

    .venv/bin/python -m bench.ledger_growth --data DIR [--stages 1,10,50]

Calls come at a constant rate (`--calls-a-day`), so that a larger ledger is an older one. Up to the first size every call goes through
the writer's own journal. From there on the days that are there are added again and again (`bench.ledger_days`: the same entries,
sums and spending at a tenth of the time), and at each size a hundred thousand calls go through the journal. That goes in big commits; after
every hundred thousand calls some commits of 32 calls are made and timed, each waiting for the disk as `durability = "fsync"`
says, since that is what a gateway does. At each stage the file is closed, measured, read by the commands, and taken up
again. What was measured is kept in figures/ledger_growth.json; `bench.pages` writes the table and draws the curve.
"""

import argparse
import gc
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import figures, machine
from bench.ledger_days import lengthen
from bench.ledger_size import Filler
from tokenweir.ledger.database import DATABASE_NAME
from tokenweir.ledger.views import iso_time

STEP = 100_000  # calls between two timings of small commits
AT_ONCE = 1_000  # calls of a big commit
SMALL, SMALL_COMMITS = 32, 40
ROUNDS = 3
KEPT = figures.FIGURES / "ledger_growth.json"
_WEIR = (sys.executable, "-m", "tokenweir.cli.main")
_DAY_US = 86_400_000_000


def reading(now_us: int) -> dict[str, tuple[str, ...]]:
    """The commands that are timed, by what they are called in the page."""
    last_day = ("--since", iso_time(now_us - _DAY_US), "--json")
    return {
        "usage_model": ("usage", "--by", "model", "--json"),
        "usage_key": ("usage", "--by", "key", "--json"),
        "usage_day": ("usage", "--by", "day", "--json"),
        "day_chart": ("usage", "--by", "hour", *last_day),
        "day_chart_models": ("usage", "--by", "hour,model", *last_day),
        "recent_calls": ("calls", "--json"),
    }


def timed(words: tuple[str, ...], data: Path, rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of a command, the interpreter's start included, by the wall's clock and of processor."""
    wall, cpu = [], []
    for _ in range(rounds):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run([*_WEIR, *words, "--data", str(data)], check=True, stdout=subprocess.DEVNULL)
        wall.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return {"wall_s": round(statistics.median(wall), 4), "cpu_s": round(statistics.median(cpu), 4)}


def step(filler: Filler, calls: int) -> dict[str, float]:
    """Fill by so many calls; how quickly, and what small commits took at the end of it."""
    upto, started, cpu = filler.written + calls, time.perf_counter(), time.process_time()
    while upto - filler.written > SMALL * SMALL_COMMITS:
        filler.write(min(AT_ONCE, upto - SMALL * SMALL_COMMITS - filler.written))
    big = filler.written - upto + calls
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    commits_ms = sorted(
        sum(filler.write(SMALL)) / 2 * 1e3 for _ in range(SMALL_COMMITS)
    )  # of the commits that open and settle, the mean
    return {
        "calls": filler.written,
        "calls_per_s": round(big / seconds),
        "cpu_us_call": round(cpu / big * 1e6, 2),
        "commit_p50_ms": round(commits_ms[len(commits_ms) // 2], 3),
        "commit_p90_ms": round(commits_ms[len(commits_ms) * 9 // 10], 3),
    }


def lengthened(filler: Filler, data: Path, first: tuple[int, int], times: int) -> dict[str, float]:
    """Add the days of the first stage so many times, and then some calls through the journal, to see how it goes by now."""
    filler.close()
    next_us = lengthen(data, *first, times)
    filler.goes_on(filler.written + times * first[1], next_us)
    filler.open()
    return step(filler, STEP)


def stage(filler: Filler, data: Path, verify_upto: int, copies: Path | None) -> dict[str, object]:
    """Close the ledger, read it, and take it up again."""
    filler.close()
    seen: dict[str, object] = {
        "calls": filler.written,
        "file_bytes": (data / DATABASE_NAME).stat().st_size,
        "load": round(os.getloadavg()[0], 1),
    }
    if copies:
        shutil.copyfile(data / DATABASE_NAME, copies / f"{filler.written}.sqlite3")
    for name, words in reading(filler.now_us).items():
        seen[name] = timed(words, data)
    if filler.written <= verify_upto:
        seen["verify"] = timed(("ledger", "verify", "--json"), data, 1)
    started = time.perf_counter()
    filler.open()
    seen["open_s"] = round(time.perf_counter() - started, 4)
    return seen


def report(kept: dict[str, Any]) -> str:
    """What was measured at each size."""
    shown = [
        ("usage_model", "`weir usage`"),
        ("usage_day", "`weir usage --by day`"),
        ("day_chart", "one day, `--by hour`"),
    ]
    shown += [("day_chart_models", "one day, `--by hour,model`"), ("recent_calls", "`weir calls`")]
    lines = [
        "| calls | the file | bytes a call | CPU µs to write a call | a commit of 32, ms | to open it, ms | "
        + " | ".join(name for _, name in shown)
        + " | `weir ledger verify` |",
        "|---|---|---|---|---|---|" + "---|" * (len(shown) + 1),
    ]
    before = 0
    for stage in kept["stages"]:
        steps = [step for step in kept["steps"] if before < step["calls"] <= stage["calls"]]
        before = stage["calls"]
        commit = statistics.median(step["commit_p50_ms"] for step in steps)
        cells = [
            f"{stage['calls']:,}",
            f"{stage['file_bytes'] / 2**20:,.0f} MiB",
            f"{stage['file_bytes'] / stage['calls']:,.0f}",
            f"{statistics.median(step['cpu_us_call'] for step in steps):.0f}",
            f"{commit:.1f}",
            f"{stage['open_s'] * 1e3:.0f}",
            *(f"{stage[name]['cpu_s'] * 1e3:,.0f}" for name, _ in shown),
            f"{stage['verify']['cpu_s']:,.0f} s ({stage['verify']['wall_s']:,.0f} s)"
            if "verify" in stage
            else "–",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    loads = [stage["load"] for stage in kept["stages"]]
    return (
        f"{kept['date']}, {kept['machine']}, at loads of {min(loads):g} to {max(loads):g}, {kept['calls_a_day']:,} calls a day, the first "
        f"{kept['through_journal']:,} through the journal. Of commands the "
        f"processor's ms, the interpreter's start included; of `verify` the processor's seconds, and the wall's. A commit is timed {SMALL_COMMITS} "
        f"times after every {STEP:,} calls, with the disk waited for; the median of all since the row above.\n\n"
        + "\n".join(lines)
        + "".join(
            f"\n\n`verify` reads every entry, so its time grows with the ledger: {stage['verify']['cpu_s'] / stage['calls'] * 1e6:.0f} µs of "
            f"processor a call at {stage['calls']:,}."
            for stage in kept["stages"]
            if "verify" in stage
        )
    )


def main() -> None:
    """Fill, measure, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--stages", default="1,10,50", help="sizes to read the ledger at, in millions of calls"
    )
    parser.add_argument("--calls-a-day", type=int, default=333_333)
    parser.add_argument("--verify-upto", type=int, default=11, help="millions of calls")
    parser.add_argument(
        "--copies", type=Path, metavar="DIR", help="lay a copy of the file here at each stage"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, default=KEPT, metavar="FILE")
    options = parser.parse_args()
    gc.disable()  # nothing here refers to itself, and a collection reads all that is under way
    filler = Filler(options.data, options.calls_a_day, options.seed, "fsync")
    sizes = [round(float(text) * 1e6) for text in options.stages.split(",")]
    told = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine.describe(),
        "calls_a_day": options.calls_a_day,
        "through_journal": sizes[0],
    }
    steps: list[dict[str, float]] = []
    stages: list[dict[str, object]] = []

    def keep() -> None:
        options.keep.write_text(json.dumps(told | {"steps": steps, "stages": stages}, indent=1) + "\n")

    while filler.written < sizes[0]:
        steps.append(step(filler, min(STEP, sizes[0] - filler.written)))
        keep()
    first = (filler.last_seq, filler.written)
    for wanted in sizes:
        if wanted > filler.written:
            steps.append(lengthened(filler, options.data, first, (wanted - filler.written) // first[1]))
        stages.append(stage(filler, options.data, options.verify_upto * 1_000_000, options.copies))
        keep()
        print(stages[-1], file=sys.stderr, flush=True)
    filler.close()
    print(report(told | {"steps": steps, "stages": stages}))


if __name__ == "__main__":
    main()
