"""Invoices reckoned from the ledger: as one would be now, and as one was issued."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tokenweir.billing.books import Books, Issued, next_invoice, open_books
from tokenweir.billing.invoice import Body, Document, body_of, due_of, paid_of, surcharges_of, totals_of
from tokenweir.billing.kept import keep, kept
from tokenweir.billing.known_prices import read_prices
from tokenweir.billing.months import month_at, month_bounds
from tokenweir.core.clock import Clock
from tokenweir.core.errors import LedgerError
from tokenweir.core.sentence import say
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.database import Connection
from tokenweir.ledger.entries import Entry
from tokenweir.ledger.store import read_changes
from tokenweir.ledger.terms import Audited, Invoice, IssueInvoice
from tokenweir.ledger.views import HOUR_US, last_seq, open_reader
from tokenweir.ledger.views.drawn import drawn
from tokenweir.ledger.views.invoiced import Scope, billed, billed_entries

#: How often an invoice is reckoned anew where others are issued at the same time.
TRIES = 5


def preview(connection: Connection, account: str, month: str) -> Document:
    """The invoice that would be issued now. Raises ValueError for an unknown account or month, LedgerError."""
    return _next(connection, account, month)[0]


def issue(data_dir: Path, account: str, month: str, clock: Clock, actor: str) -> Document:
    """Close a month of an account. Raises ValueError, LedgerError; then nothing was issued."""
    refused = ""
    for _ in range(TRIES):
        connection = open_reader(data_dir)
        try:
            document, invoice, books = _next(connection, account, month)
        finally:
            connection.close()
        now_us = clock.now_us()
        _check_issue(document, books, now_us)
        refused = make_changes(data_dir, [IssueInvoice(invoice)], clock, actor)
        if not refused:
            return _noted(data_dir, msgspec.structs.replace(document, issued_us=now_us))
    raise LedgerError(f"the invoice was not issued: {refused}")


def _noted(data_dir: Path, document: Document) -> Document:
    """As issued at the moment that the ledger noted, and kept for those who open it. It is issued, whether this succeeds or not."""
    try:
        connection = open_reader(data_dir)
    except LedgerError:
        return document
    try:
        at_us = _found(connection, document.id)[1].at_us
    finally:
        connection.close()
    document = msgspec.structs.replace(document, issued_us=at_us)
    keep(data_dir, document)
    return document


def open_issued(data_dir: Path, connection: Connection, invoice: Invoice) -> Document:
    """An invoice as it was issued: its copy, or reckoned. Raises LedgerError where its entries come to something else now."""
    document = kept(data_dir, invoice)
    if document is None:
        document = reckon(connection, invoice.id)
        keep(data_dir, document)
    return document


def earlier_month(connection: Connection, account: str, month: str) -> str:
    """The first month of what was used before a month and after every month that an invoice was issued for; empty: nothing was.

    An invoice of the month holds it as well. Told by whole hours.
    """
    books = open_books(list(read_changes(connection)))
    zone, accounts = books.terms.time_zone(account), sorted(books.terms.below(account))
    start_us, _ = month_bounds(month, zone)
    issued_us = max((one.invoice.until_us for one in books.issued if account in one.accounts), default=0)
    marks = ", ".join("?" * len(accounts))
    query = f"SELECT min(hour) FROM hourly_accounts WHERE account IN ({marks}) AND hour >= ? AND hour < ?"
    hours = -(-issued_us // HOUR_US), start_us // HOUR_US
    first = connection.execute(query, (*accounts, *hours)).fetchone()[0]
    return "" if first is None else month_at(first * HOUR_US, zone)


def _next(connection: Connection, account: str, month: str) -> tuple[Document, Invoice, Books]:
    connection.execute("BEGIN")  # every change that is not read here comes after every entry that is
    changes, upto_seq = list(read_changes(connection)), last_seq(connection)
    connection.execute("COMMIT")
    books = open_books(changes)
    _check_account(books, account)
    invoice = next_invoice(books, account, month, upto_seq, changes[-1].seq if changes else 0)
    document = _document(connection, changes, books, invoice, None)
    return document, msgspec.structs.replace(invoice, totals=due_of(document)), books


def _check_issue(document: Document, books: Books, now_us: int) -> None:
    if now_us < document.until_us:
        raise ValueError(
            say(
                "{month} is not over in {time_zone}; `weir invoice preview` shows it so far",
                month=document.month,
                time_zone=document.time_zone,
            )
        )
    later = [
        one.invoice
        for one in books.issued
        if document.account in one.accounts and one.invoice.month > document.month
    ]
    if later:
        raise ValueError(
            say(
                "{id} holds {account}'s later month {month} already; what came since is on its next",
                id=later[-1].id,
                account=document.account,
                month=later[-1].month,
            )
        )


def issued(connection: Connection) -> tuple[Issued, ...]:
    """Every invoice, oldest first."""
    return open_books(list(read_changes(connection))).issued


def reckon(connection: Connection, id: str) -> Document:
    """An invoice as it was issued, reckoned anew. Raises ValueError where there is none, LedgerError where it is another now."""
    changes, one = _found(connection, id)
    books = open_books(changes, one.invoice.upto_change)
    document = _document(connection, changes, books, one.invoice, one.at_us)
    if due_of(document) != one.invoice.totals:
        raise LedgerError(
            f"invoice {id} was issued with {one.invoice.totals}, its entries come to {due_of(document)}; run `weir ledger verify`"
        )
    return document


def explain(
    connection: Connection, document: Document, number: int
) -> tuple[str, Iterator[tuple[int, int, Entry]]]:
    """What is behind a line of an invoice that was issued: its class of tokens (empty: all), and its entries.

    Of each: 1 or -1 (taken away by a correction), number, entry. Raises ValueError where there is no such line.
    """
    changes, one = _found(connection, document.id)
    scope = _scope(open_books(changes, one.invoice.upto_change), one.invoice)
    for line in (*document.lines, *document.corrections):
        if line.number == number:
            return line.token_class, billed_entries(connection, scope, line.name)
    for gap in document.gaps:
        if gap.number == number:
            return "", billed_entries(connection, scope, gap.name)
    raise ValueError(say("invoice {id} has no line {number}", id=document.id, number=number))


def _body(connection: Connection, scope: Scope) -> Body:
    rows = billed(connection, scope)
    return body_of(rows, read_prices(connection, {row.name.price for row in rows if row.name.price}))


def _found(connection: Connection, id: str) -> tuple[list[Audited], Issued]:
    changes = list(read_changes(connection))
    one = next((one for one in open_books(changes).issued if one.invoice.id == id), None)
    if one is None:
        raise ValueError(
            say("there is no invoice {id!r}; `weir invoice list` shows those that were issued", id=id)
        )
    return changes, one


def _scope(books: Books, invoice: Invoice) -> Scope:
    return books.scope(invoice.account, invoice.until_us, invoice.upto_seq)


def _document(
    connection: Connection,
    changes: Sequence[Audited],
    books: Books,
    invoice: Invoice,
    issued_us: int | None,
) -> Document:
    scope, terms = _scope(books, invoice), books.terms
    body = _body(connection, scope)
    draws = drawn(connection, [c for c in changes if c.seq <= invoice.upto_change], scope)
    fees = books.fees(invoice.account, invoice.month)
    surcharges, paid = surcharges_of(draws, books.plans, terms), paid_of(draws, terms)
    record = terms.accounts.get(invoice.account)
    return Document(
        id=invoice.id,
        number=invoice.number,
        account=invoice.account,
        account_name=record.name if record is not None else "",
        month=invoice.month,
        time_zone=terms.time_zone(invoice.account),
        until_us=invoice.until_us,
        upto_seq=invoice.upto_seq,
        issued_us=issued_us,
        accounts=tuple(sorted(terms.below(invoice.account))),
        lines=body.lines,
        corrections=body.corrections,
        gaps=body.gaps,
        fees=fees,
        surcharges=surcharges,
        paid=paid,
        totals=totals_of(body, fees, surcharges, paid, draws.covered_pico),
        rates=tuple(terms.rates.values()),
    )


def _check_account(books: Books, account: str) -> None:
    known = books.terms.accounts.keys() | {key.account for key in books.terms.keys.values()}
    if account not in known:
        raise ValueError(
            say(
                "there is no account {account!r}: {known}",
                account=account,
                known=", ".join(sorted(known)) or say("none was made yet"),
            )
        )
