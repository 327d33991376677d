"""What upstreams may answer, and what a client gets where they answer wrongly, late or not at all."""

import gzip
import json
import socket
import zlib
from collections.abc import Iterator

import pytest
from http_parts import (
    OK_BODY,
    STREAM_HEAD,
    STREAM_TAIL,
    Arrived,
    Door,
    Message,
    RawUpstream,
    answers,
    chunked,
    event,
    free_port,
    http_answer,
    raw_upstream,
    wait_for,
)

QUICK = "first_byte_timeout_s = 0.5\nbetween_bytes_timeout_s = 0.5\nconnect_timeout_s = 0.5\n"


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    made = RawUpstream()
    yield made
    made.close()


@pytest.fixture(scope="module")
def hasty() -> Iterator[RawUpstream]:
    made = RawUpstream(reads_bodies=False)
    yield made
    made.close()


@pytest.fixture(scope="module")
def full() -> Iterator[int]:
    """A port whose queue of connections is full: connecting to it never ends."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for sock in waiting:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", port))
        yield port
        for sock in waiting:
            sock.close()


@pytest.fixture(scope="module")
def door(
    tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream, hasty: RawUpstream, full: int
) -> Iterator[Door]:
    models = "".join(
        f'[[model]]\nname = "{model}"\ndeployments = ["{name}/m"]\n'
        for model, name in {
            "m": "raw", "quick": "quick", "full": "full", "refused": "refused", "nowhere": "nowhere", "one": "one", "hasty": "hasty",
        }.items()
    )  # fmt: skip
    nowhere = raw_upstream(80, "nowhere").replace("127.0.0.1", "host.invalid")
    upstreams = [
        raw_upstream(upstream.port),
        raw_upstream(upstream.port, "quick", QUICK),
        raw_upstream(upstream.port, "one", "connect_timeout_s = 0.5\nmax_connections = 1\n"),
        raw_upstream(hasty.port, "hasty"),
        raw_upstream(full, "full", QUICK),
        raw_upstream(free_port(), "refused"),
        nowhere.replace("[[upstream]]\n", '[[upstream]]\nproxy = ""\n'),
    ]
    made = Door(tmp_path_factory.mktemp("upstream"), "".join(upstreams), models=models)
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log.read_text()


def call(door: Door, **more: object) -> Message:
    return door.ask(door.chat(**more))  # type: ignore[arg-type]


# --- answers that are in order


def test_informational_answers_come_before_the_real_one(door: Door, upstream: RawUpstream) -> None:
    upstream.plays(
        answers(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + http_answer())
    )
    answer = call(door)
    assert (answer.status, answer.body) == (200, OK_BODY)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_answers_without_a_body_leave_the_connection_in_order(
    door: Door, upstream: RawUpstream, status: str
) -> None:
    upstream.plays(answers(f"HTTP/1.1 {status}\r\n\r\n".encode()))
    answer = call(door)
    assert answer.status == (204 if status.startswith("204") else 502)  # a redirection is not followed
    assert call(door).status == 200
    assert upstream.arrived[-1].connection == upstream.arrived[-2].connection


def test_a_body_may_end_with_its_connection(door: Door, upstream: RawUpstream) -> None:
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n" + OK_BODY
    upstream.plays(answers(plain, close=True), answers(plain.replace(b"1.1", b"1.0"), close=True))
    assert [call(door).body, call(door).body] == [OK_BODY, OK_BODY]


def test_a_stream_may_end_with_its_connection_and_one_without_its_end_is_told_so(
    door: Door, upstream: RawUpstream
) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    upstream.plays(
        answers(head + event() + STREAM_TAIL, close=True), answers(head + event() + event(), close=True)
    )
    assert call(door, stream=True).body.endswith(b"data: [DONE]\n\n")
    cut = call(door, stream=True)
    assert b'"upstream_failed"' in cut.body
    assert door.settled(cut.headers["x-weir-call"]) == ("upstream_broke", "raw closed the connection: its stream has no end", 2)  # fmt: skip


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_compressed_answer_that_nobody_asked_for_is_unpacked(
    door: Door, upstream: RawUpstream, coding: str
) -> None:
    packed = gzip.compress(OK_BODY) if coding == "gzip" else zlib.compress(OK_BODY)
    upstream.plays(answers(http_answer(packed, lines=f"content-encoding: {coding}\r\n")))
    answer = call(door)
    assert answer.body == OK_BODY
    assert "content-encoding" not in answer.headers
    assert upstream.arrived[-1].request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("reads_on", [True, False])
def test_an_answer_that_comes_before_the_request_is_whole(
    door: Door, hasty: RawUpstream, reads_on: bool
) -> None:
    """An upstream that refuses a big request on its head, and reads the rest or hangs up on it."""
    told = b'{"error":{"message":"too long"}}'

    def refuse(arrived: Arrived) -> None:
        arrived.wire.send(http_answer(told, "413 Too Large"))
        if reads_on:
            arrived.wire.exactly(int(arrived.request.headers["content-length"]))
        else:
            arrived.wire.sock.close()

    hasty.plays(
        *[refuse] * 4
    )  # a kept connection that is lost without a byte is replaced once, so two for each call
    for _ in range(2):
        answer = call(door, model="hasty", user="x" * 8_000_000)
        # Who hangs up on unread bytes resets the connection, and a reset can overtake what was sent before it.
        lost = not reads_on and answer.status == 502 and b"upstream_failed" in answer.body
        assert lost or (answer.status, answer.body) == (413, told)
    hasty.forget()
    if not reads_on:  # else it depends on who was quicker, and either is right
        first, second = hasty.arrived[-2:]
        assert first.connection != second.connection


# --- answers that are not


WRONG = {
    "length and chunks": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabcd",
    "signed length": b"HTTP/1.1 200 OK\r\ncontent-length: +3\r\n\r\nabc",
    "xchunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: xchunked\r\n\r\nabc",
    "gzip, chunked": b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    "chunk size": b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
    "split by a carriage return": b"HTTP/1.1 200 OK\r\nx-request-id: a\rset-cookie: b\r\ncontent-length: 0\r\n\r\n",
    "split by a line feed": b"HTTP/1.1 200 OK\r\nx-request-id: a\nset-cookie: b\r\ncontent-length: 0\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nx-request-id: a\r\n b\r\ncontent-length: 0\r\n\r\n",
    "NUL": b"HTTP/1.1 200 OK\r\nx-request-id: a\0b\r\ncontent-length: 0\r\n\r\n",
    "switching protocols": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
    "no status": b"HTTP/1.1 099 X\r\ncontent-length: 0\r\n\r\n",
    "not HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "another coding": b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\nabc",
    "not gzip": b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",
    "cut-off gzip": http_answer(gzip.compress(OK_BODY)[:-9], lines="content-encoding: gzip\r\n"),
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"x-a: b\r\n" * 50_000,
    "endless header": b"HTTP/1.1 200 OK\r\nx-a: " + b"b" * 400_000,
    "endless waiting": b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000,
}


@pytest.mark.parametrize("name", WRONG)
def test_an_answer_that_could_be_read_in_two_ways_is_502(
    door: Door, upstream: RawUpstream, name: str
) -> None:
    upstream.plays(answers(WRONG[name]))
    answer = call(door)
    assert answer.status == 502
    assert answer.error["code"] == "upstream_failed"
    assert "did not answer in HTTP" in answer.error["message"]
    before = upstream.arrived[-1].connection
    assert call(door).status == 200
    assert upstream.arrived[-1].connection != before


def test_bytes_beyond_an_answer_end_the_connection(door: Door, upstream: RawUpstream) -> None:
    for surplus in (b"x", http_answer(b'{"smuggled":1}')):
        upstream.plays(answers(http_answer() + surplus))
        assert call(door).body == OK_BODY
        before = upstream.arrived[-1].connection
        assert call(door).body == OK_BODY
        assert upstream.arrived[-1].connection != before


def test_redirects_are_not_followed_and_the_key_stays_here(door: Door, upstream: RawUpstream) -> None:
    upstream.plays(answers(http_answer(b"", "307 Moved", "location: http://127.0.0.1:1/\r\n")))
    answer = call(door)
    assert answer.status == 502
    assert "redirects (307)" in answer.error["message"]


# --- breaks


def stream_of(*pieces: bytes) -> bytes:
    return STREAM_HEAD + chunked(*pieces)


BREAKS = {
    "in a chunk's size": b"zz\r\n",
    "in a chunk": b"50\r\nabc",
    "between chunks": b"",
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_stream_that_breaks_ends_with_an_error_event(door: Door, upstream: RawUpstream, name: str) -> None:
    upstream.plays(answers(stream_of(event(), event("there")) + BREAKS[name], close=True))
    answer = call(door, stream=True)
    *_, last = answer.body.strip().split(b"\n\n")
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error["code"] == "upstream_failed"
    assert "incomplete" in error["message"]
    assert b"[DONE]" not in answer.body
    outcome, _, output = door.settled(answer.headers["x-weir-call"])
    assert (outcome, output) == ("upstream_broke", 2)


def test_a_plain_answer_that_breaks_is_502(door: Door, upstream: RawUpstream) -> None:
    upstream.plays(answers(http_answer()[:-5], close=True))
    answer = call(door)
    assert answer.status == 502
    assert "before its answer was whole" in answer.error["message"] or "middle" in answer.error["message"]


# --- connections that had been closed


def test_a_connection_closed_while_idle_is_replaced_once(door: Door, upstream: RawUpstream) -> None:
    """The close crosses the next request: nothing was answered, so it is sent again on a new connection."""
    assert call(door).status == 200
    held = upstream.arrived[-1]
    seen = len(upstream.arrived)

    def hang_up(arrived: Arrived) -> None:
        arrived.wire.sock.close()

    upstream.plays(hang_up)
    answer = call(door)
    assert (answer.status, answer.body) == (200, OK_BODY)
    first, second = upstream.arrived[seen:]
    assert first.connection == held.connection != second.connection
    assert first.request.body == second.request.body
    assert len(door.entries("call", answer.headers["x-weir-call"])) == 1


def test_a_new_connection_that_is_closed_at_once_is_not_tried_again(
    door: Door, upstream: RawUpstream
) -> None:
    def hang_up(arrived: Arrived) -> None:
        arrived.wire.sock.close()

    upstream.plays(lambda arrived: answers(http_answer(lines="connection: close\r\n"))(arrived))
    assert call(door).status == 200
    seen = len(upstream.arrived)
    upstream.plays(hang_up, hang_up, hang_up)
    assert call(door).status == 502
    played = len(upstream.arrived) - seen
    assert played <= 2  # at most one reused connection and the new one that took its place
    for _ in range(3 - played):
        call(door)


def test_a_connection_that_breaks_after_some_of_an_answer_is_not_replaced(
    door: Door, upstream: RawUpstream
) -> None:
    assert call(door).status == 200
    seen = len(upstream.arrived)
    upstream.plays(answers(b"HTTP/1.1 200 OK\r\ncont", close=True))
    assert call(door).status == 502
    assert len(upstream.arrived) == seen + 1


# --- time and addresses


def test_an_upstream_that_does_not_begin_in_time_is_504(door: Door, upstream: RawUpstream) -> None:
    upstream.plays(lambda arrived: wait_for(arrived.wire.at_end, "the close"))
    answer = call(door, model="quick")
    assert answer.status == 504
    assert answer.error["code"] == "upstream_timeout"
    assert "nothing came for 0.5 s" in answer.error["message"]


def test_a_head_alone_is_no_beginning_and_a_stop_in_the_middle_is_told(
    door: Door, upstream: RawUpstream
) -> None:
    def stop_after(data: bytes) -> object:
        def play(arrived: Arrived) -> None:
            arrived.wire.send(data)
            arrived.wire.at_end()

        return play

    upstream.plays(stop_after(STREAM_HEAD), stop_after(STREAM_HEAD + chunked(event())))  # type: ignore[arg-type]
    assert call(door, model="quick", stream=True).status == 504
    stopped = call(door, model="quick", stream=True)
    assert stopped.status == 200
    assert b"stopped in the middle" in stopped.body
    assert door.settled(stopped.headers["x-weir-call"])[2] == 1


def test_connecting_has_its_time_too(door: Door) -> None:
    answer = call(door, model="full")
    assert answer.status == 504
    assert "no connection within 0.5 s" in answer.error["message"]


def test_waiting_for_a_free_connection_has_an_end(door: Door, upstream: RawUpstream) -> None:
    def hold(arrived: Arrived) -> None:
        arrived.wire.send(STREAM_HEAD + chunked(event()))
        arrived.wire.at_end()

    upstream.plays(hold)
    with door.connect() as first:
        first.send(door.chat(model="one", stream=True))
        first.head()
        first.until(b"\n\n")
        answer = call(door, model="one")
    assert answer.status == 503
    assert answer.error["code"] == "upstream_busy"
    assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("model", "word"), [("refused", "refused"), ("nowhere", "name could not be resolved")]
)
def test_an_address_that_is_not_there_is_502_and_says_why(door: Door, model: str, word: str) -> None:
    answer = call(door, model=model)
    assert answer.status == 502
    assert word in answer.error["message"]
