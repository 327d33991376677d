"""Invoices: as one would be now, issued, listed, shown, and explained down to the calls behind each line."""

from itertools import islice
from typing import Annotated

import msgspec
from msgspec import Meta

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import (
    DEFAULT_PAGE,
    MOST_ON_A_PAGE,
    Body,
    Currency,
    Moment,
    Month,
    Name,
    Page,
    PageQuery,
    Query,
    moment,
    page_of,
)
from tokenweir.admin.problems import Problem, not_found, refused
from tokenweir.admin.rights import reads_all
from tokenweir.billing.answer import EntryAnswer, InvoiceAnswer, entry_answer, invoice_answer
from tokenweir.billing.invoice import Document
from tokenweir.billing.invoicing import explain, issue, open_issued, preview
from tokenweir.core.money import decimals
from tokenweir.core.sentence import say
from tokenweir.ledger import terms as t


class Invoice(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice of an account and a month: it holds every entry up to `upto_seq` that no earlier one held."""

    id: str
    account: str
    month: str  # 2026-11, in the account's time zone
    ends: Moment  # what was used later is not on it
    upto_seq: int
    totals: dict[str, str]  # exact decimals by currency


class InvoicesQuery(PageQuery, frozen=True, kw_only=True):
    """`account`: only its own; `month`: such as 2026-11."""

    account: Name | None = None
    month: Name | None = None


class InvoiceQuery(Query, frozen=True, kw_only=True):
    """`currency`: one that what is due is told in as well."""

    currency: Currency | None = None


class PreviewQuery(InvoiceQuery, frozen=True, kw_only=True):
    """Whose, and of which month. `currency`: one that what is due is told in as well."""

    account: Name
    month: Month


class IssueBody(Body, frozen=True, kw_only=True):
    """Whose invoice, and the month that it closes, which must be over in the account's time zone."""

    account: Name
    month: Month


class LineQuery(Query, frozen=True, kw_only=True):
    """A page of the entries behind a line, in the ledger's order: `after` of them are passed over."""

    limit: Annotated[int, Meta(ge=1, le=MOST_ON_A_PAGE)] = DEFAULT_PAGE
    after: Annotated[int, Meta(ge=0, le=2**40)] = 0


def list_invoices(asked: Asked, query: InvoicesQuery) -> Page[Invoice]:
    """Invoices, by their ids."""
    shown = [
        told_invoice(invoice)
        for invoice in asked.terms.invoices.values()
        if asked.sees(invoice.account)
        and query.account in (None, invoice.account)
        and query.month in (None, invoice.month)
    ]
    return page_of(shown, lambda invoice: invoice.id, query)


def preview_invoice(asked: Asked, query: PreviewQuery) -> InvoiceAnswer | Problem:
    """The invoice that would be issued now. Nothing is written."""
    if not asked.sees(query.account):
        return not_found(say("account {account!r}", account=query.account))
    try:
        return _shown(asked, preview(asked.db, query.account, query.month), query.currency)
    except ValueError as error:
        return refused(error)


def issue_invoice(asked: Asked, body: IssueBody) -> InvoiceAnswer | Problem:
    """Close a month of an account: everything that no earlier invoice holds is on this one, and on no other."""
    desk = asked.desk
    try:
        issued = issue(desk.data_dir, body.account, body.month, desk.clock, asked.actor.id)
    except ValueError as error:
        return refused(error)
    return _shown(asked, issued, None)


def get_invoice(asked: Asked, id: str, query: InvoiceQuery) -> InvoiceAnswer | Problem:
    """One invoice with its lines, as it was issued."""
    invoice = _seen(asked, id)
    if invoice is None:
        return not_found(say("invoice {id!r}", id=id[:100]))
    return _shown(asked, open_issued(asked.desk.data_dir, asked.db, invoice), query.currency)


def explain_line(asked: Asked, id: str, line: str, query: LineQuery) -> Page[EntryAnswer] | Problem:
    """The attempts behind a line of an invoice; what a correction took away has the sign -1."""
    invoice = _seen(asked, id)
    if invoice is None:
        return not_found(say("invoice {id!r}", id=id[:100]))
    document = open_issued(asked.desk.data_dir, asked.db, invoice)
    try:
        _, entries = explain(asked.db, document, int(line))
    except ValueError:
        return not_found(say("line {line!r} of invoice {id}", line=line[:100], id=id))
    found = [entry_answer(*one) for one in islice(entries, query.after, query.after + query.limit + 1)]
    more = len(found) > query.limit
    return Page(tuple(found[: query.limit]), str(query.after + query.limit) if more else None)


def _seen(asked: Asked, id: str) -> t.Invoice | None:
    invoice = asked.terms.invoices.get(id)
    return invoice if invoice is not None and asked.sees(invoice.account) else None


def _shown(asked: Asked, document: Document, currency: str | None) -> InvoiceAnswer:
    """The words of a price may name the cost's price and the mark-up on it, which are not the customer's to know."""
    answer = invoice_answer(document, currency or "")
    if reads_all(asked.actor):
        return answer
    lines, corrections = (
        tuple(msgspec.structs.replace(line, price="") for line in part)
        for part in (answer.lines, answer.corrections)
    )
    return msgspec.structs.replace(answer, lines=lines, corrections=corrections)


def told_invoice(invoice: t.Invoice) -> Invoice:
    """An invoice as it is shown."""
    totals: dict[str, int] = {}
    for currency, pico in invoice.totals:
        totals[currency] = totals.get(currency, 0) + pico
    return Invoice(
        id=invoice.id,
        account=invoice.account,
        month=invoice.month,
        ends=moment(invoice.until_us),
        upto_seq=invoice.upto_seq,
        totals=decimals(totals),
    )
