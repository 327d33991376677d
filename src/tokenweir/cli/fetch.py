"""One file over HTTP(S) into memory, within bounds of size and time, through the proxy that the environment names."""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

import certifi
import msgspec

from tokenweir.cli.proxy import proxy_for
from tokenweir.core.errors import TokenweirError

PIECE_BYTES = 64 * 1024


class FetchError(TokenweirError):
    """The file could not be had: no network, a refusal, too large or too slow."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What a fetch may take."""

    silence_s: float = 20.0  # without a byte
    whole_s: float = 300.0
    size_bytes: int = 64 * 1024 * 1024


def fetch(
    url: str, environ: Mapping[str, str], progress: Callable[[int, int], None], bounds: Bounds
) -> bytes:
    """The body at `url`, whole. `progress` gets the bytes so far and in all (0: unknown). Raises FetchError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise FetchError(f"{url!r} is no address such as https://models.dev/api.json")
    deadline_s = time.monotonic() + bounds.whole_s
    try:
        with _open(url, environ, bounds.silence_s) as answer:
            return _read(answer, parts.hostname, progress, deadline_s, bounds)
    except urllib.error.HTTPError as error:
        error.close()
        raise FetchError(
            f"{parts.hostname} answered {error.code}; try again later, or name a mirror"
        ) from None
    except TimeoutError:
        raise FetchError(
            f"{parts.hostname} sent nothing for {bounds.silence_s:g} s; try again later"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        raise FetchError(f"{parts.hostname}: {_reason(error)}; check the network and HTTPS_PROXY") from None


def _open(url: str, environ: Mapping[str, str], silence_s: float) -> http.client.HTTPResponse:
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    parts = urlsplit(url)
    proxy = proxy_for(parts.scheme, parts.hostname or "", None, environ)
    proxies = {} if proxy is None else {parts.scheme: f"http://{proxy[0]}:{proxy[1]}"}
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler(proxies), urllib.request.HTTPSHandler(context=context)
    )
    request = urllib.request.Request(url, headers={"User-Agent": "tokenweir", "Accept": "application/json"})
    if proxy is not None and proxy[2]:
        request.add_header("Proxy-Authorization", proxy[2])
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=silence_s)
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise error.reason from None
        raise
    return answer


def _read(
    answer: http.client.HTTPResponse,
    host: str,
    progress: Callable[[int, int], None],
    deadline_s: float,
    bounds: Bounds,
) -> bytes:
    length = answer.headers.get("Content-Length", "")
    whole = int(length) if length.isdecimal() else 0
    pieces, done = [], 0
    while piece := answer.read1(PIECE_BYTES):
        pieces.append(piece)
        done += len(piece)
        if max(done, whole) > bounds.size_bytes:
            raise FetchError(
                f"{host} sends more than {bounds.size_bytes:,} bytes; that is no catalog of prices"
            )
        if time.monotonic() > deadline_s:
            raise FetchError(f"{host} took more than {bounds.whole_s:g} s; try again later, or name a mirror")
        progress(done, whole)
    if done < whole:
        raise FetchError(f"{host} broke off after {done:,} of {whole:,} bytes; try again")
    return b"".join(pieces)


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(inner) or type(inner).__name__
