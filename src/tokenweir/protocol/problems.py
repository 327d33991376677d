"""What a client is told when its call cannot be served, in the shape of its dialect."""

import html
from http import HTTPStatus

import msgspec

from tokenweir.protocol.messages_errors import error_type

_STREAM_ENCODER = msgspec.json.Encoder()
#: Where the admin API is; its errors are problem details (RFC 9457).
API_PREFIX = b"/api/v1/"
#: Where the console is; its errors are pages, since people read them.
CONSOLE_PREFIX = b"/console"
JSON_KIND = b"application/json"


class Problem(msgspec.Struct, frozen=True):
    """A refusal: HTTP status, OpenAI's type and code, and a sentence that says what to do."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    retry_after_s: int | None = None
    should_retry: bool | None = None
    lines: bytes = b""  # further header lines that the status asks for


def bad_request(message: str, param: str | None = None, status: int = 400) -> Problem:
    """The request itself is wrong."""
    return Problem(status, "invalid_request_error", "invalid_request", message, param)


def body_too_large(max_bytes: int) -> Problem:
    """413."""
    return bad_request(f"The request's body is larger than {max_bytes} bytes.", status=413)


def headers_too_large(max_bytes: int, max_headers: int) -> Problem:
    """431."""
    message = f"The request's head is larger than {max_bytes} bytes, or has more than {max_headers} headers."
    return bad_request(message, status=431)


def target_too_long(max_bytes: int) -> Problem:
    """414."""
    return bad_request(f"The request's target is longer than {max_bytes} bytes.", status=414)


def http_version(version: str) -> Problem:
    """505."""
    message = f"This gateway speaks HTTP/1.1 and HTTP/1.0, not HTTP/{version}."
    return bad_request(message, status=505)


def unknown_transfer_coding() -> Problem:
    """501 (RFC 9112, section 6.1)."""
    return bad_request("Of transfer codings only `chunked` is understood.", status=501)


def encoded_body() -> Problem:
    """415."""
    message = "The request's body is compressed. Send it without Content-Encoding."
    return Problem(
        415,
        "invalid_request_error",
        "unsupported_encoding",
        message,
        should_retry=False,
        lines=b"accept-encoding: identity\r\n",
    )


def no_websocket() -> Problem:
    """426: the status by which clients that try a WebSocket first fall back to plain HTTP."""
    message = "There is no WebSocket here. Send the request with POST over HTTP/1.1."
    return Problem(
        426,
        "invalid_request_error",
        "no_websocket",
        message,
        should_retry=False,
        lines=b"upgrade: HTTP/1.1\r\nconnection: upgrade\r\n",
    )


def request_timeout(message: str) -> Problem:
    """408."""
    return bad_request(message, status=408)


def not_found(path: str) -> Problem:
    """404 of a path."""
    return Problem(
        404,
        "invalid_request_error",
        "not_found",
        f"There is nothing at {path[:200]!r}. Paths begin with /v1/.",
    )


def method_not_allowed(allowed: str) -> Problem:
    """405."""
    return Problem(
        405,
        "invalid_request_error",
        "method_not_allowed",
        f"This path takes {allowed}.",
        lines=f"allow: {allowed}, OPTIONS\r\n".encode(),
    )


def model_not_found(name: str, nearest: list[str]) -> Problem:
    """404 of a model, with the names that come nearest."""
    hint = f" Did you mean {', '.join(nearest)}?" if nearest else " GET /v1/models lists those there are."
    return Problem(
        404, "invalid_request_error", "model_not_found", f"There is no model {name[:200]!r}.{hint}", "model"
    )


def not_served(model: str, dialect: str) -> Problem:
    """404: the model is there, and nothing that has it speaks this dialect."""
    message = f"No upstream of {model[:200]!r} takes {dialect}."
    return Problem(404, "invalid_request_error", "dialect_not_served", message, "model")


def cannot_be_said(deployment: str, dropped: tuple[str, ...]) -> Problem:
    """422: the operator wants calls refused rather than bereft of something."""
    message = f"{deployment} cannot be told {', '.join(dropped)}, and this gateway is strict. Leave it out."
    return Problem(422, "invalid_request_error", "cannot_be_said", message, should_retry=False)


def unauthorized() -> Problem:
    """401."""
    message = "The key is missing, unknown or revoked. Send `Authorization: Bearer sk-weir-…`; `weir keys create` makes one."
    return Problem(
        401, "invalid_request_error", "invalid_api_key", message, lines=b"www-authenticate: Bearer\r\n"
    )


def budget_exceeded(message: str, status: int = 402) -> Problem:
    """402: agents that are told so stop at once, where 429 makes some of them try for minutes; Codex wants 429."""
    return Problem(status, "insufficient_quota", "insufficient_quota", message, should_retry=False)


def rate_limited(message: str, retry_after_s: int) -> Problem:
    """429: a limit by the minute or the hour, or of calls at once; the next window is near, so clients may wait for it."""
    return Problem(
        429, "rate_limit_error", "rate_limit_exceeded", message, retry_after_s=max(1, retry_after_s)
    )


def account_closed() -> Problem:
    """403."""
    message = "The account of this key is closed. Ask whoever runs this gateway."
    return Problem(403, "invalid_request_error", "account_closed", message, should_retry=False)


def not_allowed(model: str, dialect: str, models: tuple[str, ...], dialects: tuple[str, ...]) -> Problem:
    """403: the key may ask for other models, or in other dialects."""
    may = [f"for {', '.join(models)}"] if models else []
    may += [f"in {', '.join(dialects)}"] if dialects else []
    message = f"This key may not ask for {model[:200]!r} in {dialect}; it may ask {' and '.join(may)}."
    return Problem(403, "invalid_request_error", "not_allowed", message, "model", should_retry=False)


def not_priced(message: str) -> Problem:
    """403: a limit in money cannot hold for a call whose cost cannot be bounded."""
    return Problem(403, "invalid_request_error", "limit_cannot_hold", message, "model", should_retry=False)


def overloaded(detail: str) -> Problem:
    """503: full for the moment."""
    return Problem(
        503, "server_error", "overloaded", f"The gateway is full: {detail}. Try again.", retry_after_s=1
    )


def ledger_unavailable() -> Problem:
    """503: nothing is sent upstream that could not be metered."""
    message = "The ledger cannot be written at the moment, so nothing was sent upstream. Try again."
    return Problem(503, "server_error", "ledger_unavailable", message, retry_after_s=1)


def responses_unavailable(detail: str) -> Problem:
    """503: the store of responses."""
    return Problem(503, "server_error", "responses_unavailable", f"{detail} Try again.", retry_after_s=1)


def stopping() -> Problem:
    """503: the gateway is being stopped, and the time that calls have to end is over."""
    message = "The gateway is being stopped, so the answer is incomplete. Send the call again."
    return Problem(503, "server_error", "stopping", message, retry_after_s=1)


def upstream_busy(message: str) -> Problem:
    """503: every connection that may be opened to the upstream is in use."""
    return Problem(503, "server_error", "upstream_busy", message, retry_after_s=1)


def upstream_failed(message: str) -> Problem:
    """502."""
    return Problem(502, "server_error", "upstream_failed", message)


def upstream_timeout(message: str) -> Problem:
    """504."""
    return Problem(504, "server_error", "upstream_timeout", message)


def drained(model: str) -> Problem:
    """503: every upstream that has the model was taken out of service by hand."""
    message = (
        f"Every upstream of {model!r} is drained at the moment. Ask whoever runs this gateway, "
        "or restore one: weir upstreams restore NAME."
    )
    return Problem(503, "server_error", "drained", message, retry_after_s=30)


def control_away() -> Problem:
    """503: nothing of the request was handed on."""
    message = (
        "The control process, which answers this path, is away at the moment. Nothing was changed. Try again."
    )
    return Problem(503, "server_error", "control_away", message, retry_after_s=1)


def control_broke() -> Problem:
    """502: it ended before it answered."""
    message = (
        "The control process ended before it answered. What was asked for may have been done: "
        "read it back before you ask again."
    )
    return Problem(502, "server_error", "control_broke", message)


def control_slow() -> Problem:
    """504."""
    message = "The control process took too long to answer. What was asked for may be done yet: read it back."
    return Problem(504, "server_error", "control_slow", message)


def problem_lines(problem: Problem, kind: bytes = JSON_KIND) -> bytes:
    """Header lines of a problem's answer, whose body is of this kind."""
    lines = b"content-type: %b\r\n%b" % (kind, problem.lines)
    if problem.retry_after_s is not None:
        lines += b"retry-after: %d\r\n" % problem.retry_after_s
    if problem.should_retry is not None:
        lines += b"x-should-retry: %b\r\n" % (b"true" if problem.should_retry else b"false")
    return lines


def chat_error(problem: Problem) -> bytes:
    """The body of a problem's answer, in OpenAI's shape."""
    error = {"message": problem.message, "type": problem.type, "param": problem.param, "code": problem.code}
    return msgspec.json.encode({"error": error})


class Details(msgspec.Struct, frozen=True):
    """A problem as RFC 9457 has it; `code` tells problems of one status apart."""

    type: str
    title: str
    status: int
    detail: str
    code: str


def details(status: int, code: str, detail: str) -> Details:
    """The type is "about:blank", so the title is the status's phrase (RFC 9457, section 4.2.1)."""
    return Details("about:blank", HTTPStatus(status).phrase, status, detail, code)


def details_error(problem: Problem) -> bytes:
    """The body of a problem's answer, as RFC 9457 has it."""
    return msgspec.json.encode(details(problem.status, problem.code, problem.message))


def page_error(problem: Problem) -> bytes:
    """A problem as a page. Nothing of the request stands in it but what its message says, escaped."""
    title, message = HTTPStatus(problem.status).phrase, html.escape(problem.message)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title} · Tokenweir</title></head><body><main><h1>{title}</h1><p>{message}</p>"
        '<p><a href="/console">Try again</a></p></main></body></html>\n'
    ).encode()


def stream_error(problem: Problem) -> bytes:
    """An event that ends a stream that broke."""
    return b"data: " + chat_error(problem) + b"\n\n"


def messages_error(problem: Problem, request_id: str | None = None) -> bytes:
    """The body of a problem's answer, in Anthropic's shape; the code stands where its SDKs look for one."""
    error = {
        "type": error_type(problem.status),
        "message": problem.message,
        "details": {"error_code": problem.code},
    }
    return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})


def messages_stream_error(problem: Problem, request_id: str | None = None) -> bytes:
    """An event that ends a stream of Messages that broke."""
    return b"event: error\ndata: " + messages_error(problem, request_id) + b"\n\n"
