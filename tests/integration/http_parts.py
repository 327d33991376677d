"""What the tests of the wire are made of: a client of raw bytes, an upstream that plays scripts, and `weir up`."""

import contextlib
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tokenweir.ledger.views import open_reader

DEADLINE_S = 20.0
UPSTREAM_KEY = "WEIR_TEST_UPSTREAM_KEY"


def wait_for(ready: Callable[[], object], what: str) -> object:
    """The first true value of `ready()`, polled: processes of their own cannot be waited for otherwise."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = ready()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {DEADLINE_S:g} s")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@dataclass
class Message:
    """A request or an answer as it came: its first line, headers (lower case) and whole body."""

    line: str
    headers: dict[str, str]
    body: bytes
    raw_head: bytes = b""

    @property
    def status(self) -> int:
        return int(self.line.split(" ")[1])

    @property
    def error(self) -> dict[str, str]:
        found = json.loads(self.body)["error"]
        assert isinstance(found, dict)
        return found


class Wire:
    """One end of a connection, read message by message."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.sock.settimeout(DEADLINE_S)
        self._buffer = bytearray()

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def more(self) -> bool:
        """Whether something came before the end."""
        try:
            data = self.sock.recv(65_536)
        except (ConnectionResetError, ssl.SSLEOFError):
            data = b""
        self._buffer += data
        return bool(data)

    def until(self, mark: bytes) -> bytes:
        """Everything up to and with `mark`. Raises EOFError."""
        while (at := self._buffer.find(mark)) < 0:
            if not self.more():
                raise EOFError(bytes(self._buffer))
        return self._take(at + len(mark))

    def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            if not self.more():
                raise EOFError(bytes(self._buffer))
        return self._take(count)

    def rest(self) -> bytes:
        """Everything until the end."""
        while self.more():
            pass
        return self._take(len(self._buffer))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def at_end(self) -> bool:
        """Whether the other side closed and nothing is left."""
        return self.rest() == b""

    def head(self) -> Message:
        """The next head; the body is yet to be read."""
        raw = self.until(b"\r\n\r\n")
        line, *lines = raw[:-4].decode("latin-1").split("\r\n")
        pairs = [text.partition(":")[::2] for text in lines]
        return Message(line, {name.lower(): value.strip() for name, value in pairs}, b"", raw)

    def message(self, *, bodiless: bool = False) -> Message:
        """The next request or answer, whole."""
        found = self.head()
        headers = found.headers
        if bodiless or (found.line.startswith("HTTP/") and found.status in (100, 204, 304)):
            return found
        if headers.get("transfer-encoding") == "chunked":
            found.body = b"".join(self.chunks())
        elif "content-length" in headers:
            found.body = self.exactly(int(headers["content-length"]))
        elif found.line.startswith("HTTP/"):
            found.body = self.rest()
        return found

    def chunks(self) -> Iterator[bytes]:
        """The pieces of a chunked body. Raises EOFError where its end is missing."""
        while size := int(self.until(b"\r\n"), 16):
            yield self.exactly(size)
            assert self.exactly(2) == b"\r\n"
        while self.until(b"\r\n") != b"\r\n":
            pass  # trailers


OK_BODY = json.dumps(
    {
        "id": "x",
        "object": "chat.completion",
        "model": "served",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()


def http_answer(body: bytes = OK_BODY, status: str = "200 OK", lines: str = "") -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{lines}content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def event(content: str = "hi", finish: str | None = None) -> bytes:
    delta = {"content": content} if content else {}
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return b"data: " + json.dumps({"model": "served", "choices": [choice]}).encode() + b"\n\n"


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_TAIL = event("", "stop") + b"data: [DONE]\n\n"


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


@dataclass
class Arrived:
    """A request as the upstream got it, on its connection."""

    wire: Wire
    request: Message
    connection: int


Script = Callable[[Arrived], None]


def answers(data: bytes = b"", *, close: bool = False) -> Script:
    """A script that writes `data`."""

    def play(arrived: Arrived) -> None:
        arrived.wire.send(data or http_answer())
        if close:
            arrived.wire.sock.close()

    return play


@dataclass
class RawUpstream:
    """An upstream whose every byte a test decides: each request plays the next script; without one it is answered."""

    context: ssl.SSLContext | None = None
    unix_socket: str = ""
    reads_bodies: bool = True  # else a script gets a request once its head is there
    arrived: list[Arrived] = field(default_factory=list)
    accepted: int = 0

    def __post_init__(self) -> None:
        self._scripts: queue.SimpleQueue[Script] = queue.SimpleQueue()
        if self.unix_socket:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(self.unix_socket)
        else:
            self._listener = socket.socket()
            self._listener.bind(("127.0.0.1", 0))
            self.port = int(self._listener.getsockname()[1])
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def plays(self, *scripts: Script) -> None:
        """The next requests play these."""
        for script in scripts:
            self._scripts.put(script)

    def forget(self) -> None:
        """What was to be played and was not."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._scripts.get_nowait()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return  # closed: the test is over
            self.accepted += 1
            threading.Thread(target=self._serve, args=(sock, self.accepted), daemon=True).start()

    def _serve(self, sock: socket.socket, number: int) -> None:
        try:
            if self.context is not None:
                sock = self.context.wrap_socket(sock, server_side=True)
            wire = Wire(sock)
            wire.sock.settimeout(None)
            while True:
                arrived = Arrived(wire, wire.message() if self.reads_bodies else wire.head(), number)
                self.arrived.append(arrived)
                try:
                    script = self._scripts.get_nowait()
                except queue.Empty:
                    script = answers()
                script(arrived)
        except (OSError, EOFError):
            sock.close()  # the gateway hung up, as many tests want it to, or the script did


@dataclass
class Door:
    """`weir up` in processes of its own."""

    directory: Path
    upstreams: str  # [[upstream]] sections
    server: str = ""  # lines of [server]
    models: str = ""  # [[model]] sections; without, one named "m" on the first upstream named "raw"
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.port = free_port()
        self.data = self.directory / "data"
        self.config = self.directory / "weir.toml"
        self.models = self.models or '[[model]]\nname = "m"\ndeployments = ["raw/m"]\n'
        self.write_config()
        self.log = self.directory / "up.log"
        command = [sys.executable, "-m", "tokenweir.cli.main", "up", "--config", str(self.config), "--data", str(self.data)]  # fmt: skip
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                command,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, UPSTREAM_KEY: "sk-upstream", **self.environ},
            )
        wait_for(self.is_ready, "readiness")
        made = self.weir("keys", "create", "--name", "test", "--json")
        self.key = str(json.loads(made)["key"])
        wait_for(lambda: self.get("/v1/models").status == 200, "the key's arrival")

    def write_config(self, server: str | None = None) -> None:
        lines = self.server if server is None else server
        self.config.write_text(
            f"[server]\nport = {self.port}\n{lines}\n[local]\nenabled = false\n{self.upstreams}\n{self.models}"
        )

    def weir(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tokenweir.cli.main", *arguments, "--data", str(self.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            with self.connect() as wire:
                wire.send(b"GET /readyz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                return wire.message().status == 200
        except (OSError, EOFError):
            return False

    def connect(self, receive_bytes: int = 0) -> Wire:
        sock = socket.socket()
        if receive_bytes:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        sock.settimeout(DEADLINE_S)
        sock.connect(("127.0.0.1", self.port))
        return Wire(sock)

    def head(self, method: str, path: str, *lines: str) -> bytes:
        text = "".join(f"{line}\r\n" for line in lines)
        return (
            f"{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.key}\r\n{text}\r\n".encode()
        )

    def chat(self, *lines: str, **more: object) -> bytes:
        """The bytes of a call."""
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}], **more}).encode()
        return self.post(body, *lines)

    def post(self, body: bytes, *lines: str, path: str = "/v1/chat/completions") -> bytes:
        return self.head("POST", path, f"content-length: {len(body)}", *lines) + body

    def ask(self, data: bytes) -> Message:
        """The answer to one request on a connection of its own."""
        with self.connect() as wire:
            wire.send(data)
            return wire.message()

    def get(self, path: str, *lines: str) -> Message:
        return self.ask(self.head("GET", path, *lines))

    def entries(self, columns: str, call: str = "") -> list[tuple[object, ...]]:
        """Columns of the lines that end calls, of one or of all."""
        db = open_reader(self.data)
        try:
            rows = db.execute(
                f"SELECT {columns} FROM entries WHERE kind = 'settled' AND (? = x'' OR call = ?) ORDER BY seq",
                (bytes.fromhex(call.replace("-", "")),) * 2,
            ).fetchall()
        finally:
            db.close()
        return rows

    def settled(self, call: str) -> tuple[object, ...]:
        """Outcome, reason and output tokens of a call, once it has ended."""
        found = wait_for(lambda: self.entries("outcome, reason, output", call), f"the settlement of {call}")
        assert isinstance(found, list)
        assert len(found) == 1
        return tuple(found[0])

    def children(self) -> list[int]:
        """The processes of the supervisor."""
        told = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(pid) for pid in told.split()]

    def writer_pid(self) -> int:
        """The process that holds the ledger's lock."""
        held = str(self.data / "ledger.lock")
        return next(
            pid
            for pid in self.children()
            if any(str(path.readlink()) == held for path in Path(f"/proc/{pid}/fd").iterdir())
        )

    def worker_pid(self) -> int:
        """The process that carries calls: the child of the supervisor that holds the listening socket."""
        inodes = {
            line.split()[9]
            for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
            if line.split()[1].endswith(f":{self.port:04X}") and line.split()[3] == "0A"
        }
        for pid in self.children():
            links = {str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
            if links & {f"socket:[{inode}]" for inode in inodes}:
                return pid
        raise AssertionError("no worker")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


def raw_upstream(port: int, name: str = "raw", more: str = "") -> str:
    return (
        f'[[upstream]]\nname = "{name}"\nkind = "openai"\nurl = "http://127.0.0.1:{port}/v1"\n'
        f'api_key = "env:{UPSTREAM_KEY}"\n{more}\n'
    )
