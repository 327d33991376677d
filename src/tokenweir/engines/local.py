"""The local engine: llama.cpp's own HTTP server, from the wheel `xllamacpp`, in a process of its own.

`run_local_engine` is that process's whole life; the supervisor forks and calls it. It can be run by hand too:
`python -m tokenweir.engines.local --model FILE`, whose first line of output is its address.
"""

import argparse
import os
import secrets
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tokenweir.core.errors import EngineError
from tokenweir.engines import openmp
from tokenweir.engines.local_plan import EnginePlan, LocalEngineSpec, check_model, memory_available
from tokenweir.engines.tie import tie_to_parent

if TYPE_CHECKING:
    from xllamacpp import CommonParams

MISSING = "the local engine is not installed; run: pip install 'tokenweir[local]'"
#: A log beyond this is moved aside at the next start.
MAX_LOG_BYTES = 8 * 1024 * 1024
_LOG_WARNINGS = 2  # llama.cpp's levels: 1 errors, 2 warnings, 3 every request
_POLL_S = 0.005
_MAX_PROMPT_CACHE_MIB = 8_192


def installed() -> bool:
    """Whether the wheel is there. Does not load it."""
    from importlib.util import find_spec

    return find_spec("xllamacpp") is not None


def new_api_key() -> str:
    """A key that only the gateway gets to know."""
    return secrets.token_urlsafe(32)


def run_local_engine(spec: LocalEngineSpec, ready: Callable[[str], None]) -> NoReturn:
    """Serve until SIGTERM, SIGINT, the parent's death or the closing of the lifeline; then end this process.

    `ready` is called once the model is loaded, with the address: "http://127.0.0.1:PORT" or "unix://PATH". Standard output and
    error of this process go to the log. Raises EngineError.
    """
    tie_to_parent(os.getppid())
    planned = check_model(spec)
    openmp.load()
    _forget_socket(spec)
    if spec.log_file:
        _log_to(Path(spec.log_file))
    before = os.umask(0o077)  # the socket is for this user alone
    try:
        server = _start(spec, planned)
    finally:
        os.umask(before)
    address, asked_to_end = _open(spec, server), _note_signals()
    ready(address)  # whoever hears of it may already ask it to end
    _wait(asked_to_end, spec.lifeline_fd)
    _forget_socket(spec)
    # llama.cpp's server waits, when it is taken down, for what is under way, and for ever when it has hardly
    # started. It has nothing to save.
    os._exit(0)


def _start(spec: LocalEngineSpec, planned: EnginePlan) -> "_Server":
    try:
        import xllamacpp
    except ImportError:
        raise EngineError(MISSING) from None
    try:
        wanted = _parameters(xllamacpp.CommonParams(), spec, planned)
        wanted.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_DEEPSEEK
        server: _Server = xllamacpp.Server(wanted)
    except RuntimeError as error:
        where = f"; its log: {spec.log_file}" if spec.log_file else ""
        raise EngineError(f"llama.cpp could not serve {spec.model} ({error}){where}") from None
    return server


def _open(spec: LocalEngineSpec, server: "_Server") -> str:
    """Wait until the model is loaded, then be found: llama.cpp answers 503 until then, and a caller can wait instead."""
    if not spec.unix_socket:
        return str(server.listening_address)
    loading = loading_socket(spec.unix_socket)
    while not _healthy(loading):
        time.sleep(_POLL_S)
    loading.rename(spec.unix_socket)  # whoever connects to the new name reaches the same socket
    return f"unix://{spec.unix_socket}"


def loading_socket(unix_socket: str) -> Path:
    """Where an engine listens until its model is loaded; llama.cpp wants the ending `.sock`."""
    path = Path(unix_socket)
    return path.with_name(f"{path.stem}.new.sock")


def _healthy(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


def _parameters(wanted: "CommonParams", spec: LocalEngineSpec, planned: EnginePlan) -> "CommonParams":
    wanted.model.path = spec.model
    wanted.model_alias = {spec.name}
    wanted.hostnames = [str(loading_socket(spec.unix_socket)) if spec.unix_socket else "127.0.0.1"]
    wanted.port = spec.port
    wanted.api_keys = [spec.api_key] if spec.api_key else []
    wanted.n_parallel = planned.parallel
    wanted.n_ctx = planned.context * planned.parallel  # llama.cpp deals it out to its slots
    wanted.cpuparams.n_threads = planned.threads
    wanted.cpuparams_batch.n_threads = planned.threads
    wanted.cache_ram_mib = min(_MAX_PROMPT_CACHE_MIB, memory_available() // (8 * 1024 * 1024))
    wanted.fit_params = False  # the plan has decided
    wanted.use_jinja = True
    wanted.ctx_shift = False  # a call that is too long is refused, not forgotten from the front
    wanted.endpoint_metrics = True
    wanted.ui = False
    wanted.offline = True
    wanted.verbosity = _LOG_WARNINGS
    return wanted


def _log_to(path: Path) -> None:
    if path.exists() and path.stat().st_size > MAX_LOG_BYTES:
        path.replace(path.with_name(path.name + ".1"))
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)


def _forget_socket(spec: LocalEngineSpec) -> None:
    """llama.cpp neither reuses nor removes a socket's file."""
    if spec.unix_socket:
        for path in (Path(spec.unix_socket), loading_socket(spec.unix_socket)):
            path.unlink(missing_ok=True)


def _note_signals() -> int:
    """A descriptor that can be read from once a signal asks to end."""
    wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    return wake_read


def _wait(wake_read: int, lifeline_fd: int) -> None:
    """Sleep until a signal asks to end, or the lifeline's other end is closed."""
    poll = select.poll()
    poll.register(wake_read, select.POLLIN)
    if lifeline_fd >= 0:
        poll.register(lifeline_fd, select.POLLIN)
    while True:
        found = [descriptor for descriptor, _ in poll.poll()]
        if wake_read in found or (lifeline_fd in found and not os.read(lifeline_fd, 4_096)):
            signal.set_wakeup_fd(-1)
            return


class _Server:
    """What is used of xllamacpp.Server, which has no types."""

    listening_address: str


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tokenweir.engines.local", description=__doc__)
    parser.add_argument("--model", required=True, metavar="FILE", help="a GGUF file")
    parser.add_argument("--name", default="", help="its name in answers; without it the file's")
    parser.add_argument("--port", type=int, default=0, help="0: a free one")
    parser.add_argument(
        "--unix-socket", default="", metavar="PATH", help="listen there instead; ends in .sock"
    )
    parser.add_argument("--context", type=int, default=0, help="tokens of a call; 0: the model's own")
    parser.add_argument("--parallel", type=int, default=4, help="calls at once")
    parser.add_argument(
        "--threads", type=int, default=0, help="0: as many as may be used, one for a small model"
    )
    parser.add_argument("--log-file", default="", metavar="PATH")
    parser.add_argument("--lifeline", action="store_true", help="end when standard input ends")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Serve; callers must show the key in TOKENWEIR_ENGINE_KEY. Returns 1 when the model cannot be served."""
    options = _arguments(argv)
    out, err = os.fdopen(os.dup(1), "w"), os.fdopen(os.dup(2), "w")  # the log takes the places of these
    spec = LocalEngineSpec(
        model=options.model,
        name=options.name or Path(options.model).stem,
        unix_socket=options.unix_socket,
        port=options.port,
        api_key=os.environ.get("TOKENWEIR_ENGINE_KEY", ""),
        context=options.context,
        parallel=options.parallel,
        threads=options.threads,
        log_file=options.log_file,
        lifeline_fd=0 if options.lifeline else -1,
    )
    try:
        run_local_engine(spec, lambda address: print(address, file=out, flush=True))
    except EngineError as error:
        print(error, file=err, flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
