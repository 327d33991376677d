"""Invoices: issued, looked at before that, opened line by line down to the calls, printed, and taken along as CSV or JSON."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from tokenweir.admin.forms import Page, micros
from tokenweir.admin.problems import Problem
from tokenweir.billing.answer import EntryAnswer, InvoiceAnswer, LineAnswer, invoice_csv
from tokenweir.billing.invoicing import earlier_month
from tokenweir.billing.page import invoice_page
from tokenweir.console.fields import pico_of, said
from tokenweir.console.long_work import begun
from tokenweir.console.page import File, Outcome, Redirect, Visit, shown
from tokenweir.console.page_keys import accounts_of
from tokenweir.console.security import POLICY
from tokenweir.console.table import Column, Link, Table
from tokenweir.ledger.terms import Invoice

#: Entries behind a line on one page.
ON_A_PAGE = 100
LIST = (
    Column("invoice", "link"),
    Column("account", "link"),
    Column("month"),
    Column("ends", "time"),
    Column("due", "money"),
)
_LINES = (
    Column("line"),
    Column("account"),
    Column("model"),
    Column("tokens_of"),
    Column("attempts", "number"),
    Column("tokens", "number"),
    Column("per_million", "per_million"),
    Column("amount", "money"),
    Column("price", "long"),
)
_GAPS = (
    Column("line"),
    Column("account"),
    Column("model"),
    Column("why"),
    Column("attempts", "number"),
    Column("tokens", "number"),
)
_BESIDES = (Column("account"), Column("what", "long"), Column("amount", "money"))
_PARTS = ("charges", "corrections", "fees", "surcharges", "allowance", "credit", "due")
_TOTALS = (Column("currency"), *(Column(name, "money") for name in _PARTS))
_ENTRIES = (
    Column("at", "time"),
    Column("call", "link"),
    Column("kind"),
    Column("key"),
    Column("deployment"),
    Column("tokens", "number"),
    Column("usage_from"),
    Column("amount", "money"),
)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)


def show(visit: Visit) -> Outcome:
    """The list; with `?account=&month=` what would be issued now."""
    asked, preview = said(visit.query, "account", "month"), None
    if len(asked) == 2:
        preview = visit.do("preview_invoice", query={name: str(value) for name, value in asked.items()})
    if isinstance(preview, Problem):
        visit.problem, visit.fields, preview = preview, visit.query, None
    assert preview is None or isinstance(preview, InvoiceAnswer)
    if preview is not None and visit.query["as"]:
        return taken_along(visit, preview)
    return shown(
        "invoices.html",
        tables=(invoices_table(visit), *(() if preview is None else tables_of(visit, preview))),
        preview=preview,
        earlier="" if preview is None else earlier_month(visit.db, preview.account, preview.month),
        accounts=accounts_of(visit),
    )


def invoices_table(visit: Visit) -> Table:
    """Those that may be seen, the latest first."""
    seen = [one for one in visit.asked.terms.invoices.values() if visit.asked.sees(one.account)]
    seen.sort(key=lambda invoice: (-invoice.number, invoice.id))
    return Table(name="invoices", words="invoices", columns=LIST, rows=[_row(visit, one) for one in seen])


def _row(visit: Visit, invoice: Invoice) -> tuple[object, ...]:
    return (
        Link(invoice.id, visit.to(f"/invoices/{invoice.id}")),
        Link(invoice.account, visit.to(f"/accounts/{invoice.account}")),
        invoice.month,
        invoice.until_us,
        dict(invoice.totals) or None,
    )


def issue(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Close a month of an account."""
    body = msgspec.json.encode(said(fields, "account", "month"))
    work = begun(visit, "issue_invoice", visit.doing("issue_invoice", body=body))
    if isinstance(work, Problem):
        return work
    if not isinstance(work.outcome, InvoiceAnswer):
        return Redirect(visit.to("/invoices", done="going_on"))
    return Redirect(visit.to(f"/invoices/{work.outcome.id}", done="issued"))


def show_one(visit: Visit) -> Outcome:
    """One invoice with its lines; with `?line=` the attempts behind one; with `?as=` for elsewhere."""
    found = visit.do("get_invoice", id=visit.path["id"])
    if isinstance(found, Problem):
        return found
    assert isinstance(found, InvoiceAnswer)
    if visit.query["as"]:
        return taken_along(visit, found)
    tables, line = tables_of(visit, found), visit.query["line"]
    behind = _behind(visit, found, line) if line else None
    if isinstance(behind, Problem):
        return behind
    return shown(
        "invoice.html", tables=tables if behind is None else (behind, *tables), invoice=found, line=line,
        issued_us=_us(found.issued), until_us=_us(found.until),
    )  # fmt: skip


def taken_along(visit: Visit, found: InvoiceAnswer) -> Outcome:
    """A page to print, or a file to keep."""
    if visit.query["as"] == "csv":
        text = "\ufeff" + invoice_csv(found)
        return File(kind="text/csv; charset=utf-8", body=text.encode(), name=f"{found.id}.csv")
    if visit.query["as"] == "json":
        return File(kind="application/json", body=msgspec.json.encode(found), name=f"{found.id}.json")
    page = invoice_page(found, visit.language)
    style = _STYLE.search(page)
    assert style is not None, "the printed page has one style of its own"
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    policy = POLICY.replace("style-src 'self'", f"style-src 'sha256-{digest}'")
    return File(
        kind="text/html; charset=utf-8", body=page.encode(), headers={"content-security-policy": policy}
    )


def tables_of(visit: Visit, found: InvoiceAnswer) -> tuple[Table, ...]:
    """What it comes to, and what of: totals first, then lines, corrections, what there is besides, and usage without money."""
    totals = [
        (one.currency, *({one.currency: pico_of(getattr(one, name))} for name in _PARTS))
        for one in found.totals
    ]
    gaps = [
        (_line(visit, found, gap.line), gap.account, gap.model, visit.t(f"invoices.{gap.what}"), gap.attempts, sum(gap.tokens.values()))
        for gap in found.without_money
    ]  # fmt: skip
    link = () if found.issued is None else (Column("line", "link"),)
    lines, without = (*(link or _LINES[:1]), *_LINES[1:]), (*(link or _GAPS[:1]), *_GAPS[1:])
    return (
        _table("totals", _TOTALS, totals),
        _table("lines", lines, [_cells(visit, found, line) for line in found.lines]),
        _table("corrected", lines, [_cells(visit, found, line) for line in found.corrections]),
        _table("besides", _BESIDES, _besides(visit, found)),
        _table("gaps", without, gaps),
    )


def _table(name: str, columns: tuple[Column, ...], rows: Sequence[Sequence[object]]) -> Table:
    return Table(name=name, words="invoices", columns=columns, rows=rows)


def _cells(visit: Visit, found: InvoiceAnswer, line: LineAnswer) -> tuple[object, ...]:
    return (
        _line(visit, found, line.line), line.account, line.model,
        visit.t(f"class.{line.token_class or 'all'}"), line.attempts, line.tokens, line.per_million,
        {line.currency: pico_of(line.amount)}, line.price or None,
    )  # fmt: skip


def _line(visit: Visit, found: InvoiceAnswer, number: int) -> Link | int:
    """To what is behind it, once it is issued."""
    if found.issued is None:
        return number
    return Link(str(number), visit.to(f"/invoices/{found.id}", line=number) + "#behind")


def _besides(visit: Visit, found: InvoiceAnswer) -> list[tuple[object, ...]]:
    t, rows = visit.t, []
    for fee in found.fees:
        rows.append(
            (fee.account, t("invoices.fee", plan=fee.plan, month=fee.month), fee.currency, fee.amount)
        )
    for extra in found.surcharges:
        beyond = f"{extra.beyond} {extra.currency}"
        text = t("invoices.surcharge", percent=extra.percent, beyond=beyond, month=extra.month)
        rows.append((extra.account, text, extra.currency, extra.amount))
    told: list[tuple[object, ...]] = [
        (account, text, {currency: pico_of(amount)}) for account, text, currency, amount in rows
    ]
    for paid in found.paid:
        text = t(f"invoices.paid_{paid.what}", of=paid.credit or paid.month)
        if paid.unit == "tokens":
            told.append((paid.account, f"{text}: {int(paid.amount):,} {t('unit.tokens')}", None))
        else:
            told.append((paid.account, text, {paid.unit: -pico_of(paid.amount)}))
    return told


def _behind(visit: Visit, found: InvoiceAnswer, line: str) -> Table | Problem:
    after = int(visit.query["after"]) if visit.query["after"].isdigit() else 0
    query = {"limit": str(ON_A_PAGE), "after": str(after)}
    page = visit.do("explain_line", id=found.id, line=line, query=query)
    if isinstance(page, Problem):
        return page
    assert isinstance(page, Page)
    return Table(
        name="behind", words="invoices", columns=_ENTRIES, rows=[_entry(visit, one) for one in page.items], sorts=False,
        next=visit.link(after=page.next) if page.next else "",
    )  # fmt: skip


def _entry(visit: Visit, entry: EntryAnswer) -> tuple[object, ...]:
    key = visit.asked.terms.keys.get(entry.key)
    return (
        _us(entry.at),
        Link(entry.call[-12:], visit.to(f"/calls/{entry.call}")),
        visit.t(f"call.kind_{entry.kind}") if entry.sign > 0 else visit.t("invoices.taken_away"),
        entry.key if key is None else key.name,
        entry.deployment or None,
        entry.sign * sum(entry.tokens.values()),
        visit.t(f"call.from_{entry.provenance}"),
        None if entry.amount is None else {entry.currency: pico_of(entry.amount)},
    )


def _us(text: str | None) -> int | None:
    return None if text is None else micros(datetime.fromisoformat(text))
