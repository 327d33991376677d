"""Invoices that were issued. Issuing them is `weir invoice`'s: whatever issues one makes the change `IssueInvoice`."""

import msgspec

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Moment, Name, Page, PageQuery, moment, money_texts, page_of
from tokenweir.admin.problems import Problem, not_found
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


def get_invoice(asked: Asked, id: str) -> Invoice | Problem:
    """One invoice."""
    invoice = asked.terms.invoices.get(id)
    if invoice is None or not asked.sees(invoice.account):
        return not_found(f"invoice {id[:100]!r}")
    return told_invoice(invoice)


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
        totals=money_texts(totals),
    )
