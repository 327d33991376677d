"""One round of one front: start it, load it in several ways, read what it used."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.servers import Peer, Server, stop, wait_until_it_answers

LOAD_TIMEOUT_S = 300.0

#: A figure that is not there could not be had; the page says why.
Figures = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """How much is sent."""

    seconds: float = 1.5  # of each load
    connections: int = 64
    rate: float = 500.0
    rated_seconds: float = 3.0
    streams: int = 200
    stream_seconds: float = 3.0
    chunks: int = 100
    pace_ms: float = 20.0
    open_streams: int = 2_000
    settle_seconds: float = (
        2.0  # from the first answer until memory is read: what is started later is there by then
    )
    bodies: tuple[int, ...] = (512, 8_192, 65_536, 524_288)  # bytes of a prompt


QUICK = Sizes(seconds=0.5, rated_seconds=1.0, stream_seconds=0.5, open_streams=500, bodies=(512, 65_536))


class Load:
    """The load program on its core."""

    def __init__(self, port: int, core: int, key: str = "none", headers: tuple[str, ...] = ()) -> None:
        self._command = ["taskset", "-c", str(core), sys.executable, "-m", "bench.load"]
        self._command += ["--port", str(port), "--key", key]
        for header in headers:
            self._command += ["--header", header]

    def start(self, **options: object) -> "subprocess.Popen[str]":
        """The program, under way."""
        command = list(self._command)
        for name, value in options.items():
            command += [f"--{name.replace('_', '-')}"] + ([] if value is True else [str(value)])
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def run(self, **options: object) -> Figures:
        """Run it; what it saw. Raises RuntimeError where a call went wrong: its figure is none."""
        with self.start(**options) as process:
            out, err = process.communicate(timeout=LOAD_TIMEOUT_S)
            if process.returncode:
                raise RuntimeError(f"the load failed: {err[-2000:]}")
            return checked(out)


def checked(line: str) -> Figures:
    """What the load said, where no call went wrong."""
    seen: dict[str, float] = json.loads(line)
    if seen["errors"]:
        raise RuntimeError(f"calls failed: {seen['errors']}")
    return seen


class Instance:
    """A front that runs before one upstream."""

    def __init__(self, server: Server, core: int) -> None:
        self.server = server
        self.load_core = core
        self.load = Load(server.port, core, server.key, server.headers)

    def pids(self) -> list[int]:
        """Of all its processes."""
        return machine.tree(self.server.process.pid)

    def cpu_s(self) -> float:
        """Processor seconds so far."""
        return machine.cpu_s(self.pids())


@contextlib.contextmanager
def running(peer: Peer, directory: Path, upstream: int, core: int, streamed: bool) -> Iterator[Instance]:
    """An instance while the context lasts. What goes wrong is told with the end of its log."""
    directory.mkdir(parents=True)
    log = directory / "log"
    log.touch()
    server = peer.start(directory, upstream)
    try:
        wait_until_it_answers(server, log, streamed)
        yield Instance(server, core)
    except RuntimeError as error:
        raise RuntimeError(f"{peer.name}: {error}\n{log.read_text(errors='replace')[-2000:]}") from error
    finally:
        stop(server.process)


def measure(peer: Peer, directory: Path, behind: dict[str, int], sizes: Sizes, core: int) -> Figures:
    """All figures of one round."""
    figures = {"busy_before": machine.busy_share(0.5)}
    with running(peer, directory / "plain", behind["plain"], core, False) as this:
        figures["start_s"] = time.monotonic() - this.server.spawned_s
        time.sleep(sizes.settle_seconds)
        figures |= {f"idle_{name}": value for name, value in memory(this).items()}
        figures |= plain(this, sizes)
        if figures["calls_per_s_512"] > sizes.rate * 1.2:
            figures |= latency(this, behind["plain"], sizes)
    with running(peer, directory / "stream", behind["stream"], core, True) as this:
        figures |= streamed(this, sizes, min(sizes.streams, peer.most_streams))
    with running(peer, directory / "slow", behind["slow"], core, True) as this:
        figures |= held(this, sizes)
    return figures


def plain(this: Instance, sizes: Sizes) -> Figures:
    """CPU per call that is not streamed, by size of its body, and calls a second on the front's one core."""
    figures = {}
    for size in sizes.bodies:
        options = {"connections": sizes.connections, "body_bytes": size}
        this.load.run(seconds=sizes.seconds / 8, **options)  # warm
        before_s = this.cpu_s()
        seen = this.load.run(seconds=sizes.seconds, **options)
        figures[f"cpu_us_{size}"] = (this.cpu_s() - before_s) * 1e6 / seen["calls"]
        figures[f"calls_per_s_{size}"] = seen["calls"] / seen["seconds"]
    return figures


def latency(this: Instance, upstream: int, sizes: Sizes) -> Figures:
    """What the front adds to the time to the first byte at a fixed rate."""
    options = {"seconds": sizes.rated_seconds, "rate": sizes.rate, "connections": 200}
    direct = Load(upstream, this.load_core).run(**options)
    seen = this.load.run(**options)
    return {f"added_{name}_ms": (seen[f"{name}_us"] - direct[f"{name}_us"]) / 1e3 for name in ("p50", "p99")}


def streamed(this: Instance, sizes: Sizes, streams: int) -> Figures:
    """CPU per chunk of a stream, the call's own cost shared among its chunks."""
    before_s = this.cpu_s()
    seen = this.load.run(stream=True, seconds=sizes.stream_seconds, connections=streams)
    expected = seen["calls"] * sizes.chunks
    if seen["chunks"] < expected * 0.99:  # a few may be cut in two between reads
        raise RuntimeError(f"{seen['chunks']} chunks came of {expected}")
    return {"cpu_us_chunk": (this.cpu_s() - before_s) * 1e6 / expected}


def held(this: Instance, sizes: Sizes) -> Figures:
    """Memory while many streams are open; nothing where not all of them could be opened."""
    with this.load.start(stream=True, hold=True, connections=sizes.open_streams) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        figures = {f"streams_{name}": value for name, value in memory(this).items()}
        process.communicate(timeout=LOAD_TIMEOUT_S)
    opened = json.loads(said or '{"open": 0}')["open"]
    return figures if opened == sizes.open_streams else {}


def memory(this: Instance) -> Figures:
    """MiB of all its processes, shared pages counted once, and of the largest."""
    pids = this.pids()
    return {"mib": machine.memory_mib(pids), "largest_mib": machine.largest_mib(pids)}
