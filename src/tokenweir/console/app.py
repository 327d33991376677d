"""The console as a Starlette application: who may see which page, forms, CSV, events; what strangers get is the sign-in page."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from tokenweir.admin import problems
from tokenweir.admin.desk import Desk, Who
from tokenweir.admin.problems import Problem
from tokenweir.console import assets
from tokenweir.console.door import SIGN_IN, Door, safe_path
from tokenweir.console.live import Live
from tokenweir.console.multipart import MEDIA_TYPE, Parts, parts_of
from tokenweir.console.outside import Outside
from tokenweir.console.page import ROOT, Data, File, Outcome, Page, Redirect, Said, Shown, Visit
from tokenweir.console.pages import PAGES
from tokenweir.console.preferences import (
    MOST_BYTES,
    Preferences,
    body_of,
    pairs_of,
    preferences_of,
    set_preferences,
)
from tokenweir.console.render import csv_of, html_of, page_of
from tokenweir.console.security import HEADERS
from tokenweir.console.sessions import Session
from tokenweir.console.words import tell, words
from tokenweir.core.errors import CatalogError, LedgerError, SettingsError
from tokenweir.core.sentence import say
from tokenweir.ledger.database import FAULTS

MOST_PARAMETERS = 50
Endpoint = Callable[[Request], Awaitable[Response]]
NO_STORE = {"cache-control": "no-store"}


class Console:
    """What requests share."""

    def __init__(self, desk: Desk, outside: Outside) -> None:
        self.desk = desk
        self.outside = outside
        self.live = Live(desk)
        self.door = Door(desk, outside.rules)


def make_console(desk: Desk, outside: Outside) -> Starlette:
    """The application; it answers every path below /console."""
    missing = assets.missing_parts()
    if missing or not outside.rules.enabled:
        return Starlette(routes=[Route("/{path:path}", _absent(missing))])
    console = Console(desk, outside)
    routes = [
        Route(f"{ROOT}/static/{{name}}", assets.answering(console.door)),
        Route(SIGN_IN, console.door.sign_in, methods=["GET", "POST"]),
        Route(f"{ROOT}/sign-out", console.door.sign_out, methods=["POST"]),
        Route(f"{ROOT}/preferences", set_preferences(console.door), methods=["POST"]),
        Route(f"{ROOT}/events", _events(console)),
        Route(f"{ROOT}/", _to_start),
        *(
            Route(
                (ROOT + page.path).rstrip("/").replace("}", ":path}" if page.slashes else "}"),
                _endpoint(console, page),
                methods=["GET", "POST"] if page.forms else ["GET"],
            )
            for page in PAGES
        ),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _lost(console), Exception: _fault})
    app.router.redirect_slashes = False
    app.add_middleware(Secured)
    return app


async def _to_start(request: Request) -> Response:
    return RedirectResponse(ROOT, 308)


class Secured:
    """Adds what every answer tells the browser to allow."""

    def __init__(self, app: Any) -> None:  # ASGI's callables have no public type here
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def secured(message: Any) -> None:
            if message["type"] == "http.response.start":
                known = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *((n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in known),
                ]
            await send(message)

        await self._app(scope, receive, secured)


# --- pages -------------------------------------------------------------------------------------------------


def _endpoint(console: Console, page: Page) -> Endpoint:
    async def answer(request: Request) -> Response:
        session = console.door.session(request)
        if session is None:
            return _to_sign_in(request)
        form: Parts | None = None
        if request.method == "POST":
            form = await _form_of(request, page.most_bytes)
            if form is None:
                return Response(_unreadable_form(request, page), 413, NO_STORE, "text/html")
            if not console.door.is_own_form(session, form.fields):
                return Response(_stale_form(request), 403, NO_STORE, "text/html")
        return await run_in_threadpool(_answered, console, page, request, session, form)

    return answer


async def _form_of(request: Request, most: int) -> Parts | None:
    body, kind = await body_of(request, most), request.headers.get("content-type", "")
    if body is None:
        return None
    if kind.startswith(MEDIA_TYPE):
        return parts_of(kind, body)
    fields = pairs_of(body)
    return None if fields is None else Parts(fields, {})


def _unreadable_form(request: Request, page: Page) -> str:
    t = words(preferences_of(request).language)
    text = t("common.too_long_text", most=f"{page.most_bytes // 1024:,}")
    return page_of("plain.html", t=t, title=t("common.too_long_title"), text=text)


def _to_sign_in(request: Request) -> Response:
    if request.method == "POST":
        return RedirectResponse(SIGN_IN, 303, NO_STORE)
    query = request.scope["query_string"].decode("latin-1")
    here = request.scope["path"] + (f"?{query}" if query else "")
    asks = "" if here == ROOT else f"?next={quote(safe_path(here), safe='')}"
    return RedirectResponse(SIGN_IN + asks, 303, NO_STORE)


def _stale_form(request: Request) -> str:
    t = words(preferences_of(request).language)
    return page_of("plain.html", t=t, title=t("common.stale_title"), text=t("common.stale_text"))


def _answered(
    console: Console, page: Page, request: Request, session: Session, form: Parts | None
) -> Response:
    """In a thread: open the ledger, run the page's function or a form of it, and render."""
    prefers = preferences_of(request)
    try:
        with console.desk.reading(page.resource, session.holder) as asked:
            if isinstance(asked, Problem):
                if asked.status == 401:  # else the sign-in page would send it back here
                    console.door.end_session(request)
                return _refused(asked, request, prefers)
            visit = Visit(
                asked=asked,
                who=session.holder,
                session=session,
                outside=console.outside,
                live=console.live,
                page=page,
                path={name: str(value) for name, value in request.path_params.items()},
                query=Said(_query(request)),
                language=prefers.language,
                t=words(prefers.language),
                zone=prefers.zone,
            )
            visit.files = {} if form is None else form.files
            outcome = _outcome(visit, None if form is None else form.fields)
            if visit.has_changed_own_key:
                console.door.keep(session)
            return _response(visit, prefers, outcome)
    except (LedgerError, *FAULTS) as error:
        print(f"weir: console: {error}", file=sys.stderr, flush=True)
        return _refused(problems.unavailable(), request, prefers)
    except (SettingsError, CatalogError) as error:
        print(f"weir: console: {error}", file=sys.stderr, flush=True)
        return _refused(problems.unreadable(), request, prefers)


def _outcome(visit: Visit, fields: Mapping[str, str] | None) -> Outcome:
    if fields is None:
        return visit.page.show(visit)
    form = visit.page.forms.get(fields.get("action", ""))
    if form is None:
        outcome: Outcome = Problem(
            400, "wrong_form", say("There is no such form on this page. Load it anew.")
        )
    else:
        outcome = form(visit, fields)
    if isinstance(outcome, Problem):  # the page again, with what was said and what is wrong with it
        visit.problem, visit.fields = outcome, Said(fields)
        again = visit.page.show(visit)
        return again if isinstance(again, Problem) else _with_status(again, outcome.status)
    return outcome


def _with_status(outcome: Outcome, status: int) -> Outcome:
    if isinstance(outcome, Shown):
        return Shown(outcome.template, outcome.tables, outcome.charts, outcome.context, status)
    return outcome


def _response(visit: Visit, prefers: Preferences, outcome: Outcome) -> Response:
    if isinstance(outcome, Redirect):
        return RedirectResponse(outcome.to, 303, NO_STORE)
    if isinstance(outcome, File):
        return _file(outcome)
    if isinstance(outcome, Data):
        return JSONResponse(outcome.value, headers=NO_STORE)
    if isinstance(outcome, Problem):
        return Response(_problem_page(outcome, prefers), outcome.status, NO_STORE, "text/html")
    if visit.wants_csv and visit.problem is None:
        name, text = csv_of(visit, outcome)
        if name:
            headers = {
                **NO_STORE,
                "content-disposition": f'attachment; filename="{visit.page.name}-{name}.csv"',
            }
            return Response("\ufeff" + text, 200, headers, "text/csv; charset=utf-8")
    return Response(html_of(visit, prefers, outcome), outcome.status, NO_STORE, "text/html")


def _file(file: File) -> Response:
    kept = {"content-disposition": f'attachment; filename="{file.name}"'} if file.name else {}
    return Response(file.body, 200, {**NO_STORE, **kept, **file.headers}, file.kind)


def _refused(refusal: Problem, request: Request, prefers: Preferences) -> Response:
    if refusal.status == 401:
        return _to_sign_in(request)
    headers = {**NO_STORE, **refusal.headers}
    return Response(_problem_page(refusal, prefers), refusal.status, headers, "text/html")


def _problem_page(refusal: Problem, prefers: Preferences) -> str:
    t = words(prefers.language)
    return page_of(
        "plain.html", t=t, title=t(f"problem.{refusal.code}"), text=tell(prefers.language, refusal.detail)
    )


def _query(request: Request) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("latin-1"),
            keep_blank_values=False,
            max_num_fields=MOST_PARAMETERS,
        )
    except ValueError:
        return {}
    return {name: value for name, value in pairs if len(name) + len(value) <= MOST_BYTES}


# --- events ------------------------------------------------------------------------------------------------


def _events(console: Console) -> Endpoint:
    async def answer(request: Request) -> Response:
        session = console.door.session(request, touch=False)
        if session is None:
            return Response("", 401, NO_STORE)
        if console.live.is_full:
            return Response("", 503, {**NO_STORE, "retry-after": "30"})
        who: Who = session.holder

        def is_good() -> bool:
            there = console.door.session(request, touch=False) is session
            return there and who(console.desk.latest, console.desk.clock.now_us()) is not None

        return StreamingResponse(console.live.events(is_good), 200, NO_STORE, "text/event-stream")

    return answer


# --- what is not there -------------------------------------------------------------------------------------


def _absent(missing: tuple[str, ...]) -> Endpoint:
    async def answer(request: Request) -> Response:
        t = words(preferences_of(request).language)
        if not missing:
            return Response(
                page_of("bare.html", t=t, title=t("common.off_title"), text=t("common.off_text")),
                404,
                {**NO_STORE, **HEADERS},
                "text/html",
            )
        text = t("common.missing_text", parts=", ".join(missing))
        page = page_of("bare.html", t=t, title=t("common.missing_title"), text=text, command=assets.INSTALL)
        return Response(page, 503, {**NO_STORE, **HEADERS}, "text/html")

    return answer


def _lost(console: Console) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def answer(request: Request, error: Exception) -> Response:
        """Strangers are not told which paths there are."""
        if console.door.session(request) is None:
            return _to_sign_in(request)
        status = error.status_code if isinstance(error, HTTPException) else 404
        t = words(preferences_of(request).language)
        page = page_of("plain.html", t=t, title=t("common.lost_title"), text=t("common.lost_text"))
        return Response(page, status, NO_STORE, "text/html")

    return answer


async def _fault(request: Request, error: Exception) -> Response:
    """The server writes what happened into the log: Starlette raises it once more."""
    t = words(preferences_of(request).language)
    page = page_of("plain.html", t=t, title=t("problem.failed"), text=t("common.failed_text"))
    return Response(page, 500, {**NO_STORE, **HEADERS}, "text/html")
