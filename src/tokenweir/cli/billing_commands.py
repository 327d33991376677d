"""The command lines of invoices and of the spreading of standing costs; what they do is elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from tokenweir.cli.money_commands import standing_app
from tokenweir.cli.options import Data, Json, checked, directory, group

invoice_app = group("Invoices: preview a month, issue it, show it, explain a line.")
GROUPS = {"invoice": invoice_app, "standing": standing_app}

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account; all below it are covered too.")]
Month = Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-11, in the account's time zone.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The invoice, such as 2026-11-0001.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV.")]
Html = Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a printable page.")]
Lang = Annotated[str, typer.Option("--lang", metavar="LANG", help="Of the page: en or zh.")]
Into = Annotated[
    str,
    typer.Option(
        "--in",
        metavar="CURRENCY",
        help="What is due in this currency too, by the rates of the month's last day.",
    ),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")]


@invoice_app.command("preview")
def invoice_preview(
    account: Account,
    month: Month,
    data: Data = None,
    as_json: Json = False,
    as_csv: Csv = False,
    html: Html = None,
    lang: Lang = "en",
    currency: Into = "",
) -> None:
    """Show what would be on an invoice that was issued now."""
    from tokenweir.cli import invoice_command

    form = invoice_command.Form(as_json, as_csv, html, lang, currency.upper())
    checked(lambda: invoice_command.run_preview(directory(data), account, month, form))


@invoice_app.command("issue")
def invoice_issue(
    account: Account,
    month: Month,
    data: Data = None,
    as_json: Json = False,
    as_csv: Csv = False,
    html: Html = None,
    lang: Lang = "en",
    currency: Into = "",
) -> None:
    """Close a month: everything that no earlier invoice holds is on this one, and on no other."""
    from tokenweir.cli import invoice_command
    from tokenweir.cli.system import SystemClock

    form = invoice_command.Form(as_json, as_csv, html, lang, currency.upper())
    checked(lambda: invoice_command.run_issue(directory(data), account, month, form, SystemClock()))


@invoice_app.command("list")
def invoice_list(
    account: Annotated[str, typer.Option(metavar="ID", help="Only those of this account.")] = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List the invoices that were issued."""
    from tokenweir.cli import invoice_command

    invoice_command.run_list(directory(data), account, as_json)


@invoice_app.command("show")
def invoice_show(
    id: Id,
    data: Data = None,
    as_json: Json = False,
    as_csv: Csv = False,
    html: Html = None,
    lang: Lang = "en",
    currency: Into = "",
) -> None:
    """Show an invoice: as a table, as JSON or CSV with exact decimals, or as a page to print."""
    from tokenweir.cli import invoice_command

    form = invoice_command.Form(as_json, as_csv, html, lang, currency.upper())
    checked(lambda: invoice_command.run_show(directory(data), id, form))


@invoice_app.command("explain")
def invoice_explain(
    id: Id,
    line: Annotated[int, typer.Option("--line", metavar="N", help="The line's number.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List the calls behind a line; `weir calls CALL` explains each of them."""
    from tokenweir.cli import invoice_command

    checked(lambda: invoice_command.run_explain(directory(data), id, line, as_json))


@standing_app.command("spread")
def standing_spread(
    id: Annotated[str, typer.Argument(metavar="ID", help="The standing cost.")] = "",
    month: Annotated[str, typer.Argument(metavar="MONTH", help="Such as 2026-11, in UTC.")] = "",
    every: Annotated[bool, typer.Option("--all", help="All of them, for every month that is over.")] = False,
    dry_run: DryRun = False,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Lay a month's subscription, or hours of machines, on the calls that used them."""
    from tokenweir.cli import spread_command
    from tokenweir.cli.system import SystemClock

    asked = spread_command.Words(id, month, every, dry_run, as_json)
    checked(lambda: spread_command.run(directory(data), asked, SystemClock()))
