"""What clients may send: HTTP/1.1 and 1.0 as the RFCs have it, and nothing that two servers could read in two ways."""

import contextlib
import json
import re
from collections.abc import Iterator

import pytest
from http_parts import Door, RawUpstream, answers, chunked, http_answer, raw_upstream

CALL_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
CORS = 'cors_origins = ["https://page.example"]\nmax_body_bytes = 100000\n'


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    made = RawUpstream()
    yield made
    made.close()


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[Door]:
    made = Door(tmp_path_factory.mktemp("inbound"), raw_upstream(upstream.port), CORS)
    yield made
    assert made.stop() == 0
    # The greeting, and nothing of what strangers sent.
    told = made.log.read_text()
    assert "Traceback" not in told
    assert "DROP TABLE" not in told and "hostile" not in told


# --- connections


def test_a_connection_carries_many_calls_and_version_1_0_ends_it(door: Door) -> None:
    with door.connect() as wire:
        for _ in range(3):
            wire.send(door.chat())
            answer = wire.message()
            assert answer.status == 200
            assert "connection" not in answer.headers
        wire.send(door.chat("connection: close"))
        assert wire.message().headers["connection"] == "close"
        assert wire.at_end()
    with door.connect() as wire:
        wire.send(b"GET /healthz HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
        assert wire.message().headers["connection"] == "keep-alive"
        wire.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert wire.message().headers["connection"] == "close"
        assert wire.at_end()


def test_pipelined_requests_are_answered_in_their_order(door: Door, upstream: RawUpstream) -> None:
    upstream.plays(answers(http_answer(b'{"first":1}')), answers(http_answer(b'{"third":3}')))
    with door.connect() as wire:
        wire.send(door.chat() + door.head("GET", "/v1/models/m") + door.chat() + door.head("GET", "/v1/none"))
        bodies = [wire.message() for _ in range(4)]
    assert [m.status for m in bodies] == [200, 200, 200, 404]
    assert bodies[0].body == b'{"first":1}'
    assert json.loads(bodies[1].body)["id"] == "m"
    assert bodies[2].body == b'{"third":3}'


def test_too_much_in_a_pipeline_is_refused_after_what_came_before(door: Door) -> None:
    with door.connect() as wire:
        wire.send(door.chat() + door.head("GET", "/v1/models/m") * 40)
        answered = [wire.message() for _ in range(18)]
        assert [m.status for m in answered] == [200] * 17 + [400]
        assert "waiting" in answered[-1].error["message"]
        assert wire.at_end()


def test_chunked_bodies_with_extensions_and_trailers(door: Door, upstream: RawUpstream) -> None:
    body = json.dumps({"model": "m", "messages": []}).encode()
    pieces = b"".join(b'%x;a=b;c="d"\r\n%b\r\n' % (1, body[i : i + 1]) for i in range(len(body)))
    head = door.head("POST", "/v1/chat/completions", "transfer-encoding: chunked")
    trailers = b"0\r\nx-session-id: late\r\nauthorization: Bearer late\r\n\r\n"
    with door.connect() as wire:
        wire.send(head + pieces + trailers + door.head("GET", "/v1/models/m"))
        assert wire.message().status == 200
        assert wire.message().status == 200  # nothing of the body was left over
    request = upstream.arrived[-1].request
    assert request.body == body
    assert "x-session-id" not in request.headers


def test_a_client_that_waits_for_100_is_told_to_go_on_and_one_in_a_pipeline_in_its_turn(door: Door) -> None:
    body = json.dumps({"model": "m", "messages": []}).encode()
    head = door.head("POST", "/v1/chat/completions", f"content-length: {len(body)}", "expect: 100-continue")
    with door.connect() as wire:
        wire.send(door.chat() + head)
        assert wire.message().status == 200
        assert wire.message().status == 100
        wire.send(body)
        assert wire.message().status == 200


def test_a_refused_client_that_waits_for_100_need_not_send_its_body(door: Door) -> None:
    lines = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\nexpect: 100-continue\r\n"
    )
    with door.connect() as wire:
        wire.send(lines + b"\r\n")
        assert wire.message().status == 401
        assert wire.at_end()


def test_a_websocket_is_refused_at_once_and_h2c_is_passed_over(door: Door) -> None:
    asks = (
        "connection: Upgrade",
        "upgrade: websocket",
        "sec-websocket-version: 13",
        "sec-websocket-key: eA==",
    )
    with door.connect() as wire:
        wire.send(door.head("GET", "/v1/responses", *asks))
        answer = wire.message()
        assert answer.status == 426
        assert answer.headers["upgrade"] == "HTTP/1.1"
        assert wire.at_end()
    with door.connect() as wire:
        wire.send(
            door.chat("connection: Upgrade, HTTP2-Settings", "upgrade: h2c", "http2-settings: AAMAAABk")
        )
        assert wire.message().status == 200
        assert wire.at_end()
    assert door.ask(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status in (400, 505)


def test_head_and_options_have_no_body(door: Door) -> None:
    with door.connect() as wire:
        wire.send(door.head("HEAD", "/v1/models"))
        answer = wire.message(bodiless=True)
        assert answer.status == 200
        assert int(answer.headers["content-length"]) > 2
        wire.send(door.head("OPTIONS", "*"))
        answer = wire.message()
        assert answer.status == 204
        assert "content-length" not in answer.headers
        assert answer.headers["allow"] == "GET, HEAD, POST, DELETE, OPTIONS"
        assert "access-control-allow-origin" not in answer.headers


def test_a_page_of_an_allowed_origin_can_call_and_read_refusals_and_no_other_page(door: Door) -> None:
    preflight = b"OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: x\r\norigin: %b\r\naccess-control-request-method: POST\r\n\r\n"
    allowed = door.ask(preflight % b"https://page.example").headers
    assert allowed["access-control-allow-origin"] == "https://page.example"
    assert allowed["access-control-allow-headers"] == "authorization, *"
    assert "POST" in allowed["access-control-allow-methods"]
    assert "access-control-allow-credentials" not in allowed
    for answer in (
        door.ask(door.chat("origin: https://page.example")),
        door.ask(b"GET /v1/models HTTP/1.1\r\nhost: x\r\norigin: https://page.example\r\n\r\n"),
    ):
        assert answer.headers["access-control-allow-origin"] == "https://page.example"
        assert answer.headers["access-control-expose-headers"] == "*"
        assert answer.headers["vary"] == "origin"
    for origin in (b"https://page.example.evil", b"http://page.example", b"null"):
        assert "access-control-allow-origin" not in door.ask(preflight % origin).headers


# --- what is ambiguous or malformed

HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
BODY = b"3\r\nabc\r\n0\r\n\r\n"
MALFORMED = {
    "length and chunks": HEAD + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n" + BODY,
    "chunks and length": HEAD + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n" + BODY,
    "two lengths": HEAD + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc",
    "two different lengths": HEAD + b"content-length: 3\r\ncontent-length: 30\r\n\r\nabc",
    "list of lengths": HEAD + b"content-length: 3, 3\r\n\r\nabc",
    "signed length": HEAD + b"content-length: +3\r\n\r\nabc",
    "negative length": HEAD + b"content-length: -3\r\n\r\nabc",
    "hexadecimal length": HEAD + b"content-length: 0x3\r\n\r\nabc",
    "length with a space": HEAD + b"content-length: 3 3\r\n\r\nabc",
    "empty length": HEAD + b"content-length:\r\n\r\n",
    "huge length": HEAD + b"content-length: 99999999999999999999999\r\n\r\n",
    "space before the colon": HEAD + b"content-length : 3\r\n\r\nabc",
    "folded value": HEAD + b"x-a: b\r\n c\r\ncontent-length: 3\r\n\r\nabc",
    "folded coding": HEAD + b"transfer-encoding:\r\n chunked\r\n\r\n" + BODY,
    "bare line feed": HEAD + b"x-a: b\ncontent-length: 3\r\n\r\nabc",
    "bare carriage return": HEAD + b"x-a: b\rc\r\ncontent-length: 3\r\n\r\nabc",
    "line feeds alone": b"GET /healthz HTTP/1.1\nhost: x\n\n",
    "NUL in a value": HEAD + b"x-a: b\0c\r\n\r\n",
    "NUL in a name": HEAD + b"x\0a: b\r\n\r\n",
    "control in a value": HEAD + b"x-a: b\x01c\r\n\r\n",
    "no name": HEAD + b": b\r\n\r\n",
    "no colon": HEAD + b"xa\r\n\r\n",
    "space in a name": HEAD + b"x a: b\r\n\r\n",
    "identity": HEAD + b"transfer-encoding: identity\r\n\r\nabc",
    "chunked, identity": HEAD + b"transfer-encoding: chunked, identity\r\n\r\n" + BODY,
    "xchunked": HEAD + b"transfer-encoding: xchunked\r\n\r\n" + BODY,
    "two codings": HEAD + b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n" + BODY,
    "quoted coding": HEAD + b'transfer-encoding: "chunked"\r\n\r\n' + BODY,
    "vertical tab": HEAD + b"transfer-encoding: \x0bchunked\r\n\r\n" + BODY,
    "chunks in HTTP/1.0": b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n" + BODY,
    "two hosts": HEAD + b"host: y\r\n\r\n",
    "two keys": HEAD + b"authorization: Bearer a\r\nauthorization: Bearer b\r\n\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "target without a slash": b"GET healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    "target of another scheme": b"GET ftp://x/healthz HTTP/1.1\r\nhost: x\r\n\r\n",
    "space in the target": b"GET /a b HTTP/1.1\r\nhost: x\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n",
    "unknown method": b"BREW / HTTP/1.1\r\nhost: x\r\n\r\n",
    "lower-case method": b"get / HTTP/1.1\r\nhost: x\r\n\r\n",
    "another protocol": b"PLAY / RTSP/1.0\r\nhost: x\r\n\r\n",
    "tunnel": b"CONNECT y:443 HTTP/1.1\r\nhost: x\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}
SIZES = (b"0x3", b"+3", b"-3", b" 3", b"3 ", b"3_0", b"g", b"", b"fffffffffffffffff", b"\xef\xbc\x93", b"3\n")
MALFORMED |= {
    f"chunk size {size!r}": HEAD + b"transfer-encoding: chunked\r\n\r\n%b\r\nabc\r\n0\r\n\r\n" % size
    for size in SIZES
}
MALFORMED["chunk longer than its size"] = HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"
SMUGGLED = b"GET /v1/models/smuggled HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.mark.parametrize("name", MALFORMED)
def test_what_could_be_read_in_two_ways_is_refused_and_the_connection_ends(door: Door, name: str) -> None:
    data = MALFORMED[name].replace(b"host: x\r\n", f"host: x\r\nx-api-key: {door.key}\r\n".encode(), 1)
    with door.connect() as wire:
        wire.send(data + SMUGGLED)
        wire.send(b"\r\n\r\n")  # where more is waited for, this is not it
        answer = wire.message()
        assert answer.status in (400, 501)  # 501: a transfer coding that is not known here
        assert answer.headers["connection"] == "close"
        assert CALL_ID.fullmatch(answer.headers["x-weir-call"])
        assert answer.error["type"] == "invalid_request_error"
        assert wire.at_end()  # above all, no answer to what was smuggled


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (HEAD + b"transfer-encoding: gzip, chunked\r\n\r\n" + BODY, 501),
        (HEAD + b"content-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc", 415),
        (b"GET /healthz\r\n\r\n", 505),
        (b"GET /healthz HTTP/2.0\r\nhost: x\r\n\r\n", 505),
        (b"GET /healthz?%b HTTP/1.1\r\nhost: x\r\n\r\n" % (b"q" * 9_000), 414),
        (HEAD + b"x-a: %b\r\n\r\n" % (b"b" * 70_000), 431),
        (HEAD + b"x-a: b\r\n" * 200 + b"\r\n", 431),
        (HEAD + b"content-length: 100001\r\n\r\n", 413),
        (HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunked(b"x" * 60_000) * 2, 413),
    ],
)
def test_what_is_beyond_a_bound_has_its_own_status(door: Door, data: bytes, status: int) -> None:
    data = data.replace(b"host: x\r\n", f"host: x\r\nx-api-key: {door.key}\r\n".encode(), 1)
    with door.connect() as wire:
        wire.send(data)
        assert wire.message().status == status
        assert wire.at_end()


@pytest.mark.parametrize("endless", [b"x-a: ", b"/" * 10, b"x-a: b\r\n" * 9])
def test_a_head_without_an_end_is_refused_before_it_ends(door: Door, endless: bytes) -> None:
    with door.connect() as wire:
        wire.send(b"GET " + endless if endless.startswith(b"/") else HEAD + endless)
        filler = endless if b"\n" in endless else b"b"
        with contextlib.suppress(OSError):  # the refusal has been sent, and the rest is of no interest
            for _ in range(40):
                wire.send(filler * (65_536 // len(filler)))
        assert wire.message().status in (431, 414)


def test_trailers_and_extensions_without_an_end_are_refused(door: Door) -> None:
    for endless in (b"3;", b"3\r\nabc\r\n0\r\nx-a: "):
        with door.connect() as wire:
            wire.send(door.head("POST", "/v1/chat/completions", "transfer-encoding: chunked") + endless)
            with contextlib.suppress(OSError):
                for _ in range(40):
                    wire.send(b"b" * 65_536)
            assert wire.message().status == 431


def test_an_absolute_target_is_its_path_however_it_is_cut(door: Door) -> None:
    request = door.head("GET", "http://other.example:80/v1/models/m?a=b?c")
    for cut in range(4, 40, 3):
        with door.connect() as wire:
            wire.send(request[:cut])
            wire.send(request[cut:])
            assert wire.message().status == 200


# --- what is passed on


def test_headers_pass_by_a_list_and_never_the_clients_key(door: Door, upstream: RawUpstream) -> None:
    sent = (
        "user-agent: Agent/1",
        "x-session-id: s",
        "traceparent: 00-1",
        "cookie: secret=1",
        "x-forwarded-for: 10.0.0.1",
        "forwarded: for=10.0.0.1",
        "proxy-authorization: Basic c2VjcmV0",
        "keep-alive: timeout=5",
        "te: trailers",
        "session-id: for this hop",
        "connection: keep-alive, session-id",
    )
    assert door.ask(door.chat(*sent)).status == 200
    head = upstream.arrived[-1].request
    assert head.headers == {
        "host": f"127.0.0.1:{upstream.port}",
        "authorization": "Bearer sk-upstream",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "Agent/1",
        "x-session-id": "s",
        "traceparent": "00-1",
        "content-length": head.headers["content-length"],
    }
    assert door.key.encode() not in head.raw_head


def test_only_listed_headers_of_the_answer_come_back(door: Door, upstream: RawUpstream) -> None:
    lines = (
        "x-request-id: abc\r\nretry-after: 3\r\nset-cookie: a=b\r\nserver: engine\r\nx-ratelimit-limit-requests: 7\r\n"
        "request-id: hop\r\nconnection: request-id\r\nstrict-transport-security: max-age=1\r\nlocation: /x\r\n"
    )
    upstream.plays(answers(http_answer(lines=lines)))
    found = door.ask(door.chat()).headers
    assert (found["x-request-id"], found["retry-after"], found["x-ratelimit-limit-requests"]) == (
        "abc",
        "3",
        "7",
    )
    assert not found.keys() & {"set-cookie", "server", "request-id", "strict-transport-security", "location"}


# --- refusals


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/chat/completions", 405, "method_not_allowed"),
        ("POST", "/v1/models", 405, "method_not_allowed"),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
        ("GET", "/", 200, ""),
        ("GET", "/v1", 200, ""),
        ("POST", "/", 405, "method_not_allowed"),
        ("GET", "/index.html", 404, "not_found"),
        ("GET", "/v1/../etc/passwd", 404, "not_found"),
        ("GET", "/v1/models/mm", 404, "model_not_found"),
        ("GET", "/v1/models/raw%2Fm", 200, ""),
    ],
)
def test_paths_and_methods(door: Door, method: str, path: str, status: int, code: str) -> None:
    answer = door.ask(door.head(method, path, "content-length: 0"))
    assert answer.status == status
    assert CALL_ID.fullmatch(answer.headers["x-weir-call"])
    if status == 405:
        assert "OPTIONS" in answer.headers["allow"]
    if code:
        assert answer.error["code"] == code


@pytest.mark.parametrize(
    "key",
    [
        b"Bearer " + b"k" * 60_000,
        b"Bearer hostile'; DROP TABLE keys; --",
        b"Bearer hostile\xff\xfe",
        b"Bearer ",
        b"Bearer",
        b"Basic aG9zdGlsZTpob3N0aWxl",
        b"hostile",
    ],
)
def test_hostile_keys_are_refused(door: Door, key: bytes) -> None:
    answer = door.ask(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: %b\r\n\r\n" % key)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert b"hostile" not in answer.body


def test_a_key_of_ten_megabytes_is_refused_unread(door: Door) -> None:
    with door.connect() as wire:
        with contextlib.suppress(OSError):
            wire.send(b"GET /v1/models HTTP/1.1\r\nhost: x\r\nauthorization: Bearer " + b"k" * 10_000_000)
        assert wire.message().status == 431


def test_the_scheme_of_a_key_has_no_case(door: Door) -> None:
    for line in (f"authorization: BEARER {door.key}", f"x-api-key: {door.key}"):
        assert door.ask(f"GET /v1/models HTTP/1.1\r\nhost: x\r\n{line}\r\n\r\n".encode()).status == 200


NESTED = b'{"model":"m","messages":' + b"[" * 40_000 + b"]" * 40_000 + b"}"
BODIES = {
    "nothing": (b"", 400, "JSON"),
    "byte order mark": (b'\xef\xbb\xbf{"model":"m","messages":[]}', 400, "byte 0"),
    "UTF-16": ('{"model":"m","messages":[]}'.encode("utf-16"), 400, "byte 0"),
    "not UTF-8": (b'{"model":"\xff","messages":[]}', 400, "UTF-8"),
    "not UTF-8 in a message": (b'{"model":"m","messages":["\xff"]}', 400, "byte 26"),
    "surrogate alone": (b'{"model":"\\ud800","messages":[]}', 400, "surrogate"),
    "surrogate alone in a message": (b'{"model":"m","messages":["\\ud800"]}', 400, "JSON"),
    "deep": (NESTED, 400, "deep"),
    "cut off": (b'{"model":"m","messages":[', 400, "JSON"),
    "more than one value": (b'{"model":"m","messages":[]}{}', 400, "byte 28"),
    "NaN": (b'{"model":"m","messages":[NaN]}', 400, "byte 25"),
    "control character": (b'{"model":"m","messages":["\x01"]}', 400, "byte 26"),
    "comma at the end": (b'{"model":"m","messages":[],}', 400, "byte 27"),
    "a list": (b"[]", 400, "object"),
    "null": (b"null", 400, "object"),
    "infinite number": (b'{"model":"m","messages":[],"max_tokens":1e999}', 422, "max_tokens"),
    "very long number": (b'{"model":"m","messages":[],"n":%b}' % (b"9" * 5000), 422, "`$.n`"),
    "a form": (b"model=m&messages=hello", 400, "byte 0"),
}


@pytest.mark.parametrize("name", BODIES)
def test_a_body_that_is_no_request_is_told_where(door: Door, name: str) -> None:
    body, status, word = BODIES[name]
    answer = door.ask(door.post(body))
    assert answer.status == status
    assert word in answer.error["message"]


def test_of_a_name_that_stands_twice_the_upstream_gets_what_was_read(
    door: Door, upstream: RawUpstream
) -> None:
    body = b'{"model":"none","model":"m","messages":[],"max_completion_tokens":9,"max_completion_tokens":5}'
    assert door.ask(door.post(body)).status == 200
    got = upstream.arrived[-1].request.body
    assert got.count(b"max_completion_tokens") == got.count(b'"model"') == 1
    assert json.loads(got)["max_completion_tokens"] == 5
