"""The control process's application on a clock that a test sets: asked in the process itself, or over a port by a browser."""

import asyncio
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode

import uvicorn
from admin_inside import Counting
from starlette.types import ASGIApp

from tokenweir.cli.around import Around, Sources
from tokenweir.cli.control_app import control_app
from tokenweir.cli.local import Local
from tokenweir.cli.settings_file import load_settings
from tokenweir.core.clock import Clock

ADDRESS = "http://127.0.0.1:8787"
_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


def application(data: Path, clock: Clock, settings: str = "[local]\nenabled = false\n") -> ASGIApp:
    """As `weir up` puts it together, without `weir up` around it."""
    file = data / "weir.toml"
    file.write_text(settings)
    read = Sources({}, file, {"data": str(data)})
    now = lambda: load_settings({}, file=file, flags=read.flags)  # noqa: E731
    return control_app(data, clock, Counting(), Around(now(), now, {}, Local(), ADDRESS, read))


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """Its address, until the end of the block."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, lifespan="off", log_level="critical", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(10)


class Answer:
    """Status, headers (names in lower case) and text."""

    def __init__(self, sent: list[dict[str, Any]]) -> None:
        self.status: int = sent[0]["status"]
        self.headers = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        self.cookies = [value.decode() for name, value in sent[0]["headers"] if name == b"set-cookie"]
        self.body = b"".join(message.get("body", b"") for message in sent[1:])

    @property
    def text(self) -> str:
        return self.body.decode("utf-8-sig")


class Browser:
    """Keeps cookies, and asks the application itself."""

    def __init__(self, app: ASGIApp, **headers: str) -> None:
        self.app = app
        self.headers = {"x-weir-client": "192.0.2.7", "accept-language": "en", **headers}
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, body: bytes = b"") -> Answer:
        path, _, query = path.partition("?")
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        named = {**self.headers, "cookie": cookie}.items()
        scope = {
            "type": "http", "http_version": "1.1", "method": method, "path": unquote(path), "query_string": query.encode(),
            "headers": [(n.encode(), v.encode()) for n, v in named], "root_path": "", "scheme": "http",
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))  # type: ignore[arg-type]
        answer = Answer(sent)
        for line in answer.cookies:
            name, _, value = line.partition(";")[0].partition("=")
            self.cookies[name] = value.strip('"')
            if not self.cookies[name] or "Max-Age=0" in line:
                del self.cookies[name]
        return answer

    def get(self, path: str = "") -> Answer:
        return self.ask("GET", f"/console{path}")

    def post(self, path: str, **fields: str) -> Answer:
        return self.ask("POST", f"/console{path}", urlencode(fields).encode())

    def token(self, path: str) -> str:
        """Of the forms on a page."""
        found = _TOKEN.search(self.get(path).text)
        assert found is not None, path
        return found[1]

    def sign_in(self, secret: str, name: str = "") -> Answer:
        return self.post("/sign-in", form_token=self.token("/sign-in"), name=name, password=secret)

    def upload(self, path: str, action: str, file: bytes, **fields: str) -> Answer:
        """Fill in a form with a file, as browsers send it."""
        told = {"form_token": self.token(path), "action": action, **fields}
        parts = [f'form-data; name="{name}"\r\n\r\n{value}'.encode() for name, value in told.items()]
        head = b'form-data; name="bill"; filename="bill.csv"\r\nContent-Type: text/csv\r\n\r\n'
        body = b"".join(
            b"--WeirForm\r\nContent-Disposition: " + part + b"\r\n" for part in [*parts, head + file]
        )
        headers, self.headers = (
            self.headers,
            {**self.headers, "content-type": "multipart/form-data; boundary=WeirForm"},
        )
        try:
            return self.ask("POST", f"/console{path}", body + b"--WeirForm--\r\n")
        finally:
            self.headers = headers

    def form(self, path: str, action: str, **fields: str) -> Answer:
        """Fill in a form of a page."""
        return self.post(path, form_token=self.token(path), action=action, **fields)
