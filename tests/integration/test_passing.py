"""What a worker passes on to the control process, and back: byte by byte, before one that a test scripts."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_parts import (
    DEADLINE_S,
    Arrived,
    Door,
    Message,
    RawUpstream,
    answers,
    chunked,
    http_answer,
    raw_upstream,
    wait_for,
)

STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    b"set-cookie: a=1\r\nset-cookie: b=2\r\nserver: s\r\nkeep-alive: timeout=5\r\nx-own: 1\r\nconnection: x-own\r\n\r\n"
)
END = b"0\r\n\r\n"


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    upstream = RawUpstream()
    made = Door(tmp_path_factory.mktemp("passing"), raw_upstream(upstream.port), "workers = 1")
    yield made
    assert made.stop() == 0
    upstream.close()


@pytest.fixture(scope="module")
def scripted(door: Door) -> Iterator[RawUpstream]:
    """In the control process's place."""
    sock = door.data / "control.sock"
    wait_for(sock.exists, "the control socket")
    sock.unlink()
    made = RawUpstream(unix_socket=str(sock))
    yield made
    made.close()


@pytest.fixture
def control(scripted: RawUpstream) -> RawUpstream:
    """The same, with nothing to play and nothing arrived yet."""
    scripted.forget()
    scripted.arrived.clear()
    return scripted


def ask(
    door: Door, method: str = "GET", path: str = "/api/v1/x?a=%2F&b", body: bytes = b"", *lines: str
) -> Message:
    with door.connect() as wire:
        wire.send(door.head(method, path, f"content-length: {len(body)}", *lines) + body)
        return wire.message(bodiless=method == "HEAD")


def arrived(control: RawUpstream) -> Message:
    (found,) = control.arrived
    return found.request


def test_a_request_arrives_as_it_was_sent_but_for_its_hop(door: Door, control: RawUpstream) -> None:
    answer = ask(
        door,
        "PATCH",
        "/api/v1/x?a=%2F&b",
        b'{"a": 1}',
        "cookie: c=1",
        "accept: text/html",
        "x-secret: kept here",
        "connection: keep-alive, accept",
        "te: trailers",
    )
    assert (answer.status, json.loads(answer.body)["model"]) == (200, "served")
    request = arrived(control)
    assert request.line == "PATCH /api/v1/x?a=%2F&b HTTP/1.1"
    assert request.body == b'{"a": 1}'
    assert request.headers == {
        "authorization": f"Bearer {door.key}",
        "host": "x",
        "cookie": "c=1",
        "x-weir-client": "127.0.0.1",
        "connection": "close",
        "content-length": "8",
    }


def test_a_whole_address_is_passed_on_as_a_path(door: Door, control: RawUpstream) -> None:
    assert ask(door, "GET", "http://x/api/v1/y?z").status == 200
    assert arrived(control).line == "GET /api/v1/y?z HTTP/1.1"


def test_a_stream_goes_on_as_it_comes(door: Door, control: RawUpstream) -> None:
    control.plays(answers(STREAM + chunked(b"data: 1\n\n")))
    with door.connect() as wire:
        wire.send(door.head("GET", "/api/v1/events"))
        head = wire.head()
        pieces = wire.chunks()
        assert next(pieces) == b"data: 1\n\n"  # and the rest has not been written yet
        control.arrived[0].wire.send(chunked(b"data: 2\n\n") + END)
        assert list(pieces) == [b"data: 2\n\n"]
        names = [line.partition(b":")[0].lower() for line in head.raw_head.split(b"\r\n")]
        assert names.count(b"set-cookie") == 2
        assert not {b"server", b"keep-alive", b"x-own", b"connection"} & set(names)
        assert b"x-weir-call" in names
        wire.send(door.head("GET", "/healthz"))
        assert wire.message().status == 200


def test_a_stream_that_breaks_does_not_look_whole(door: Door, control: RawUpstream) -> None:
    control.plays(answers(STREAM + chunked(b"data: 1\n\n"), close=True))
    with door.connect() as wire:
        wire.send(door.head("GET", "/api/v1/events"))
        wire.head()
        with pytest.raises(EOFError):
            list(wire.chunks())


def test_a_client_that_hangs_up_ends_it(door: Door, control: RawUpstream) -> None:
    ended = threading.Event()

    def play(arrived: Arrived) -> None:
        arrived.wire.send(STREAM + chunked(b"data: 1\n\n"))
        if arrived.wire.at_end():
            ended.set()

    control.plays(play)
    with door.connect() as wire:
        wire.send(door.head("GET", "/api/v1/events"))
        wire.head()
    assert ended.wait(DEADLINE_S)


def test_a_client_that_does_not_read_holds_it_back(door: Door, control: RawUpstream) -> None:
    piece, sent = b"x" * 65_536, []

    def play(arrived: Arrived) -> None:
        arrived.wire.send(STREAM)
        arrived.wire.sock.settimeout(0.5)
        try:
            for _ in range(400):
                arrived.wire.send(chunked(piece))
                sent.append(len(piece))
        except TimeoutError:
            sent.append(0)

    control.plays(play)
    with door.connect(receive_bytes=65_536) as wire:
        wire.send(door.head("GET", "/api/v1/events"))
        wait_for(lambda: sent and sent[-1] == 0, "the hold")
        assert sum(sent) < 8 * 1024 * 1024


def test_a_change_is_never_sent_twice(door: Door, control: RawUpstream) -> None:
    def hang_up(arrived: Arrived) -> None:
        arrived.wire.sock.close()

    control.plays(hang_up, hang_up, hang_up)
    answer = ask(door, "POST", "/api/v1/keys", b"{}")
    assert answer.status == 502
    assert json.loads(answer.body)["code"] == "control_broke"
    assert len(control.arrived) == 1
    assert ask(door, "GET", "/api/v1/keys").status == 502  # asked once more, and no oftener
    assert len(control.arrived) == 3
    assert len({a.connection for a in control.arrived}) == 3


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_the_length_of_an_answer_is_told(door: Door, control: RawUpstream, method: str) -> None:
    long = b"y" * 300_000
    control.plays(answers(http_answer(b"short")), answers(http_answer(long)))
    for body in (b"short", long):
        answer = ask(door, method)
        if method == "HEAD" or body == b"short":
            assert answer.headers["content-length"] == str(len(body))
        assert answer.body == (b"" if method == "HEAD" else body)


def test_an_answer_without_a_body_has_none(door: Door, control: RawUpstream) -> None:
    control.plays(answers(b"HTTP/1.1 204 No Content\r\n\r\n"))
    answer = ask(door, "DELETE")
    assert answer.status == 204
    assert "content-length" not in answer.headers


def test_an_answer_that_is_no_http_is_told_so(door: Door, control: RawUpstream) -> None:
    control.plays(answers(b"hello\r\n\r\n"))
    assert ask(door, "POST").status == 502


def test_nothing_else_is_passed_on(door: Door, control: RawUpstream) -> None:
    for path in ("/api/v2/x", "/api/v1", "/api/hello", "/v1/models", "/admin"):
        ask(door, "GET", path)
    assert control.arrived == []


def test_the_directory_may_have_a_long_name(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    upstream = RawUpstream()
    door = Door(deep, raw_upstream(upstream.port), "workers = 1")
    try:
        assert (
            ask(door, "GET", "/api/v1/me").status == 403
        )  # the key has no role; who said so is the control process
    finally:
        assert door.stop() == 0
        upstream.close()
