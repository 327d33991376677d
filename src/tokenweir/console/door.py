"""Signing in and out: by a key's secret, or by a key's name and its password. Who fails too often waits."""

import hashlib
import hmac
import sys
import threading
from collections.abc import Mapping
from contextlib import closing

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from tokenweir.admin.desk import Desk, Snapshot
from tokenweir.admin.passwords import LONGEST, is_right
from tokenweir.console.lockout import Lockout
from tokenweir.console.outside import Rules
from tokenweir.console.page import ROOT
from tokenweir.console.preferences import fields_of, preferences_of
from tokenweir.console.render import page_of
from tokenweir.console.security import client_address, is_behind_tls
from tokenweir.console.sessions import Session, Sessions, mark_of
from tokenweir.console.words import words
from tokenweir.core.errors import LedgerError
from tokenweir.ledger.database import FAULTS
from tokenweir.ledger.terms import KeyRecord
from tokenweir.ledger.views import open_reader

SIGN_IN = f"{ROOT}/sign-in"
SESSION_COOKIE = "weir_session"
FORM_COOKIE = "weir_form"
#: Passwords that are checked at a time: each takes 64 MiB and a core for a moment.
CHECKED_AT_ONCE = 2
#: What a secret may be at most.
MOST_SECRET = 200
#: Of an address to come back to.
LONGEST_PATH = 2_000
NO_STORE = {"cache-control": "no-store"}


class Entry(msgspec.Struct, frozen=True):
    """What came of an attempt to sign in: a session's beginning, or a word for what is wrong."""

    key: KeyRecord | None = None
    mark: bytes = b""
    wrong: str = ""


class Door:
    """Sessions, and who may begin one."""

    def __init__(self, desk: Desk, rules: Rules) -> None:
        self._desk = desk
        self._rules = rules
        self._sessions = Sessions(
            desk.data_dir, desk.clock, desk.random_bytes, rules.idle_us, rules.longest_us
        )
        self._lockout = Lockout()
        self._checking = threading.Semaphore(CHECKED_AT_ONCE)

    def session(self, request: Request, *, touch: bool = True) -> Session | None:
        """Who is signed in."""
        token = request.cookies.get(SESSION_COOKIE, "")
        return self._sessions.find(token, touch=touch) if token else None

    def end_session(self, request: Request) -> None:
        """Its key is not good any more."""
        self._sessions.end(request.cookies.get(SESSION_COOKIE, ""))

    def keep(self, session: Session) -> None:
        """It has changed its own key's secret or password, and goes on; all others of that key have ended."""
        self._sessions.renew(session, mark_of(self._desk.latest, session.key))

    def is_own_form(self, session: Session, fields: Mapping[str, str]) -> bool:
        """Whether a form comes from a page of this session: no other site knows its token."""
        return hmac.compare_digest(fields.get("form_token", "").encode(), session.form_token.encode())

    def is_secure(self, request: Request) -> bool:
        """Whether cookies may be kept to TLS."""
        headers = request.headers
        return is_behind_tls(
            headers.get("x-weir-client", ""),
            headers.get("x-forwarded-proto", ""),
            self._rules.trusted_proxies,
        )

    # --- the page

    async def sign_in(self, request: Request) -> Response:
        """The page, and what its form does."""
        if request.method == "POST":
            return await self._try(request)
        if self.session(request) is not None:
            return RedirectResponse(safe_path(request.query_params.get("next", "")), 303, NO_STORE)
        return self._page(request)

    async def sign_out(self, request: Request) -> Response:
        """End the session."""
        session, fields = self.session(request), await fields_of(request)
        response = RedirectResponse(SIGN_IN, 303, NO_STORE)
        if session is not None and fields is not None and self.is_own_form(session, fields):
            self._sessions.end(request.cookies[SESSION_COOKIE])
            response.delete_cookie(SESSION_COOKIE, path=ROOT)
        return response

    def _page(
        self,
        request: Request,
        wrong: str = "",
        status: int = 200,
        wait_s: int = 0,
        fields: Mapping[str, str] | None = None,
    ) -> Response:
        said = {"next": request.query_params.get("next", ""), **(fields or {})}
        prefers = preferences_of(request)
        known = request.cookies.get(FORM_COOKIE, "")
        token = known if len(known) == 64 else self._sessions.token()
        t = words(prefers.language)
        page = page_of(
            "sign_in.html", t=t, prefers=prefers, token=token, name=said.get("name", ""), next=safe_path(said["next"]),
            wrong=t(f"sign_in.{wrong}", minutes=-(-wait_s // 60)) if wrong else "",
        )  # fmt: skip
        headers = NO_STORE if not wait_s else {**NO_STORE, "retry-after": str(wait_s)}
        response = Response(page, status, headers, "text/html")
        response.set_cookie(
            FORM_COOKIE, token, path=ROOT, httponly=True, samesite="strict", secure=self.is_secure(request)
        )
        return response

    async def _try(self, request: Request) -> Response:
        fields = await fields_of(request)
        token = request.cookies.get(FORM_COOKIE, "")
        if fields is None or not token or not hmac.compare_digest(token, fields.get("form_token", "")):
            return self._page(request, "stale", 403, fields=fields)
        headers = request.headers
        address = client_address(
            headers.get("x-weir-client", ""), headers.get("x-forwarded-for", ""), self._rules.trusted_proxies
        )
        name, who = fields.get("name", "")[:128], {"address": address}
        if name:
            who["name"] = name
        wait_us = self._lockout.wait_us(self._now_us(), **who)
        if wait_us > 0:
            return self._page(request, "locked", 429, -(-wait_us // 1_000_000), fields)
        self._lockout.failed(
            self._now_us(), **who
        )  # before it is known: who asks many times at once counts them all
        try:
            entry = await run_in_threadpool(self._entry, name, fields.get("password", ""))
        except (LedgerError, *FAULTS) as error:
            print(f"weir: console: {error}", file=sys.stderr, flush=True)
            entry = Entry(wrong="unavailable")
        if entry.wrong != "unknown":
            self._lockout.forgive(**who)
        if entry.key is None:
            return self._page(
                request, entry.wrong, 503 if entry.wrong == "unavailable" else 403, fields=fields
            )
        self._sessions.end(request.cookies.get(SESSION_COOKIE, ""))
        begun = self._sessions.begin(entry.key.id, entry.mark)
        response = RedirectResponse(safe_path(fields.get("next", "")), 303, NO_STORE)
        response.set_cookie(
            SESSION_COOKIE, begun, max_age=self._rules.longest_us // 1_000_000, path=ROOT, httponly=True,
            samesite="lax", secure=self.is_secure(request),
        )  # fmt: skip
        response.delete_cookie(FORM_COOKIE, path=ROOT)
        return response

    # --- who it is

    def _entry(self, name: str, secret: str) -> Entry:
        """In a thread. Without a name it is a key's secret."""
        with closing(open_reader(self._desk.data_dir)) as db:
            snapshot = self._desk.snapshot(db)
        now_us = self._desk.clock.now_us()
        if not name:
            digest = hashlib.sha256(secret[:MOST_SECRET].encode()).digest()
            return _with_role(snapshot, snapshot.known.key_by_hash(digest, now_us))
        key = _named(snapshot, name, now_us)
        hash = "" if key is None else snapshot.terms.passwords.get(key.id, "")
        with self._checking:
            right = is_right(secret[:LONGEST], hash)
        return _with_role(snapshot, key if right else None)

    def _now_us(self) -> int:
        return self._desk.clock.steady_us()


def _named(snapshot: Snapshot, name: str, now_us: int) -> KeyRecord | None:
    """The one living key with a password that is called so, or has that id."""
    keys = snapshot.terms.keys
    called = [
        keys[id]
        for id in snapshot.terms.passwords
        if name in (id, keys[id].name) and keys[id].is_live(now_us)
    ]
    return called[0] if len(called) == 1 else None


def _with_role(snapshot: Snapshot, key: KeyRecord | None) -> Entry:
    if key is None:
        return Entry(wrong="unknown")
    if not key.role:
        return Entry(wrong="no_role")
    closed = key.role == "member" and snapshot.terms.is_closed(key.account)
    return Entry(wrong="closed") if closed else Entry(key, mark_of(snapshot, key.id))


def safe_path(path: str) -> str:
    """A path of the console's own; anything else becomes its first page."""
    below = path == ROOT or path.startswith((f"{ROOT}/", f"{ROOT}?"))
    plain = path.isprintable() and "\\" not in path and len(path) <= LONGEST_PATH
    return path if below and plain and not path.startswith(SIGN_IN) else ROOT
