"""Requests to model hubs: redirects, tokens, proxies, refusals in words. Blocking; no threads."""

import http.client
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from functools import cache
from typing import IO
from urllib.parse import urljoin, urlsplit, urlunsplit

import certifi

from tokenweir.core.errors import EngineError

TIMEOUT_S = 30.0
#: Failures in a row without a new byte before it is given up, and the pauses between them.
MAX_FAILURES = 6
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0
MAX_PAGE_BYTES = 16 * 1024 * 1024
_LINKED_ETAG = "X-Linked-Etag"  # Hugging Face: the content's hash, on the answer that redirects


class TryAgainError(Exception):
    """A try failed in a way that another may not."""

    def __init__(self, reason: str, *, pause_s: float = 0.0, status: int = 0) -> None:
        super().__init__(reason)
        self.pause_s = pause_s
        self.status = status  # of the answer, if there was one


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, keeps the token from other hosts and remembers the hash told on the way."""

    def __init__(self) -> None:
        self.linked_etag = ""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        self.linked_etag = headers.get(_LINKED_ETAG) or self.linked_etag
        following = super().redirect_request(req, fp, code, msg, headers, newurl)
        if following is not None and urlsplit(newurl).netloc != urlsplit(req.full_url).netloc:
            following.remove_header("Authorization")
        return following


@cache
def _trusted() -> ssl.SSLContext:
    """Whom this machine trusts, and the public authorities."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    return context


def open_url(url: str, headers: dict[str, str]) -> tuple[http.client.HTTPResponse, str]:
    """The answer, and the hash told by a redirect. Proxies as the environment says.

    Raises TryAgainError, or EngineError for a refusal that will stay one.
    """
    redirects = _Redirects()
    opener = urllib.request.build_opener(redirects, urllib.request.HTTPSHandler(context=_trusted()))
    request = urllib.request.Request(url, headers={"User-Agent": "tokenweir", **headers})
    try:
        answer: http.client.HTTPResponse = opener.open(request, timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        with error:
            raise _refusal(url, error) from None
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        raise TryAgainError(f"{urlsplit(url).hostname}: {reason_of(error)}") from None
    return answer, redirects.linked_etag


def reason_of(error: Exception) -> str:
    """What went wrong, in a few words."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    return str(inner) or type(inner).__name__


_REFUSALS: dict[int, str] = {
    401: "it asks for a token: set HF_TOKEN (or MODELSCOPE_API_TOKEN)",
    403: "access is refused: accept the model's terms on its page, and set HF_TOKEN",
    404: "there is no such file or repository",
}


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    where = f"{urlsplit(url).hostname} answered {error.code}"
    if error.code in _REFUSALS:
        return EngineError(f"{where} for {urlsplit(url).path}: {_REFUSALS[error.code]}")
    if error.code in {408, 416, 425, 429} or error.code >= 500:
        after = error.headers.get("Retry-After", "")
        pause_s = min(float(after), LONGEST_PAUSE_S) if after.isdecimal() else 0.0
        return TryAgainError(where, pause_s=pause_s, status=error.code)
    return EngineError(f"{where} for {urlsplit(url).path}")


def authorization(token: str) -> dict[str, str]:
    """The header that shows a token, if there is one."""
    return {"Authorization": f"Bearer {token}"} if token else {}


def pause_after(failures: int) -> float:
    """Seconds to wait after so many failures in a row (from 1)."""
    return min(FIRST_PAUSE_S * float(2 ** (failures - 1)), LONGEST_PAUSE_S)


def fetch_page(url: str, token: str, sleep: Callable[[float], None] = time.sleep) -> tuple[bytes, str]:
    """A short answer's body and the address of its next page (or an empty text). Raises EngineError."""
    for failures in range(1, MAX_FAILURES + 1):
        try:
            answer, _ = open_url(url, {"Accept": "application/json", **authorization(token)})
            with answer:
                body = answer.read(MAX_PAGE_BYTES + 1)
                if len(body) > MAX_PAGE_BYTES:
                    raise EngineError(
                        f"{urlsplit(url).hostname} answered with more than {MAX_PAGE_BYTES:,} bytes"
                    )
                return body, _next_page(url, answer.headers.get("Link", ""))
        except (TryAgainError, http.client.HTTPException, OSError) as error:
            if failures == MAX_FAILURES:
                raise EngineError(f"{error}; tried {failures} times") from None
            sleep(max(pause_after(failures), getattr(error, "pause_s", 0.0)))
    raise AssertionError("unreachable")


def _next_page(url: str, link: str) -> str:
    """The next page of a listing, asked of the same host: a mirror passes the original's links on."""
    for part in link.split(","):
        target, _, attributes = part.partition(";")
        if 'rel="next"' in attributes:
            following = urlsplit(urljoin(url, target.strip().strip("<>")))
            here = urlsplit(url)
            return urlunsplit((here.scheme, here.netloc, following.path, following.query, ""))
    return ""
