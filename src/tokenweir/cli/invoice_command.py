"""`weir invoice`: preview, issue, list, show and explain."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from rich.console import Console

from tokenweir.billing.answer import (
    ConvertedAnswer,
    InvoiceAnswer,
    LineAnswer,
    entry_answer,
    invoice_answer,
    invoice_csv,
)
from tokenweir.billing.invoice import Document
from tokenweir.billing.invoicing import earlier_month, issued, preview, reckon
from tokenweir.billing.invoicing import explain as entries_behind
from tokenweir.billing.invoicing import issue as issue_now
from tokenweir.billing.words import LANGUAGES
from tokenweir.cli import show
from tokenweir.cli.settings_file import nearest
from tokenweir.core.clock import Clock
from tokenweir.core.ids import uuid_text
from tokenweir.core.money import check_currency, decimals
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.changing import COMMAND_LINE
from tokenweir.ledger.database import Connection
from tokenweir.ledger.views import iso_time, open_reader


class Form(msgspec.Struct, frozen=True):
    """How an invoice is given out; a table on the terminal where nothing is asked for."""

    as_json: bool = False
    as_csv: bool = False
    html: Path | None = None
    lang: str = "en"
    currency: str = ""  # that the sum is told in as well


class IssuedLine(msgspec.Struct, frozen=True):
    """One invoice of `weir invoice list --json`."""

    id: str
    number: int
    account: str
    month: str
    issued: str
    by: str
    due: dict[str, str]


class IssuedAnswer(msgspec.Struct, frozen=True):
    """`weir invoice list --json`."""

    invoices: tuple[IssuedLine, ...]


@contextmanager
def _reading(directory: Path) -> Iterator[Connection]:
    connection = open_reader(directory)
    try:
        yield connection
    finally:
        connection.close()


def run_preview(directory: Path, account: str, month: str, form: Form) -> None:
    """Show what would be issued now. Raises ValueError, LedgerError."""
    _check(form)
    with _reading(directory) as connection:
        document = preview(connection, account, month)
        _tell_earlier(connection, account, month)
    _give_out(document, form)


def run_issue(directory: Path, account: str, month: str, form: Form, clock: Clock) -> None:
    """Close a month. Raises ValueError, LedgerError."""
    _check(form)
    with _reading(directory) as connection:
        preview(connection, account, month)  # is told what is wrong with account and month
        _tell_earlier(connection, account, month)
    _give_out(issue_now(directory, account, month, clock, COMMAND_LINE), form)


def _tell_earlier(connection: Connection, account: str, month: str) -> None:
    first = earlier_month(connection, account, month)
    if first:
        print(
            f"It also holds what was used from {first} on, since no invoice was issued for that; to keep months apart they are "
            "issued one after the other, the first one first.",
            file=sys.stderr,
        )


def run_show(directory: Path, id: str, form: Form) -> None:
    """Show an invoice that was issued. Raises ValueError, LedgerError."""
    _check(form)
    with _reading(directory) as connection:
        document = reckon(connection, id)
    _give_out(document, form)


def run_list(directory: Path, account: str, as_json: bool) -> None:
    """List invoices, oldest first. Raises LedgerError."""
    with _reading(directory) as connection:
        found = [one for one in issued(connection) if account in ("", one.invoice.account)]
    lines = tuple(
        IssuedLine(
            id=one.invoice.id,
            number=one.invoice.number,
            account=one.invoice.account,
            month=one.invoice.month,
            issued=iso_time(one.at_us),
            by=one.actor,
            due=decimals(dict(one.invoice.totals)),
        )
        for one in found
    )
    if as_json:
        show.print_json(IssuedAnswer(lines))
        return
    rows = [(line.id, line.account, line.month, line.issued[:10], _money(line.due)) for line in lines]
    show.print_table(("invoice", "account", "month", "issued", "due"), rows, right=frozenset({4}))
    if not lines:
        show.console().print("No invoices yet; `weir invoice issue ACCOUNT MONTH` issues one.", markup=False)


def run_explain(directory: Path, id: str, line: int, as_json: bool) -> None:
    """Print the attempts behind a line, one by one. Raises ValueError, LedgerError."""
    with _reading(directory) as connection:
        token_class, found = entries_behind(connection, reckon(connection, id), line)
        for sign, seq, entry in found:
            answer = entry_answer(sign, seq, entry)
            if as_json:
                show.print_json(answer)
                continue
            classes = [token_class] if token_class else TOKEN_CLASSES
            tokens = sign * sum(getattr(entry.usage, name) for name in classes)
            print(
                f"{iso_time(entry.at_us)}  {uuid_text(entry.call)}  {tokens:>15,}  {answer.deployment}  {answer.reason}".rstrip()
            )


def _check(form: Form) -> None:
    if form.lang not in LANGUAGES:
        raise ValueError(f"there is no language {form.lang!r}; {nearest(form.lang, LANGUAGES)}")
    if form.as_json + form.as_csv + (form.html is not None) > 1:
        raise ValueError("choose one of --json, --csv and --html")
    if form.currency:
        check_currency(form.currency)


def _give_out(document: Document, form: Form) -> None:
    answer = invoice_answer(document, form.currency)
    if form.as_json:
        show.print_json(answer)
    elif form.as_csv:
        sys.stdout.write(invoice_csv(answer))
    elif form.html is not None:
        from tokenweir.billing.page import invoice_page  # what prints no page does without its library

        _write(form.html, lambda: invoice_page(answer, form.lang))
    else:
        _print(answer)


def _write(path: Path, page: Callable[[], str]) -> None:
    try:
        path.write_text(page(), encoding="utf-8")
    except OSError as error:
        raise ValueError(f"{path} cannot be written: {error.strerror}") from None
    print(f"written to {path}", file=sys.stderr)


_COLUMNS = ("line", "account", "model", "tokens of", "tokens", "per million", "amount", "", "price")


def _print(answer: InvoiceAnswer) -> None:
    out = show.console()
    state = f"issued {answer.issued[:10]}" if answer.issued else "preview, not issued"
    out.print(
        f"Invoice {answer.id} of {answer.account} for {answer.month} ({answer.time_zone}), {state}",
        markup=False,
    )
    for title, lines in (("", answer.lines), ("Corrections of earlier invoices:", answer.corrections)):
        if lines:
            out.print(f"\n{title}".rstrip(), markup=False)
            show.print_table(_COLUMNS, map(_cells, lines), right=frozenset({0, 4, 5, 6}))
    out.print()
    for gap in answer.without_money:
        what = "without a price" if gap.what == "unpriced" else "of unknown usage"
        tokens = f", {sum(gap.tokens.values()):,} tokens" if gap.tokens else ""
        out.print(
            f"line {gap.line}: {gap.attempts:,} attempts {what}{tokens}: {gap.account} {gap.model}",
            markup=False,
        )
    for fee in answer.fees:
        out.print(
            f"fee of {fee.account}'s plan {fee.plan} for {fee.month}: {fee.amount} {fee.currency}",
            markup=False,
        )
    for one in answer.surcharges:
        out.print(
            f"surcharge of {one.account} for {one.month}: {one.percent} % of {one.beyond} {one.currency} beyond its "
            f"allowance: {one.amount} {one.currency}",
            markup=False,
        )
    for paid in answer.paid:
        how = {
            "allowance": f"covered by the allowance of {paid.month}",
            "credit": f"paid from credit {paid.credit}",
        }
        told = how.get(paid.what, "beyond credit, taken from the next")
        out.print(f"{paid.account}, {told}: {paid.amount} {paid.unit}", markup=False)
    for total in answer.totals:
        out.print(f"due: {total.due} {total.currency}", markup=False)
    if not answer.totals:
        out.print("nothing is due", markup=False)
    if answer.converted is not None:
        _print_converted(answer.converted, answer.issued is not None, out)


def _print_converted(told: ConvertedAnswer, is_issued: bool, out: Console) -> None:
    none = "had no rate when it was issued" if is_issued else "has no rate"
    apart = "".join(f"; {amount} {currency} {none}" for currency, amount in told.apart.items())
    out.print(f"in {told.currency}: {told.due}{apart}", markup=False)
    for rate in told.rates:
        source = f" ({rate.source})" if rate.source else ""
        out.print(f"  1 {rate.base} = {rate.rate} {rate.quote} since {rate.day}{source}", markup=False)


def _cells(line: LineAnswer) -> tuple[str, ...]:
    return (
        str(line.line), line.account, line.model, line.token_class or "all", f"{line.tokens:,}",
        line.per_million or "spread", line.amount, line.currency, line.price,
    )  # fmt: skip


def _money(amounts: dict[str, str]) -> str:
    return ", ".join(f"{amount} {currency}" for currency, amount in amounts.items()) or "–"
