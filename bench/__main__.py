"""`./dev bench`: every peer that is there, in shuffled order, several rounds, one table."""

import argparse
import datetime
import importlib.metadata
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import machine
from bench.measure import QUICK, Figures, Sizes, measure
from bench.servers import PEERS, Peer, upstreams

#: Column, heading, digits behind the point.
COLUMNS = (
    ("cpu_us_512", "CPU µs a call", 0),
    ("calls_per_s_512", "calls/s, one core", 0),
    ("added_p50_ms", "added p50 ms", 2),
    ("added_p99_ms", "added p99 ms", 2),
    ("cpu_us_chunk", "CPU µs a chunk", 1),
    ("idle_mib", "MiB idle", 0),
    ("streams_mib", "MiB, open streams", 0),
    ("streams_largest_mib", "MiB, largest process", 0),
    ("start_s", "start s", 2),
)
MARKS = ("<!-- bench: begin -->", "<!-- bench: end -->")
PAGE = Path(__file__).parent.parent / "docs" / "performance.md"


def here(peer: Peer) -> bool:
    """Whether what the peer needs is installed."""
    return not peer.needs or bool(shutil.which(peer.needs, path=f"{os.environ.get('PATH', '')}:/usr/sbin"))


def cell(values: list[float], digits: int) -> str:
    """Median, and the spread from least to most."""
    median = f"{statistics.median(values):,.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def table(columns: tuple[tuple[str, str, int], ...], rounds: dict[str, list[Figures]]) -> str:
    """Markdown: a row for each peer."""
    lines = [
        "| front | " + " | ".join(heading for _, heading, _ in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name, seen in rounds.items():
        cells = [cell([figures[key] for figures in seen], digits) for key, _, digits in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def report(rounds: dict[str, list[Figures]], sizes: Sizes, options: argparse.Namespace) -> str:
    """The tables, with what they were made on and by."""
    bodies = tuple((f"cpu_us_{size}", f"{size / 1024:g} KiB", 0) for size in sizes.bodies)
    versions = [f"uvloop {importlib.metadata.version('uvloop')}"]
    if shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        told = subprocess.run(["/usr/sbin/nginx", "-v"], capture_output=True, text=True, check=False)
        versions.append(told.stderr.strip().removeprefix("nginx version: ").replace("/", " "))
    command = "./dev bench" + "".join(f" {a}" for a in options.told)
    return "\n\n".join(
        [
            f"{datetime.date.today()}, {machine.describe()}, {', '.join(versions)}; `{command}`: "
            f"median of {options.rounds} rounds (least–most).",
            table(COLUMNS, rounds),
            f"CPU µs a call by the size of its prompt, {sizes.connections} connections:",
            table(bodies, rounds),
        ]
    )


def write(page: Path, text: str) -> None:
    """Put the report between the page's marks."""
    before, _, rest = page.read_text().partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    page.write_text(f"{before}{MARKS[0]}\n{text}\n{MARKS[1]}{after}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1, help="of the order of the peers")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="peers whose name has TEXT"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small and short: tries the bench, measures little"
    )
    parser.add_argument("--write", action="store_true", help=f"put the tables into docs/{PAGE.name}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="every figure of every round")
    options = parser.parse_args()
    options.told = [a for a in sys.argv[1:] if a != "--write"]
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the peer, one for load and upstream")
    sizes = QUICK if options.quick else Sizes()
    chosen = [p for p in PEERS if not options.only or any(text in p.name for text in options.only)]
    for peer in chosen:
        if not here(peer):
            print(f"missing: {peer.name} ({peer.get})", file=sys.stderr)
    chosen = [p for p in chosen if here(p)]
    rounds: dict[str, list[Figures]] = {peer.name: [] for peer in chosen}
    shuffle = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="bench-") as kept:
        directory = Path(kept)
        pace = {"chunks": sizes.chunks, "pace_ms": sizes.pace_ms, "slow_ms": sizes.slow_ms}
        with upstreams(directory, cores[1], **pace) as behind:
            for number in range(options.rounds):
                for peer in shuffle.sample(chosen, len(chosen)):
                    place = directory / f"{peer.name.replace(' ', '-').replace(',', '')}-{number}"
                    figures = measure(peer, place, behind, sizes, cores[1])
                    rounds[peer.name].append(figures)
                    told = {key: round(value, 2) for key, value in figures.items()}
                    print(f"round {number + 1}, {peer.name}: {told}", file=sys.stderr, flush=True)
    text = report(rounds, sizes, options)
    print(text)
    if options.write:
        write(PAGE, text)
    if options.json:
        options.json.write_text(json.dumps(rounds, indent=1))


if __name__ == "__main__":
    main()
