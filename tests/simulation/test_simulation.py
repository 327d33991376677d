"""Many workers and a writer in one simulated machine: killed, cut off, silenced, the disk full, terms and clocks changed.

After every step the referee holds each decision against the laws; at the end of each world everything is compared. One
seed decides a world: `WEIR_SIMULATION_SEED` repeats it, `WEIR_SIMULATION_CALLS` says how many calls the long run makes.
"""

import contextlib
import gc
import io
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from gateways import Gateways

SEED = int(os.environ.get("WEIR_SIMULATION_SEED", "1"))
CALLS = int(os.environ.get("WEIR_SIMULATION_CALLS", "10000000"))
CALLS_A_WORLD = (
    10_000  # many small worlds: what befalls one comes more often than in large ones, and its end is compared
)


def a_world(seed: int, calls: int, data: Path) -> Counter[str]:
    """One world from its beginning to peace; what was seen in it. A law that does not hold is told with the seed."""
    data.mkdir()
    said = io.StringIO()  # what the processes say of full disks
    world = Gateways(seed, data, calls)
    try:
        with contextlib.redirect_stderr(said):
            world.run()
    except Exception as error:
        raise AssertionError(
            f"WEIR_SIMULATION_SEED={seed}, {calls} calls: {error}\n{said.getvalue()[-2_000:]}"
        ) from error
    finally:
        world.close()
    return world.seen + world.referee.seen


@pytest.mark.parametrize("seed", range(SEED, SEED + 4))
def test_the_laws_hold_whatever_befalls_the_gateways(seed: int, tmp_path: Path) -> None:
    seen = a_world(seed, 1_500, tmp_path / "data")
    assert seen["cut"] and seen["refused limit"] and seen["finished"] and seen["covered by an allowance"]


def test_one_seed_is_one_world(tmp_path: Path) -> None:
    first, second = (a_world(SEED, 400, tmp_path / name) for name in ("first", "second"))
    assert first == second


@pytest.mark.long
def test_ten_million_calls(tmp_path: Path) -> None:
    """Without a violation; what was seen is printed (`-s`)."""
    seen: Counter[str] = Counter()
    began, began_cpu = time.monotonic(), time.process_time()
    gc.disable()  # worlds leave rings, which are swept between them
    try:
        for number, first in enumerate(range(0, CALLS, CALLS_A_WORLD)):
            data = tmp_path / str(number)
            seen += a_world(SEED + number, min(CALLS_A_WORLD, CALLS - first), data)
            for file in sorted(data.rglob("*"), reverse=True):
                file.rmdir() if file.is_dir() else file.unlink()
            gc.collect()
            if not first % 100_000:
                done = f"{first + CALLS_A_WORLD:,} arrivals, {seen['calls']:,} calls"
                print(f"{done}, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    finally:
        gc.enable()
    seconds = {
        "seconds": round(time.monotonic() - began),
        "cpu seconds": round(time.process_time() - began_cpu),
    }
    print(json.dumps({"seed": SEED, **seen, **seconds, "violations": 0}))
