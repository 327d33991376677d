"""Pictures of what has been measured, drawn of bench/figures/ into docs/images/.

.venv/bin/python -m bench.pictures
"""

import statistics

from bench import figures
from bench.svg import Line, Panel, bars, panels

GIB = 2**30


def ledger() -> str:
    """How a ledger behaves as it grows."""
    kept = figures.read("ledger_growth")
    steps, stages = kept["steps"], kept["stages"]

    def of_steps(name: str, times: float = 1.0) -> list[tuple[float, float]]:
        return [(step["calls"] / 1e6, step[name] * times) for step in steps]

    def of_stages(name: str) -> list[tuple[float, float]]:
        return [(stage["calls"] / 1e6, stage[name]["cpu_s"] * 1e3) for stage in stages]

    return panels(
        "A ledger as it grows",
        "millions of calls in the ledger",
        [
            Panel(
                "Processor to write a call, µs",
                [Line("filled in commits of a thousand calls", of_steps("cpu_us_call"))],
            ),
            Panel(
                "A commit of 32 calls, waiting for the disk, ms",
                [
                    Line("median", of_steps("commit_p50_ms")),
                    Line("nine of ten are below", of_steps("commit_p90_ms")),
                ],
            ),
            Panel(
                "Processor of a command, its start included, ms",
                [
                    Line("weir usage, by model", of_stages("usage_model"), True),
                    Line("one day by hour", of_stages("day_chart"), True),
                    Line("the latest calls", of_stages("recent_calls"), True),
                ],
            ),
            Panel(
                "The file, GiB",
                [Line("ledger.sqlite3", [(s["calls"] / 1e6, s["file_bytes"] / GIB) for s in stages], True)],
            ),
        ],
    )


def peers() -> str:
    """What a call costs through each front."""
    rounds = figures.read("peers")["rounds"]
    return bars(
        "Processor a call takes through each front, µs",
        "µs of processor a call, on a logarithmic axis",
        [(name, statistics.median(each["cpu_us_512"] for each in seen)) for name, seen in rounds.items()],
    )
