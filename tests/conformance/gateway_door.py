"""One gateway in processes of its own, before the scripted upstream: both suites go through it."""

import contextlib
import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import NamedTuple, TypeVar

from scripted_upstream import PATIENCE_S, ScriptedUpstream

from tokenweir.core.ids import parse_uuid
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.views import CallDetail, CallRow, call_detail, calls, open_reader

T = TypeVar("T")


#: A limit that no suite comes near: what it does is that output is granted, and held to what was.
LIMIT = "1B tokens/day"
#: So many answers in a row, over connections of their own, come from every worker.
WORKERS_ASKED = 20
#: Of a call that was refused since the disk of a busy machine kept the ledger waiting: its client asks again, as it is told to.
NOT_IN_TIME = "the ledger did not answer in time; nothing was sent"


class Door(NamedTuple):
    port: int
    key: str
    limited: str  # a key with a limit
    data: Path
    upstream: ScriptedUpstream
    ledger: sqlite3.Connection


def polled(ready: Callable[[], T], what: str) -> T:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            if value := ready():
                return value
        time.sleep(0.005)  # a process of its own can only be polled
    raise AssertionError(f"{what} did not happen within {PATIENCE_S:g} s")


@contextlib.contextmanager
def opened(directory: Path, upstream: ScriptedUpstream, lines: list[str], server: str = "") -> Iterator[Door]:
    """A gateway with these upstreams and models, further lines of its `[server]`, and a key for it."""
    with HeldPort() as port:
        head = f"[server]\nport = {port}\n{server}[local]\nenabled = false\n"
        (directory / "weir.toml").write_text(head + "".join(lines))
    data = directory / "data"
    weir = [sys.executable, "-m", "tokenweir.cli.main"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory)}
    with (directory / "up.log").open("w") as log:
        process = subprocess.Popen(
            [*weir, "up", "--config", str(directory / "weir.toml"), "--data", str(data)],
            stdout=log, stderr=subprocess.STDOUT, env=environment,
        )  # fmt: skip
    try:
        polled(lambda: answers(port, "/readyz", ""), "readiness")
        keys = []
        for limits in ([], ["--limit", LIMIT]):
            made = subprocess.run(
                [*weir, "keys", "create", "--name", "case", "--json", "--data", str(data), *limits],
                check=True, capture_output=True, env=environment,
            )  # fmt: skip
            keys.append(json.loads(made.stdout)["key"])
            polled(lambda: answers(port, "/v1/models", keys[-1]), "the key's arrival")
        ledger = open_reader(data)
        yield Door(port, keys[0], keys[1], data, upstream, ledger)
        ledger.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
        upstream.close()


class HeldPort:
    """A free port, held until the settings are written."""

    def __enter__(self) -> int:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        return int(self._socket.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def answers(port: int, path: str, key: str) -> bool:
    """Whether each worker does."""
    return all(_get(port, path, key) == 200 for _ in range(WORKERS_ASKED))


def _get(port: int, path: str, key: str) -> int:
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        return connection.getresponse().status


@contextlib.contextmanager
def asked(door: Door, path: str, key: str, body: bytes) -> Iterator[HTTPConnection]:
    """A connection on which the request was sent."""
    with contextlib.closing(HTTPConnection("127.0.0.1", door.port, timeout=PATIENCE_S)) as connection:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        connection.request("POST", path, body, headers)
        yield connection


def reached(door: Door, name: str, connection: HTTPConnection) -> bool:
    """Whether the upstream gets the request; False where the gateway answers instead."""
    arrived = door.upstream.arrived[name]
    polled(lambda: arrived.is_set() or bool(select.select([connection.sock], [], [], 0)[0]), "its arrival")
    return arrived.is_set()


def answered(connection: HTTPConnection) -> HTTPResponse | None:
    """The answer; None where the ledger could not be written in time, and the request has to be sent again."""
    answer = connection.getresponse()
    refused = answer.status == 503 and b"ledger_unavailable" in answer.peek()
    return None if refused else answer


def settled(door: Door, model: str, times: int) -> list[CallDetail]:
    """What the ledger has of a model's calls, once it has all of them."""

    def served() -> list[CallRow]:
        return [row for row in calls(door.ledger, model=model) if row.reason != NOT_IN_TIME]

    polled(lambda: len(served()) == times, "the settlement")
    details = [call_detail(door.ledger, parse_uuid(row.call)) for row in served()]
    return [detail for detail in details if detail is not None]


def attempts(detail: CallDetail) -> list[tuple[object, ...]]:
    """Outcome, usage, cost and currency of each attempt."""
    kept = [item.entry for item in detail.entries if item.entry.kind in (Kind.ATTEMPT, Kind.SETTLED)]
    return [_shown(entry) for entry in kept]


def _shown(entry: Entry) -> tuple[object, ...]:
    return (str(entry.outcome), entry.usage, entry.cost_pico, entry.currency)


def price_line(price: dict[str, str]) -> str:
    """A price as it stands in weir.toml."""
    rates = ", ".join(f'{name} = "{text}"' for name, text in price.items())
    return f"price = {{ {rates} }}\n"
