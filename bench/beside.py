"""Several checkouts of this project beside each other: all run at once, and each is loaded in turn, for a little.

    .venv/bin/python -m bench.beside before=/path/to/another/checkout after=. --peer nginx [--rounds 6] [--stream]

A machine that others use is now quick and now slow. What is measured within the same seconds, again and again, can be compared all
the same. Printed is the CPU of a call, or of a chunk with --stream, in µs: median, least and most of the rounds, then the median of
each process. It is what the operating system has accounted to the processes' threads, in ns.
"""

import argparse
import contextlib
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from bench import machine
from bench.fronts import PEERS, weir
from bench.servers import Server, stop, upstreams, wait_until_it_answers


def cpu_us(pid: int) -> float:
    """What a process's threads have used so far."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1_000


def loaded(server: Server, core: int, options: argparse.Namespace) -> int:
    """Send the calls; how many, or how many chunks they had. Raises RuntimeError where one failed."""
    command = ["taskset", "-c", str(core), sys.executable, "-m", "bench.load", "--port", str(server.port)]
    command += ["--key", server.key, *(part for header in server.headers for part in ("--header", header))]
    if options.stream:
        command += ["--stream", "--calls", str(options.calls // 10), "--connections", "200"]
    else:
        command += ["--calls", str(options.calls), "--connections", "64"]
    seen = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    if seen["errors"]:
        raise RuntimeError(f"calls failed: {seen['errors']}")
    return int(seen["chunks"] if options.stream else options.calls)


def starts(options: argparse.Namespace) -> dict[str, Callable[[Path, int], Server]]:
    """How each front is started, by its name."""
    found = {peer.name: peer.start for peer in PEERS if peer.name in options.peer}
    for named in options.checkouts:
        name, _, place = named.partition("=")
        checkout, _, python = place.partition("@")
        path = f"PYTHONPATH={Path(checkout).resolve() / 'src'}"
        command = ("env", path, python or sys.executable, "-m", "tokenweir.cli.main")
        found[name] = weir(options.durability, command=command)
    return found


@contextlib.contextmanager
def running(options: argparse.Namespace, core: int, directory: Path) -> Iterator[dict[str, Server]]:
    """Every front, while the context lasts."""
    servers: dict[str, Server] = {}
    with upstreams(directory, core, chunks=100, pace_ms=20.0) as behind:
        try:
            for number, (name, start) in enumerate(starts(options).items()):
                place = directory / str(number)
                place.mkdir()
                (place / "log").touch()
                servers[name] = start(place, behind["stream" if options.stream else "plain"])
                wait_until_it_answers(servers[name], place / "log", options.stream)
            yield servers
        finally:
            for server in servers.values():
                stop(server.process)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("checkouts", nargs="+", metavar="NAME=DIRECTORY[@PYTHON]")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--calls", type=int, default=5_000, help="a round; a tenth of it with --stream")
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--durability", default="fsync")
    parser.add_argument(
        "--peer", action="append", default=[], help="a row of `./dev bench` to load beside them"
    )
    options = parser.parse_args()
    core = sorted(os.sched_getaffinity(0))[1]
    with tempfile.TemporaryDirectory(prefix="beside-") as kept, running(options, core, Path(kept)) as servers:
        pids = {name: machine.tree(server.process.pid) for name, server in servers.items()}
        rounds: dict[str, list[list[float]]] = {name: [] for name in servers}
        for number in range(options.rounds + 1):
            for name in random.Random(number).sample(list(servers), len(servers)):
                before = [cpu_us(pid) for pid in pids[name]]
                count = loaded(servers[name], core, options)
                used = [(cpu_us(pid) - was) / count for pid, was in zip(pids[name], before, strict=True)]
                if number:  # the first one warms up
                    rounds[name].append(used)
        for name, seen in rounds.items():
            whole = [sum(used) for used in seen]
            each = sorted((statistics.median(process) for process in zip(*seen, strict=True)), reverse=True)
            parts = " + ".join(f"{us:.1f}" for us in each if us >= 0.5)
            print(f"{name}: {statistics.median(whole):.1f} ({min(whole):.1f}–{max(whole):.1f}) = {parts}")


if __name__ == "__main__":
    main()
