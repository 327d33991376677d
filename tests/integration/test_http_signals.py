"""Signals, health and metrics of a running gateway."""

import os
import signal
import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_parts import (
    DEADLINE_S,
    STREAM_HEAD,
    STREAM_TAIL,
    Arrived,
    Door,
    RawUpstream,
    Script,
    Wire,
    chunked,
    event,
    raw_upstream,
    wait_for,
)
from prometheus_client.parser import text_string_to_metric_families

from tokenweir.ledger.verify import verify


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    made = RawUpstream()
    yield made
    made.close()


def held(released: threading.Event) -> Script:
    """A stream that goes on once it is released."""

    def play(arrived: Arrived) -> None:
        arrived.wire.send(STREAM_HEAD + chunked(event()))
        released.wait(DEADLINE_S)
        arrived.wire.send(chunked(STREAM_TAIL) + b"0\r\n\r\n")

    return play


def begun(door: Door, wire: Wire) -> str:
    """Ask for a stream and wait for its first event: the call's id."""
    wire.send(door.chat(stream=True))
    head = wire.head()
    wire.until(b"\n\n\r\n")
    return head.headers["x-weir-call"]


def test_a_hangup_reads_the_settings_and_drops_no_call(tmp_path: Path, upstream: RawUpstream) -> None:
    door = Door(tmp_path, raw_upstream(upstream.port), "metrics_need_key = false\n")
    released = threading.Event()
    upstream.plays(held(released))
    with door.connect() as wire, door.connect() as idle:
        begun(door, wire)
        idle.send(door.head("GET", "/v1/models/new"))
        assert idle.message().status == 404

        door.models += '[[model]]\nname = "new"\ndeployments = ["raw/m"]\n'
        door.write_config("max_body_bytes = 2000\n")
        door.signal(signal.SIGHUP)
        wait_for(lambda: door.get("/v1/models/new").status == 200, "the new settings")
        idle.send(door.head("GET", "/v1/models/new"))
        assert idle.message().status == 200  # the connection goes on, under the new settings
        assert door.ask(door.chat(user="x" * 3000)).status == 413

        door.write_config("max_body_bytes = true\n")
        door.signal(signal.SIGHUP)
        wait_for(lambda: "the old ones go on" in door.log.read_text(), "the refusal")
        assert "max_body_bytes" in door.log.read_text()
        assert door.get("/v1/models/new").status == 200

        released.set()
        assert b"".join(wire.chunks()).endswith(b"[DONE]\n\n")
    assert door.stop() == 0


def test_a_drain_lets_finish_what_can_and_ends_the_rest_with_a_word(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    door = Door(tmp_path, raw_upstream(upstream.port), "drain_timeout_s = 1\n")
    released, never = threading.Event(), threading.Event()
    upstream.plays(held(released), held(never), lambda _: never.wait(DEADLINE_S))
    with (
        door.connect() as finishing,
        door.connect() as stuck,
        door.connect() as silent,
        door.connect() as idle,
    ):
        idle.send(door.head("GET", "/healthz"))
        assert idle.message().status == 200
        begun(door, finishing)
        call = begun(door, stuck)
        silent.send(door.chat())
        wait_for(lambda: len(upstream.arrived) == 3, "the third call")
        door.signal(signal.SIGTERM)
        assert idle.at_end()
        wait_for(lambda: refuses(door), "the end of listening")
        released.set()
        assert b"".join(finishing.chunks()).endswith(b"[DONE]\n\n")
        assert finishing.at_end()
        told = b"".join(stuck.chunks())
        assert b'"stopping"' in told and b"[DONE]" not in told
        answer = silent.message()
        assert (answer.status, answer.error["code"], answer.headers["retry-after"]) == (503, "stopping", "1")
        never.set()
        assert door.process.wait(DEADLINE_S) == 0
    assert door.settled(call) == ("interrupted", "the gateway was stopped", 1)
    assert sorted(outcome for (outcome,) in door.entries("outcome")) == ["interrupted", "interrupted", "ok"]
    report = verify(door.data)
    assert report.ok and report.open_calls == 0
    assert "Traceback" not in door.log.read_text()


def refuses(door: Door) -> bool:
    try:
        door.connect().sock.close()
    except OSError:
        return True
    return False


def test_a_second_signal_ends_a_long_drain_now_and_still_settles(
    tmp_path: Path, upstream: RawUpstream
) -> None:
    door = Door(tmp_path, raw_upstream(upstream.port), "drain_timeout_s = 3600\n")
    never = threading.Event()
    upstream.plays(held(never))
    with door.connect() as wire:
        call = begun(door, wire)
        door.signal(signal.SIGTERM)
        wait_for(lambda: refuses(door), "the end of listening")
        door.signal(signal.SIGTERM)
        assert b'"stopping"' in b"".join(wire.chunks())
        never.set()
        assert door.process.wait(DEADLINE_S) == 0
    assert door.settled(call) == ("interrupted", "the gateway was stopped", 1)


def test_without_its_ledger_the_gateway_is_alive_and_not_ready(tmp_path: Path, upstream: RawUpstream) -> None:
    door = Door(tmp_path, raw_upstream(upstream.port))
    writer = door.writer_pid()
    seen = len(upstream.arrived)
    door.signal(signal.SIGSTOP)  # so that the writer is not started again before we have looked
    state = Path(f"/proc/{door.process.pid}/stat")
    wait_for(lambda: state.read_text().rsplit(")", 1)[1].split()[0] == "T", "the supervisor's stop")
    os.kill(writer, signal.SIGKILL)
    wait_for(lambda: door.get("/readyz").status == 503, "the loss of the writer")
    assert door.get("/healthz").status == 200
    answer = door.get("/readyz")
    assert answer.headers.get("retry-after") == "1", (answer, door.log.read_text())
    for answer in (door.ask(door.chat()), door.get("/metrics")):
        assert (answer.status, answer.error["code"]) == (503, "ledger_unavailable")
        assert answer.headers["retry-after"] == "1"
    assert len(upstream.arrived) == seen
    door.signal(signal.SIGCONT)
    wait_for(door.is_ready, "the writer's return")
    assert door.ask(door.chat()).status == 200
    (tmp_path / "backup").mkdir()  # as docs/operations.md tells, beside the running writer
    source = sqlite3.connect(f"file:{door.data / 'ledger.sqlite3'}?mode=ro", uri=True)
    copy = sqlite3.connect(tmp_path / "backup" / "ledger.sqlite3")
    source.backup(copy)
    source.close()
    copy.close()
    report = verify(tmp_path / "backup")
    assert report.ok and report.entries > 0
    assert door.stop() == 0


@pytest.mark.parametrize("need_key", [True, False])
def test_metrics_are_prometheus_text_and_count_what_happened(
    tmp_path: Path, upstream: RawUpstream, need_key: bool
) -> None:
    door = Door(tmp_path, raw_upstream(upstream.port), f"metrics_need_key = {str(need_key).lower()}\n")
    assert door.ask(door.chat()).status == 200
    assert door.ask(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").status == (401 if need_key else 200)
    answer = door.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.body.decode())}
    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in families.values()
        for sample in family.samples
    }
    assert samples["weir_calls_total", ("outcome", "ok")] == 1
    assert samples["weir_attempts_total", ("outcome", "ok"), ("upstream", "raw")] == 1
    assert samples["weir_tokens_total", ("class", "input")] == 3
    assert samples["weir_tokens_total", ("class", "output")] == 2
    assert samples["weir_in_flight",] == 0
    assert samples["weir_connections",] >= 1
    assert samples["weir_ttft_seconds_count",] == 1
    assert samples["weir_ttft_seconds_bucket", ("le", "+Inf")] == 1
    assert door.stop() == 0
    page = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert [name for name in families if f"`{name}" not in page] == []
