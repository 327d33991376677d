"""The admin API without a gateway: requests go straight into the application, so that a test can set its clock."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.applications import Starlette

from tokenweir.admin.app import make_app
from tokenweir.admin.desk import Desk
from tokenweir.admin.lookups import Lookups
from tokenweir.core.clock import Clock

#: No prices; an upstream is of the provider that it is called after.
NOTHING_KNOWN = Lookups(lambda _: lambda *_: (), lambda upstream: (upstream,))


class Counting:
    """Bytes that differ each time, in a fixed order."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self, count: int) -> bytes:
        self.made += 1
        return hashlib.sha256(str(self.made).encode()).digest()[:count]


def desk_of(data: Path, clock: Clock, lookups: Lookups = NOTHING_KNOWN) -> Desk:
    return Desk(data, clock, Counting(), "1", lookups)


def ask(
    app: Starlette,
    method: str,
    path: str,
    query: bytes,
    body: bytes,
    secret: bytes,
    more: Sequence[tuple[bytes, bytes]] = (),
    headers: list[tuple[bytes, bytes]] | None = None,
) -> tuple[int, bytes]:
    """One request straight into the application, with `more` fields of its head; `headers` gets those of the answer's."""
    sent: list[dict[str, Any]] = []
    scope = {
        "type": "http", "http_version": "1.1", "method": method, "path": path, "query_string": query,
        "headers": [(b"authorization", b"Bearer " + secret), *more], "root_path": "", "scheme": "http",
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))  # type: ignore[arg-type]
    if headers is not None:
        headers += sent[0]["headers"]
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


def inside(desk: Desk) -> Callable[..., tuple[int, Any]]:
    """Asks with a secret: status and what the JSON says. A body of bytes is sent as it is."""
    app = make_app(desk)

    def asked(secret: str, method: str, path: str, body: object = None, **query: object) -> tuple[int, Any]:
        told = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        status, answer = ask(app, method, f"/api/v1{path}", urlencode(query).encode(), told, secret.encode())
        return status, json.loads(answer) if answer else None

    return asked
