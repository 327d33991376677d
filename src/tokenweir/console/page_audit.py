"""The audit: every change of terms, newest first, with who made it."""

from tokenweir.admin.audit import kind_of, subject_of
from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.table import Column, Link, Table
from tokenweir.ledger.store import read_changes
from tokenweir.ledger.terms import Audited
from tokenweir.ledger.views.audit import in_words

ON_A_PAGE = 100
_COLUMNS = (
    Column("seq", "number"),
    Column("at", "time"),
    Column("actor"),
    Column("subject", "link"),
    Column("what", "long"),
)
#: What a change is on -> the page that shows it.
_PAGES = {"key": "/keys/{}", "account": "/accounts/{}", "upstream": "/upstreams", "invoice": "/invoices/{}"}


def show(visit: Visit) -> Outcome:
    """A page of changes."""
    query = visit.query
    before = int(query["after"]) if query.get("after", "").isdigit() else 2**62
    found = [
        audited
        for audited in read_changes(visit.db)
        if audited.seq < before
        and query.get("subject") in (None, subject_of(audited.change))
        and query.get("kind") in (None, kind_of(audited.change))
        and query.get("actor") in (None, audited.actor)
    ]
    rows = found[::-1] if visit.wants_csv else found[: -ON_A_PAGE - 1 : -1]
    more = len(found) > len(rows) and not visit.wants_csv
    table = Table(
        name="audit", words="audit", columns=_COLUMNS, rows=[_row(visit, audited) for audited in rows], sorts=False,
        next=visit.link(after=rows[-1].seq) if more else "",
    )  # fmt: skip
    return shown("audit.html", tables=(table,))


def _row(visit: Visit, audited: Audited) -> tuple[object, ...]:
    actor = visit.asked.terms.keys.get(audited.actor)
    subject = subject_of(audited.change)
    kind, _, id = subject.partition("/")
    page = _PAGES.get(kind)
    return (
        audited.seq,
        audited.at_us,
        visit.tell(audited.actor) if actor is None else actor.name,
        Link(subject, visit.to(page.format(id)) if page else visit.to("/audit", subject=subject)),
        visit.tell(in_words(audited.change)),
    )
