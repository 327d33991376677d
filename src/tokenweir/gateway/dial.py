"""How a connection to an upstream is made: plain, TLS, through a proxy, or over a Unix socket."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Callable
from typing import TypeVar

import certifi

from tokenweir.gateway.config import UpstreamConfig

_ENGINE_POLL_S = 0.01
MAX_PROXY_ANSWER_BYTES = 16 * 1024

P = TypeVar("P", bound=asyncio.Protocol)


async def dial(
    loop: asyncio.AbstractEventLoop,
    config: UpstreamConfig,
    tls: ssl.SSLContext | None,
    factory: Callable[[], P],
) -> P:
    """A connected protocol. Raises OSError or ssl.SSLError; the caller sets the time limit."""
    if config.unix_socket:
        return await _dial_engine(loop, config.unix_socket, factory)
    server_hostname = config.host if tls else None
    if config.proxy is None:
        _, connection = await loop.create_connection(
            factory, config.host, config.port, ssl=tls, server_hostname=server_hostname
        )
        return connection
    tunnel = await _tunnel(loop, config)
    _, connection = await loop.create_connection(
        factory, sock=tunnel, ssl=tls, server_hostname=server_hostname
    )
    return connection


async def _dial_engine(loop: asyncio.AbstractEventLoop, path: str, factory: Callable[[], P]) -> P:
    """An engine of ours: its socket appears once its model is loaded, and that is worth waiting for."""
    while True:
        try:
            _, connection = await loop.create_unix_connection(factory, path)
            return connection
        except (FileNotFoundError, ConnectionRefusedError):
            await asyncio.sleep(_ENGINE_POLL_S)


async def _tunnel(loop: asyncio.AbstractEventLoop, config: UpstreamConfig) -> socket.socket:
    """A socket to the upstream through its proxy's CONNECT. Raises OSError."""
    assert config.proxy is not None
    proxy_host, proxy_port, authorization = config.proxy
    address = (await loop.getaddrinfo(proxy_host, proxy_port, type=socket.SOCK_STREAM))[0]
    sock = socket.socket(address[0], address[1], address[2])
    sock.setblocking(False)
    with contextlib.ExitStack() as on_failure:
        on_failure.callback(sock.close)
        await loop.sock_connect(sock, address[4])
        target = f"[{config.host}]:{config.port}" if ":" in config.host else f"{config.host}:{config.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"]
        if authorization:
            lines.append(f"proxy-authorization: {authorization}")
        await loop.sock_sendall(sock, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            # One byte at a time would be exact; the peer behind a proxy speaks only after us, so nothing can follow.
            data = await loop.sock_recv(sock, 4096)
            if not data or len(answer) > MAX_PROXY_ANSWER_BYTES:
                raise OSError("the proxy closed the connection before it answered CONNECT")
            answer += data
        status = answer.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or status[1] != b"200":
            raise OSError(
                f"the proxy answered CONNECT with {b' '.join(status[1:2]).decode('latin-1') or 'no status'}"
            )
        on_failure.pop_all()
    return sock


def tls_context(config: UpstreamConfig) -> ssl.SSLContext:
    """Public authorities (certifi, or the operator's SSL_CERT_FILE) and the upstream's own, if it names one."""
    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
    if config.ca_file:
        context.load_verify_locations(config.ca_file)
    context.set_alpn_protocols(["http/1.1"])
    if not config.verify_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def describe(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate was not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({(error.reason or 'no reason given').replace('_', ' ').lower()})"
    if isinstance(error, socket.gaierror):
        return "its name could not be resolved"
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
