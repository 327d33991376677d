"""What a commit of the writer takes, in a file and in PostgreSQL: calls opened and settled, so many in each commit.

    .venv/bin/python -m bench.commits --data DIR [--data DIR …] [--calls 1500]

Each DIR is an empty data directory: a ledger is made in it or, where it has a `ledger.url`, in the database named there. Two
commits serve the calls of a batch: one for their openings, one for their ends; a call waits for both. Times are medians.
"""

import argparse
import statistics
import time
from pathlib import Path

from bench import alone
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Usage
from tokenweir.ledger.database import database_of
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import CloseAttempt, CostBound, MakeChanges, OpenCall
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import SetKey

BATCHES = (1, 8, 64)


def commits(journal: Journal, first: int, calls: int, batch: int) -> tuple[float, float]:
    """ms of a commit, and of the CPU of this process µs a call."""
    took, begun = [], time.process_time()
    for start in range(first, first + calls, batch):
        ids = [uuid7(alone.START_US, number.to_bytes(10, "big")) for number in range(start, start + batch)]
        for id in ids:
            bound = CostBound("CNY", 4_000, 16)
            journal.apply(
                OpenCall(0, id, alone.START_US, alone.KEY.id, alone.KEY.account, "", "m", "chat", (bound,), False, 1_000, 200)
            )  # fmt: skip
        took.append(timed(journal))
        for id in ids:
            journal.apply(
                CloseAttempt(
                    0, id, b"1", 1, True, alone.START_US, "u", "u/m", "m", Usage(input=900, output=120), "", None, "",
                    1, 2, 200, Outcome.OK, "",
                )
            )  # fmt: skip
        took.append(timed(journal))
    return statistics.median(took) * 1e3, (time.process_time() - begun) / calls * 1e6


def timed(journal: Journal) -> float:
    """Seconds of a commit."""
    begun = time.perf_counter()
    journal.commit()
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--calls", type=int, default=1_500)
    options = parser.parse_args()
    print("| in | calls a commit | commit, ms | writer's CPU, µs a call |\n|---|---|---|---|")
    for data in options.data:
        store = Store(data)
        journal = Journal(store, FakeClock(alone.START_US))
        journal.apply(MakeChanges(0, "bench", (SetKey(alone.KEY),)))
        journal.commit()
        for number, batch in enumerate(BATCHES):
            calls = max(batch, options.calls // batch * batch if batch > 1 else options.calls // 8)
            commit_ms, cpu_us = commits(journal, 1 + number * 1_000_000, calls, batch)
            print(f"| {database_of(data).name} | {batch} | {commit_ms:.2f} | {cpu_us:.0f} |", flush=True)
        store.close()


if __name__ == "__main__":
    main()
