"""The admin API as a Starlette application: routes from the table, bodies within bounds, faults told as problems."""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tokenweir.admin import problems
from tokenweir.admin.desk import Desk, Told
from tokenweir.admin.operation import Operation
from tokenweir.admin.operations import OPERATIONS, PREFIX
from tokenweir.admin.problems import Problem, problem
from tokenweir.admin.works import WAIT_S
from tokenweir.core.sentence import say

#: Parameters of a query.
MOST_PARAMETERS = 50
Endpoint = Callable[[Request], Awaitable[Response]]


def make_app(desk: Desk) -> Starlette:
    """The application; `desk` is what its requests share."""
    by_path: dict[str, dict[str, Operation]] = {}
    for row in OPERATIONS:
        by_path.setdefault(row.path, {})[row.method] = row
    app = Starlette(
        routes=[
            Route(PREFIX + path, _endpoint(desk, rows), methods=[*rows, *_ANY])
            for path, rows in by_path.items()
        ],
        exception_handlers={HTTPException: _no_such_path, Exception: _fault},
    )
    app.router.redirect_slashes = False
    return app


#: Routed too, so that the answer can tell which methods there are.
_ANY = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


def _endpoint(desk: Desk, rows: dict[str, Operation]) -> Endpoint:
    async def answer(request: Request) -> Response:
        row = rows.get("GET" if request.method == "HEAD" else request.method)
        if row is None:
            allowed = ", ".join(rows)
            return _told(
                Problem(
                    405, "method_not_allowed", say("This path takes {methods}.", methods=allowed), allowed
                )
            )
        body = await _body(request, row.max_body_bytes)
        if body is None:
            return _told(
                problem("too_large", say("The body is longer than {most} bytes.", most=row.max_body_bytes))
            )
        try:
            query = parse_qsl(
                request.scope["query_string"].decode("latin-1"),
                keep_blank_values=True,
                max_num_fields=MOST_PARAMETERS,
            )
        except ValueError:
            return _told(
                problem("wrong_form", say("There are more than {most} parameters.", most=MOST_PARAMETERS))
            )
        path = {name: str(value) for name, value in request.path_params.items()}
        wait_s = 0.0 if "respond-async" in request.headers.get("prefer", "") else WAIT_S
        told = await run_in_threadpool(desk.answer, row, path, query, _secret(request), body, wait_s)
        return _response(told)

    return answer


async def _body(request: Request, most: int) -> bytes | None:
    """The whole body; None where it is too long."""
    parts, size = [], 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > most:
            return None
    return b"".join(parts)


def _secret(request: Request) -> bytes:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    return secret.strip().encode("latin-1") if scheme.lower() == "bearer" else b""


def _response(told: Told) -> Response:
    headers = {"cache-control": "no-store", **told.headers}
    media_type = told.media_type if told.body else None
    return Response(told.body, told.status, headers, media_type)


def _told(refusal: Problem) -> Response:
    return _response(Told(refusal.status, refusal.body, problems.MEDIA_TYPE, refusal.headers))


def _no_such_path(request: Request, error: Exception) -> Response:
    return _told(
        problem(
            "not_found",
            say("There is nothing here. GET {prefix}/openapi.json tells what there is.", prefix=PREFIX),
        )
    )


def _fault(request: Request, error: Exception) -> Response:
    """The server writes what happened into the log: Starlette raises it once more."""
    return _told(problem("failed", say("This is a defect of the gateway's; its log has it.")))
