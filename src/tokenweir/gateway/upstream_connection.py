"""One connection to an upstream: a request at a time, its answer read strictly and passed on as it comes."""

import asyncio
import select
import zlib
from enum import Enum
from typing import TYPE_CHECKING, Protocol

import httptools

from tokenweir.gateway.config import UpstreamConfig

if TYPE_CHECKING:
    from tokenweir.gateway.upstream import Upstream

#: An idle connection older than this many ticks is asked whether its peer closed it before it is used again.
SUSPECT_TICKS = 2
IDLE_TICKS_MAX = 240
#: A reused connection that ends without a byte of answer within so many ticks of its request had been closed by its
#: peer while it was idle, and the request crossed the close on its way. One that ends later may have been at work.
STALE_TICKS = 4
HIGH_WATER_BYTES = 256 * 1024
#: Of an answer's head, its trailers and the extensions of a chunk: what the parser keeps without telling.
MAX_UNSEEN_BYTES = 256 * 1024
#: Unpacked at a time, since a few bytes may unpack to very many.
INFLATED_PIECE_BYTES = 1024 * 1024
#: What `Accept-Encoding: identity` did not keep an upstream from sending. 32 + 15: gzip or zlib, told apart by their heads.
_GZIP_OR_ZLIB = 47
#: What is told of a defect of ours: the call ends all the same, and the event loop reports it.
_OURS = "its answer could not be handled"
_OF_THE_BODY = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})
_INFLATED = frozenset({b"gzip", b"x-gzip", b"deflate"})


class Fault(Enum):
    """Why an attempt got no whole answer."""

    CONNECT = "could not be connected to"
    CONNECT_TIMEOUT = "took too long to connect"
    BUSY = "has no free connection"
    BROKE = "closed the connection"
    TIMEOUT = "took too long to answer"
    STALLED = "stopped in the middle of its answer"
    MALFORMED = "did not answer in HTTP"


class AnswerSink(Protocol):
    """Who gets the answer: an attempt of a call."""

    @property
    def joins(self) -> bool:
        """Whether pieces of the body that came together may be told as one: not where each decides what becomes of the next."""
        ...

    def connected(self, connection: "UpstreamConnection") -> None:
        """A connection is there: send. Called again where it turns out to have been closed by its peer before."""
        ...

    def answer_head(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        """The answer's status and headers (lower-case names)."""
        ...

    def answer_data(self, data: bytes) -> None:
        """Some bytes of the answer's body."""
        ...

    def answer_end(self) -> None:
        """The answer is whole."""
        ...

    def answer_fault(self, fault: Fault, detail: str) -> None:
        """There will be no more; `detail` is in words and holds no secret."""
        ...


class UpstreamConnection(asyncio.Protocol):
    """One HTTP/1.1 connection: one request at a time."""

    def __init__(self, owner: "Upstream") -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._sink: AnswerSink | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._status = 0  # of the answer under way, once it is final
        self._framed = False  # the body's end is known from its head
        self._pieces: list[bytes] = []  # of the body, from the bytes that the parser is given
        self._began = False  # some of the body has come
        self._whole = False  # the answer has ended; what is left to do is done once the parser returns
        self._reusable = False
        self._defect = ""  # what is wrong with the answer, though llhttp takes it
        self._unseen = 0  # bytes since the parser last gave some of a body
        self._inflate: zlib._Decompress | None = None
        self._paused = False
        self._requests = 0
        self._got_bytes = False  # since the request was sent
        self.ticks = 0  # since the request, or the last byte of its body, or since it became idle

    # --- used by the upstream and by the attempt

    def send(self, sink: AnswerSink, head: bytes, body: bytes) -> None:
        """Send one request; its answer goes to `sink`."""
        assert self._transport is not None
        self._sink = sink
        self._status = self._unseen = self.ticks = 0
        self._began = self._whole = self._got_bytes = False
        self._requests += 1
        self._transport.writelines((head, body))

    def abandon(self) -> None:
        """Nobody wants the answer any more. Closing is what stops an upstream from generating on."""
        self._sink = None
        if self._transport is not None:
            self._transport.abort()

    def pause(self) -> None:
        """The client reads slower than the upstream writes."""
        if self._sink is not None and self._transport is not None and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """The client has caught up."""
        if self._paused and self._transport is not None and not self._transport.is_closing():
            self._paused = False
            self.ticks = 0
            self._transport.resume_reading()

    def is_stale(self) -> bool:
        """Whether the peer closed, or said something unasked, while this connection was idle."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return True
        if self.ticks < SUSPECT_TICKS:
            return False
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLHUP)
        return bool(poll.poll(0))

    def tick(self, config: UpstreamConfig, ticks_per_s: float) -> None:
        """Called a few times a second: close what has waited too long."""
        if self._paused:
            return  # it is the client that is waited for
        self.ticks += 1
        if self._sink is None:
            if self.ticks > IDLE_TICKS_MAX:
                self.abandon()
            return
        allowed_s = config.between_bytes_timeout_s if self._began else config.first_byte_timeout_s
        if self.ticks > allowed_s * ticks_per_s:
            self._fail(Fault.STALLED if self._began else Fault.TIMEOUT, f"nothing came for {allowed_s:g} s")

    # --- asyncio.Protocol

    # uvloop's transports have the methods of asyncio.Transport without deriving from it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        transport.set_write_buffer_limits(high=HIGH_WATER_BYTES)
        self._owner.connections.add(self)

    def data_received(self, data: bytes) -> None:
        if self._sink is None:  # unasked: nothing good can follow
            self.abandon()
            return
        self._got_bytes = True
        self._unseen += len(data)
        try:
            self._parser.feed_data(data)
            pieces = self._pieces
            if len(pieces) == 1 and self._sink is not None:  # nearly every one
                self._sink.answer_data(pieces.pop())
            elif pieces:
                self._hand_on()
        except httptools.HttpParserUpgrade:
            self._defect = "it switched protocols unasked"
        except httptools.HttpParserError as error:
            if isinstance(error, httptools.HttpParserCallbackError):
                self._fail(Fault.MALFORMED, _OURS)
                raise (error.__context__ or error) from None
            if self._whole:
                self._reusable = False
            else:
                self._defect = str(error)
            self._hand_on()
        except Exception:
            self._fail(Fault.MALFORMED, _OURS)
            raise
        if self._whole:
            self._finish()
        elif self._defect:
            self._fail(Fault.MALFORMED, self._defect)
        elif self._unseen > MAX_UNSEEN_BYTES:
            self._fail(Fault.MALFORMED, f"more than {MAX_UNSEEN_BYTES} bytes of headers")

    def _hand_on(self) -> None:
        """What one read brought of a body, at once where that may be: each piece would be a write to the client."""
        pieces, self._pieces = self._pieces, []
        if len(pieces) > 1 and self._sink is not None and self._sink.joins:
            pieces = [b"".join(pieces)]
        for piece in pieces:
            if self._sink is not None:  # else whoever takes it in has had enough
                self._sink.answer_data(piece)

    def eof_received(self) -> bool:
        if self._sink is not None and self._status and not self._framed:
            self._reusable = False
            self._finish()  # a body that ends with its connection
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._owner.connections.discard(self)
        sink, self._sink = self._sink, None
        stale = self._requests > 1 and not self._got_bytes and self.ticks <= STALE_TICKS
        self._owner.lost(self)
        if sink is None:
            return
        if stale:
            self._owner.acquire(sink, fresh=True)
        else:
            how = "it closed the connection" if exc is None else "the connection was reset"
            sink.answer_fault(Fault.BROKE, f"{how} {self._progress()}")

    def _progress(self) -> str:
        if self._began:
            return "in the middle of its answer"
        return "before its answer was whole" if self._got_bytes else "before it answered"

    # --- httptools

    def on_message_begin(self) -> None:
        if self._whole:
            self._reusable = False  # bytes beyond the answer: the next one could not be told from them

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._status:  # else it is a trailer
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        status: int = self._parser.get_status_code()
        headers, self._headers = self._headers, []
        if self._whole or 100 <= status < 200:
            return
        self._status = status
        if status < 100:
            self._defect = f"{status} is no status"
        self._framed = status in (204, 304)
        self._inflate = None
        for name, value in headers:
            if name not in _OF_THE_BODY:
                continue
            if name == b"content-encoding":
                if self._owner.config.unpacks:
                    self._decode(value.strip().lower())
                continue
            self._framed = True
            if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
                self._defect = "it uses a transfer coding that nobody asked for"
        if self._sink is not None and not self._defect:
            self._sink.answer_head(status, headers)

    def on_body(self, data: bytes) -> None:
        self._unseen = self.ticks = 0
        if self._sink is None or self._defect or self._whole:
            return
        self._began = True
        if self._inflate is None:
            self._pieces.append(data)
        else:
            self._unpack(self._inflate, data)

    def on_message_complete(self) -> None:
        if not self._status or self._whole or self._defect:
            return  # of an informational answer, or of one that is not believed
        if self._inflate is not None and not self._inflate.eof and self._began:
            self._defect = "its compressed answer has no end"
            return
        unsent = 0 if self._transport is None else self._transport.get_write_buffer_size()
        self._whole = True
        self._reusable = self._parser.should_keep_alive() and not unsent

    def _decode(self, coding: bytes) -> None:
        if coding in _INFLATED:
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        elif coding not in (b"", b"identity"):
            self._defect = "it compressed its answer, which was not asked for"

    def _unpack(self, inflate: "zlib._Decompress", data: bytes) -> None:
        try:
            while data and self._sink is not None:  # whoever takes it in may have had enough
                piece = inflate.decompress(data, INFLATED_PIECE_BYTES)
                if piece:
                    self._sink.answer_data(piece)
                data = inflate.unconsumed_tail
        except zlib.error as error:
            self._defect = str(error)

    # --- ends

    def _finish(self) -> None:
        sink, self._sink = self._sink, None
        self._status = self.ticks = 0
        if sink is None:
            return
        if self._reusable:
            self.resume()  # a slow client may have held it back with the last bytes
            self._owner.release(self)
        elif self._transport is not None:
            self._transport.close()
        sink.answer_end()

    def _fail(self, fault: Fault, detail: str) -> None:
        sink, self._sink = self._sink, None
        if self._transport is not None:
            self._transport.abort()
        if sink is not None:
            sink.answer_fault(fault, detail)
