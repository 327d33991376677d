"""One round of one peer: start it, load it in several ways, read what it used."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.servers import Peer, Server, Upstreams, stop, wait_until_it_answers

LOAD_TIMEOUT_S = 300.0

Figures = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """How much is sent."""

    calls: int = 40_000
    connections: int = 64
    rate: float = 500.0
    rated_calls: int = 5_000
    streams: int = 200
    stream_calls: int = 1_000
    chunks: int = 100
    pace_ms: float = 20.0
    open_streams: int = 2_000
    slow_ms: float = 1_000.0
    bodies: tuple[int, ...] = (512, 8_192, 65_536, 524_288)  # bytes of a prompt


QUICK = Sizes(calls=4_000, rated_calls=1_000, stream_calls=200, open_streams=500, bodies=(512, 65_536))


class Round:
    """A running peer and the core that the load may use."""

    def __init__(self, server: Server, sizes: Sizes, core: int, log: Path) -> None:
        self.server = server
        self.sizes = sizes
        self.core = core
        self.log = log
        self.pids = machine.tree(server.process.pid)

    def cpu_s(self) -> float:
        """Processor seconds of the peer so far."""
        return machine.cpu_s(self.pids)

    def load(self, port: int, **options: object) -> Figures:
        """Run the load program; what it saw. Raises RuntimeError where a call went wrong: its figure is none."""
        with self.start_load(port, **options) as process:
            return self.seen(process)

    def start_load(self, port: int, **options: object) -> "subprocess.Popen[str]":
        """The load program, under way."""
        command = [sys.executable, "-m", "bench.load", "--port", str(port), "--key", self.server.key]
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        pinned = ["taskset", "-c", str(self.core), *command]
        return subprocess.Popen(pinned, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def seen(self, process: "subprocess.Popen[str]") -> Figures:
        """What the load program printed at its end."""
        out, err = process.communicate(timeout=LOAD_TIMEOUT_S)
        if process.returncode:
            raise RuntimeError(f"the load failed: {err[-2000:]}")
        seen: dict[str, float] = json.loads(out)
        if seen["errors"]:
            raise RuntimeError(
                f"calls failed: {seen['errors']}\n{self.log.read_text(errors='replace')[-2000:]}"
            )
        return seen


def measure(peer: Peer, directory: Path, behind: Upstreams, sizes: Sizes, core: int) -> Figures:
    """All figures of one round."""
    directory.mkdir(parents=True)
    log = directory / "log"
    log.touch()
    server = peer.start(directory, behind)
    try:
        wait_until_it_answers(server, log)
        start_s = time.monotonic() - server.spawned_s
        this = Round(server, sizes, core, log)
        figures = {"start_s": start_s, "idle_mib": machine.memory_mib(this.pids)}
        return figures | plain(this) | latency(this, behind) | streamed(this) | memory(this)
    finally:
        stop(server.process)


def plain(this: Round) -> Figures:
    """CPU per call that is not streamed, by size of its body, and calls a second on the peer's one core."""
    figures = {}
    for size in this.sizes.bodies:
        calls = max(1_000, this.sizes.calls // max(1, size // 4_096))
        options = {"connections": this.sizes.connections, "body_bytes": size}
        this.load(this.server.ports.plain, calls=calls // 10, **options)  # warm
        before_s = this.cpu_s()
        seen = this.load(this.server.ports.plain, calls=calls, **options)
        figures[f"cpu_us_{size}"] = (this.cpu_s() - before_s) * 1e6 / calls
        figures[f"calls_per_s_{size}"] = calls / seen["seconds"]
    return figures


def latency(this: Round, behind: Upstreams) -> Figures:
    """What the peer adds to the time to the first byte at a fixed rate."""
    options = {"calls": this.sizes.rated_calls, "rate": this.sizes.rate, "connections": 200}
    direct = this.load(behind.plain, **options)
    seen = this.load(this.server.ports.plain, **options)
    return {f"added_{name}_ms": (seen[f"{name}_us"] - direct[f"{name}_us"]) / 1e3 for name in ("p50", "p99")}


def streamed(this: Round) -> Figures:
    """CPU per chunk of a stream, the call's own cost shared among its chunks."""
    before_s = this.cpu_s()
    seen = this.load(
        this.server.ports.stream,
        stream=True,
        model="bench-stream",
        calls=this.sizes.stream_calls,
        connections=this.sizes.streams,
    )
    return {"cpu_us_chunk": (this.cpu_s() - before_s) * 1e6 / seen["chunks"]}


def memory(this: Round) -> Figures:
    """Memory while many streams are open: of the whole peer, and of its largest process."""
    number = this.sizes.open_streams
    with this.start_load(
        this.server.ports.slow, stream=True, model="bench-slow", calls=number, connections=number
    ) as process:
        time.sleep(this.sizes.slow_ms * 5 / 1e3)  # half of the streams' length
        figures = {
            "streams_mib": machine.memory_mib(this.pids),
            "streams_largest_mib": machine.largest_mib(this.pids),
        }
        this.seen(process)
    return figures
