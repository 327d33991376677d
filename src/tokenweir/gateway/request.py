"""What a request's head says, and what is wrong with it. Decisions only: bytes in, a Request or a Problem out."""

import re
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from tokenweir.gateway.config import Limits
from tokenweir.ledger.terms import KeyRecord
from tokenweir.protocol import problems
from tokenweir.protocol.asking import HEADERS as OF_AGENTS
from tokenweir.protocol.http import FORWARDED_TO_UPSTREAM, connection_names
from tokenweir.protocol.problems import Problem

#: Headers that may stand once. Two of them leave open which one counts, and different servers choose differently.
_ONCE = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"origin",
        b"transfer-encoding",
        b"upgrade",
        b"x-api-key",
    }
)
#: What Anthropic's clients send; which of it goes upstream is decided host by host.
ANTHROPIC = frozenset({b"anthropic-beta", b"anthropic-version"})
#: What the control process is told of a request's head.
PASSED_ON = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"accept-language",
        b"authorization",
        b"content-type",
        b"cookie",
        b"host",
        b"if-none-match",
        b"last-event-id",
        b"origin",
        b"x-forwarded-for",
        b"x-forwarded-proto",
    }
)
#: All that is kept of a head; the rest is read and dropped.
KEPT = _ONCE | FORWARDED_TO_UPSTREAM | ANTHROPIC | PASSED_ON | OF_AGENTS | {b"connection"}
#: Values of Connection that name no header; any other is looked into.
_ONLY_THIS_HOP = frozenset({b"", b"close", b"keep-alive", b"Keep-Alive"})
_VERSIONS = ("1.1", "1.0")
_LENGTH = re.compile(rb"\r\n(?i:content-length):[ \t]*([0-9]{1,19})[ \t]*(?=\r\n)")
_MOST_DIGITS = 19
#: llhttp also knows those of WebDAV, RTSP and others.
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})


class Request(msgspec.Struct, eq=False):
    """One request, complete once it is handed on. Only the headers that anything here uses are kept."""

    method: str = ""
    target: bytes = b""  # as it came, perhaps in pieces
    path: bytes = b""
    version: str = "1.1"
    headers: dict[bytes, bytes] = {}  # names in lower case
    repeated: bytes = b""  # a header that may stand once and stood twice
    expects_continue: bool = False
    upgrade: bool = False
    keep_alive: bool = True
    forwarded: bytes = b""  # header lines that travel upstream
    digest: bytes = b""  # SHA-256 of the key that the client presents, once it was asked for
    length: int = 0  # bytes of the body as the head says; 0 where it does not
    parts: list[bytes] = []  # of the body, as they came
    size: int = 0  # bytes of the body so far
    body: bytes = b""
    max_body_bytes: int = 0  # set once the head is read
    refusal: Problem | None = None  # decided before the body was read
    key: KeyRecord | None = None  # set by the service's screening

    def repeat_header(self, name: bytes, value: bytes) -> None:
        """A header of KEPT (lower-case name) that is there already."""
        if name in _ONCE:
            self.repeated = name
        else:
            self.headers[name] += b", " + value

    @property
    def origin(self) -> bytes:
        """The page that asks, where a browser does."""
        return self.headers.get(b"origin", b"")

    @property
    def secret(self) -> bytes:
        """The key that the client presents, or nothing."""
        authorization = self.headers.get(b"authorization")
        if authorization is None:
            return self.headers.get(b"x-api-key", b"").strip()
        scheme, _, secret = authorization.partition(b" ")
        return secret.strip() if scheme.lower() == b"bearer" else b""

    @property
    def is_anthropic(self) -> bool:
        """Whether the client speaks to what it takes for Anthropic's API."""
        return b"anthropic-version" in self.headers

    @property
    def anthropic_headers(self) -> list[tuple[bytes, bytes]]:
        """Those of Anthropic's own."""
        return [(name, self.headers[name]) for name in ANTHROPIC if name in self.headers]


class KnownHead(NamedTuple):
    """A head that was read before. Bytes that begin with it, but for the number of its Content-Length, say the same again."""

    before: bytes  # the head up to that number …
    after: bytes  # … and from there on
    request: Request  # as it was read, without a body

    def again(self, data: bytes) -> Request | None:
        """The request that `data` is as a whole and no more; None: it has to be read."""
        if not data.startswith(self.before):
            return None
        begin = len(self.before)
        end = data.find(b"\r", begin, begin + _MOST_DIGITS + 1)
        number = data[begin:end]
        if end < 0 or not number.isdigit() or not data.startswith(self.after, end):
            return None
        body = data[end + len(self.after) :]
        if len(body) != int(number) or len(body) > self.request.max_body_bytes:
            return None
        return replace(self.request, body=body, size=len(body))


def known_head(data: bytes, request: Request) -> KnownHead | None:
    """What to know the like of `request` by, where `data` is the whole of it and nothing is special about it."""
    end = data.find(b"\r\n\r\n")
    plain = request.version == "1.1" and request.key is not None and not (request.upgrade or request.refusal)
    whole = request.size == request.length == len(data) - end - 4 > 0
    if not (plain and whole) or b"expect" in request.headers or not data.startswith(request.method.encode()):
        return None
    number = _LENGTH.search(data, 0, end + 2)
    if number is None:
        return None
    like = replace(request, body=b"", key=None, parts=[])
    return KnownHead(data[: number.start(1)], data[number.end(1) : end + 4], like)


def finish_head(request: Request, limits: Limits) -> Problem | None:
    """Reads what the collected head says; what is wrong with it, or None.

    llhttp has already refused what is no HTTP: bare line breaks, folded lines, control characters, several or signed
    lengths, a length beside chunks, codings that do not end in chunks. Here is what it lets pass.
    """
    headers = request.headers
    path = path_of(request.target)
    request.path, request.expects_continue = path or b"*", False
    request.max_body_bytes = limits.max_body_bytes
    if request.version not in _VERSIONS:
        return problems.http_version(request.version)
    if request.method not in _METHODS:
        return problems.bad_request(f"The method {request.method} has no use here.")
    if request.repeated:
        return problems.bad_request(
            f"The header {request.repeated.decode('latin-1')!r} stands more than once."
        )
    if b"host" not in headers and request.version == "1.1":
        return problems.bad_request("The request has no Host header.")
    if path is None and request.method != "OPTIONS":
        return problems.bad_request("The request's target must be a path, or an http address with a path.")
    coding = headers.get(b"transfer-encoding")
    if coding is not None:
        if request.version != "1.1":
            return problems.bad_request("Transfer-Encoding is not part of HTTP/1.0.")
        if coding.strip().lower() != b"chunked":
            return problems.unknown_transfer_coding()
    request.length = int(headers.get(b"content-length", b"0"))
    if request.length > limits.max_body_bytes:
        return problems.body_too_large(limits.max_body_bytes)
    if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
        return problems.encoded_body()
    if request.upgrade and headers.get(b"upgrade", b"").strip().lower() == b"websocket":
        return problems.no_websocket()
    request.expects_continue = (
        headers.get(b"expect", b"").lower() == b"100-continue" and request.version == "1.1"
    )
    request.forwarded = _forwarded(headers)
    return None


def _forwarded(headers: dict[bytes, bytes]) -> bytes:
    """The header lines that travel upstream; those that `Connection` names are for this hop alone."""
    connection = headers.get(b"connection", b"")
    hop = () if connection in _ONLY_THIS_HOP else connection_names(connection)
    return b"".join(
        [
            b"%b: %b\r\n" % (name, headers[name])
            for name in headers
            if name in FORWARDED_TO_UPSTREAM and name not in hop
        ]
    )


def path_of(target: bytes) -> bytes | None:
    """The path of a target without its query. RFC 9112 section 3.2.2: absolute addresses must be understood."""
    if not target.startswith(b"/"):
        scheme, found, rest = target.partition(b"://")
        if not found or scheme.lower() not in (b"http", b"https"):
            return None
        target = b"/" + rest.partition(b"?")[0].partition(b"/")[2]
    return target.partition(b"?")[0]
