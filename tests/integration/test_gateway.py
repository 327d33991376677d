"""The whole gateway in processes of its own, before a simulated upstream: what comes out and what stands in the ledger."""

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from console_host import Browser, application

from tokenweir.cli.system import SystemClock
from tokenweir.ledger.verify import verify

DEADLINE_S = 30.0


def wait_for(ready, what: str):  # type: ignore[no-untyped-def]
    """The first true value of `ready()`, polled; fails after the deadline."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        value = ready()
        if value:
            return value
        time.sleep(0.01)  # a process of its own can only be polled
    raise AssertionError(f"{what} did not happen within {DEADLINE_S:g} s")


class Gateway:
    """`weir up` over one simulated upstream."""

    def __init__(self, directory: Path, upstream: str, port: int) -> None:
        self.data, self.port = directory / "data", port
        self.config = directory / "weir.toml"
        self.config.write_text(
            f'[server]\nport = {port}\n[local]\nenabled = false\n[[upstream]]\nname = "sim"\nkind = "openai"\n'
            f'url = "{upstream}"\n[[upstream]]\nname = "dead"\nkind = "openai"\nurl = "http://127.0.0.1:1/v1"\n'
            '[[model]]\nname = "m"\ndeployments = ["dead/x", "sim/ok"]\n'
            'price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }\n'
        )
        self.key = ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        log = (self.config.parent / "up.log").open("a+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tokenweir.cli.main", "up", "--config", str(self.config), "--data", str(self.data)],
            stdout=log, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        wait_for(self._is_ready, "ready")

    def _is_ready(self) -> bool:
        try:
            return self.request("GET", "/readyz")[0] == 200
        except OSError:
            return False

    def weir(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "tokenweir.cli.main", *arguments, "--data", str(self.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def request(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            headers = {"Authorization": f"Bearer {self.key}"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def chat(self, **more: object) -> tuple[int, dict[str, str], bytes]:
        body = {"model": "m", "messages": [{"role": "user", "content": "hello there"}], **more}
        return self.request("POST", "/v1/chat/completions", body)

    def stop(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(DEADLINE_S)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    command = [sys.executable, "-m", "tokenweir.engines.simulated", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.kill()
    process.wait()
    process.stdout.close()


@pytest.fixture
def gateway(tmp_path: Path, upstream: str) -> Iterator[Gateway]:
    gateway = Gateway(tmp_path, upstream, free_port())
    gateway.start()
    gateway.key = json.loads(gateway.weir("keys", "create", "--name", "test", "--json"))["key"]
    wait_for(lambda: gateway.request("GET", "/v1/models")[0] == 200, "the key's arrival")
    yield gateway
    if gateway.process is not None and gateway.process.poll() is None:
        gateway.stop()


def test_a_plain_call_is_answered_and_metered_exactly(gateway: Gateway) -> None:
    status, headers, body = gateway.chat()
    usage = json.loads(body)["usage"]
    row = json.loads(gateway.weir("calls", "--json").splitlines()[0])
    assert status == 200
    assert row["call"] == headers["x-weir-call"]
    assert row["tokens"]["input"] == usage["prompt_tokens"] == 3
    assert row["tokens"]["output"] == usage["completion_tokens"] == 8
    assert row["usage_from"] == "reported"
    assert row["cost"] == {"CNY": "0.00014"}  # 3 × 4 + 8 × 16 millionths
    assert row["attempts"] == 2  # the dead deployment came first, unseen
    entries = json.loads(gateway.weir("calls", row["call"], "--json"))["entries"]
    assert [entry["route"] for entry in entries] == ["", "1 of 2: as configured", "2 of 2: as configured"]


def test_an_entry_says_why_its_deployment_was_tried_before_another(gateway: Gateway) -> None:
    gateway.chat()
    _, headers, _ = gateway.chat()  # within the five seconds that the dead one is tried last
    shown = gateway.weir("calls", headers["x-weir-call"])
    assert "    tried 1 of 2: dead/x failed a moment ago\n" in shown
    exported = gateway.weir("ledger", "export", "--format", "jsonl").splitlines()
    assert json.loads(exported[-1])["route"] == "1 of 2: dead/x failed a moment ago"
    console = Browser(application(gateway.data, SystemClock(), gateway.config.read_text()))
    owner = json.loads(gateway.weir("keys", "create", "--name", "ann", "--role", "owner", "--json"))["key"]
    assert console.sign_in(owner).status == 303
    is_open = re.compile(r"open until \d\d:\d\d:\d\d \(1\)")

    def opened() -> bool:
        gateway.chat()  # the dead one is tried again once it has cooled: then it is open anew
        return is_open.search(console.get("/upstreams").text) is not None

    wait_for(opened, "an open breaker")
    gateway.weir("upstreams", "drain", "dead", "--config", str(gateway.config))
    _, headers, _ = gateway.chat()
    entries = json.loads(gateway.weir("calls", headers["x-weir-call"], "--json"))["entries"]
    assert entries[-1]["route"] == "1 of 1: dead/x is drained"


def test_a_stream_ends_with_done_and_has_no_usage_chunk_unless_asked_for(gateway: Gateway) -> None:
    _, _, plain = gateway.chat(stream=True)
    _, _, asked = gateway.chat(stream=True, stream_options={"include_usage": True})
    assert plain.endswith(b"data: [DONE]\n\n") and asked.endswith(b"data: [DONE]\n\n")
    assert b'"usage"' not in plain
    assert asked.count(b'"completion_tokens":8') == 1
    usage = json.loads(gateway.weir("usage", "--by", "model", "--json"))["rows"][0]
    assert (usage["calls"], usage["tokens"]["input"], usage["tokens"]["output"]) == (2, 6, 16)


def test_a_setting_is_changed_while_it_runs(gateway: Gateway) -> None:
    def metrics() -> int:
        connection = HTTPConnection("127.0.0.1", gateway.port, timeout=DEADLINE_S)
        connection.request("GET", "/metrics")
        return connection.getresponse().status

    assert metrics() == 401
    file = ("--config", str(gateway.config))
    told = gateway.weir("settings", "set", "server.metrics_need_key", "false", *file)
    assert told == "server.metrics_need_key is false, before true; it holds now.\n"
    wait_for(lambda: metrics() == 200, "the new setting")
    told = gateway.weir("settings", "set", "console.idle_s", "900", *file)
    assert "at the next start of `weir up`" in told
    listed = json.loads(gateway.weir("settings", "list", "--json", *file))
    assert {line["name"]: (line["value"], line["source"]) for line in listed["settings"]}[
        "console.idle_s"
    ] == ("900", "file")
    assert "setting server.metrics_need_key: false, before true" in gateway.weir("audit")
    gateway.weir("settings", "reset", "server.metrics_need_key", *file)
    wait_for(lambda: metrics() == 401, "the default")


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"model": "mm", "messages": []}, 404, b"Did you mean m?"),
        ({"messages": []}, 400, b"model"),
        ({"model": "m", "messages": "hello"}, 422, b"list"),
        ({"model": "m", "messages": [], "max_tokens": 0}, 422, b"max_tokens"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(
    gateway: Gateway, body: object, status: int, word: bytes
) -> None:
    got, _, told = gateway.request("POST", "/v1/chat/completions", body)
    assert got == status
    assert word in told


def test_a_stranger_is_refused_and_a_revoked_key_at_once(gateway: Gateway) -> None:
    key = gateway.key
    gateway.key = "sk-weir-nobody"
    assert gateway.chat()[0] == 401
    gateway.key = key
    gateway.weir("keys", "revoke", "test")
    wait_for(lambda: gateway.chat()[0] == 401, "the revocation")


def test_a_spent_limit_answers_402_with_the_numbers(gateway: Gateway) -> None:
    gateway.key = json.loads(
        gateway.weir("keys", "create", "--name", "two", "--limit", "2 calls/day", "--json")
    )["key"]
    wait_for(lambda: gateway.request("GET", "/v1/models")[0] == 200, "the key's arrival")
    statuses = [gateway.chat()[0] for _ in range(3)]
    status, headers, body = gateway.chat()
    assert statuses == [200, 200, 402]
    assert status == 402
    assert headers["x-should-retry"] == "false"
    assert b"2 calls per day" in body


def test_sigterm_ends_it_cleanly(gateway: Gateway) -> None:
    assert gateway.chat()[0] == 200
    assert gateway.stop() == 0
    assert verify(gateway.data).ok
