"""Bounds of time and number, and what a slow, a vanished or a huge client does to the gateway."""

import json
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
    Wire,
    chunked,
    event,
    raw_upstream,
    wait_for,
)

SMALL = "header_timeout_s = 0.5\nbody_timeout_s = 0.5\nidle_timeout_s = 2\nmax_connections = 6\nmax_in_flight = 2\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    made = RawUpstream()
    yield made
    made.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[Door]:
    """A gateway with little patience and little room."""
    made = Door(tmp_path_factory.mktemp("small"), raw_upstream(upstream.port), SMALL)
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log.read_text()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[Door]:
    made = Door(tmp_path_factory.mktemp("flow"), raw_upstream(upstream.port))
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log.read_text()


# --- time


def test_a_head_and_a_body_have_their_time(small: Door) -> None:
    body = small.post(b"x" * 1000)
    for part, word in ((b"GET /healthz HTTP/1.1\r\nho", "headers"), (body[:-1], "body")):
        with small.connect() as wire:
            wire.send(part)
            answer = wire.message()
            assert answer.status == 408
            assert word in answer.error["message"]
            assert wire.at_end()


def test_an_unused_connection_is_closed_without_a_word(small: Door) -> None:
    with small.connect() as fresh, small.connect() as used:
        used.send(small.head("GET", "/healthz"))
        assert used.message().status == 200
        assert fresh.at_end()
        assert used.at_end()


# --- number


def test_a_connection_too_many_is_told_to_come_back(small: Door) -> None:
    def one_too_many() -> bool:
        wires = [small.connect() for _ in range(6)]
        try:
            with small.connect() as wire:
                answer = wire.message()  # without having been asked
                return answer.status == 503 and answer.headers["retry-after"] == "1" and wire.at_end()
        finally:
            for wire in wires:
                wire.sock.close()

    assert one_too_many()
    wait_for(small.is_ready, "room for another")


def hold(released: threading.Event) -> "object":
    """A script: a stream that goes on once it is released."""

    def play(arrived: Arrived) -> None:
        arrived.wire.send(STREAM_HEAD + chunked(event()))
        released.wait(DEADLINE_S)
        arrived.wire.send(chunked(STREAM_TAIL) + b"0\r\n\r\n")

    return play


def begun(door: Door, wire: Wire, **more: object) -> str:
    """Ask for a stream on `wire` and wait for its first event: the call's id."""
    wire.send(door.chat(stream=True, **more))
    head = wire.head()
    wire.until(b"\n\n\r\n")
    return head.headers["x-weir-call"]


def test_a_call_too_many_is_told_to_come_back(small: Door, upstream: RawUpstream) -> None:
    released = threading.Event()
    upstream.plays(hold(released), hold(released))  # type: ignore[arg-type]
    with small.connect() as one, small.connect() as two:
        begun(small, one)
        begun(small, two)
        answer = small.ask(small.chat())
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.error["code"] == "overloaded"
        released.set()
        for wire in (one, two):
            assert b"".join(wire.chunks()).endswith(b"[DONE]\n\n")
    assert small.ask(small.chat()).status == 200


# --- flow


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


def test_a_client_that_does_not_read_holds_its_upstream_back_and_costs_no_memory(
    door: Door, upstream: RawUpstream
) -> None:
    total, piece = 96_000_000, event("x" * 60_000)
    pid, stuck = door.worker_pid(), threading.Event()

    def flood(arrived: Arrived) -> None:
        arrived.wire.send(STREAM_HEAD)
        framed, sock = chunked(piece), arrived.wire.sock
        rest = framed * (total // len(framed)) + chunked(STREAM_TAIL) + b"0\r\n\r\n"
        sock.settimeout(1.0)
        sent = 0
        while sent < len(rest):
            try:
                sent += sock.send(rest[sent : sent + 1_000_000])
            except TimeoutError:
                stuck.set()  # nothing was taken for a second
        sock.settimeout(None)

    before = resident_bytes(pid)
    upstream.plays(flood)
    with door.connect(receive_bytes=65_536) as wire:
        wire.send(door.chat(stream=True))
        assert wire.head().status == 200
        assert stuck.wait(DEADLINE_S)
        assert resident_bytes(pid) - before < 12_000_000
        body_bytes = sum(map(len, wire.chunks()))
    assert body_bytes > total * 0.99
    assert resident_bytes(pid) - before < 12_000_000
    assert door.ask(door.chat()).status == 200


def test_a_body_of_thirty_megabytes_passes_whole(door: Door, upstream: RawUpstream) -> None:
    text = "0123456789" * 3_000_000
    assert door.ask(door.chat(user=text)).status == 200
    assert json.loads(upstream.arrived[-1].request.body)["user"] == text
    upstream.arrived.clear()


def test_a_client_that_hangs_up_ends_its_stream_and_pays_for_what_came(
    door: Door, upstream: RawUpstream
) -> None:
    ended = threading.Event()

    def watch(arrived: Arrived) -> None:
        arrived.wire.send(STREAM_HEAD + chunked(event()))
        if arrived.wire.at_end():
            ended.set()

    upstream.plays(watch)
    with door.connect() as wire:
        call = begun(door, wire)
    assert ended.wait(DEADLINE_S)
    assert door.settled(call) == ("cancelled", "the client went away", 1)


def test_a_client_that_hangs_up_before_its_answer_ends_the_call(door: Door, upstream: RawUpstream) -> None:
    arrived_there, ended = threading.Event(), threading.Event()

    def watch(arrived: Arrived) -> None:
        arrived_there.set()
        if arrived.wire.at_end():
            ended.set()

    settled = len(door.entries("call"))
    upstream.plays(watch)
    with door.connect() as wire:
        wire.send(door.chat())
        assert arrived_there.wait(DEADLINE_S)
    assert ended.wait(DEADLINE_S)
    wait_for(lambda: len(door.entries("call")) > settled, "the settlement")
    assert door.entries("outcome, reason")[-1] == ("cancelled", "the client went away")
