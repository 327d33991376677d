"""What it takes to carry 140 trillion tokens a day, worked out of what has been measured.

    .venv/bin/python -m bench.scale

Reads bench/figures/ (peers, workers, ledger_growth); every line of the page's tables is written here, `bench.pages` puts them
into docs/scale.md, and a test works them out anew. What is not measured stands in `ASSUMED`, with the reason beside it.
"""

import statistics
from dataclasses import dataclass
from typing import Any

from bench import figures, machine
from bench.paced import TOKEN, framed

FRONT = "weir, ledger fsync"
DAY_S = 86_400
KIB, MIB, GIB, TIB = 2**10, 2**20, 2**30, 2**40

TOKENS_A_DAY = 140 * 10**12
INPUT, OUTPUT = 12_035, 343  # tokens of a call, mean


@dataclass(frozen=True)
class Assumed:
    """A number that nobody measured here."""

    value: float
    unit: str
    why: str


ASSUMED = {
    "bytes_a_token": Assumed(4.0, "bytes", "of English text and code in a request; Chinese has fewer"),
    "tokens_a_s": Assumed(50.0, "tokens/s", "of one stream, once it has begun"),
    "wait_s": Assumed(1.0, "s", "from the call to its first token"),
    "peak": Assumed(2.0, "times", "the busiest hour beside the mean of the day"),
    "fill": Assumed(0.6, "", "how full a core, a disk or a link may be at the peak"),
    "cores": Assumed(64.0, "cores", "of one machine; two of them for the kernel's own work on the network"),
    "memory": Assumed(256.0, "GiB", "of one machine"),
    "disk": Assumed(500.0, "MB/s", "that one machine's disk takes"),
    "link": Assumed(25.0, "Gbit/s", "of one machine, in each direction"),
    "core_hour": Assumed(0.05, "USD", "a core and its memory for an hour"),
    "stored": Assumed(0.08, "USD", "a GB of disk for a month"),
    "kept_days": Assumed(90.0, "days", "that entries stay on the machine that wrote them"),
}


@dataclass(frozen=True)
class Measured:
    """What is taken from the measurements."""

    call_us: float  # CPU of a call of 0.5 KiB, all processes
    call_8k_us: float
    call_64k_us: float
    chunk_us: float  # CPU of a stream of `chunks`, divided by these
    chunks: int
    writer_us: float  # CPU of a call in the ledger's writer
    disk_bytes: float  # that the writer gives to the disk for a call
    entry_bytes: float  # of the file, for a call
    idle_bytes: float  # memory of a gateway with nothing to do
    stream_bytes: float  # memory of an open stream


def measured() -> Measured:
    """Medians of the runs that are kept."""
    peers, workers, growth = (figures.read(name) for name in ("peers", "workers", "ledger_growth"))
    rounds = peers["rounds"][FRONT]

    def middle(name: str, seen: list[dict[str, Any]] = rounds) -> float:
        return statistics.median(each[name] for each in seen)

    idle, streams = middle("idle_mib") * MIB, middle("streams_mib") * MIB
    largest = growth["stages"][-1]
    return Measured(
        call_us=middle("cpu_us_512"),
        call_8k_us=middle("cpu_us_8192"),
        call_64k_us=middle("cpu_us_65536"),
        chunk_us=middle("cpu_us_chunk"),
        chunks=peers["sizes"]["chunks"],
        writer_us=middle("writer_us", workers["rounds"]["2"]),
        disk_bytes=middle("disk_bytes", workers["rounds"]["2"]),
        entry_bytes=largest["file_bytes"] / largest["calls"],
        idle_bytes=idle,
        stream_bytes=(streams - idle) / peers["sizes"]["open_streams"],
    )


class Page:
    """Steps of the arithmetic, each a row: what, how, how much."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    def step(self, what: str, how: str, value: float, shown: str) -> float:
        """Note a step; its value, for those that follow."""
        self.rows.append((what, how, shown.format(value)))
        return value

    def table(self) -> str:
        """The steps so far, as Markdown; a new table begins."""
        lines = [
            "| what | how | how much |",
            "|---|---|---|",
            *(f"| {' | '.join(row)} |" for row in self.rows),
        ]
        self.rows = []
        return "\n".join(lines)


@dataclass(frozen=True)
class Call:
    """What one call of the mean shape takes."""

    a_s: float  # calls a second, mean of the day
    cpu_us: float
    chunks_cpu_us: float
    in_bytes: float  # that arrive at a machine for it, from the client and from the upstream
    open_s: float
    memory_bytes: float


def measured_when() -> str:
    """When and on what, and what else was going on there."""
    peers = figures.read("peers")
    busy = statistics.median(each["busy_before"] for seen in peers["rounds"].values() for each in seen)
    return f"Measured {peers['date']}, {peers['machine']}, {busy:.0%} of it busy with other work before each measurement.{machine.warning(busy)}"


def text(m: Measured | None = None) -> str:
    """All tables of the page."""
    m = m or measured()
    page = Page()
    assumed = ["| assumed | | why |", "|---|---|---|"]
    assumed += [f"| {name} | {each.value:g} {each.unit} | {each.why} |" for name, each in ASSUMED.items()]
    call = demand(page, m)
    parts = [measured_when(), "### What is asked for, and what a call takes", page.table()]
    least, by = machine_of(page, m, call)
    parts += ["### What one machine carries", page.table()]
    total = fleet(page, m, call, least)
    parts += ["### All of it", page.table()]
    parts += [
        "### What is full first",
        f"{by}, at {least:,.0f} calls/s on such a machine; everything else in the table above allows more. Of a call's "
        f"processor {call.chunks_cpu_us / call.cpu_us:.0%} goes into its chunks, {m.writer_us / call.cpu_us:.1%} into the ledger's "
        f"writer. In all it comes to {total:.6f} USD for a million tokens.",
        "### What is assumed",
        "\n".join(assumed),
    ]
    return "\n\n".join(parts)


def demand(page: Page, m: Measured) -> Call:
    """From tokens a day to what one call takes."""
    a = {name: each.value for name, each in ASSUMED.items()}
    a_call = page.step("tokens of a call", f"{INPUT:,} + {OUTPUT}", INPUT + OUTPUT, "{:,.0f}")
    a_s = page.step(
        "calls a second",
        f"{TOKENS_A_DAY:,} / {a_call:,.0f} / {DAY_S:,}",
        TOKENS_A_DAY / a_call / DAY_S,
        "{:,.0f}",
    )
    page.step("chunks a second", f"{a_s:,.0f} × {OUTPUT}", a_s * OUTPUT, "{:,.0f}")
    body = page.step(
        "bytes of a request", f"{INPUT:,} × {a['bytes_a_token']:g}", INPUT * a["bytes_a_token"], "{:,.0f}"
    )
    slope = (m.call_64k_us - m.call_8k_us) / (65_536 - 8_192)
    whole = page.step(
        "CPU of a call with that body, µs",
        f"{m.call_8k_us:.1f} at 8 KiB, {m.call_64k_us:.1f} at 64 KiB, between them in a line",
        m.call_8k_us + slope * (body - 8_192),
        "{:,.1f}",
    )
    chunk = page.step(
        "CPU of one chunk alone, µs",
        f"{m.chunk_us:.2f} with a share of the call's own: less {m.call_us:.1f} / {m.chunks}",
        m.chunk_us - m.call_us / m.chunks,
        "{:,.2f}",
    )
    cpu = page.step(
        "CPU of a streamed call, µs",
        f"{whole:,.1f} + {OUTPUT} × {chunk:,.2f}",
        whole + OUTPUT * chunk,
        "{:,.0f}",
    )
    one = len(framed(TOKEN))
    answer = page.step("bytes of an answer", f"{OUTPUT} chunks × {one} bytes", OUTPUT * one, "{:,.0f}")
    open_s = page.step(
        "how long a call is open, s",
        f"{a['wait_s']:g} + {OUTPUT} / {a['tokens_a_s']:g}",
        a["wait_s"] + OUTPUT / a["tokens_a_s"],
        "{:,.1f}",
    )
    memory = page.step(
        "memory of an open call, KiB",
        f"{m.stream_bytes / KIB:,.1f} measured + {body / KIB:,.1f} of its request",
        (m.stream_bytes + body) / KIB,
        "{:,.1f}",
    )
    return Call(a_s, cpu, OUTPUT * chunk, body + answer, open_s, memory * KIB)


def machine_of(page: Page, m: Measured, call: Call) -> tuple[float, str]:
    """Calls a second that one machine carries, and what it is that allows no more."""
    a = {name: each.value for name, each in ASSUMED.items()}
    cores, fill = a["cores"] - 3, a["fill"]  # two for the network, one for the writer
    allowed = {
        "The workers' cores": page.step(
            "calls/s by the workers' cores",
            f"({a['cores']:g} - 3) × {fill:g} × 1,000,000 / ({call.cpu_us:,.0f} - {m.writer_us:.1f})",
            cores * fill * 1e6 / (call.cpu_us - m.writer_us),
            "{:,.0f}",
        ),
        "The ledger's writer": page.step(
            "calls/s by the ledger's one writer",
            f"{fill:g} × 1,000,000 / {m.writer_us:.1f}",
            fill * 1e6 / m.writer_us,
            "{:,.0f}",
        ),
        "The disk": page.step(
            "calls/s by the disk",
            f"{fill:g} × {a['disk']:g} MB/s / {m.disk_bytes:,.0f} bytes that the writer writes for a call",
            fill * a["disk"] * 1e6 / m.disk_bytes,
            "{:,.0f}",
        ),
        "The link": page.step(
            "calls/s by the link",
            f"{fill:g} × {a['link']:g} Gbit/s / 8 / {call.in_bytes:,.0f} bytes, which come in once and go out once",
            fill * a["link"] * 1e9 / 8 / call.in_bytes,
            "{:,.0f}",
        ),
        "The memory": page.step(
            "calls/s by the memory",
            f"{fill:g} × {a['memory']:g} GiB / ({call.memory_bytes / KIB:,.1f} KiB × {call.open_s:,.1f} s)",
            fill * a["memory"] * GIB / (call.memory_bytes * call.open_s),
            "{:,.0f}",
        ),
    }
    by = min(allowed, key=lambda name: allowed[name])
    return allowed[by], by


def fleet(page: Page, m: Measured, call: Call, least: float) -> float:
    """Machines, what they hold, and USD for a million tokens."""
    a = {name: each.value for name, each in ASSUMED.items()}
    peak = page.step(
        "calls/s at the peak", f"{call.a_s:,.0f} × {a['peak']:g}", call.a_s * a["peak"], "{:,.0f}"
    )
    page.step(
        "cores at work, mean of the day",
        f"{call.a_s:,.0f} × {call.cpu_us:,.0f} µs",
        call.a_s * call.cpu_us / 1e6,
        "{:,.0f}",
    )
    machines = page.step("machines", f"{peak:,.0f} / {least:,.0f}", -(-peak // least), "{:,.0f}")
    cores = page.step("cores bought", f"{machines:,.0f} × {a['cores']:g}", machines * a["cores"], "{:,.0f}")
    page.step(
        "memory in use at the peak, GiB",
        f"{peak:,.0f} × {call.open_s:,.1f} s × {call.memory_bytes / KIB:,.1f} KiB + {machines:,.0f} × {m.idle_bytes / MIB:,.0f} MiB",
        (peak * call.open_s * call.memory_bytes + machines * m.idle_bytes) / GIB,
        "{:,.0f}",
    )
    page.step(
        "network at the peak, Gbit/s in, and as much out",
        f"{peak:,.0f} × {call.in_bytes:,.0f} × 8",
        peak * call.in_bytes * 8 / 1e9,
        "{:,.0f}",
    )
    stored = page.step(
        "ledgers, TiB a day",
        f"{call.a_s:,.0f} × {DAY_S:,} × {m.entry_bytes:,.0f} bytes",
        call.a_s * DAY_S * m.entry_bytes / TIB,
        "{:,.2f}",
    )
    of_cores = page.step(
        "USD a day for machines",
        f"{cores:,.0f} × 24 × {a['core_hour']:g}",
        cores * 24 * a["core_hour"],
        "{:,.0f}",
    )
    of_disks = page.step(
        "USD a day for what is kept",
        f"{stored:,.2f} TiB × {a['kept_days']:g} days × {a['stored']:g} a GB and month / 30",
        stored * TIB / 1e9 * a["kept_days"] * a["stored"] / 30,
        "{:,.0f}",
    )
    return page.step(
        "USD for a million tokens",
        f"({of_cores:,.0f} + {of_disks:,.0f}) / {TOKENS_A_DAY // 10**6:,}",
        (of_cores + of_disks) / (TOKENS_A_DAY / 1e6),
        "{:.6f}",
    )


if __name__ == "__main__":
    print(text())
