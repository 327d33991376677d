"""`weir agents`: which agents can be run, and which of them are here."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.agents import adapters
from tokenweir.agents.adapters import Found
from tokenweir.cli import show


class AgentLine(msgspec.Struct, frozen=True):
    """An agent in `weir agents --json`. `program` is "" where it is not installed."""

    name: str
    title: str
    dialect: str
    program: str
    version: str
    tested: str
    install: str


class AgentsAnswer(msgspec.Struct, frozen=True):
    """`weir agents --json`."""

    agents: tuple[AgentLine, ...]


def run(environ: Mapping[str, str], further: Path | None, as_json: bool) -> None:
    """Print every agent that there is an adapter for. Raises AgentError."""
    known = adapters.load(environ, further)
    found = [adapters.find(adapter, environ) for _, adapter in sorted(known.items())]
    if as_json:
        show.print_json(AgentsAnswer(tuple(map(_line, found))))
        return
    rows = [
        [f.adapter.name, f.adapter.title, f.version or "–", f.adapter.tested or "–", _where(f)] for f in found
    ]
    show.print_table(("agent", "", "version", "tested with", "where, or how to install it"), rows)


def _line(found: Found) -> AgentLine:
    a = found.adapter
    return AgentLine(a.name, a.title, a.dialect, found.program, found.version, a.tested, a.install)


def _where(found: Found) -> str:
    if found.program:
        return found.program
    return found.adapter.install or ("weir run custom --command …" if not found.adapter.program else "–")
