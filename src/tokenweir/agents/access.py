"""What has to be readable for a program to run: its own files and its interpreter's, wherever they were installed."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenweir.agents.confinement import SYSTEM

#: Interpreters that start interpreters: more than any script has.
_MOST_HOPS = 4
_VENV = "pyvenv.cfg"


def programs_in(path: str) -> list[str]:
    """Directories that the programs of a PATH need, outside those of the system."""
    needed: dict[str, None] = {}
    for entry in path.split(os.pathsep):
        directory = Path(entry)
        if directory.is_absolute() and directory.is_dir():
            needed |= dict.fromkeys([str(directory), str(directory.resolve()), *_around(directory)])
    return _beyond_system(needed)


def needed_by(program: str, path: str) -> list[str]:
    """Files and directories that one program needs, outside those of the system; [] where it is not found."""
    found = shutil.which(program, path=path)
    needed: dict[str, None] = {}
    for _ in range(_MOST_HOPS):
        if found is None:
            break
        file = Path(found)
        real = file.resolve()
        needed |= dict.fromkeys(
            [found, str(real), *_around(file.parent), *_around(real.parent), *_package(real)]
        )
        found = _interpreter(real, path)
    return _beyond_system(needed)


def _around(directory: Path) -> Iterator[str]:
    """What belongs to a directory of programs: its virtual environment and that one's Python, or its Node packages."""
    environment = directory.parent / _VENV
    if environment.is_file():
        yield str(directory.parent)
        yield from _python_of(environment)
        real = (directory / "python").resolve()
        if real.is_file():
            yield str(real.parent.parent)
    modules = directory.parent / "lib" / "node_modules"
    if modules.is_dir():
        yield str(modules)


def _python_of(environment: Path) -> Iterator[str]:
    for line in environment.read_text(errors="replace").splitlines():
        name, _, value = line.partition("=")
        if name.strip() == "home" and Path(value.strip()).is_absolute():
            yield str(Path(value.strip()).parent)


def _package(file: Path) -> Iterator[str]:
    """The packages that a script of Node lies among: the outermost `node_modules` above it."""
    if "node_modules" in file.parts:
        yield str(Path(*file.parts[: file.parts.index("node_modules") + 1]))


def _interpreter(file: Path, path: str) -> str | None:
    """The program that a script names in its first line; where that is `env`, what it finds in PATH."""
    try:
        with file.open("rb") as script:
            line = script.read(256).partition(b"\n")[0]
    except OSError:
        return None
    words = line[2:].decode(errors="replace").split() if line.startswith(b"#!") else []
    if not words or not words[0].endswith("/env"):
        return words[0] if words else None
    named = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return shutil.which(named[0], path=path) if named else None


def _beyond_system(paths: Iterable[str]) -> list[str]:
    outside = [p for p in paths if p != "/" and not any(p == s or p.startswith(f"{s}/") for s in SYSTEM)]
    return list(dict.fromkeys(outside))
