"""A provider's bill beside the ledger: what agrees, what differs, and what only one side has, each with the calls behind it."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta

from tokenweir.admin.forms import micros
from tokenweir.admin.problems import Problem, problem
from tokenweir.billing.reconcile import Outcome as Of
from tokenweir.billing.reconcile_answer import CellAnswer, ReconcileAnswer, SectionAnswer, SideAnswer
from tokenweir.catalog.bill_formats import shipped_bill_formats
from tokenweir.console.fields import pico_of, said
from tokenweir.console.long_work import asked_after, begun
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.table import Badge, Column, Link, Table
from tokenweir.core.sentence import say
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.views import upstreams

#: A gateway's worker passes no longer form on; a bill shrinks to a tenth as a ZIP.
MOST_BYTES = 2 * 1024 * 1024
#: Cells of one table on the page; its CSV has all.
MOST_CELLS = 500
FIELDS = ("upstream", "provider", "from", "to", "tolerance", "key")
_OPERATION = "reconcile_bill"
_SUMS = (
    Column("outcome", "badge"),
    Column("cells", "number"),
    Column("ours_tokens", "number"),
    Column("theirs_tokens", "number"),
    Column("ours", "money"),
    Column("theirs", "money"),
    Column("difference", "money"),
)
_CELLS = (
    Column("outcome", "badge"),
    Column("period"),
    Column("model"),
    Column("item", "long"),
    Column("calls", "link"),
    Column("ours_tokens", "number"),
    Column("theirs_tokens", "number"),
    Column("ours", "money"),
    Column("theirs", "money"),
    Column("difference", "money"),
    Column("rows", "long"),
)
_TONES = {Of.MATCHED: "good", Of.DIFFERENT: "bad", Of.OURS_ONLY: "warn", Of.THEIRS_ONLY: "warn"}


def show(visit: Visit) -> Outcome:
    """The form, and what came of it."""
    work = asked_after(visit, _OPERATION)
    if isinstance(work, Problem):
        visit.problem, work = work, None
    found = None if work is None else work.outcome
    if isinstance(found, Problem):
        visit.problem, found = found, None
    assert found is None or isinstance(found, ReconcileAnswer)
    sections = [] if found is None else [_spanned(visit, *one) for one in enumerate(found.sections)]
    tables = [table for place, section, _, _ in sections for table in _tables(visit, found, place, section)]
    forms = shipped_bill_formats()
    return shown(
        "reconcile.html",
        tables=tuple(tables),
        known=upstreams(visit.db),
        providers=sorted((form.id, visit.tell(form.title)) for form in forms.values()),
        said={name: visit.fields[name] or visit.query[name] for name in FIELDS},
        going_on=work is not None and work.ended_us is None,
        found=found,
        title="" if found is None or found.format not in forms else visit.tell(forms[found.format].title),
        sections=sections,
        most_kib=MOST_BYTES // 1024,
        most_cells=MOST_CELLS,
    )


def _spanned(visit: Visit, place: int, section: SectionAnswer) -> tuple[int, SectionAnswer, str, str]:
    """With its first and its last day, as who looks counts days."""
    since_us, until_us = (micros(datetime.fromisoformat(text)) for text in (section.since, section.until))
    return place, section, visit.format.day(since_us), visit.format.day(until_us - 1)


def compare(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Compare the bill that was sent. Nothing is written."""
    _, bill = visit.files.get("bill", ("", b""))
    if not bill:
        return problem("wrong_form", say("Choose the file of the bill."))
    query = {
        name: str(value) for name, value in said(fields, "upstream", "provider", "tolerance", "key").items()
    }
    try:
        if fields.get("from"):
            query["since"] = date.fromisoformat(fields["from"]).isoformat()
        if fields.get("to"):
            query["until"] = (date.fromisoformat(fields["to"]) + timedelta(days=1)).isoformat()
    except (ValueError, OverflowError):
        return problem("wrong_form", say("A span is of days such as 2026-11-25."))
    work = begun(visit, _OPERATION, visit.doing(_OPERATION, query=query, body=bill))
    if isinstance(work, Problem):
        return work
    return Redirect(visit.to("/reconcile", **said(fields, *FIELDS), job=work.id))


def _tables(
    visit: Visit, found: ReconcileAnswer | None, place: int, section: SectionAnswer
) -> tuple[Table, Table]:
    assert found is not None
    sums = [
        (_badge(name), group.cells, *_sides(group.ours, group.theirs))
        for name, group in section.groups.items()
    ]
    wanted = [cell for cell in section.cells if visit.query["all"] or cell.outcome != Of.MATCHED]
    kept = wanted if visit.wants_csv else wanted[:MOST_CELLS]
    names = {d.name for model in visit.outside.served().models for d in model.deployments}
    cells = [_cell(visit, found.upstream, names, cell) for cell in kept]
    return (
        Table(name=f"sums_{place}", words="reconcile", columns=_SUMS, rows=sums, sorts=False),
        Table(name=f"cells_{place}", words="reconcile", columns=_CELLS, rows=cells),
    )


def _item(visit: Visit, item: str) -> str:
    """Classes of tokens by their names; a provider's own word as it is."""
    names = item.split("+")
    known = all(name in TOKEN_CLASSES for name in names)
    return ", ".join(visit.t(f"class.{name}") for name in names) if known else item


def _badge(outcome: str) -> Badge:
    of = Of(outcome)
    return Badge(outcome, _TONES[of], f"reconcile.{of.name.lower()}")


def _sides(ours: SideAnswer, theirs: SideAnswer) -> tuple[object, ...]:
    own, other = _money(ours), _money(theirs)
    more = {currency: other.get(currency, 0) - own.get(currency, 0) for currency in sorted({*own, *other})}
    return (_tokens(ours), _tokens(theirs), own or None, other or None, more or None)


def _tokens(side: SideAnswer) -> int | None:
    return sum(side.tokens.values()) if side.tokens else None


def _money(side: SideAnswer) -> dict[str, int]:
    return {currency: pico_of(text) for currency, text in side.money.items()}


def _cell(visit: Visit, upstream: str, names: set[str], cell: CellAnswer) -> tuple[object, ...]:
    """With a link to the calls of its time; of its model too, where that is a deployment's name."""
    deployment = f"{upstream}/{cell.model}"
    narrowed = {"deployment": deployment} if deployment in names else {}
    calls = visit.to("/calls", **{"from": cell.since, "to": cell.until}, upstream=upstream, **narrowed)
    return (
        _badge(cell.outcome),
        cell.period,
        cell.model or None,
        cell.request or _item(visit, cell.item) or None,
        Link(visit.t("reconcile.to_calls"), calls),
        *_sides(cell.ours, cell.theirs),
        ", ".join(f"{file}:{row}" for file, row in cell.rows) or None,
    )
