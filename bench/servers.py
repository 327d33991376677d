"""How a front and the upstreams behind it are started, pinned to a core, and stopped."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import install

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 10.0
#: Of streams that stay open until their client leaves: chunks, and the time between two of them.
ENDLESS, SLOW_MS = 1_000_000, 5_000.0
#: What the fixed upstream answers to every call that is not streamed.
ANSWER = json.dumps(
    {
        "id": "chatcmpl-7f3a",
        "object": "chat.completion",
        "created": 1767225600,
        "model": "bench",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "The answer is forty-two, as it was before. " * 6,
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 120, "completion_tokens": 64, "total_tokens": 184},
    }
)


#: What is asked of a front, each through an instance of its own with the one upstream that answers so: whole answers; streams
#: at an engine's pace; streams that stay open.
KINDS = ("plain", "stream", "slow")


@dataclass
class Server:
    """A front that runs, with one upstream behind it."""

    process: subprocess.Popen[bytes]
    port: int
    key: str = "none"
    headers: tuple[str, ...] = ()  # "name: value", besides the key's
    spawned_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Peer:
    """A row of the table."""

    name: str
    needs: str  # what `bench.install` brings; empty: nothing
    how: str  # how it is configured, as the page says it
    start: Callable[[Path, int], Server]  # given a directory of its own and the upstream's port
    most_rounds: int = 1_000
    most_streams: int = (
        1_000  # at once, where chunks are counted: more than it carries say nothing about a chunk
    )


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(
    command: list[str], cores: frozenset[int], log: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a command, and all that it will start, on these cores, in a process group of its own."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process group: asked first, then killed."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(STOP_TIMEOUT_S)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def answers(server: Server, streamed: bool) -> bool:
    """Whether a call gets its answer now."""
    call = {"model": "bench", "messages": [{"role": "user", "content": "ready?"}], "stream": streamed}
    body = json.dumps(call).encode()
    extra = "".join(f"{header}\r\n" for header in server.headers)
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {server.key}\r\n{extra}"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode()
    try:
        with socket.create_connection(("127.0.0.1", server.port), 10.0) as connection:
            connection.sendall(head + body)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def wait_until_it_answers(server: Server, log: Path, streamed: bool = False) -> None:
    """Poll with real calls. Raises RuntimeError with the end of the log."""
    end = time.monotonic() + START_TIMEOUT_S
    while not answers(server, streamed):
        if time.monotonic() > end or server.process.poll() is not None:
            raise RuntimeError(f"it did not start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.005)


def nginx(directory: Path, servers: str) -> list[str]:
    """The command of an nginx in the foreground with one worker and these `server` blocks."""
    directory.mkdir(parents=True, exist_ok=True)
    config = directory / "nginx.conf"
    config.write_text(
        f"daemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {directory}/pid;\n"
        f"error_log {directory}/error.log warn;\nevents {{ worker_connections 16000; }}\n"
        "http {\n  access_log off;\n  keepalive_requests 1000000000;\n  client_max_body_size 64m;\n"
        "  client_body_buffer_size 1m;\n"
        + "".join(
            f"  {name}_temp_path {directory}/{name};\n"
            for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + servers
        + "}\n"
    )
    return [
        install.nginx() or "nginx",
        "-c",
        str(config),
        "-e",
        str(directory / "error.log"),
        "-p",
        str(directory),
    ]


@contextlib.contextmanager
def upstreams(directory: Path, core: int, *, chunks: int, pace_ms: float) -> Iterator[dict[str, int]]:
    """The fixed upstreams while the context lasts: their ports by kind."""
    ports = {kind: free_port() for kind in KINDS}
    plain = (
        f"  server {{ listen 127.0.0.1:{ports['plain']} backlog=4096;"
        f" location / {{ default_type application/json; return 200 '{ANSWER}'; }} }}\n"
    )
    log = directory / "upstreams.log"

    def paced(kind: str, number: int, pace: float) -> list[str]:
        command = [sys.executable, "-m", "bench.paced", "--port", str(ports[kind])]
        return [*command, "--chunks", str(number), "--pace-ms", str(pace)]

    commands = {
        "plain": nginx(directory / "upstream", plain),
        "stream": paced("stream", chunks, pace_ms),
        "slow": paced("slow", ENDLESS, SLOW_MS),
    }
    processes = [spawn(command, frozenset({core}), log) for command in commands.values()]
    try:
        for process, port in zip(processes, ports.values(), strict=True):
            wait_until_it_answers(Server(process, port), log)
        yield ports
    finally:
        for process in processes:
            stop(process)
