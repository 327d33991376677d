"""An upstream on loopback that plays scripts: /NAME/ATTEMPT/… is answered by the script of that attempt."""

import contextlib
import gzip
import socket
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence

from wire_case import Script, on_the_wire

PATIENCE_S = 20.0


class ScriptedUpstream:
    """Threads, one for each connection; `seen` and `closed` say what came of each attempt."""

    def __init__(self, scripts: Mapping[str, Sequence[Script]]) -> None:
        self._scripts = scripts
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listening.getsockname()[1]
        self.seen: dict[tuple[str, int], list[bytes]] = defaultdict(list)  # bodies of requests
        self.arrived: dict[str, threading.Event] = defaultdict(threading.Event)
        self.hung_up: dict[str, threading.Event] = defaultdict(
            threading.Event
        )  # the gateway closed a held answer
        for name in scripts:
            self.arrived[name], self.hung_up[name] = threading.Event(), threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed at the end
            while True:
                connection, _ = self._listening.accept()
                connection.settimeout(PATIENCE_S)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            held = b""
            while True:
                while b"\r\n\r\n" not in held:
                    data = connection.recv(65_536)
                    if not data:
                        return
                    held += data
                head, _, held = held.partition(b"\r\n\r\n")
                length = next(
                    int(line[15:])
                    for line in head.lower().split(b"\r\n")
                    if line.startswith(b"content-length:")
                )
                while len(held) < length:
                    held += connection.recv(65_536)
                body, held = held[:length], held[length:]
                _, name, attempt, _ = head.split(b" ")[1].decode().split("/", 3)
                self.seen[name, int(attempt)].append(body)
                self.arrived[name].set()
                try:
                    lives = self._play(connection, name, self._scripts[name][int(attempt) - 1])
                except (ConnectionResetError, BrokenPipeError):  # left before all was sent, or read
                    self.hung_up[name].set()
                    return
                if not lives:
                    return

    def _play(self, connection: socket.socket, name: str, script: Script) -> bool:
        """Whether the connection lives on."""
        if not script.status:
            return False
        framing = b"\r\n"
        if script.framing == "length":
            body = gzip.compress(script.body, mtime=0) if script.encoded else script.body
            framing = b"content-length: %d\r\n\r\n" % (len(body) + (0 if script.end == "whole" else 1))
        connection.sendall(script.head + framing)
        for piece in on_the_wire(script):
            connection.sendall(piece)
        if script.end == "hold":
            if not connection.recv(1):
                self.hung_up[name].set()
            return False
        return script.end == "whole" and script.framing != "close"
