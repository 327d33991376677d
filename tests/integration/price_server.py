"""A server of models.dev's JSON that can be good, wrong, slow or gone, in a thread of the test."""

import http.server
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tokenweir.catalog.hosts import CatalogRates
from tokenweir.catalog.models_dev import HOSTS
from tokenweir.catalog.providers import shipped


def listing(**prices: float) -> bytes:
    """models.dev's JSON with these models at every host, each at that price in and out."""
    models = {
        name: {"name": name, "cost": {"input": price, "output": price}} for name, price in prices.items()
    }
    return json.dumps(
        {h: {"name": h, "env": ["K"], "api": "https://h/v1", "models": models} for h in HOSTS}
    ).encode()


def shipped_listing(host: str, model: str, cost: dict[str, float]) -> bytes:
    """What models.dev would have to say for the catalog that ships, but with this price of this model."""
    found = {}
    for one in shipped().hosts:
        models = {m.id: {"name": m.id, "cost": _cost(m.rates)} for m in one.models}
        if one.id == host:
            models[model]["cost"] = cost
        found[one.id] = {"name": one.name, "env": one.key_variables, "api": one.url, "models": models}
    return json.dumps(found).encode()


def _cost(rates: tuple[CatalogRates, ...]) -> object:
    if not rates:
        return None
    named = [{k: v for k, v in msgspec.structs.asdict(r).items() if v and k != "above"} for r in rates]
    tiers = [{"tier": {"size": r.above}, **texts} for r, texts in zip(rates[1:], named[1:], strict=True)]
    return {**named[0], "tiers": tiers}


class PriceServer(http.server.ThreadingHTTPServer):
    """Answers every GET with `status` and `body`; sends only `sends` of it, then waits or hangs up."""

    status = 200
    body = b"{}"
    sends: int | None = None
    waits = False
    asked: list[str]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked = []
        self.done = threading.Event()
        self.daemon_threads = True

    @property
    def port(self) -> int:
        return int(self.server_address[1])


class _Handler(http.server.BaseHTTPRequestHandler):
    server: PriceServer

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body[: self.server.sends])
        self.wfile.flush()
        if self.server.waits:
            self.server.done.wait(30)

    def log_message(self, *_: object) -> None:
        """Tests have no use for it."""


@contextmanager
def serving(certificate: Path | None = None) -> Iterator[PriceServer]:
    """A running server; over TLS with the certificate and key in one file."""
    server = PriceServer()
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.done.set()
        server.shutdown()
        thread.join()
        server.server_close()
