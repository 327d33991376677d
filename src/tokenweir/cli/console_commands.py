"""The command lines of `weir console` and `weir upstreams`: what the words are; what they do is elsewhere."""

from typing import Annotated

import typer

from tokenweir.cli.options import Config, Data, Json, checked, directory, group

console_app = group("Passwords for the console.")
upstreams_app = group("Upstreams: list them, take one out of service, and back.")
GROUPS = {"console": console_app, "upstreams": upstreams_app}

KeyWord = Annotated[str, typer.Argument(help="The key's id, or its name where only one has it.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The upstream, as `weir upstreams list` names it.")]


@console_app.command("password")
def console_password(key: KeyWord, data: Data = None) -> None:
    """Set the password by which a key's holder signs in to the console; it is asked for, or read from standard input."""
    from tokenweir.cli import console_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: console_command.set_password(directory(data), key, SystemClock()))


@console_app.command("remove-password")
def console_remove_password(key: KeyWord, data: Data = None) -> None:
    """Take a key's password away; who was signed in with it is signed out."""
    from tokenweir.cli import console_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: console_command.remove_password(directory(data), key, SystemClock()))


@upstreams_app.command("list")
def upstreams_list(config: Config = None, data: Data = None, as_json: Json = False) -> None:
    """List the upstreams that are served or drained, and how they did in the last 24 hours."""
    import os

    from tokenweir.cli import upstreams_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: upstreams_command.list_all(os.environ, config, data, as_json, SystemClock()))


@upstreams_app.command("drain")
def upstreams_drain(
    name: Name,
    note: Annotated[str, typer.Option(metavar="TEXT", help="Why, for the audit.")] = "",
    config: Config = None,
    data: Data = None,
) -> None:
    """Send no new call to an upstream, on any worker; calls under way end as they began."""
    import os

    from tokenweir.cli import upstreams_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: upstreams_command.drain(os.environ, config, data, name, note, SystemClock()))


@upstreams_app.command("restore")
def upstreams_restore(name: Name, config: Config = None, data: Data = None) -> None:
    """Send calls to a drained upstream again."""
    from tokenweir.cli import upstreams_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: upstreams_command.restore(directory(data, config), name, SystemClock()))
