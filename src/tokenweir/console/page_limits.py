"""Limits: what is spent, set aside and left of each; set and lifted here."""

from collections.abc import Mapping
from urllib.parse import quote

from tokenweir.admin.problems import Problem, problem
from tokenweir.admin.rights import sees_scope
from tokenweir.console.fields import said
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.table import Bar, Column, Link, Table
from tokenweir.core.sentence import say
from tokenweir.ledger.limit_text import limit_in_words
from tokenweir.ledger.views.limits import LimitNow, limits_now

COLUMNS = (
    Column("scope", "link"),
    Column("used", "bar"),
    Column("limit"),
    Column("model"),
    Column("renews", "time"),
    Column("days_in"),
)
KINDS = ("account", "key", "run")


def show(visit: Visit) -> Outcome:
    """All of them; with `?scope=` those of one thing."""
    table = limits_table(visit, visit.query["scope"])
    found = found_limits(visit, visit.query["scope"])
    return shown(
        "limits.html",
        tables=(table,),
        kinds=KINDS,
        found=found,
        words_of=lambda now: visit.tell(limit_in_words(now.limit)),
        scope=visit.query["scope"],
    )


def found_limits(visit: Visit, scope: str) -> list[LimitNow]:
    """Limits on a scope, or all, that may be shown."""
    found = limits_now(visit.db, visit.asked.now_us, scope)
    return [now for now in found if sees_scope(visit.asked.terms, visit.asked.actor, now.scope)]


def limits_table(visit: Visit, scope: str) -> Table:
    """The same as a table."""
    rows = [limit_cells(visit, now) for now in found_limits(visit, scope)]
    return Table(name="limits", words="limits", columns=COLUMNS, rows=rows)


def limit_cells(visit: Visit, now: LimitNow) -> tuple[object, ...]:
    """A row of the table."""
    return (
        scope_link(visit, now.scope),
        Bar(now.spent, now.reserved, now.limit.amount, now.limit.unit),
        visit.format.grouped(visit.tell(limit_in_words(now.limit))),
        now.limit.model or visit.t("limits.all_models"),
        now.renews_at_us,
        now.zone if now.limit.window in ("day", "month") else None,
    )


def scope_link(visit: Visit, scope: str) -> Link:
    """What a limit stands on, called by its name."""
    kind, _, id = scope.partition("/")
    key = visit.asked.terms.keys.get(id) if kind == "key" else None
    name = id if key is None else key.name
    pages = {"key": f"/keys/{quote(id, safe='')}", "account": f"/accounts/{quote(id, safe='')}"}
    href = visit.to(pages[kind]) if kind in pages else visit.to_run(id)
    return Link(f"{visit.t(f'limits.kind_{kind}')} {name}", href)


def put(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Set one, as people write it: `¥5/day`."""
    body: dict[str, object] = {"scope": scope_of(visit, fields), "text": fields.get("text", "")}
    outcome = visit.do("put_limit", body=body | said(fields, "model"))
    return outcome if isinstance(outcome, Problem) else Redirect(visit.to("/limits", done="saved"))


def lift(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Lift the one that was chosen."""
    parts = fields.get("limit", "").split("|")
    if len(parts) != 4:
        return problem("wrong_form", say("Choose a limit."))
    query = dict(zip(("scope", "model", "unit", "window"), parts, strict=True))
    outcome = visit.do("remove_limit", query={name: value for name, value in query.items() if value})
    return outcome if isinstance(outcome, Problem) else Redirect(visit.to("/limits", done="saved"))


def scope_of(visit: Visit, fields: Mapping[str, str]) -> str:
    """`key/ID`, also where the key was called by its name."""
    kind, id = fields.get("kind", ""), fields.get("id", "")
    if kind == "key" and id not in visit.asked.terms.keys:
        named = [
            key.id for key in visit.asked.terms.keys.values() if key.name == id and key.revoked_us is None
        ]
        id = named[0] if len(named) == 1 else id
    return f"{kind}/{id}"
