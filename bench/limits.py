"""What deciding a call under limits costs in the writer, beside all that the writer does for a call.

    .venv/bin/python -m bench.limits [--calls 3000] [--rounds 10]

Limits stand on the key and on the accounts above it, in money, tokens and calls, of several windows. `decided` is
`LedgerState.decide_open` alone, `counted` what its end adds to each limit (`spend` and `close`); `writer` is all of it from the
frames of operations to their answers, as in `bench.alone`. Times are µs a call, below which the quickest fifth lies, in the
quickest of the rounds: a busy machine adds to them what is not theirs.
"""

import argparse
import tempfile
import time
from pathlib import Path

from bench import alone
from tokenweir.core.ids import uuid7
from tokenweir.ledger.budgets import Spent
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.messages import CostBound, OpenCall
from tokenweir.ledger.terms import AccountRecord, Change, KeyRecord, Limit, SetAccount, SetKey, SetLimit

NUMBERS = (0, 1, 4, 8)
#: None is ever reached: what is measured is a call that is served.
LIMITS = (
    ("key/k", Limit("CNY", 9 * 10**18, "month")),
    ("account/team", Limit("tokens", 2**61, "day")),
    ("account/team", Limit("calls", 2**61, "minute")),
    ("account/org", Limit("CNY", 9 * 10**18, "day")),
    ("account/org", Limit("tokens", 2**61, "month")),
    ("account/org", Limit("calls", 2**61, "at once")),
    ("account/org", Limit("CNY", 9 * 10**18, "month", model="b*")),
    ("key/k", Limit("calls", 2**61, "hour")),
)


def changes(number: int) -> tuple[Change, ...]:
    """A key two accounts deep, under so many limits."""
    accounts = SetAccount(AccountRecord("org")), SetAccount(AccountRecord("team", "org"))
    key = SetKey(KeyRecord("k", "k", "team", alone.KEY.hash, "k", alone.START_US))
    return (*accounts, key, *(SetLimit(scope, limit) for scope, limit in LIMITS[:number]))


def laws(number: int, calls: int) -> tuple[float, float]:
    """µs a call to decide, and to count its end."""
    state = LedgerState()
    for change in changes(number):
        state.change(change, alone.START_US, lambda *_: 0)
    decided_s, counted_s = [], []
    bounds = (CostBound("CNY", 500 * alone.RATES.input, alone.RATES.output),)
    for begun in range(0, calls, alone.BATCH):
        at_us = alone.START_US + begun * 1_000
        asked = [
            OpenCall(n, uuid7(at_us, n.to_bytes(10, "big")), at_us, "k", "team", "", "bench", "chat", bounds, False, 500, 512)
            for n in range(alone.BATCH)
        ]  # fmt: skip
        started = time.perf_counter()
        for each in asked:
            state.decide_open(each)
        decided_s.append(time.perf_counter() - started)
        used = Spent(184, 1_504_000_000, "CNY")
        started = time.perf_counter()
        for each in asked:
            state.spend(each.call, used)
            state.close(each.call)
        counted_s.append(time.perf_counter() - started)
    return alone.low(decided_s), alone.low(counted_s)


def main() -> None:
    """Measure and print a line for each number of limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--calls", type=int, default=3_000)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    least = dict.fromkeys(NUMBERS, (1000000000.0, 1000000000.0, 1000000000.0))
    for _ in range(options.rounds):
        for number in NUMBERS:
            decided, counted = laws(number, options.calls)
            with tempfile.TemporaryDirectory() as directory:
                whole = alone.writer(options.calls, Path(directory), changes(number))
            before = least[number]
            least[number] = min(before[0], decided), min(before[1], counted), min(before[2], whole)
    print("| limits above a call | decided | counted | all of the writer |\n|---|---|---|---|")
    for number, figures in least.items():
        print(f"| {number} | {' | '.join(f'{figure:.1f}' for figure in figures)} |")


if __name__ == "__main__":
    main()
