"""The simulated engine as a program: prints its address and serves until it is stopped or its parent dies."""

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import uvloop

from tokenweir.engines.simulated import SimulatedEngine
from tokenweir.engines.simulated_script import NAMED, Script
from tokenweir.engines.tie import tie_to_parent


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tokenweir.engines.simulated", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument("--unix-socket", default="", metavar="PATH", help="listen there instead")
    parser.add_argument("--reuse-port", action="store_true", help="share the port with other processes")
    parser.add_argument(
        "--script", default="", metavar="JSON", help="answers every model that --scripts lacks"
    )
    parser.add_argument(
        "--scripts", type=Path, default=None, metavar="FILE", help="JSON: an object of scripts by model name"
    )
    parser.add_argument(
        "--keep", type=int, default=0, metavar="N", help="requests kept for /simulate/received"
    )
    parser.add_argument("--tied", action="store_true", help="end when the process that started this one ends")
    return parser.parse_args(argv)


def _scripts(path: Path | None, script: Script | None) -> Mapping[str, Script]:
    if path is not None:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, Script])
    return {} if script is not None else NAMED


async def _serve(engine: SimulatedEngine, address: str) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with engine:
        print(address or engine.url, flush=True)
        await stopped.wait()


def main(argv: Sequence[str] | None = None) -> None:
    """Serve. Raises SystemExit for wrong arguments."""
    options = _arguments(argv)
    if options.tied:
        tie_to_parent(os.getppid())
    script = msgspec.json.decode(options.script, type=Script) if options.script else None
    engine = SimulatedEngine(
        script,
        scripts=_scripts(options.scripts, script),
        host=options.host,
        port=options.port,
        unix_socket=options.unix_socket,
        reuse_port=options.reuse_port,
        keep=options.keep,
    )
    uvloop.run(_serve(engine, options.unix_socket))
