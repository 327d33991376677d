"""One real request to an upstream, step by step: name, connection, TLS, answer, and how long each took."""

import email.utils
import http.client
import socket
import ssl
import time
from collections.abc import Callable
from typing import TypeVar

import certifi
import msgspec

from tokenweir.gateway.config import UpstreamConfig

TIMEOUT_S = 5.0
MAX_BODY_BYTES = 1024 * 1024
T = TypeVar("T")


class Reached(msgspec.Struct, frozen=True):
    """What came of it. `status` is 0 where nothing was answered; then `error` says at which step and why."""

    status: int
    times: str  # "name 2 ms, connection 11 ms, TLS 35 ms, answer 180 ms"
    error: str = ""
    advice: str = ""
    date_s: float | None = None  # the upstream's clock: seconds since 1970


_ADVICE = {
    "name": "check the address, the network and DNS",
    "connection": "start it, or check the address, the firewall and HTTPS_PROXY",
    "TLS": "check its certificate, ca_file, and whether something between opens the traffic",
    "answer": "check that it speaks HTTP there, and its own log",
}


class _Steps:
    """Runs the steps and notes their times; `step` is the one that runs or failed."""

    def __init__(self) -> None:
        self.step = ""
        self.times: list[str] = []

    def run(self, step: str, act: Callable[[], T]) -> T:
        self.step = step
        begun_s = time.monotonic()
        result = act()
        self.times.append(f"{step} {(time.monotonic() - begun_s) * 1000:.0f} ms")
        return result


def reach(upstream: UpstreamConfig) -> Reached:
    """GET its list of models, with its key, as a call would go: through its proxy, with its certificates."""
    steps = _Steps()
    try:
        return _reach(upstream, steps)
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "verify_message", "") or getattr(error, "strerror", "") or str(error)
        timed_out = f"nothing within {TIMEOUT_S:g} s"
        reason = timed_out if isinstance(error, TimeoutError) else why or type(error).__name__
        return Reached(0, ", ".join(steps.times), f"{steps.step}: {reason}", _ADVICE[steps.step])


def _reach(upstream: UpstreamConfig, steps: _Steps) -> Reached:
    host, port = upstream.proxy[:2] if upstream.proxy else (upstream.host, upstream.port)
    steps.run("name", lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    plain = steps.run("connection", lambda: socket.create_connection((host, port), TIMEOUT_S))
    with plain:
        through_tunnel = upstream.proxy is not None and upstream.scheme == "https"
        if upstream.proxy and through_tunnel:
            steps.run("connection", lambda: _tunnel(plain, upstream))
        if upstream.scheme == "http":
            return steps.run("answer", lambda: _ask(plain, upstream, steps))
        context = tls_context(upstream)
        with steps.run("TLS", lambda: context.wrap_socket(plain, server_hostname=upstream.host)) as secure:
            return steps.run("answer", lambda: _ask(secure, upstream, steps))


def tls_context(upstream: UpstreamConfig) -> ssl.SSLContext:
    """By which authorities its certificate is checked."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if upstream.ca_file:
        context.load_verify_locations(upstream.ca_file)
    if not upstream.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _tunnel(sock: socket.socket, upstream: UpstreamConfig) -> None:
    target = f"{upstream.host}:{upstream.port}"
    proof = f"Proxy-Authorization: {upstream.proxy[2]}\r\n" if upstream.proxy and upstream.proxy[2] else ""
    sock.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{proof}\r\n".encode())
    head = b""
    while b"\r\n\r\n" not in head and len(head) < 65_536:
        piece = sock.recv(1)  # one at a time: what follows the head belongs to TLS
        if not piece:
            break
        head += piece
    if head[9:12] != b"200":
        raise OSError(
            f"the proxy answered {head[:64].splitlines()[0].decode('latin-1') if head else 'nothing'}"
        )


def _ask(sock: socket.socket, upstream: UpstreamConfig, steps: _Steps) -> Reached:
    connection = http.client.HTTPConnection(upstream.host, upstream.port, timeout=TIMEOUT_S)
    connection.sock = sock
    through_proxy = upstream.proxy is not None and upstream.scheme == "http"
    prefix = f"http://{upstream.host}:{upstream.port}" if through_proxy else ""
    headers = dict(upstream.headers)
    if through_proxy and upstream.proxy and upstream.proxy[2]:
        headers["proxy-authorization"] = upstream.proxy[2]
    begun_s = time.monotonic()
    connection.request("GET", f"{prefix}{upstream.path}/models", headers=headers)
    answer = connection.getresponse()
    answer.read(MAX_BODY_BYTES)
    times = [*steps.times, f"answer {(time.monotonic() - begun_s) * 1000:.0f} ms"]
    told = email.utils.parsedate_tz(answer.headers.get("Date", ""))
    date_s = email.utils.mktime_tz(told) if told else None
    return Reached(answer.status, ", ".join(times), date_s=date_s)
