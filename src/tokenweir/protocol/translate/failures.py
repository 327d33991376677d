"""Errors of hosts in the shapes that are seen: of OpenAI, vLLM, MiniMax, DashScope, SiliconFlow, FastAPI, Ollama."""

from typing import TypeVar

import msgspec

from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.translate.answer import Failure
from tokenweir.protocol.translate.form import NULL

_MOST_KIND_CHARACTERS = 100
_MOST_PAGE_BYTES = 500
#: What stands for a kind where the host names none.
_OF_STATUS = {
    400: "invalid_request_error",
    401: "invalid_api_key",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found",
    413: "request_too_large",
    429: "rate_limit_exceeded",
    503: "overloaded",
}
_NO_KIND = ("", "error", "<nil>")
#: From here on a number is a vendor's own code ("1302" of Zhipu); below, it repeats the status of HTTP.
_OWN_CODES = 1000


class _Error(msgspec.Struct):
    message: str | None = None
    type: object = None
    code: object = None


class _BaseResp(msgspec.Struct):
    status_code: object = None
    status_msg: str | None = None


class _Invalid(msgspec.Struct):
    msg: str


class _Body(msgspec.Struct):
    error: msgspec.Raw = NULL
    base_resp: msgspec.Raw = NULL  # MiniMax
    message: object = None
    msg: object = None
    detail: msgspec.Raw = NULL  # FastAPI: a text, or a list of what is invalid
    type: object = None
    code: object = None


_BODY = msgspec.json.Decoder(_Body)


def read_failure(status: int, body: bytes) -> Failure:
    """The error in the body of an answer whose status is one. Never raises."""
    found = find_failure(body, status)
    page = body[:_MOST_PAGE_BYTES].decode(errors="replace").strip()  # of a proxy, or a line of text
    return found or Failure(page or f"the upstream answered {status}", kind_of(status), status)


def find_failure(body: bytes, status: int | None = None) -> Failure | None:
    """The error that a body, or the data of an event, tells; None where it tells none that can be read."""
    try:
        found = _BODY.decode(body)
    except UNREADABLE:
        return None
    error = read_as(_Error, found.error) or _Error()
    base = read_as(_BaseResp, found.base_resp) or _BaseResp()
    if base.status_code == 0:  # that all is well
        base = _BaseResp()
    invalid = read_as(list[_Invalid], found.detail) or []
    texts = (
        error.message,
        read_as(str, found.error),
        read_as(str, found.detail),
        "; ".join(item.msg for item in invalid),
        found.message,
        found.msg,
        base.status_msg,
    )
    message = next((text for text in texts if isinstance(text, str) and text), None)
    if message is None:
        return None
    return Failure(message, _kind(error, found, base, kind_of(status)), status)


def _kind(error: _Error, body: _Body, base: _BaseResp, otherwise: str) -> str:
    """Its code, which says more, or its type, or a vendor's number."""
    said = (error.code, error.type, body.code, None if body.type == "error" else body.type, base.status_code)
    words = [word for word in said if isinstance(word, str) and word not in _NO_KIND and not word.isdigit()]
    numbers = [str(number) for number in said if isinstance(number, int | str) and str(number).isdigit()]
    own = [number for number in numbers if int(number) >= _OWN_CODES]
    return next(iter([*words, *own]), otherwise)[:_MOST_KIND_CHARACTERS]


def kind_of(status: int | None) -> str:
    """What an error of this status is called where its host does not say."""
    known = _OF_STATUS.get(status or 500)
    return known or ("invalid_request_error" if status is not None and status < 500 else "server_error")


R = TypeVar("R")


def read_as(kind: type[R], raw: msgspec.Raw) -> R | None:
    """A part that is optional, or None where it is not of that shape."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except UNREADABLE:
        return None
