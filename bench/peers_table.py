"""The tables of a run of `./dev bench`, made of its figures."""

import statistics
from typing import Any

from bench import machine
from bench.measure import Sizes

#: Column, heading, digits behind the point.
COLUMNS = (
    ("cpu_us_512", "CPU µs a call", 0),
    ("calls_per_s_512", "calls/s, one core", 0),
    ("added_p50_ms", "added p50 ms", 2),
    ("added_p99_ms", "added p99 ms", 2),
    ("cpu_us_chunk", "CPU µs a chunk", 1),
    ("start_s", "start s", 2),
)
MEMORY = (
    ("idle_mib", "idle, all processes", 0),
    ("idle_largest_mib", "idle, the largest", 0),
    ("streams_mib", "streams open, all processes", 0),
    ("streams_largest_mib", "streams open, the largest", 0),
)
Rounds = dict[str, list[dict[str, float]]]


def cell(values: list[float], digits: int) -> str:
    """Median, and the spread from least to most."""
    if not values:
        return "–"
    median = f"{statistics.median(values):,.{digits}f}"
    return median if len(values) == 1 else f"{median} ({min(values):,.{digits}f}–{max(values):,.{digits}f})"


def table(columns: tuple[tuple[str, str, int], ...], rounds: Rounds) -> str:
    """Markdown: a row for each front."""
    lines = [
        "| front | " + " | ".join(heading for _, heading, _ in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for name, seen in rounds.items():
        cells = [cell([each[key] for each in seen if key in each], digits) for key, _, digits in columns]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


#: What is aimed at for `OURS`: figure, what is asked of it, and with which rows beside it; all of these must hold.
OURS = "weir, ledger fsync"
AIMS = (
    ("CPU µs a call", "cpu_us_512", "at most 110", lambda own, _: own <= 110),
    (
        "CPU µs a call",
        "cpu_us_512",
        "at most half of sglang-router",
        lambda own, of: own <= of("sglang-router") / 2,
    ),
    (
        "CPU µs a chunk",
        "cpu_us_chunk",
        "at most nginx, unbuffered",
        lambda own, of: own <= of("nginx, unbuffered"),
    ),
    ("added p50 ms", "added_p50_ms", "at most 4", lambda own, _: own <= 4),
    ("added p99 ms", "added_p99_ms", "at most 12", lambda own, _: own <= 12),
    ("start s", "start_s", "at most 1.0", lambda own, _: own <= 1.0),
    ("MiB, worker idle", "idle_largest_mib", "at most 70", lambda own, _: own <= 70),
    ("MiB, worker with streams open", "streams_largest_mib", "at most 150", lambda own, _: own <= 150),
)


def aims(rounds: Rounds) -> str:
    """What is aimed at, and whether the medians of this run meet it."""
    lines = ["| aimed at | | this run | met |", "|---|---|---|---|"]
    for what, key, asked, met in AIMS:

        def of(name: str, key: str = key) -> float:
            return statistics.median(each[key] for each in rounds[name])

        try:
            own = of(OURS)
            said = "yes" if met(own, of) else "no"
        except (KeyError, statistics.StatisticsError):
            continue  # this run did not have what it is about
        lines.append(f"| {what} | {asked} | {own:,.4g} | {said} |")
    return "\n".join(lines)


def report(kept: dict[str, Any]) -> str:
    """The tables of a run, with what they were made on and by."""
    rounds: Rounds = kept["rounds"]
    sizes = Sizes(**{**kept["sizes"], "bodies": tuple(kept["sizes"]["bodies"])})
    bodies = tuple((f"cpu_us_{size}", f"{size / 1024:g} KiB", 0) for size in sizes.bodies)
    busy = [each["busy_before"] * 100 for seen in rounds.values() for each in seen]
    direct = kept["direct"]
    most = max(len(seen) for seen in rounds.values())
    lines = [
        f"{kept['date']}, {kept['machine']}, {kept['versions']}; `{kept['command']}`: median of {most} rounds (least–most), fewer where "
        f"no spread stands. Before each front was started, {statistics.median(busy):.0f}% ({min(busy):.0f}–{max(busy):.0f}) of the "
        f"machine was busy with other work. Straight to its upstream the load makes {direct['calls_per_s']:,.0f} calls/s."
        + machine.warning(statistics.median(busy) / 100),
        table(COLUMNS, rounds),
        f"CPU µs a call by the size of its prompt, {sizes.connections} connections:",
        table(bodies, rounds),
        f"MiB of memory, idle and with {sizes.open_streams:,} streams open:",
        table(MEMORY, rounds),
    ]
    without = [name for name, seen in rounds.items() if not any("added_p50_ms" in each for each in seen)]
    if without:
        lines.append(
            f"Added time is not told where a front cannot carry {sizes.rate:.0f} calls a second on one core: {', '.join(without)}."
        )
    unheld = [name for name, seen in rounds.items() if not any("streams_mib" in each for each in seen)]
    if unheld:
        lines.append(
            f"Not all of {sizes.open_streams:,} streams could be opened within two minutes: {', '.join(unheld)}."
        )
    lines += [f"Missing: {each}." for each in kept["missing"]]
    lines += [f"No row, since a call of it failed: {each}." for each in kept["failed"]]
    lines.append(
        "How each is configured: " + "; ".join(f"{name}: {how}" for name, how in kept["how"].items()) + "."
    )
    return "\n\n".join(lines)
