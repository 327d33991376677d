"""A client of the admin API for tests: one request, its status and its JSON."""

import json
from typing import Any
from urllib.parse import quote, urlencode

from http_parts import Door, Message


class Admin:
    """Asks with one key."""

    def __init__(self, door: Door, secret: str) -> None:
        self.door, self.secret = door, secret

    def send(self, method: str, path: str, body: bytes = b"", *lines: str) -> Message:
        """The answer to a request as it is."""
        text = "".join(f"{line}\r\n" for line in lines)
        head = (
            f"{method} /api/v1{path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {self.secret}\r\n"
            f"content-length: {len(body)}\r\n{text}\r\n"
        )
        return self.door.ask(head.encode() + body)

    def ask(self, method: str, path: str, body: object = None, **query: object) -> tuple[int, Any]:
        """Status and what the body says."""
        parameters = f"?{urlencode(query)}" if query else ""
        told = b"" if body is None else json.dumps(body).encode()
        answer = self.send(method, path + parameters, told)
        return answer.status, json.loads(answer.body) if answer.body else None

    def good(self, method: str, path: str, body: object = None, **query: object) -> Any:
        """What the body says; it must have been done."""
        status, told = self.ask(method, path, body, **query)
        assert status < 300, (method, path, status, told)
        return told

    def items(self, path: str, **query: object) -> list[Any]:
        """Everything on every page of a list."""
        found: list[Any] = []
        while True:
            page = self.good("GET", path, **query)
            found += page["items"]
            if page["next"] is None:
                return found
            query["after"] = page["next"]

    def key(self, name: str, **fields: object) -> tuple[str, "Admin"]:
        """The id of a new key, and a client that asks with it."""
        made = self.good("POST", "/keys", {"name": name, **fields})
        return made["key"]["id"], Admin(self.door, made["secret"])


def owner_of(door: Door) -> Admin:
    """With the key that the first start has shown."""
    words = door.log.read_text().split()
    return Admin(door, next(word for word in words if word.startswith("sk-weir-")))


def segment(text: str) -> str:
    """As one segment of a path."""
    return quote(text, safe="")
