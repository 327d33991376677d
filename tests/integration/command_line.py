"""`weir` in this process, over a real ledger: alone, or beside the ledger's writer in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from typer.testing import CliRunner
from weir_process import DEADLINE_S, wait_for

from tokenweir.cli.exits import OK, USAGE
from tokenweir.cli.main import app
from tokenweir.ledger.schema import SOCKET_NAME

WRITER = (
    "import sys, pathlib\nfrom tokenweir.cli.system import SystemClock\nfrom tokenweir.ledger.service import serve\n"
    "serve(pathlib.Path(sys.argv[1]), SystemClock(), durability='os')"
)


class CommandLine:
    """Runs commands on one data directory."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def __call__(self, *words: str) -> str:
        """What a command prints; it must end well."""
        done = CliRunner().invoke(app, [*words, "--data", str(self.data)])
        assert done.exit_code == OK, done.stderr or done.exception
        return done.stdout

    def json(self, *words: str) -> Any:
        """The JSON that it prints."""
        return json.loads(self(*words, "--json"))

    def wrong(self, *words: str) -> str:
        """The sentence that wrong words end with."""
        done = CliRunner().invoke(app, [*words, "--data", str(self.data)])
        assert (done.exit_code, done.stdout) == (USAGE, ""), done.output
        assert done.stderr.startswith("weir: ")
        assert done.stderr.count("\n") == 1
        return done.stderr.removeprefix("weir: ").rstrip()


@contextmanager
def writer_of(data: Path) -> Iterator[None]:
    """The writer of a data directory, until the end of the block."""
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(data)], stderr=subprocess.PIPE)
    try:
        wait_for(lambda: (data / SOCKET_NAME).exists() or process.poll() is not None, "the writer's socket")
        assert process.poll() is None
        yield
    finally:
        process.terminate()
        assert process.communicate(timeout=DEADLINE_S)[1] == b""
