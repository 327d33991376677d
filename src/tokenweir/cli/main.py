"""The command `weir`. Each command imports what it needs when it runs, so that help and start stay quick."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tokenweir.cli.later import Root
from tokenweir.cli.options import Config, Data, Json, Since, Until, group
from tokenweir.cli.options import checked as _checked
from tokenweir.cli.options import directory as _directory
from tokenweir.core.errors import TokenweirError

app = typer.Typer(
    name="weir",
    cls=Root,
    help="One door in front of every open model: routes calls, meters tokens, limits what may be spent.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode=None,  # plain help comes in a third of the time
)
ledger_app = group("Check the ledger and copy it out.")
prices_app = group("Show what tokens cost, and refresh it.")
app.add_typer(ledger_app, name="ledger")
app.add_typer(prices_app, name="prices")


@app.command()
def up(
    config: Config = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 for any free one.")] = None,
    data: Data = None,
    workers: Annotated[int | None, typer.Option(help="Processes that carry calls.")] = None,
) -> None:
    """Serve: start the gateway and keep it running."""
    from tokenweir.cli.up import UpOptions, up

    flags: dict[str, object] = {"host": host, "port": port, "data": data, "workers": workers}
    raise SystemExit(up(UpOptions(config=config, flags=flags), os.environ))


@app.command()
def models(
    config: Config = None,
    data: Data = None,
    providers: Annotated[
        bool, typer.Option("--providers", help="List the catalog's providers instead.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List the models that are served, where, and at what price."""
    from tokenweir.cli import models_command

    if providers:
        models_command.run_providers(os.environ, _directory(data, config), as_json)
    else:
        models_command.run(os.environ, config, data, as_json)


@app.command()
def usage(
    by: Annotated[
        str,
        typer.Option(
            help="model, key, account, run, day, hour, upstream, deployment or dialect; or several."
        ),
    ] = "model",
    tree: Annotated[
        bool, typer.Option("--tree", help="With --by account: each with the sums of all below it.")
    ] = False,
    currency: Annotated[
        str, typer.Option("--in", metavar="CURRENCY", help="Convert day by day, by `weir rates`.")
    ] = "",
    since: Since = "",
    until: Until = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show tokens and money by group, in whole UTC hours."""
    from tokenweir.cli import usage_command
    from tokenweir.cli.system import SystemClock

    words = usage_command.UsageWords(by, since, until, tree, currency)
    _checked(lambda: usage_command.run(_directory(data), words, as_json, SystemClock()))


@app.command()
def calls(
    call: Annotated[
        str, typer.Argument(help="One call's id (x-weir-call): show how its cost came about.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Print calls as they end.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many.")] = 50,
    model: Annotated[str, typer.Option(help="Only of this model.")] = "",
    key: Annotated[str, typer.Option(help="Only of this key's id.")] = "",
    since: Since = "",
    data: Data = None,
    as_json: Json = False,
) -> None:
    """List calls, newest first; or one with its entries, down to the tokens and prices of its cost."""
    from tokenweir.cli import call_command, calls_command
    from tokenweir.cli.exits import FAILED
    from tokenweir.cli.system import SystemClock

    directory = _directory(data)

    def act() -> None:
        if follow:
            calls_command.run_follow(directory, model=model, key=key, as_json=as_json)
        elif call:
            if not call_command.run(directory, call, as_json=as_json):
                print(f"weir: the ledger has no call {call}", file=sys.stderr)
                raise SystemExit(FAILED)
        else:
            calls_command.run_list(
                directory,
                limit=limit,
                model=model,
                key=key,
                since=since,
                as_json=as_json,
                clock=SystemClock(),
            )

    _checked(act)


@app.command("reconcile")
def reconcile_(
    bill: Annotated[Path, typer.Argument(help="The provider's export: a CSV, or a ZIP of such.")],
    upstream: Annotated[str, typer.Option(help="Whose calls it bills, by its name in the ledger.")],
    provider: Annotated[
        str, typer.Option(metavar="ID", help="Whose bill it is; known by its header without.")
    ] = "",
    format: Annotated[
        Path | None, typer.Option("--format", metavar="FILE", help="A format of your own (docs/billing.md).")
    ] = None,
    since: Since = "",
    until: Until = "",
    tolerance: Annotated[
        str, typer.Option(metavar="AMOUNT", help="A difference in money that counts as none.")
    ] = "0",
    key: Annotated[str, typer.Option(help="Only rows of the key that the bill calls so.")] = "",
    config: Config = None,
    data: Data = None,
    as_json: Json = False,
    csv: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write every figure there as well.")
    ] = None,
) -> None:
    """Compare a provider's bill with the ledger: what matches, what differs, what only one side has."""
    from tokenweir.cli import reconcile_command
    from tokenweir.cli.system import SystemClock

    asked = reconcile_command.Asked(
        bill=bill,
        upstream=upstream,
        provider=provider,
        format=format,
        since=since,
        until=until,
        tolerance=tolerance,
        key=key,
        as_json=as_json,
        csv=csv,
    )
    directory = _directory(data, config)

    def act() -> None:
        raise SystemExit(reconcile_command.run(directory, asked, os.environ, config, SystemClock()))

    _checked(act)


@app.command()
def audit(since: Since = "", data: Data = None, as_json: Json = False) -> None:
    """Show who changed what, and when: accounts, keys, limits, credit, prices."""
    from tokenweir.cli import audit_command
    from tokenweir.cli.system import SystemClock

    _checked(lambda: audit_command.run(_directory(data), since, as_json, SystemClock()))


@ledger_app.command("verify")
def ledger_verify(data: Data = None, as_json: Json = False) -> None:
    """Replay every entry and compare it with what is derived from them."""
    from tokenweir.cli import ledger_command

    raise SystemExit(ledger_command.verify(_directory(data), as_json))


@ledger_app.command("export")
def ledger_export(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="A file; standard output without.")
    ] = None,
    format: Annotated[str, typer.Option(help="csv, jsonl or parquet.")] = "csv",
    since: Since = "",
    until: Until = "",
    data: Data = None,
) -> None:
    """Copy entries out as CSV, JSON lines or Parquet."""
    from tokenweir.cli import ledger_command
    from tokenweir.cli.system import SystemClock

    _checked(lambda: ledger_command.export(_directory(data), format, output, since, until, SystemClock()))


@ledger_app.command("move")
def ledger_move(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="The URL of an empty PostgreSQL database; - reads it from standard input; file: back into a file.",
        ),
    ],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Move the whole ledger into a PostgreSQL database, or back into a file, while no gateway runs."""
    from tokenweir.cli import ledger_command

    _checked(lambda: ledger_command.move(_directory(data), target, as_json))


@prices_app.command("show")
def prices_show(
    model: Annotated[str, typer.Argument(help="A model, or part of its name.")] = "",
    provider: Annotated[
        str,
        typer.Option(metavar="ID", help="A provider of the catalog, served or not, with its past prices."),
    ] = "",
    config: Config = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Show the prices of what is served: dated, by class, prompt length and time of day. `*`: applies now."""
    from tokenweir.cli import prices_command

    if provider:
        _checked(lambda: prices_command.show_provider(_directory(data, config), provider, model, as_json))
    else:
        prices_command.show_served(os.environ, config, data, model, as_json)


@prices_app.command("update")
def prices_update(
    url: Annotated[
        str, typer.Option("--url", metavar="URL", help="Get it from here instead of what [prices] url says.")
    ] = "",
    config: Config = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Get prices from models.dev, check them, and say what changed; a running gateway takes them at once."""
    from tokenweir.cli import prices_command
    from tokenweir.cli.settings_file import load_settings

    settings = load_settings(os.environ, file=config)
    prices_command.update(_directory(data, config), url or settings.prices.url, os.environ, as_json)


@app.command()
def chat(
    text: Annotated[
        str, typer.Argument(help="What to say; without it, a conversation (or what standard input holds).")
    ] = "",
    model: Annotated[str, typer.Option(help="Which model; abacus or the first that is served without.")] = "",
    data: Data = None,
) -> None:
    """Say something to a model through the running gateway, and show what it cost."""
    from tokenweir.cli import chat_command

    def act() -> None:
        raise SystemExit(chat_command.run(_directory(data), text, model, os.environ))

    _checked(act)


@app.command()
def doctor(config: Config = None, data: Data = None, as_json: Json = False) -> None:
    """Check settings, data directory, disk, port, upstreams and parts; each finding says what to do."""
    from tokenweir.cli import doctor_command

    raise SystemExit(doctor_command.run(os.environ, config, data, as_json))


@app.command()
def rerate(
    since: Since = "",
    until: Until = "",
    model: Annotated[
        str, typer.Option(metavar="PATTERN", help="A model's public name, or such as 'kimi-*'.")
    ] = "",
    upstream: Annotated[str, typer.Option(help="Only calls to this upstream.")] = "",
    account: Annotated[str, typer.Option(metavar="ID", help="Only this account, and those below it.")] = "",
    price: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="A file with the right price; or `catalog`, to pass over the settings' prices.",
        ),
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be written, and write nothing.")
    ] = False,
    config: Config = None,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Price a span anew, by today's prices for the moments of the calls; what differs is corrected by further entries."""
    from tokenweir.cli import rerate_command
    from tokenweir.cli.system import SystemClock

    asked = rerate_command.Words(since, until, model, upstream, account, price, dry_run, as_json)
    _checked(lambda: rerate_command.run(_directory(data, config), asked, os.environ, config, SystemClock()))


def _version(wanted: bool) -> None:
    if wanted:
        from tokenweir import __version__

        print(f"tokenweir {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """One door in front of every open model."""


def main() -> None:
    """The entry point: faults become one line and an exit code."""
    try:
        app(prog_name="weir")
    except TokenweirError as error:
        from tokenweir.cli.exits import exit_code

        print(f"weir: {error}", file=sys.stderr)
        raise SystemExit(exit_code(error)) from None
    except BrokenPipeError:  # the reader of our output has had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
