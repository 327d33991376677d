"""The command lines of `weir console`, `weir upstreams` and `weir settings`: what the words are; what they do is elsewhere."""

from pathlib import Path
from typing import Annotated

import typer

from tokenweir.cli.options import Config, Data, Json, checked, directory, group

console_app = group("Passwords for the console.")
upstreams_app = group("Upstreams: list them, take one out of service, and back.")
settings_app = group("Settings: list them, change one of the file.")
GROUPS = {"console": console_app, "upstreams": upstreams_app, "settings": settings_app}

KeyWord = Annotated[str, typer.Argument(help="The key's id, or its name where only one has it.")]
SettingName = Annotated[
    str, typer.Argument(metavar="NAME", help="Its section and name, such as server.strict.")
]
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


@settings_app.command("list")
def settings_list(config: Config = None, data: Data = None, as_json: Json = False) -> None:
    """List the settings that are in force, and what sets each."""
    import os

    from tokenweir.cli import settings_command

    checked(lambda: settings_command.list_all(os.environ, config, data, as_json))


@settings_app.command("set")
def settings_set(
    name: SettingName,
    value: Annotated[str, typer.Argument(help="What it is to be; several with commas between them.")],
    config: Config = None,
    data: Data = None,
) -> None:
    """Change a setting of the settings' file; a gateway that runs reads it again. Comments and order stay."""
    _change_setting(config, data, name, value)


@settings_app.command("reset")
def settings_reset(name: SettingName, config: Config = None, data: Data = None) -> None:
    """Take a setting out of the settings' file, so that it is as by default."""
    _change_setting(config, data, name, None)


def _change_setting(config: Path | None, data: Path | None, name: str, value: str | None) -> None:
    import os

    from tokenweir.cli import settings_command
    from tokenweir.cli.system import SystemClock

    checked(lambda: settings_command.change_one(os.environ, config, data, name, value, SystemClock()))
