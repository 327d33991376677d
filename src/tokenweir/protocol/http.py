"""HTTP/1.1 messages as bytes: heads built once where they can be, headers passed on by a table."""

from collections.abc import Iterable
from functools import lru_cache
from http import HTTPStatus

#: Headers of a client that travel upstream. A list of what may, since hosts reject what they do not know, and
#: cookies, credentials and addresses of the client are nobody's business. The client's own User-Agent goes along: some
#: coding plans admit known clients only.
FORWARDED_TO_UPSTREAM = frozenset(
    {
        b"accept",
        b"idempotency-key",
        b"session-id",
        b"thread-id",
        b"traceparent",
        b"tracestate",
        b"user-agent",
        b"x-session-affinity",
        b"x-session-id",
    }
)

#: Headers of an upstream's answer that travel to the client, by name and by prefix.
FORWARDED_TO_CLIENT = frozenset(
    {
        b"content-type",
        b"openai-processing-ms",
        b"request-id",
        b"retry-after",
        b"retry-after-ms",
        b"x-request-id",
        b"x-should-retry",
    }
)
FORWARDED_TO_CLIENT_PREFIXES = (b"x-ratelimit-", b"anthropic-ratelimit-")

STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("ascii") for status in HTTPStatus
}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
#: One chunk of a chunked body: its length and itself, which must not be empty, since an empty chunk ends the body.
CHUNK = b"%x\r\n%b\r\n"
LAST_CHUNK = b"0\r\n\r\n"


def continue_head() -> bytes:
    """What answers `Expect: 100-continue` once the request's head was accepted."""
    return _CONTINUE


def status_line(status: int) -> bytes:
    """The first line of an answer, for any status an upstream may invent."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d Unknown\r\n" % status


def request_prefix(method: str, target: str, authority: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """The part of an upstream request's head that is the same for every call. Raises ValueError on CR, LF or NUL."""
    lines = [f"{method} {target} HTTP/1.1", f"host: {authority}"]
    lines += [f"{name.lower()}: {value}" for name, value in headers]
    lines += ["content-type: application/json", "accept-encoding: identity"]
    for line in lines:
        if any(c in line for c in "\r\n\0"):
            raise ValueError("a header or an address has a line break in it")
    return ("\r\n".join(lines) + "\r\n").encode("latin-1")


def header_lines(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Headers that came through a parser, as lines."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def header_text(text: str) -> bytes:
    """Text as the value of a header: what cannot stand in one becomes a question mark."""
    return bytes(c if 0x20 <= c < 0x7F else 0x3F for c in text.encode("ascii", "replace"))


@lru_cache(maxsize=1024)
def to_client(name: bytes) -> bool:
    """Whether a header of the upstream's answer (lower-case name) travels on to the client."""
    return name in FORWARDED_TO_CLIENT or name.startswith(FORWARDED_TO_CLIENT_PREFIXES)


def connection_names(value: bytes) -> frozenset[bytes]:
    """The headers that a Connection header names (lower case): they belong to one hop and never travel on."""
    return frozenset(name.strip().lower() for name in value.split(b","))
