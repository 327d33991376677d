"""Every case through the whole gateway, in processes of its own: the client's bytes and the ledger's entry."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import NamedTuple

import pytest
from scripted_upstream import PATIENCE_S, ScriptedUpstream
from wire_case import ALL, Case

from tokenweir.core.ids import parse_uuid
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import CallDetail, call_detail, calls, open_reader


class Door(NamedTuple):
    port: int
    key: str
    data: Path
    upstream: ScriptedUpstream
    ledger: sqlite3.Connection


def settings(upstream: ScriptedUpstream, port: int) -> str:
    """A weir.toml with an upstream for each attempt of each case, and a model named as the case."""
    lines = [f"[server]\nport = {port}\n[local]\nenabled = false\n"]
    for case in ALL.values():
        names = [f"{case.name}.{number + 1}" for number in range(len(case.upstream))]
        for number, name in enumerate(names, 1):
            url = f"http://127.0.0.1:{upstream.port}/{case.name}/{number}"
            lines.append(f'[[upstream]]\nname = "{name}"\nkind = "openai"\nurl = "{url}"\n')
        deployments = [f"{name}/upstream-model" for name in names]
        lines.append(f'[[model]]\nname = "{case.name}"\ndeployments = {json.dumps(deployments)}\n')
        if case.toml.price is not None:
            rates = ", ".join(f'{name} = "{text}"' for name, text in case.toml.price.items())
            lines.append(f"price = {{ {rates} }}\n")
    return "".join(lines)


def polled(ready, what: str):  # type: ignore[no-untyped-def]
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError):
            value = ready()
            if value:
                return value
        time.sleep(0.005)  # a process of its own can only be polled
    raise AssertionError(f"{what} did not happen within {PATIENCE_S:g} s")


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    directory = tmp_path_factory.mktemp("conformance")
    upstream = ScriptedUpstream(ALL)
    with HeldPort() as port:
        (directory / "weir.toml").write_text(settings(upstream, port))
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
        made = subprocess.run(
            [*weir, "keys", "create", "--name", "case", "--json", "--data", str(data)],
            check=True, capture_output=True, env=environment,
        )  # fmt: skip
        key = json.loads(made.stdout)["key"]
        polled(lambda: get(port, "/v1/models", key) == 200, "the key's arrival")
        ledger = open_reader(data)
        yield Door(port, key, data, upstream, ledger)
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


def ask(door: Door, case: Case) -> tuple[int, str, bytes]:
    """Status, call and body as the client gets them, up to where it hangs up."""
    with contextlib.closing(HTTPConnection("127.0.0.1", door.port, timeout=PATIENCE_S)) as connection:
        headers = {"authorization": f"Bearer {door.key}", "content-type": "application/json"}
        connection.request("POST", case.toml.path, case.request, headers)
        if case.toml.client.hangs_up and case.client_body is None:
            assert door.upstream.arrived[case.name].wait(PATIENCE_S)
            return 0, "", b""
        answer: HTTPResponse = connection.getresponse()
        if case.toml.client.hangs_up:
            assert case.client_body is not None
            body = answer.read(len(case.client_body))
        else:
            body = answer.read()
        return answer.status, answer.headers["x-weir-call"], body


def settled(door: Door, case: Case) -> list[CallDetail]:
    """What the ledger has of the case's calls, once it has all of them."""
    polled(lambda: len(calls(door.ledger, model=case.name)) == case.toml.client.times, "the settlement")
    rows = calls(door.ledger, model=case.name)
    details = [call_detail(door.ledger, parse_uuid(row.call)) for row in rows]
    return [detail for detail in details if detail is not None]


@pytest.mark.parametrize("case", ALL.values(), ids=list(ALL))
def test_the_client_and_the_ledger_get_what_is_right(door: Door, case: Case) -> None:
    answers = [ask(door, case) for _ in range(case.toml.client.times)]
    details = settled(door, case)
    for status, call, body in answers:
        if case.client_body is not None or not case.toml.client.hangs_up:
            assert status == case.toml.client.status
            assert case.gets(body), body
            assert call in {detail.row.call for detail in details if detail.row}
    for detail in details:
        attempts = [item.entry for item in detail.entries if item.entry.kind in (Kind.ATTEMPT, Kind.SETTLED)]
        assert [shown(entry) for entry in attempts] == [
            (expected.outcome, case.usage(number), *case.cost(number))
            for number, expected in enumerate(case.toml.attempt)
        ]
    if any(script.end == "hold" for script in case.upstream):
        assert door.upstream.hung_up[case.name].wait(PATIENCE_S), "the upstream was left running"
    for number in range(1, len(case.upstream) + 1):
        for body in door.upstream.seen[case.name, number]:
            sent = json.loads(body)
            assert sent["model"] == "upstream-model"
            assert {name: sent.get(name) for name in case.toml.sent} == case.toml.sent


def shown(entry: Entry) -> tuple[object, ...]:
    return (str(entry.outcome), entry.usage, entry.cost_pico, entry.currency)


def test_the_ledger_of_all_cases_replays(door: Door) -> None:
    report = verify(door.data)
    assert report.ok, report.problems
