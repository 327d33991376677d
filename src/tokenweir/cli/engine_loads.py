"""How busy engines say they are at this moment: their metrics pages, asked all at once, and not waited for for long."""

import http.client
import socket
import threading
import time
from collections.abc import Iterable, Mapping

from tokenweir.cli.reach import tls_context
from tokenweir.cli.resolve_kinds import KINDS
from tokenweir.engines.health import EngineLoad, parse_load
from tokenweir.gateway.config import UpstreamConfig

#: For all of them together: a page waits for it.
WITHIN_S = 0.2
MAX_PAGE_BYTES = 4 * 1024 * 1024


def engine_loads(
    upstreams: Iterable[UpstreamConfig], within_s: float = WITHIN_S
) -> Mapping[str, EngineLoad | None]:
    """By name, of the engines among them; None: it did not answer. One that tells nothing known here has an empty load."""
    asked = [upstream for upstream in upstreams if _is_engine(upstream)]
    found: dict[str, EngineLoad | None] = dict.fromkeys((upstream.name for upstream in asked), None)

    def ask(upstream: UpstreamConfig) -> None:
        found[upstream.name] = _load(upstream, within_s)

    # As daemons: a look-up of a name cannot be cut off, and nobody is to wait for it at the end.
    threads = [threading.Thread(target=ask, args=(upstream,), daemon=True) for upstream in asked]
    deadline = time.monotonic() + within_s
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return dict(found)


def _is_engine(upstream: UpstreamConfig) -> bool:
    kind = KINDS.get(upstream.kind)
    return upstream.proxy is None and (upstream.local or (kind is not None and kind.local))


def _load(upstream: UpstreamConfig, within_s: float) -> EngineLoad | None:
    connection = _connection(upstream, within_s)
    try:
        connection.request("GET", "/metrics", headers=dict(upstream.headers))
        answer = connection.getresponse()
        body = answer.read(MAX_PAGE_BYTES)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    known = parse_load(body.decode(errors="replace")) if answer.status == 200 else None
    return known or EngineLoad()


def _connection(upstream: UpstreamConfig, within_s: float) -> http.client.HTTPConnection:
    if upstream.unix_socket:
        return _UnixConnection(upstream.unix_socket, within_s)
    if upstream.scheme == "https":
        context = tls_context(upstream)
        return http.client.HTTPSConnection(upstream.host, upstream.port, timeout=within_s, context=context)
    return http.client.HTTPConnection(upstream.host, upstream.port, timeout=within_s)


class _UnixConnection(http.client.HTTPConnection):
    """To an engine that listens on a socket of the file system."""

    def __init__(self, path: str, within_s: float) -> None:
        super().__init__("localhost", timeout=within_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)
