"""Prices set right afterwards: what would change is shown first; then it is done, where it is still the same."""

from collections.abc import Callable, Mapping
from datetime import date, timedelta

import msgspec

from tokenweir.admin.problems import Problem, problem
from tokenweir.admin.rights import may_write
from tokenweir.admin.works import Work
from tokenweir.billing.correction_answer import RerateAnswer
from tokenweir.console.fields import moment_of, pico_of, said
from tokenweir.console.long_work import asked_after, begun
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.page_keys import accounts_of
from tokenweir.console.table import Column, Table
from tokenweir.core.sentence import say

_COLUMNS = (
    Column("what"),
    Column("currency"),
    Column("before", "money"),
    Column("after", "money"),
    Column("difference", "money"),
)
#: What stands in the form, and in the address of a result.
FIELDS = (
    "from", "to", "model", "upstream", "account", "price", "deployment", "currency", "input", "output", "cache_read", "valid_from",
)  # fmt: skip
_OPERATION = "rerate_calls"


def show(visit: Visit) -> Outcome:
    """The form, and what came of it."""
    work = asked_after(visit, _OPERATION)
    if isinstance(work, Problem):
        visit.problem, work = work, None
    found = None if work is None else work.outcome
    if isinstance(found, Problem):
        visit.problem, found = found, None
    assert found is None or isinstance(found, RerateAnswer)
    return shown(
        "rerate.html",
        tables=() if found is None else (table_of(visit, found),),
        accounts=accounts_of(visit),
        said={name: visit.fields[name] or visit.query[name] for name in FIELDS},
        work=work,
        going_on=work is not None and work.ended_us is None,
        found=found,
        tiles_shown=[] if found is None else _tiles(visit, found),
        may_correct=may_write(visit.asked.actor),
    )


def table_of(visit: Visit, found: RerateAnswer) -> Table:
    """Sums of the attempts that differ, before and after, by currency."""
    rows = []
    for name, before, after in (
        ("cost", found.cost_before, found.cost_after),
        ("charge", found.charge_before, found.charge_after),
    ):
        for currency in sorted({*before, *after}):
            was, will = pico_of(before.get(currency, "0")), pico_of(after.get(currency, "0"))
            cells = ({currency: amount} for amount in (was, will, will - was))
            rows.append((visit.t(f"rerate.{name}"), currency, *cells))
    return Table(name="difference", words="rerate", columns=_COLUMNS, rows=rows)


def _tiles(visit: Visit, found: RerateAnswer) -> list[tuple[str, object, str, str]]:
    t, n = visit.t, visit.format.n
    return [
        (t("rerate.attempts"), n(found.attempts), "", ""),
        (t("rerate.differ"), n(found.differ), "", "warn" if found.differ else "good"),
        (t("rerate.priced"), n(found.priced), t("rerate.priced_note"), ""),
        (
            t("rerate.unpriced"),
            n(found.unpriced),
            t("rerate.unpriced_note"),
            "warn" if found.unpriced else "",
        ),
    ]


def preview(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Nothing is written."""
    return _begin(
        visit, fields, lambda body: visit.doing(_OPERATION, body=_encoded(body | {"dry_run": True}))
    )


def correct(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """What was previewed, and nothing else: prices may have changed since."""
    expected = fields.get("expected", "")
    if not expected:
        return problem("wrong_form", say("Look at what would change first."))

    def doing(body: dict[str, object]) -> Callable[[], object]:
        def do() -> object:
            seen = visit.doing(_OPERATION, body=_encoded(body | {"dry_run": True}))()
            if isinstance(seen, RerateAnswer) and seen.correction != expected:
                return problem(
                    "refused",
                    say("Prices have changed since, and so would what changes. Look at it again first."),
                )
            return seen if isinstance(seen, Problem) else visit.doing(_OPERATION, body=_encoded(body))()

        return do

    return _begin(visit, fields, doing)


def _begin(
    visit: Visit, fields: Mapping[str, str], doing: Callable[[dict[str, object]], Callable[[], object]]
) -> Outcome:
    body = body_of(visit, fields)
    work: Work | Problem = body if isinstance(body, Problem) else begun(visit, _OPERATION, doing(body))
    if isinstance(work, Problem):
        return work
    return Redirect(visit.to("/rerate", **said(fields, *FIELDS), job=work.id))


def body_of(visit: Visit, fields: Mapping[str, str]) -> dict[str, object] | Problem:
    """The form as the operation takes it; days are the viewer's, and the last one is included."""
    body: dict[str, object] = said(fields, "model", "upstream", "account")
    try:
        last = date.fromisoformat(fields["to"]) + timedelta(days=1) if fields.get("to") else None
    except (ValueError, OverflowError):
        return problem("wrong_form", say("{day!r} is no day such as 2026-11-25", day=fields["to"]))
    bounds = {"since": fields.get("from", ""), "until": "" if last is None else last.isoformat()}
    body |= {name: moment for name, day in bounds.items() if (moment := moment_of(day, visit.zone))}
    if fields.get("price") != "own":
        return body | {"price": fields.get("price") or "settings"}
    own: dict[str, object] = {"deployment": fields.get("deployment") or "*"}
    if start := moment_of(fields.get("valid_from", ""), visit.zone):
        own["valid_from"] = start
    bracket = said(fields, "input", "output", "cache_read")
    own["price"] = {"currency": fields.get("currency", "").upper(), "brackets": [bracket]}
    return body | {"prices": [own]}


def _encoded(body: dict[str, object]) -> bytes:
    return msgspec.json.encode(body)
