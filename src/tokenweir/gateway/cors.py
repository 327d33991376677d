"""Cross-origin requests of web pages: which pages may call, by the Fetch standard's CORS protocol."""

#: `*` does not cover Authorization, which is therefore named (Fetch, "CORS non-wildcard request-header name").
_PREFLIGHT = (
    b"access-control-allow-headers: authorization, *\r\n"
    b"access-control-allow-methods: GET, HEAD, POST, DELETE, OPTIONS\r\n"
    b"access-control-max-age: 600\r\n"
)


def cors_lines(allowed: tuple[str, ...], origin: bytes, *, preflight: bool = False) -> bytes:
    """Header lines that let a page of an allowed origin read the answer; none for any other. Keys travel in a header
    and never in a cookie, so credentials are not allowed."""
    if not origin or not ("*" in allowed or origin.decode("latin-1") in allowed):
        return b""
    lines = (
        b"access-control-allow-origin: %b\r\naccess-control-expose-headers: *\r\nvary: origin\r\n" % origin
    )
    return lines + _PREFLIGHT if preflight else lines
