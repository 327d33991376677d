"""A page as the table of pages has it, what its function is given, and what it may answer."""

from collections.abc import Callable, Mapping
from functools import partial
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import msgspec

from tokenweir.admin.desk import Asked, Desk, Who
from tokenweir.admin.operations import OPERATIONS
from tokenweir.admin.problems import Problem
from tokenweir.admin.rights import RIGHTS, reads_all
from tokenweir.console.live import Live
from tokenweir.console.numbers import Format
from tokenweir.console.outside import Outside
from tokenweir.console.periods import Period, period_of, unreadable
from tokenweir.console.preferences import MOST_BYTES
from tokenweir.console.sessions import Session
from tokenweir.console.table import Chart, Table
from tokenweir.console.words import Words, tell
from tokenweir.ledger.database import Connection

ROOT = "/console"
_BY_ID = {operation.id: operation for operation in OPERATIONS}


class Shown(msgspec.Struct, frozen=True):
    """A page: its template, the tables and charts by their names, and what else the template is to know."""

    template: str
    tables: Mapping[str, Table]
    charts: Mapping[str, Chart]
    context: Mapping[str, object]
    status: int = 200


def shown(
    template: str,
    *,
    tables: tuple[Table, ...] = (),
    charts: tuple[Chart, ...] = (),
    status: int = 200,
    **context: object,
) -> Shown:
    """A page."""
    return Shown(template, {t.name: t for t in tables}, {c.name: c for c in charts}, context, status)


class Redirect(msgspec.Struct, frozen=True):
    """Go on there: what a form that was carried out answers."""

    to: str


class Data(msgspec.Struct, frozen=True):
    """JSON, for a script of the page's own."""

    value: object


class File(msgspec.Struct, frozen=True, kw_only=True):
    """Something else than a page; `name`: it is kept under that name rather than shown."""

    kind: str
    body: bytes
    name: str = ""
    headers: Mapping[str, str] = {}


class Said(dict[str, str]):
    """What a query or a form says; empty for what it does not."""

    def __missing__(self, name: str) -> str:
        return ""


Outcome = Shown | Redirect | Data | File | Problem


class Visit:
    """One request to one page, by somebody who is signed in and may read what it is about."""

    def __init__(
        self,
        *,
        asked: Asked,
        who: Who,
        session: Session,
        outside: Outside,
        live: Live,
        page: "Page",
        path: Mapping[str, str],
        query: Said,
        language: str,
        t: Words,
        zone: ZoneInfo,
    ) -> None:
        self.asked = asked
        self.session = session
        self.outside = outside
        self.live = live
        self.page = page
        self.path = path  # parameters of the page's path
        self.query = query  # what stands behind the `?`
        self.language = language
        self.t = t  # a word by its key
        self.zone = zone
        self.format = Format(language, zone)
        self.problem: Problem | None = None  # why a form was not carried out
        self.fields = Said()  # what it said
        self.files: Mapping[
            str, tuple[str, bytes]
        ] = {}  # and what was sent with it: names and bytes, by fields
        self.shown_period: Period | None = None  # once a page has asked for it
        self.has_changed_own_key = False  # its secret or password: all sessions of that key end but this one
        self._who = who

    @property
    def db(self) -> Connection:
        """The ledger, opened to read."""
        return self.asked.db

    @property
    def desk(self) -> Desk:
        """What all requests share."""
        return self.asked.desk

    @property
    def accounts(self) -> set[str] | None:
        """Whose rows may be shown; None: everybody's."""
        return None if reads_all(self.asked.actor) else self.asked.terms.below(self.asked.actor.account)

    @property
    def wants_csv(self) -> bool:
        """Whether a table is asked for as CSV, which may be longer than a page."""
        return self.query.get("format") == "csv"

    def may(self, resource: str, method: str) -> bool:
        """Whether the role may; what is not its own is refused all the same."""
        return self.asked.actor.role in RIGHTS[resource].get(method, ())

    def period(self, default: str = "7d") -> Period:
        """The span that the query asks for."""
        self.shown_period = period_of(self.query, self.asked.now_us, self.zone, default)
        return self.shown_period

    @property
    def unreadable(self) -> list[str]:
        """What the query says of a period and cannot be read: the page shows another."""
        return [] if self.shown_period is None else unreadable(self.query)

    def do(
        self, operation: str, *, query: Mapping[str, str] | None = None, body: object = None, **path: str
    ) -> object:
        """What an operation of the admin API answers in the name of who is signed in, or a Problem: the same checks, the same audit."""
        told = b"" if body is None else msgspec.json.encode(body)
        pairs = tuple((query or {}).items())
        return self.desk.outcome(_BY_ID[operation], path, pairs, told, self._who)

    def doing(
        self, operation: str, *, query: Mapping[str, str] | None = None, body: bytes = b"", **path: str
    ) -> Callable[[], object]:
        """The same to be done later, perhaps on another thread; the body as it is sent."""
        return partial(
            self.desk.outcome, _BY_ID[operation], path, tuple((query or {}).items()), body, self._who
        )

    def tell(self, text: str) -> str:
        """A sentence of the code's in the language of who looks."""
        return tell(self.language, text)

    def link(self, **changes: object) -> str:
        """This page with some of its query changed; None takes a parameter out."""
        query = {**self.query, **{name.rstrip("_"): value for name, value in changes.items()}}
        kept = {
            name: value for name, value in query.items() if value is not None and name not in ("done", "lang")
        }
        path = ROOT + self.page.path.format(
            **{name: quote(value, safe="") for name, value in self.path.items()}
        )
        return f"{path.rstrip('/')}{'?' if kept else ''}{urlencode(kept)}"

    def to(self, page: str, **query: object) -> str:
        """Another page, by its path below /console."""
        return f"{ROOT}{page}{'?' if query else ''}{urlencode(query)}"

    def to_run(self, run: str) -> str:
        """The page of a run, whatever it is called. Browsers take two names for a way up, also when they are escaped."""
        if run in (".", ".."):
            return self.to("/runs", run=run)
        return self.to(f"/runs/{quote(run, safe='')}")


Form = Callable[[Visit, Mapping[str, str]], Outcome]


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table: see the package's docstring."""

    name: str
    path: str  # below /console, with {parameters}
    show: Callable[[Visit], Outcome]
    resource: str  # of admin.rights: whoever may GET it may see the page
    group: str = ""  # of the navigation; empty: it stands in none
    under: str = ""  # the page of the navigation that it belongs to
    forms: Mapping[str, Form] = {}
    slashes: bool = False  # its last parameter may hold some
    most_bytes: int = MOST_BYTES  # of a form
