"""One gateway in processes of its own, before the scripted upstream: both suites go through it."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple, TypeVar

from scripted_upstream import PATIENCE_S, ScriptedUpstream

from tokenweir.core.ids import parse_uuid
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.views import CallDetail, call_detail, calls, open_reader

T = TypeVar("T")


#: A limit that no suite comes near: what it does is that output is granted, and held to what was.
LIMIT = "1B tokens/day"


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
        polled(lambda: get(port, "/readyz", "") == 200, "readiness")
        keys = []
        for limits in ([], ["--limit", LIMIT]):
            made = subprocess.run(
                [*weir, "keys", "create", "--name", "case", "--json", "--data", str(data), *limits],
                check=True, capture_output=True, env=environment,
            )  # fmt: skip
            keys.append(json.loads(made.stdout)["key"])
            polled(lambda: get(port, "/v1/models", keys[-1]) == 200, "the key's arrival")
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


def get(port: int, path: str, key: str) -> int:
    with contextlib.closing(HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)) as connection:
        connection.request("GET", path, headers={"authorization": f"Bearer {key}"})
        return connection.getresponse().status


def settled(door: Door, model: str, times: int) -> list[CallDetail]:
    """What the ledger has of a model's calls, once it has all of them."""
    polled(lambda: len(calls(door.ledger, model=model)) == times, "the settlement")
    rows = calls(door.ledger, model=model)
    details = [call_detail(door.ledger, parse_uuid(row.call)) for row in rows]
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
