"""`./dev bench`: every front that can be had, in shuffled order, several rounds, one table."""

import argparse
import datetime
import importlib.metadata
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import figures, install, machine, pages, workers
from bench.fronts import PEERS
from bench.measure import QUICK, Load, Sizes, measure
from bench.peers_table import Rounds, report
from bench.servers import Peer, upstreams


def versions() -> str:
    """Of what is measured."""
    told = [f"uvloop {importlib.metadata.version('uvloop')}"]
    if command := install.nginx():
        printed = subprocess.run([command, "-v"], capture_output=True, text=True, check=False).stderr
        told.append(printed.strip().removeprefix("nginx version: ").replace("/", " "))
    pinned = (install.WANTED / "requirements.in").read_text().splitlines()
    told += [line.replace("==", " ") for line in pinned if line and not line.startswith("#")]
    packages = json.loads((install.WANTED / "package.json").read_text())["dependencies"]
    return ", ".join([*told, *(f"{name} {version}" for name, version in packages.items())])


def run(
    chosen: list[Peer], sizes: Sizes, options: argparse.Namespace, core: int
) -> tuple[Rounds, dict[str, float], list[str]]:
    """Every round; what the load makes without a front between it and the upstream; and which fronts failed, and how."""
    rounds: Rounds = {peer.name: [] for peer in chosen}
    failed: dict[str, str] = {}
    shuffle = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="bench-") as kept:
        directory = Path(kept)
        with upstreams(directory, core, chunks=sizes.chunks, pace_ms=sizes.pace_ms) as behind:
            seen = Load(behind["plain"], core).run(seconds=sizes.seconds, connections=sizes.connections)
            direct = {"calls_per_s": seen["calls"] / seen["seconds"]}
            for number in range(options.rounds):
                for peer in shuffle.sample(chosen, len(chosen)):
                    if number >= peer.most_rounds or peer.name in failed:
                        continue
                    place = directory / f"{peer.name.replace(' ', '-').replace(',', '')}-{number}"
                    try:
                        measured = measure(peer, place, behind, sizes, core)
                    except RuntimeError as error:
                        failed[peer.name] = str(error).partition("\n")[0]
                        print(error, file=sys.stderr, flush=True)
                        continue
                    rounds[peer.name].append(measured)
                    told = {key: round(value, 2) for key, value in measured.items()}
                    print(f"round {number + 1}, {peer.name}: {told}", file=sys.stderr, flush=True)
    return (
        {name: seen for name, seen in rounds.items() if name not in failed},
        direct,
        [f"{name} ({how})" for name, how in failed.items()],
    )


def arguments() -> argparse.ArgumentParser:
    """What may be said."""
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1, help="of the order of the fronts")
    parser.add_argument(
        "--only", action="append", default=[], metavar="TEXT", help="fronts whose name has TEXT"
    )
    parser.add_argument(
        "--quick", action="store_true", help="small and short: tries the bench, measures little"
    )
    parser.add_argument(
        "--write",
        action="store_true",
        help="measure a second worker too, keep all figures, and write the pages",
    )
    return parser


def main() -> None:
    """Install, measure, print."""
    parser = arguments()
    options = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        parser.error("two cores are needed: one for the front, one for load and upstream")
    if options.write and (options.only or options.quick):
        parser.error("--write is for a whole run: without --only and --quick")
    sizes = QUICK if options.quick else Sizes()
    chosen = [p for p in PEERS if not options.only or any(text in p.name for text in options.only)]
    lacking = {needs: install.bring(needs) for needs in {peer.needs for peer in chosen}}
    missing = [f"{peer.name} ({lacking[peer.needs]})" for peer in chosen if lacking[peer.needs]]
    for each in missing:
        print(f"missing: {each}", file=sys.stderr)
    chosen = [peer for peer in chosen if not lacking[peer.needs]]
    rounds, direct, failed = run(chosen, sizes, options, cores[1])
    kept = {
        "date": f"{datetime.date.today()}",
        "machine": machine.describe(),
        "versions": versions(),
        "command": "./dev bench" + "".join(f" {a}" for a in sys.argv[1:]),
        "sizes": vars(sizes),
        "direct": direct,
        "how": {peer.name: peer.how for peer in chosen},
        "missing": missing,
        "failed": failed,
        "rounds": rounds,
    }
    print(report(kept))
    if options.write:
        figures.keep("peers", kept)
        figures.keep("workers", workers.measure_in_turn())
        pages.write()
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
