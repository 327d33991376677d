"""Adapters that ship and the user's own, and what of them is on this machine."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

import msgspec

from tokenweir.agents.adapter import Adapter, read_adapter, version_in
from tokenweir.core.errors import AgentError

#: Some agents start an interpreter and read half a megabyte of code to say which they are.
VERSION_TIMEOUT_S = 30


class Found(msgspec.Struct, frozen=True):
    """An adapter, where its program is ("": not in PATH) and what that says of its version."""

    adapter: Adapter
    program: str
    version: str


def own_directory(environ: Mapping[str, str]) -> Path:
    """Where the user's adapters lie: one file each."""
    base = environ.get("XDG_CONFIG_HOME", "")
    root = (
        Path(base)
        if base and Path(base).is_absolute()
        else Path(environ.get("HOME", "~")).expanduser() / ".config"
    )
    return root / "tokenweir" / "agents"


def load(environ: Mapping[str, str], further: Path | None = None) -> dict[str, Adapter]:
    """All adapters by name; the user's go over those that ship, and `further` over all. Raises AgentError."""
    adapters: dict[str, Adapter] = {}
    for entry in sorted(resources.files("tokenweir.agents").joinpath("data").iterdir(), key=lambda e: e.name):
        if entry.name.endswith(".toml"):
            adapter = read_adapter(entry.read_bytes(), entry.name)
            adapters[adapter.name] = adapter
    own = sorted(own_directory(environ).glob("*.toml"))
    for file in (*own, *((further,) if further else ())):
        try:
            adapter = read_adapter(file.read_bytes(), str(file))
        except OSError as error:
            raise AgentError(f"{file} cannot be read: {error.strerror}") from None
        adapters[adapter.name] = adapter
    return adapters


def chosen(adapters: Mapping[str, Adapter], name: str) -> Adapter:
    """The adapter of a name. Raises AgentError that lists those there are."""
    if name not in adapters:
        raise AgentError(f"there is no agent {name!r}: there is {', '.join(sorted(adapters))}")
    return adapters[name]


def find(adapter: Adapter, environ: Mapping[str, str]) -> Found:
    """Whether and where an agent is installed, and its version."""
    program = shutil.which(adapter.program, path=environ.get("PATH", "")) if adapter.program else None
    return Found(adapter, program or "", _version(program, adapter, environ) if program else "")


def _version(program: str, adapter: Adapter, environ: Mapping[str, str]) -> str:
    if not adapter.version:
        return ""
    passed = {name: environ[name] for name in ("PATH", "HOME", "LANG") if name in environ}
    try:
        done = subprocess.run(
            [program, *adapter.version], env=passed, capture_output=True, text=True, errors="replace", check=False,
            stdin=subprocess.DEVNULL, timeout=VERSION_TIMEOUT_S, cwd=os.sep,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return version_in(done.stdout) or version_in(done.stderr)


def missing(adapter: Adapter) -> str:
    """What to do where an agent is not installed."""
    how = f": {adapter.install}" if adapter.install else ""
    return f"{adapter.title} ({adapter.program}) is not in PATH; install it{how}"
