"""What many commands share on their command line: options, the data directory, and how wrong words end the program."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, NoReturn

import typer

Data = Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Where the ledger lies.")]
Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings' file.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Since = Annotated[str, typer.Option("--since", metavar="WHEN", help="Such as 24h, 7d, today or 2026-11-01.")]
Until = Annotated[str, typer.Option("--until", metavar="WHEN", help="Such as 2026-11-30; not included.")]


def group(help: str) -> typer.Typer:
    """A command that has commands below it."""
    return typer.Typer(help=help, no_args_is_help=True, rich_markup_mode=None)


def alone() -> typer.Typer:
    """A command that has none below it."""
    return typer.Typer(rich_markup_mode=None, add_completion=False)


def checked(action: Callable[[], None]) -> None:
    """Run; words that cannot be read end the program as a wrong command line does."""
    try:
        action()
    except ValueError as error:
        _usage_error(error)


def _usage_error(error: ValueError) -> NoReturn:
    from tokenweir.cli.exits import USAGE

    print(f"weir: {error}", file=sys.stderr)
    raise SystemExit(USAGE)


def directory(data: Path | None, config: Path | None = None) -> Path:
    """The data directory: the one named, or that of the settings. Raises SettingsError."""
    if data is not None:
        return data.expanduser().absolute()
    from tokenweir.cli.settings import data_dir
    from tokenweir.cli.settings_file import load_settings

    return data_dir(load_settings(os.environ, file=config), os.environ)
