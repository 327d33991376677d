"""What a second worker on a second core brings, and whether a limit stays exact with it.

    .venv/bin/python -m bench.workers [--rounds 5] [--keep]

There are two cores and the load must not be counted, so capacity is worked out from processor time. One worker has one core to
itself, two workers have both; load and upstream stay on the second one in either case. A core gives a million µs of processor a
second, so cores that do nothing else carry `cores * 1,000,000 / (CPU µs a call of the whole tree)` calls a second, provided that
nothing waits while there is work: both cores are watched for idle time, and the one process that cannot be doubled, the
ledger's writer, bounds it by `1,000,000 / (CPU µs a call of the writer)`. Locks and waiting would show as CPU a call, as idle
time, or in the time added at 500 calls a second; all three are printed.

Then a key with a limit of 100 calls is asked for 416 from 32 connections at once, spread over both workers: exactly 100 are to be
answered, and the ledger is to say so too.
"""

import argparse
import concurrent.futures
import datetime
import http.client
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import figures, machine
from bench.fronts import weir
from bench.measure import Instance, Load, running
from bench.servers import Peer, upstreams

BOTH = frozenset({0, 1})
#: Workers -> what is started.
FRONTS = {
    1: Peer("one worker, one core", "", "", weir("fsync", 1)),
    2: Peer("two workers, two cores", "", "", weir("fsync", 2, BOTH)),
}
LIMIT, ASKED, AT_ONCE = 100, 416, 32
CONNECTIONS = 128


def measured(this: Instance, directory: Path, upstream: int, seconds: float) -> dict[str, float]:
    """CPU and idle time under as much load as is taken, and what is added at 500 calls a second."""
    writer = int((directory / "data" / "ledger.lock").read_text())
    this.load.run(seconds=seconds / 4, connections=CONNECTIONS)  # warm
    before_s, writer_s, ticks = this.cpu_s(), machine.cpu_s([writer]), machine.all_ticks()
    written = machine.written_bytes(writer)
    seen = this.load.run(seconds=seconds, connections=CONNECTIONS)
    written = machine.written_bytes(writer) - written
    used_s, writer_s = this.cpu_s() - before_s, machine.cpu_s([writer]) - writer_s
    idle = machine.idle_share(ticks, machine.all_ticks())
    rated = {"seconds": seconds, "rate": 500.0, "connections": 200}
    direct, added = Load(upstream, 1).run(**rated), this.load.run(**rated)
    return {
        "cpu_us": used_s * 1e6 / seen["calls"],
        "writer_us": writer_s * 1e6 / seen["calls"],
        "disk_bytes": written / seen["calls"],
        "calls_per_s": seen["calls"] / seen["seconds"],
        "idle": idle,
        **{f"added_{name}_ms": (added[f"{name}_us"] - direct[f"{name}_us"]) / 1e3 for name in ("p50", "p99")},
    }


def exact(this: Instance, directory: Path) -> dict[str, int]:
    """Ask for more calls than a key may make, from many connections at once: how many were answered, and what the ledger says."""
    weir_command, data = (
        [sys.executable, "-m", "tokenweir.cli.main"],
        ["--data", str(directory / "data"), "--json"],
    )
    made = [*weir_command, "keys", "create", "--name", "hundred", "--limit", f"{LIMIT} calls/day", *data]
    key = json.loads(subprocess.run(made, check=True, capture_output=True).stdout)
    body = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "one"}], "max_tokens": 16})
    headers = {"authorization": f"Bearer {key['key']}", "content-type": "application/json"}

    def ask(calls: int) -> list[int]:
        connection = http.client.HTTPConnection("127.0.0.1", this.server.port, timeout=60)
        statuses = []
        for _ in range(calls):
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
            statuses.append(answer.status)
        connection.close()
        return statuses

    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        statuses = [s for each in pool.map(ask, [ASKED // AT_ONCE] * AT_ONCE) for s in each]
    shown = subprocess.run([*weir_command, "usage", "--by", "key", *data], check=True, capture_output=True)
    rows = [row for row in json.loads(shown.stdout)["rows"] if row["by"]["key"] == key["id"]]
    return {
        "asked": len(statuses),
        "answered": statuses.count(200),
        "refused": sum(status in (402, 429) for status in statuses),
        "settled": sum(row["calls"] for row in rows),
    }


def report(kept: dict[str, Any]) -> str:
    """The table, what follows from it, and the limit."""
    rounds: dict[str, list[dict[str, float]]] = kept["rounds"]
    middle = {
        workers: {name: statistics.median(each[name] for each in seen) for name in seen[0]}
        for workers, seen in rounds.items()
    }
    lines = [
        "| | CPU µs a call, all processes | of it the ledger's writer | calls/s seen, the load beside it | cores idle meanwhile | "
        "added p50 ms | added p99 ms | calls/s that the cores carry |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for workers, each in middle.items():
        spread = [figure["cpu_us"] for figure in rounds[workers]]
        lines.append(
            f"| {FRONTS[int(workers)].name} | {each['cpu_us']:.0f} ({min(spread):.0f}–{max(spread):.0f}) | {each['writer_us']:.0f} | "
            f"{each['calls_per_s']:,.0f} | {each['idle']:.0%} | {each['added_p50_ms']:.1f} | {each['added_p99_ms']:.1f} | "
            f"{capacity(each, int(workers)):,.0f} |"
        )
    times = [capacity(two, 2) / capacity(one, 1) for one, two in zip(rounds["1"], rounds["2"], strict=True)]
    exact = kept["exact"]
    return "\n\n".join(
        [
            f"{kept['date']}, {kept['machine']}; `.venv/bin/python -m bench.workers`: median of {len(rounds['1'])} rounds (least–most), in "
            f"turn. Before each, {kept['busy']:.0%} of the machine was busy with other work."
            + machine.warning(kept["busy"]),
            "\n".join(lines),
            f"A second worker on a second core brings {statistics.median(times):.2f} times as many calls (median of the rounds, each by itself: "
            f"{min(times):.2f}–{max(times):.2f}). The one writer would carry "
            f"{1e6 / middle['2']['writer_us']:,.0f} calls/s on a core of its own. A key with {LIMIT} calls, asked for {exact['asked']} by "
            f"{AT_ONCE} connections at once over both workers: {exact['answered']} answered, {exact['refused']} refused, "
            f"{exact['settled']} in the ledger.",
        ]
    )


def capacity(figure: dict[str, float], cores: int) -> float:
    """Calls a second that so many cores carry which do nothing else."""
    return min(cores * 1e6 / figure["cpu_us"], 1e6 / figure["writer_us"])


def measure_in_turn(rounds: int = 3, seconds: float = 4.0, seed: int = 1) -> dict[str, Any]:
    """All rounds, in shuffled order. Raises RuntimeError where the limit was not held exactly."""
    seen: dict[str, list[dict[str, float]]] = {str(workers): [] for workers in FRONTS}
    shuffle, busy, limited = random.Random(seed), [], {}
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as kept,
        upstreams(Path(kept), 1, chunks=1, pace_ms=20) as behind,
    ):
        for number in range(rounds):
            for workers in shuffle.sample(list(FRONTS), len(FRONTS)):
                directory = Path(kept) / f"{workers}-{number}"
                busy.append(machine.busy_share(0.5))
                with running(FRONTS[workers], directory, behind["plain"], 1, False) as this:
                    time.sleep(1.0)
                    seen[str(workers)].append(measured(this, directory, behind["plain"], seconds))
                    if workers == 2:
                        limited = exact(this, directory)
                        if limited["answered"] != LIMIT or limited["settled"] != LIMIT:
                            raise RuntimeError(f"the limit was not held exactly: {limited}")
                print(
                    f"round {number + 1}, {FRONTS[workers].name}: {seen[str(workers)][-1]}",
                    file=sys.stderr,
                    flush=True,
                )
    return {
        "date": f"{datetime.date.today()}",
        "machine": machine.describe(),
        "busy": statistics.median(busy),
        "exact": limited,
        "rounds": seen,
    }


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="in figures/; `bench.pages` then writes the page")
    options = parser.parse_args()
    found = measure_in_turn(options.rounds, options.seconds, options.seed)
    print(report(found))
    if options.keep:
        figures.keep("workers", found)


if __name__ == "__main__":
    main()
