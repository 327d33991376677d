"""How long a big ledger takes to be read: builds one of a million calls and prints the times of the commands.

    .venv/bin/python bench/ledger_size.py [--calls 1000000] [--data DIR]

The ledger goes through the writer's own journal and store, so that its sums are the ones a gateway would have kept.
Its calls spread over 30 days: 20 keys, 10 models, one call in four within a run of 50; one in fifty failed over to
a second upstream, one in a hundred was refused. A ledger that is already in DIR is read as it is.
"""

import argparse
import hashlib
import os
import platform
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.catalog.pricing import cost
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Usage
from tokenweir.ledger.database import DATABASE_NAME
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import CloseAttempt, DefinePrice, MakeChanges, OpenCall
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import KeyRecord, Limit, SetKey, SetLimit
from tokenweir.ledger.views import GROUPS, open_reader, usage

START_US = 1_761_955_200_000_000  # 2025-11-01T00:00:00Z
DAYS, KEYS, MODELS, CALLS_OF_RUN = 30, 20, 10, 50
CALLS_AT_ONCE = 500
PRICE = AppliedPrice("bench", "CNY", Rates(4_000_000, 16_000_000, cache_read=1_000_000))


class Filler:
    """Writes calls into a ledger through its journal, a fixed number to a day, in the order of their time."""

    def __init__(self, data: Path, calls_a_day: int, seed: int, durability: str = "os") -> None:
        self._draw = random.Random(seed)
        self._calls_a_day = calls_a_day
        self._data, self._durability = data, durability
        self.written = 0
        self._from = (0, START_US)  # so many calls were there at that moment
        self.open()
        for number in range(KEYS):
            name = f"key-{number:02d}"
            record = KeyRecord(name, name, f"team-{number % 5}", f"{name:32}".encode(), name, START_US)
            limit = SetLimit(f"key/{name}", Limit("CNY", 9 * 10**18, "month"))
            refused = self._journal.apply(MakeChanges(0, "bench", (SetKey(record), limit)))
            assert refused == "", refused
        applied = msgspec.json.encode(PRICE, order="deterministic")
        self._price = hashlib.blake2b(applied, digest_size=16).hexdigest()
        self._journal.apply(DefinePrice(0, self._price, applied))
        self._journal.commit()

    def open(self) -> None:
        """Take the ledger up, as a gateway that starts."""
        self._store = Store(self._data, self._durability)
        self._journal = Journal(self._store, FakeClock(START_US))

    def close(self) -> None:
        """Let go of the ledger, so that the file is whole by itself."""
        self._store.close()

    @property
    def last_seq(self) -> int:
        """The last entry."""
        return self._store.last_seq

    def goes_on(self, written: int, at_us: int) -> None:
        """The ledger was made longer meanwhile: so many calls are in it, and the next is opened then."""
        self.written, self._from = written, (written, at_us)

    @property
    def now_us(self) -> int:
        """When the next call is opened."""
        number, at_us = self._from
        return at_us + (self.written - number) * 86_400_000_000 // self._calls_a_day

    def write(self, calls: int) -> tuple[float, float]:
        """Open so many calls in one commit and settle them in the next; seconds that each commit took."""
        opened = []
        for _ in range(calls):
            call = _opened(self._draw, self.written, self.now_us)
            opened.append(call)
            self._journal.apply(call)
            self.written += 1
        open_s = self._commit_s()
        for call in opened:
            _close(self._journal, self._draw, call, self._price)
        return open_s, self._commit_s()

    def _commit_s(self) -> float:
        started = time.perf_counter()
        self._journal.commit()
        return time.perf_counter() - started


def build(data: Path, calls: int, seed: int) -> None:
    """A ledger of so many calls within `DAYS`, some hundreds of calls a commit."""
    filler = Filler(data, max(1, calls // DAYS), seed)
    while filler.written < calls:
        filler.write(min(CALLS_AT_ONCE, calls - filler.written))
        _show(f"\r{filler.written:,} of {calls:,} calls written")
    _show("\n")
    filler.close()


def below(draw: random.Random, bound: int) -> int:
    """A number from 0 to bound - 1; a third of what `randrange` takes."""
    return int(draw.random() * bound)


def _opened(draw: random.Random, number: int, at_us: int) -> OpenCall:
    key, model = below(draw, KEYS), below(draw, MODELS)
    run = ""
    if number % 4 == 0:  # of a run, which has one key and one model
        of = number // 4 // CALLS_OF_RUN
        key, model, run = of % KEYS, of // KEYS % MODELS, f"run-{of:06d}"
    known = f"key-{key:02d}" if draw.random() > 0.01 else "revoked"
    return OpenCall(
        number, uuid7(at_us, draw.randbytes(10)), at_us, known, f"team-{key % 5}", run, f"model-{model}",
        "chat", (), False, 20_000, 4_096,
    )  # fmt: skip


def _close(journal: Journal, draw: random.Random, opened: OpenCall, price: str) -> None:
    usage = Usage(input=below(draw, 8_000), cache_read=below(draw, 8_000), output=below(draw, 1_500))
    upstream = f"up-{int(opened.model[-1]) % 3}"
    if draw.random() < 0.02:
        journal.apply(_attempt(opened, 1, "up-9", Usage(), price, Outcome.UPSTREAM_ERROR))
    journal.apply(_attempt(opened, 2, upstream, usage, price, Outcome.OK))


def _attempt(
    opened: OpenCall, ordinal: int, upstream: str, usage: Usage, price: str, outcome: Outcome
) -> CloseAttempt:
    return CloseAttempt(
        opened.seq, opened.call, opened.call, ordinal, outcome is Outcome.OK, opened.at_us + 2_000_000, upstream,
        f"{upstream}/{opened.model}", opened.model, usage, price, cost(PRICE, usage), "CNY", 300_000, 2_000_000,
        200, outcome, "",
    )  # fmt: skip


def measure(data: Path, rounds: int) -> None:
    """Print what each command takes, the interpreter's start included."""
    weir = [sys.executable, "-m", "tokenweir.cli.main"]
    commands = [("usage", "--by", group, "--json") for group in GROUPS]
    commands += [
        ("usage", "--by", "model,day", "--json"),
        ("usage", "--json", "--since", "2025-11-03T05:00:00Z"),
    ]
    commands += [("calls", "--json")]
    print("| command | wall ms, median | least | CPU ms, median |\n|---|---|---|---|")
    print(f"| `weir --help` | {_times([*weir, '--help'], rounds)} |")
    for words in commands:
        print(f"| `weir {' '.join(words)}` | {_times([*weir, *words, '--data', str(data)], rounds)} |")
    print(
        "\nCPU ms of the queries alone: "
        + ", ".join(f"{group} {_query_ms(data, group):.0f}" for group in GROUPS)
        + "\n"
    )
    print("| command | wall ms | least | CPU ms |\n|---|---|---|---|")
    verify = [*weir, "ledger", "verify", "--json", "--data", str(data)]
    print(f"| `weir ledger verify --json` | {_times(verify, 1)} |")
    peak = [sys.executable, "-c", _PEAK, *verify]
    told, peak_kib = subprocess.run(peak, check=True, capture_output=True, text=True).stdout.splitlines()
    print(f"\nverify: {told}; at most {int(peak_kib) // 1024} MiB")


def _query_ms(data: Path, group: str) -> float:
    connection = open_reader(data)
    started = time.process_time()
    usage(connection, (group,))
    taken_ms = (time.process_time() - started) * 1000
    connection.close()
    return taken_ms


#: Runs a command and prints its peak memory in KiB after what it printed.
_PEAK = (
    "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
    "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
)


def _times(command: list[str], rounds: int) -> str:
    """Cells of the table; on a shared machine the CPU time says more than the wall's."""
    wall, cpu = [], []
    for _ in range(rounds):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        wall.append((time.perf_counter() - started) * 1000)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000)
    return f"{statistics.median(wall):,.0f} | {min(wall):,.0f} | {statistics.median(cpu):,.0f}"


def _show(text: str) -> None:
    if sys.stderr.isatty():
        sys.stderr.write(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        data = options.data or Path(temporary)
        if not (data / DATABASE_NAME).exists():
            started = time.perf_counter()
            build(data, options.calls, options.seed)
            print(f"{options.calls:,} calls written in {time.perf_counter() - started:.0f} s")
        size = (data / DATABASE_NAME).stat().st_size
        print(
            f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python {platform.python_version()}, {size >> 20} MiB"
        )
        measure(data, options.rounds)


if __name__ == "__main__":
    main()
