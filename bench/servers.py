"""What is measured, and the upstreams behind it: how each is started, pinned to its core, and stopped."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
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


@dataclass(frozen=True)
class Upstreams:
    """Ports of the fixed upstreams: whole answers, streams at an engine's pace, and slow streams that stay open."""

    plain: int
    stream: int
    slow: int


@dataclass
class Server:
    """A peer that runs: a port for each kind of call, and the key it wants."""

    process: subprocess.Popen[bytes]
    ports: Upstreams  # one port for all where the model's name says which upstream is meant
    key: str = "none"
    spawned_s: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Peer:
    """A row of the table."""

    name: str
    needs: str  # the command that must be there
    get: str  # how to get it
    start: Callable[[Path, Upstreams], Server]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawn(command: list[str], core: int, log: Path) -> subprocess.Popen[bytes]:
    """Start a command, and all that it will start, on one core, in a process group of its own."""
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),
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


def answers(port: int, key: str) -> bool:
    """Whether a call gets its answer now."""
    body = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "ready?"}]}).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode()
    try:
        with socket.create_connection(("127.0.0.1", port), 5.0) as connection:
            connection.sendall(head + body)
            return connection.recv(64).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def wait_until_it_answers(server: Server, log: Path) -> None:
    """Poll with real calls. Raises RuntimeError with the end of the log."""
    end = time.monotonic() + START_TIMEOUT_S
    while not answers(server.ports.plain, server.key):
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
    command = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    return [command or "nginx", "-c", str(config), "-e", str(directory / "error.log"), "-p", str(directory)]


@contextlib.contextmanager
def upstreams(
    directory: Path, core: int, *, chunks: int, pace_ms: float, slow_ms: float
) -> Iterator[Upstreams]:
    """The fixed upstreams while the context lasts."""
    ports = Upstreams(free_port(), free_port(), free_port())
    plain = (
        f"  server {{ listen 127.0.0.1:{ports.plain} backlog=4096;"
        f" location / {{ default_type application/json; return 200 '{ANSWER}'; }} }}\n"
    )
    log = directory / "upstreams.log"

    def paced(port: int, pace: float, number: int) -> list[str]:
        command = [sys.executable, "-m", "bench.paced", "--port", str(port), "--chunks", str(number)]
        return [*command, "--pace-ms", str(pace)]

    commands = {
        ports.plain: nginx(directory / "upstream", plain),
        ports.stream: paced(ports.stream, pace_ms, chunks),
        ports.slow: paced(ports.slow, slow_ms, 10),
    }
    processes = [spawn(command, core, log) for command in commands.values()]
    try:
        for process, port in zip(processes, commands, strict=True):
            wait_until_it_answers(Server(process, Upstreams(port, port, port)), log)
        yield ports
    finally:
        for process in processes:
            stop(process)


def start_nginx(directory: Path, behind: Upstreams) -> Server:
    """`proxy_pass` with kept connections: the floor for whole answers, and without buffering for streams."""
    ports = Upstreams(free_port(), free_port(), free_port())
    blocks = []
    for name, buffering in (("plain", "on"), ("stream", "off"), ("slow", "off")):
        blocks.append(
            f"  upstream {name} {{ server 127.0.0.1:{getattr(behind, name)};"
            " keepalive 4096; keepalive_requests 1000000000; }\n"
            f"  server {{ listen 127.0.0.1:{getattr(ports, name)} backlog=4096; location / {{"
            f' proxy_http_version 1.1; proxy_set_header connection ""; proxy_buffering {buffering};'
            f" proxy_pass http://{name}; }} }}\n"
        )
    return Server(spawn(nginx(directory, "".join(blocks)), 0, directory / "log"), ports)


def start_weir(directory: Path, behind: Upstreams, durability: str) -> Server:
    """`weir up` with one worker, a key with a limit, priced models, and the ledger on."""
    port, data, config = free_port(), directory / "data", directory / "weir.toml"
    text = (
        f'[server]\nport = {port}\n[ledger]\ndata = "{data}"\ndurability = "{durability}"\n'
        "[local]\nenabled = false\n"
    )
    for upstream, model in (("plain", "bench"), ("stream", "bench-stream"), ("slow", "bench-slow")):
        text += (
            f'[[upstream]]\nname = "{upstream}"\nkind = "openai"\nmax_connections = 4096\n'
            f'url = "http://127.0.0.1:{getattr(behind, upstream)}/v1"\n'
            f'[[model]]\nname = "{model}"\ndeployments = ["{upstream}/bench"]\n'
            'price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }\n'
        )
    config.write_text(text)
    weir = [sys.executable, "-m", "tokenweir.cli.main"]
    made = [*weir, "keys", "create", "--name", "bench", "--limit", "¥9000000/day", "--json"]
    key = json.loads(subprocess.run([*made, "--data", str(data)], check=True, capture_output=True).stdout)
    process = spawn([*weir, "up", "--config", str(config)], 0, directory / "log")
    return Server(process, Upstreams(port, port, port), key["key"])


PEERS = (
    Peer("nginx", "nginx", "apt-get install nginx-light", start_nginx),
    Peer("weir, ledger fsync", "", "", lambda d, u: start_weir(d, u, "fsync")),
    Peer("weir, ledger os", "", "", lambda d, u: start_weir(d, u, "os")),
)
