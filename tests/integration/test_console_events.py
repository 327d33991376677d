"""The console's events through a real gateway: they come as they are, end with the key, and do not hold up the gateway's end."""

import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from urllib.parse import urlencode

import pytest
from weir_process import DEADLINE_S, Home, free_port, wait_for

SETTINGS = "[server]\nport = {port}\nworkers = 2\ndrain_timeout_s = 300\n[local]\nenabled = false\n"
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Reader:
    """Somebody who is signed in over HTTP."""

    def __init__(self, port: int, key: str) -> None:
        self.port = port
        wait_for(lambda: self.ask("GET", "/sign-in").status == 200, "the console")
        page = self.ask("GET", "/sign-in")
        token = re.search(rb'name="form_token" value="(\w+)"', page.read())
        assert token is not None
        fields = urlencode({"form_token": token[1].decode(), "password": key})
        done = self.ask("POST", "/sign-in", fields, {**FORM, "cookie": f"weir_form={token[1].decode()}"})
        assert done.status == 303
        session = re.search(r"weir_session=\w+", str(done.headers.get_all("set-cookie")))
        assert session is not None
        self.cookie = {"cookie": session[0]}

    def ask(
        self, method: str, path: str, body: str = "", headers: dict[str, str] | None = None
    ) -> HTTPResponse:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        connection.request(method, f"/console{path}", body or None, headers or {})
        return connection.getresponse()

    def events(self) -> HTTPResponse:
        answer = self.ask("GET", "/events", headers=self.cookie)
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return answer


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[Home, int, str]]:
    port = free_port()
    (tmp_path / "weir.toml").write_text(SETTINGS.format(port=port))
    home = Home(tmp_path, WEIR_DATA=str(tmp_path / "data"))
    with home.up(port) as process:
        key = re.search(r"sk-weir-\w+", home.greeting())
        assert key is not None
        yield home, port, key[0]
        if process.poll() is None:
            process.terminate()
            assert process.wait(DEADLINE_S) == 0  # though an answer without an end is under way


def now(events: HTTPResponse) -> dict[str, int]:
    while True:
        line = events.readline()
        assert line, "the stream ended"
        if line.startswith(b"data: "):
            return dict(json.loads(line[6:]))


def test_events_tell_what_is_under_way_and_a_drain_ends_them(gateway: tuple[Home, int, str]) -> None:
    home, port, key = gateway
    reader = Reader(port, key)
    first, second = reader.events(), reader.events()
    told = now(first)
    assert now(second) == told
    assert (told["in_flight"], told["tokens_per_s"], told["seq"]) == (0, 0, 0)
    process_ends = home.directory / "up.log"
    assert "Traceback" not in process_ends.read_text()


def test_events_end_with_the_key_that_they_are_for(gateway: tuple[Home, int, str]) -> None:
    home, port, key = gateway
    made = json.loads(home.good("keys", "create", "--name", "looker", "--role", "auditor", "--json"))
    events = Reader(port, made["key"]).events()
    now(events)
    home.good("keys", "revoke", made["id"])
    while events.readline():
        pass
    assert Reader(port, key).events().status == 200


def test_errors_of_the_console_are_pages(gateway: tuple[Home, int, str]) -> None:
    _, port, key = gateway
    reader = Reader(port, key)
    answer = reader.ask("POST", "/keys", "x" * 300_000, {**FORM, **reader.cookie})
    assert answer.status == 413
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert b"<h1>" in answer.read()
    packed = reader.ask("GET", "/static/console.css", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.read().startswith(b"\x1f\x8b")
