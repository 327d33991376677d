"""What every answer of the console tells the browser to allow, and what a request may be believed. Pure."""

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

#: Nothing but our own files; no script or style in a page, nobody's frame around one. Plotly exports pictures by `blob:` and `data:`.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


def is_within(address: str, networks: Iterable[str]) -> bool:
    """Whether an address is one of these, or in one of these networks."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network, strict=False) for network in networks)


def client_address(peer: str, forwarded_for: str, trusted: tuple[str, ...]) -> str:
    """Whom a request comes from: the last address of `X-Forwarded-For` that is not itself a trusted proxy, where the peer is one."""
    chain = [*(part.strip() for part in forwarded_for.split(",") if part.strip()), peer]
    while len(chain) > 1 and is_within(chain[-1], trusted):
        chain.pop()
    return chain[-1]


def is_behind_tls(peer: str, forwarded_proto: str, trusted: tuple[str, ...]) -> bool:
    """Whether the browser speaks TLS to a proxy that may be believed."""
    last = forwarded_proto.rpartition(",")[2].strip().lower()
    return last == "https" and is_within(peer, trusted)
