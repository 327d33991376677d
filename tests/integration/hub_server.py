"""A real HTTP server that plays Hugging Face and ModelScope, with faults to order."""

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit


class Hub:
    """Repository "own/repo": files by path. `faults` answer the next requests for content, one each."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.sha256: dict[str, str] = {}  # what the listing says in place of the truth
        self.lists_hashes = True
        self.linked_etag = False  # the hash comes with the redirect, as from Hugging Face
        self.page_size = 100
        self.faults: deque[Callable[[BaseHTTPRequestHandler, bytes], None]] = deque()
        self.requests: list[tuple[str, dict[str, str]]] = []
        self.token = ""
        self.origin = ""
        self.content_origin = ""  # where content is redirected to

    def hash_of(self, path: str) -> str:
        if not self.lists_hashes:
            return ""
        return self.sha256.get(path) or hashlib.sha256(self.files[path]).hexdigest()

    def content_requests(self) -> list[dict[str, str]]:
        """The headers of the requests for bytes."""
        return [headers for path, headers in self.requests if path.startswith("/cdn/")]


def _answer(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def send_content(handler: BaseHTTPRequestHandler, content: bytes, *, etag: str = "", cut: int = -1) -> None:
    """The content or the range asked for. When `cut` is not -1: so many bytes and a broken connection."""
    etag = etag or f'"{hashlib.md5(content).hexdigest()}"'
    begin, status = 0, 200
    wanted, condition = handler.headers.get("Range", ""), handler.headers.get("If-Range", etag)
    if wanted and condition == etag:
        begin, status = int(wanted.removeprefix("bytes=").rstrip("-")), 206
        if begin >= len(content):
            _answer(handler, 416, b"", Content_Range=f"bytes */{len(content)}")
            return
    handler.send_response(status)
    handler.send_header("ETag", etag)
    handler.send_header("Content-Length", str(len(content) - begin))
    if status == 206:
        handler.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
    handler.end_headers()
    body = content[begin:]
    handler.wfile.write(body if cut < 0 else body[:cut])
    if cut >= 0:
        handler.close_connection = True


def cut_after(size: int) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """Break the connection after so many bytes."""
    return lambda handler, content: send_content(handler, content, cut=size)


def refuse(status: int, **headers: str) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """An error."""
    return lambda handler, _content: _answer(handler, status, b"no", **headers)


def ignore_range(handler: BaseHTTPRequestHandler, content: bytes) -> None:
    """The whole, whatever range was asked for."""
    del handler.headers["Range"]
    send_content(handler, content)


def instead(other: bytes, cut: int = -1) -> Callable[[BaseHTTPRequestHandler, bytes], None]:
    """Other bytes, with their own ETag."""
    return lambda handler, _content: send_content(handler, other, cut=cut)


class HubHandler(BaseHTTPRequestHandler):
    """Answers for the hub that a subclass names."""

    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_arguments: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        self.hub.requests.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), parse_qs(parts.query)
        if path.startswith("/cdn/"):
            self.send_file(path.removeprefix("/cdn/"))
        elif self.hub.token and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            _answer(self, 401, b"who are you?")
        elif path == "/api/models/own/repo/tree/main":
            self.list_hf(int(query.get("cursor", ["0"])[0]))
        elif path == "/api/v1/models/own/repo/repo/files":
            self.list_modelscope()
        elif path.startswith("/own/repo/resolve/main/"):
            self.redirect(path.removeprefix("/own/repo/resolve/main/"))
        elif path == "/api/v1/models/own/repo/repo":
            self.redirect(query["FilePath"][0])
        else:
            _answer(self, 404, b"nothing here")

    def list_hf(self, start: int) -> None:
        paths = sorted(self.hub.files)
        entries: list[dict[str, object]] = [{"type": "directory", "path": "folder", "oid": "0", "size": 0}]
        for path in paths[start : start + self.hub.page_size]:
            entry: dict[str, object] = {"type": "file", "path": path, "size": len(self.hub.files[path])}
            if self.hub.hash_of(path):
                entry["lfs"] = {
                    "oid": self.hub.hash_of(path),
                    "size": len(self.hub.files[path]),
                    "pointerSize": 134,
                }
            entries.append(entry)
        headers = {}
        if start + self.hub.page_size < len(paths):
            # As a mirror does: the link names the original's host.
            headers["Link"] = (
                "<https://huggingface.invalid/api/models/own/repo/tree/main?recursive=true&cursor="
                f'{start + self.hub.page_size}>; rel="next"'
            )
        _answer(self, 200, json.dumps(entries).encode(), **headers)

    def list_modelscope(self) -> None:
        files: list[dict[str, object]] = [{"Type": "tree", "Path": "folder", "Name": "folder", "Size": 0}]
        files += [
            {"Type": "blob", "Path": path, "Name": path, "Size": len(data), "Sha256": self.hub.hash_of(path)}
            for path, data in sorted(self.hub.files.items())
        ]
        _answer(self, 200, json.dumps({"Code": 200, "Success": True, "Data": {"Files": files}}).encode())

    def redirect(self, path: str) -> None:
        if path not in self.hub.files:
            _answer(self, 404, b"no file")
            return
        headers = {"Location": f"{self.hub.content_origin or self.hub.origin}/cdn/{path}"}
        if self.hub.linked_etag:
            headers["X-Linked-Etag"] = f'"{hashlib.sha256(self.hub.files[path]).hexdigest()}"'
        _answer(self, 302, b"", **headers)

    def send_file(self, path: str) -> None:
        fault = self.hub.faults.popleft() if self.hub.faults else send_content
        fault(self, self.hub.files[path])


@contextmanager
def serving(hub: Hub) -> Iterator[str]:
    """Run the hub; gives its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (HubHandler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    hub.origin = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub.origin
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
