"""Arbitrary bytes, cut anywhere, at both ends of the gateway: always an answer or a close, the same wherever it is cut."""

import asyncio
import gzip
import itertools
from collections.abc import Callable
from typing import cast

import httptools
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.gateway.answering import Exchange
from tokenweir.gateway.config import Limits, UpstreamConfig
from tokenweir.gateway.inbound import ClientConnection
from tokenweir.gateway.request import Request
from tokenweir.gateway.upstream import Upstream
from tokenweir.gateway.upstream_connection import (
    INFLATED_PIECE_BYTES,
    AnswerSink,
    Fault,
    UpstreamConnection,
)
from tokenweir.ledger.terms import KeyRecord
from tokenweir.protocol.http import CHUNK
from tokenweir.protocol.problems import Problem, unauthorized

KEY = KeyRecord("k", "k", "team", b"", "k", 0)


class Transport:
    """Takes everything at once, and remembers it."""

    def __init__(self) -> None:
        self.written = b""
        self.paused = False
        self.closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, pieces: tuple[bytes, ...]) -> None:
        self.written += b"".join(pieces)

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False

    def write_eof(self) -> None:
        self.closed = True

    abort = close = write_eof

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def set_write_buffer_limits(self, high: int) -> None:
        assert high > 0


class Service:
    """Answers a request with what was understood of it, at once or when it is told to."""

    def __init__(self, *, later: bool) -> None:
        self.limits = Limits(max_header_bytes=2_000, max_headers=10, max_target_bytes=300, max_body_bytes=500)
        self.date_line = b""
        self.draining = False
        self.ticks_per_s = 4.0
        self.connections: set[ClientConnection] = set()
        self.later = later
        self.pending: list[Callable[[], None]] = []

    def screen(self, request: Request) -> Problem | None:
        request.key = KEY
        return unauthorized() if request.path == b"/refused" else None

    def serve(self, request: Request, client: ClientConnection) -> Exchange | None:
        told = b"%b|%b|%b" % (request.method.encode(), request.path, request.forwarded)

        def answer() -> None:
            if request.path == b"/stream":
                client.begin(200, b"")
                client.stream(told)
                client.end(request.body)
            else:
                client.answer(200, b"", told + b"|" + request.body)

        if self.later:
            self.pending.append(answer)
        else:
            answer()
        return None

    def lines(self, request: Request) -> bytes:
        return b""


class Answers:
    """What a strict parser makes of the bytes of some answers. Raises httptools.HttpParserError."""

    def __init__(self, data: bytes) -> None:
        self.whole: list[tuple[int, bytes]] = []
        self._body = b""
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self._body += data

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status != 100:
            self.whole.append((status, self._body))
        self._body = b""


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in itertools.pairwise(places)]


def answers_to(data: bytes, cuts: list[int], *, later: bool = False) -> tuple[list[tuple[int, bytes]], bool]:
    """Statuses and bodies, and whether the connection was closed by the gateway."""
    service, transport = Service(later=later), Transport()
    connection = ClientConnection(service)
    connection.connection_made(cast(asyncio.Transport, transport))
    for piece in pieces(data, cuts):
        while transport.paused and service.pending:
            service.pending.pop(0)()
        connection.data_received(piece)
    while service.pending:
        service.pending.pop(0)()
    for _ in range(4 * 400):
        connection.tick()  # whatever it waits for comes to an end
    closed = transport.closed
    connection.connection_lost(None)
    assert not service.connections
    return Answers(transport.written).whole, closed


PATHS = st.sampled_from([b"/", b"/stream", b"/refused", b"http://h/a?b", b"/a?b=/c", b"*"])
FIELDS = st.sampled_from(
    [
        b"User-Agent: x",
        b"x-session-id: a",
        b"Connection: x-session-id",
        b"connection: close",
        b"expect: 100-continue",
        b"x-long: " + b"y" * 500,
        b"accept: a\tb",
        b"connection: upgrade\r\nupgrade: h2c",
    ]
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is in order, though it may be refused."""
    method = draw(st.sampled_from([b"GET", b"POST", b"OPTIONS", b"HEAD"]))
    path = draw(PATHS.filter(lambda p: p != b"*" or method == b"OPTIONS"))
    lines = [b"%b %b HTTP/1.1" % (method, path), b"host: h", *draw(st.lists(FIELDS, max_size=3))]
    body = draw(st.binary(max_size=40))
    if draw(st.booleans()):
        lines.append(b"content-length: %d" % len(body))
        sent = body
    else:
        lines.append(b"transfer-encoding: chunked")
        sizes = draw(st.lists(st.integers(1, 20), max_size=4))
        parts, rest = [], body
        for size in sizes:
            if rest:
                parts.append(b"%x;e=1\r\n%b\r\n" % (len(rest[:size]), rest[:size]))
                rest = rest[size:]
        if rest:
            parts.append(b"%x\r\n%b\r\n" % (len(rest), rest))
        sent = b"".join(parts) + b"0\r\n" + draw(st.sampled_from([b"", b"x-t: late\r\n"])) + b"\r\n"
    return b"\r\n".join(lines) + b"\r\n\r\n" + sent


PIPELINES = st.lists(requests(), min_size=1, max_size=6).map(b"".join)
CUTS = st.lists(st.integers(0, 10_000), max_size=8)
TOKENS = st.sampled_from(
    [b"\r\n", b"\n", b"\r", b"\0", b" ", b":", b"0\r\n\r\n", b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n",
     b"GET / HTTP/1.1\r\nhost: h\r\n\r\n", b"\xff", b",", b";", b"HTTP/1.0"]
)  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Bytes that were in order before some were put in, taken out or changed."""
    data = draw(whole)
    for _ in range(draw(st.integers(1, 4))):
        at, length = draw(st.integers(0, len(data))), draw(st.integers(0, 12))
        data = data[:at] + draw(st.one_of(TOKENS, st.binary(max_size=6))) + data[at + length :]
    return data


@given(data=PIPELINES, cuts=CUTS, more_cuts=CUTS)
def test_a_pipeline_has_the_same_answers_wherever_it_is_cut(
    data: bytes, cuts: list[int], more_cuts: list[int]
) -> None:
    whole = answers_to(data.replace(b"HEAD", b"GET"), [])
    assert whole[0]
    assert whole == answers_to(data.replace(b"HEAD", b"GET"), cuts)
    assert whole[0] == answers_to(data.replace(b"HEAD", b"GET"), more_cuts, later=True)[0]


@given(data=st.one_of(damaged(PIPELINES), st.binary(max_size=300)), cuts=CUTS)
def test_damaged_requests_get_an_answer_or_a_close_wherever_they_are_cut(
    data: bytes, cuts: list[int]
) -> None:
    data = data.replace(b"HEAD", b"GET")  # the answer to HEAD cannot be read without knowing that it is one
    found, closed = answers_to(data, [])
    assert (found, closed) == answers_to(data, cuts)
    assert closed  # after the idle time at the latest
    assert all(
        status in (200, 204, 400, 401, 405, 408, 413, 414, 415, 426, 431, 501, 505) for status, _ in found
    )


@given(first=requests(), rest=st.lists(st.one_of(requests(), st.just(b"")), max_size=4), later=st.booleans())
def test_a_head_that_is_known_says_what_a_parser_reads_in_it(
    first: bytes, rest: list[bytes], later: bool
) -> None:
    """Each request comes as a piece of its own; an empty one stands for the one before it."""
    sent = [first]
    sent += [request or sent[-1] for request in rest]
    cuts = list(itertools.accumulate(map(len, sent)))
    data = b"".join(sent).replace(b"HEAD", b"POST")
    assert answers_to(data, cuts, later=later) == answers_to(data, [], later=later)


LIKE = b"POST /a HTTP/1.1\r\nhost: h\r\nContent-Length: %b\r\naccept: x\r\n\r\n%b"


@given(
    number=st.sampled_from([b"3", b"03", b"+3", b"3 ", b"0x3", b"3,3", b"", b"2", b"4", b"-3", b"9" * 30]),
    body=st.binary(max_size=9),
)
def test_what_differs_from_a_known_head_in_more_than_its_length_is_read_anew(
    number: bytes, body: bytes
) -> None:
    known, like = LIKE % (b"5", b"hello"), LIKE % (number, body)
    assert answers_to(known + like, [len(known)])[0][1:] == answers_to(like, [])[0]


def test_a_head_that_is_known_is_not_read_again() -> None:
    transport = Transport()
    connection = ClientConnection(Service(later=False))
    connection.connection_made(cast(asyncio.Transport, transport))
    connection.data_received(LIKE % (b"5", b"hello"))
    del connection._parser
    connection.data_received(LIKE % (b"11", b"hello again"))
    assert [body for _, body in Answers(transport.written).whole] == [
        b"POST|/a|accept: x\r\n|hello",
        b"POST|/a|accept: x\r\n|hello again",
    ]


class Sink(AnswerSink):
    """Notes what an attempt is told."""

    joins = True

    def __init__(self) -> None:
        self.told: list[object] = []
        self.body = b""

    def connected(self, connection: UpstreamConnection) -> None:
        self.told.append("again")

    def answer_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.told.append((status, tuple(headers)))

    def answer_data(self, data: bytes) -> None:
        assert data
        self.body += data

    def answer_end(self) -> None:
        self.told.append("end")

    def answer_fault(self, fault: Fault, detail: str) -> None:
        self.told.append(fault)


class Owner:
    """In place of the pool."""

    def __init__(self) -> None:
        self.connections: set[UpstreamConnection] = set()
        self.config = UpstreamConfig(name="u", kind="openai", scheme="http", host="h", port=1, path="")
        self.released = 0

    def release(self, connection: UpstreamConnection) -> None:
        self.released += 1

    def lost(self, connection: UpstreamConnection) -> None:
        pass


def heard(data: bytes, cuts: list[int]) -> tuple[list[object], bytes, bool]:
    """What an attempt hears of an answer of these bytes, and whether the connection may be used again."""
    owner, transport, sink = Owner(), Transport(), Sink()
    connection = UpstreamConnection(cast(Upstream, owner))
    connection.connection_made(cast(asyncio.Transport, transport))
    connection.send(sink, b"POST / HTTP/1.1\r\n\r\n", b"")
    for piece in pieces(data, cuts):
        if not transport.closed:
            connection.data_received(piece)
    if not transport.closed:
        connection.eof_received()
    reusable = owner.released == 1 and not transport.closed
    connection.connection_lost(None)
    return sink.told, sink.body, reusable


ANSWERS = st.sampled_from(
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;a\r\nabc\r\n2\r\nde\r\n0\r\nx: y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"1\r\na\r\n1\r\nb\r\n01\r\nc\r\n1;x\r\nd\r\nA\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end",
        b"HTTP/1.0 200 OK\r\n\r\nuntil the end",
        b"HTTP/1.1 204 None\r\n\r\n",
    ]
)


def chunk(data: bytes) -> bytes:
    return CHUNK % (len(data), data)


def test_chunks_of_one_read_are_handed_on_as_one_piece_where_that_may_be() -> None:
    sink, pieces = Sink(), []
    connection = UpstreamConnection(cast(Upstream, Owner()))
    connection.connection_made(cast(asyncio.Transport, Transport()))
    connection.send(sink, b"", b"")
    sink.answer_data = pieces.append  # type: ignore[method-assign]
    connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"one"))
    connection.data_received(chunk(b"two") + chunk(b"three") + b"4\r\nfo")
    connection.data_received(b"ur\r\n0\r\n\r\n")
    assert pieces == [b"one", b"twothreefo", b"ur"]
    pieces.clear()
    sink.joins = False
    connection.send(sink, b"", b"")
    connection.data_received(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    connection.data_received(chunk(b"two") + chunk(b"three") + b"0\r\n\r\n")
    assert pieces == [b"two", b"three"]
    assert sink.told[-1] == "end"


@given(data=ANSWERS, cuts=CUTS)
def test_an_answer_is_heard_the_same_wherever_it_is_cut(data: bytes, cuts: list[int]) -> None:
    whole = heard(data, [])
    assert whole[0][-1] == "end"
    assert whole == heard(data, cuts)


@given(data=st.one_of(damaged(ANSWERS), st.binary(max_size=200)), cuts=CUTS)
def test_damaged_answers_end_exactly_once(data: bytes, cuts: list[int]) -> None:
    told, body, _ = heard(data, cuts)
    assert [isinstance(what, Fault) or what == "end" for what in told].count(True) == 1
    assert told[-1] == "end" or isinstance(told[-1], Fault)
    assert (told, body) == heard(data, [])[:2]


@given(surplus=st.binary(min_size=1, max_size=40), cuts=CUTS)
def test_a_connection_with_bytes_beyond_its_answer_is_not_used_again(surplus: bytes, cuts: list[int]) -> None:
    data = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi"
    told, body, reusable = heard(data + surplus, cuts)
    assert (told[-1], body) == ("end", b"hi")
    assert not reusable or not surplus.strip(
        b"\r\n"
    )  # line breaks between messages mean nothing (RFC 9112 2.2)


def test_an_answer_that_unpacks_to_very_much_is_unpacked_no_further_than_it_is_wanted() -> None:
    packed = gzip.compress(b"\0" * 50_000_000)
    transport, sink = Transport(), Sink()
    connection = UpstreamConnection(cast(Upstream, Owner()))
    connection.connection_made(cast(asyncio.Transport, transport))

    def enough(data: bytes) -> None:
        sink.body += data
        connection.abandon()

    sink.answer_data = enough  # type: ignore[method-assign]
    connection.send(sink, b"", b"")
    connection.data_received(
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n%b" % (len(packed), packed)
    )
    assert transport.closed
    assert len(sink.body) <= INFLATED_PIECE_BYTES


def test_a_connection_that_was_held_back_by_its_last_bytes_is_read_again_when_it_is_free() -> None:
    owner, transport, sink = Owner(), Transport(), Sink()
    connection = UpstreamConnection(cast(Upstream, owner))
    connection.connection_made(cast(asyncio.Transport, transport))
    sink.answer_data = lambda _data: connection.pause()  # type: ignore[method-assign]
    connection.send(sink, b"", b"")
    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi")
    assert owner.released == 1
    assert not transport.paused
