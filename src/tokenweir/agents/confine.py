"""Becomes a command that can reach no more than it is told: `python -m tokenweir.agents.confine JSON`.

It is a program of its own because what it gives up, it gives up for good.
"""

import os
import shutil
import sys
from pathlib import Path

import msgspec

from tokenweir.agents import landlock, privileges, seccomp
from tokenweir.agents.confinement import Confinement, Means, bubblewrap
from tokenweir.core.errors import AgentError
from tokenweir.engines.tie import tie_to_parent

#: Exit codes when the command never began, as shells and containers have them.
NO_SANDBOX, NOT_STARTED, NOT_FOUND = 125, 126, 127
#: Run by what is handed to it alone: neither the working directory nor the environment names modules.
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from tokenweir.agents.confine import main; main()"


def command_of(confinement: Confinement) -> list[str]:
    """The command line that confines itself and becomes `confinement.command`."""
    source = str(Path(__file__).resolve().parents[2])
    return [sys.executable, "-I", "-c", _START, source, msgspec.json.encode(confinement).decode()]


def main() -> None:
    """Never returns."""
    confinement = msgspec.json.decode(sys.argv[1].encode(), type=Confinement)
    command = confinement.command
    try:
        if confinement.parent:
            tie_to_parent(confinement.parent)
        if confinement.means is Means.LANDLOCK:
            privileges.forgo()
            landlock.restrict(confinement.read, confinement.write, confinement.port)
            seccomp.apply()
        elif confinement.means is Means.BUBBLEWRAP:
            command = bubblewrap(shutil.which("bwrap") or "bwrap", confinement)
    except (OSError, AgentError) as error:
        _end(NO_SANDBOX, f"the sandbox could not be set up: {error}")
    try:
        os.execvp(command[0], command)
    except FileNotFoundError:
        _end(NOT_FOUND, f"{command[0]} was not found, or cannot be read from inside the sandbox")
    except OSError as error:
        _end(NOT_STARTED, f"{command[0]} could not be started: {error.strerror}")


def _end(code: int, words: str) -> None:
    print(f"weir: {words}", file=sys.stderr, flush=True)
    os._exit(code)
