"""Commands that are put together only when they are asked for: each would cost every start a few milliseconds."""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer.main
from typer.core import TyperGroup

#: Name of a group, or of a command that stands alone -> the module whose GROUPS has it. In the order of the help.
MODULES = {
    "accounts": "terms_commands",
    "keys": "terms_commands",
    "limits": "terms_commands",
    "credit": "money_commands",
    "plans": "money_commands",
    "charges": "money_commands",
    "rates": "money_commands",
    "standing": "billing_commands",
    "invoice": "billing_commands",
    "run": "agents_commands",
    "runs": "agents_commands",
    "agents": "agents_commands",
    "upstreams": "console_commands",
    "console": "console_commands",
    "settings": "console_commands",
}


class Commands(MutableMapping[str, Any]):  # typer's class of all commands has no public name
    """Commands by name: those that are there, then those of MODULES, each made at its first use."""

    def __init__(self, known: MutableMapping[str, Any]) -> None:
        self._known = known

    def __getitem__(self, name: str) -> Any:
        if name not in self._known and name in MODULES:
            made = import_module(f"tokenweir.cli.{MODULES[name]}").GROUPS[name]
            alone = len(made.registered_commands) == 1
            command = typer.main.get_command(made) if alone else typer.main.get_group(made)
            command.name = name
            self._known[name] = command
        return self._known[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        yield from (name for name in self._known if name not in MODULES)
        yield from MODULES

    def __len__(self) -> int:
        return len(self._known.keys() | MODULES.keys())


class Root(TyperGroup):
    """`weir` itself."""

    def __init__(self, **attrs: Any) -> None:  # what they are is typer's own
        super().__init__(**attrs)
        self.commands = Commands(self.commands)
