"""Files that pages load: our own, and plotly's script as its wheel has it. Named by what is in them, so that they may be kept for good."""

import gzip
import hashlib
import re
from collections.abc import Awaitable, Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from tokenweir.console.door import Door

INSTALL = "pip install 'tokenweir[console]'"
#: What the extra `console` brings.
PARTS = ("argon2", "plotly")
KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
#: All that the sign-in page needs, and so all that strangers get.
FOR_STRANGERS = frozenset({"console.css", "console.js", "icon.svg"})
PLOTLY = "plotly.min.js"
_STYLE_ID = re.compile(r'getElementById\("([0-9a-f]{40,})"\)\)\{var \w+=document\.createElement\("style"\)')
_DIRECTORY = Path(__file__).parent / "static"
_FOR_GOOD = "private, max-age=31536000, immutable"


class Asset(msgspec.Struct, frozen=True):
    """A file as it is sent."""

    kind: str
    version: str
    plain: bytes
    packed: bytes


def missing_parts() -> tuple[str, ...]:
    """Packages of the extra that are not installed."""
    return tuple(name for name in PARTS if find_spec(name) is None)


def names() -> tuple[str, ...]:
    """Files there are."""
    return (*sorted(path.name for path in _DIRECTORY.iterdir() if path.suffix in KINDS), PLOTLY)


@cache
def asset(name: str) -> Asset:
    """A file, read and packed once; the third of a second that plotly's takes is not spent before somebody looks at a chart."""
    plain = _path(name).read_bytes()
    version = hashlib.blake2b(plain, digest_size=8).hexdigest()
    return Asset(KINDS[Path(name).suffix], version, plain, gzip.compress(plain, 6, mtime=0))


@cache
def _version(name: str) -> str:
    return hashlib.blake2b(_path(name).read_bytes(), digest_size=8).hexdigest()


def _path(name: str) -> Path:
    if name != PLOTLY:
        return _DIRECTORY / name
    spec = find_spec("plotly")
    assert spec is not None and spec.origin is not None, "the console is not served without it"
    return Path(spec.origin).parent / "package_data" / PLOTLY


@cache
def plotly_styles() -> tuple[str, ...]:
    """Ids of style elements that plotly makes as it loads, for its maps, unless there are such already: the page's policy takes none."""
    text = _path(PLOTLY).read_text(encoding="utf-8")
    return tuple(sorted(set(_STYLE_ID.findall(text))))


def address(name: str) -> str:
    """Where a page finds a file."""
    return f"/console/static/{name}?v={_version(name)}"


def answering(door: "Door") -> Callable[[Request], Awaitable[Response]]:
    """What answers for files."""

    async def answer(request: Request) -> Response:
        name = request.path_params["name"]
        known = name in names() and (name in FOR_STRANGERS or door.session(request) is not None)
        if not known:
            return Response("", 404, {"cache-control": "no-store"})
        found = await run_in_threadpool(asset, name)
        headers = {"cache-control": _FOR_GOOD, "etag": f'"{found.version}"', "vary": "accept-encoding"}
        if request.headers.get("if-none-match") == headers["etag"]:
            return Response(b"", 304, headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.packed, 200, {**headers, "content-encoding": "gzip"}, found.kind)
        return Response(found.plain, 200, headers, found.kind)

    return answer
