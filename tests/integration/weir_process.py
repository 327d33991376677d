"""`weir` as users and scripts run it: commands in processes of their own, and a gateway under them."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar

DEADLINE_S = 30.0
T = TypeVar("T")


def wait_for(ready: Callable[[], T], what: str) -> T:
    """The first true value of `ready()`: a process of its own can only be polled."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if value := ready():
            return value
        time.sleep(0.01)
    raise AssertionError(f"{what} did not happen within {DEADLINE_S:g} s")


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Home:
    """A directory to run `weir` in, with an environment that has nothing of this one but what is given."""

    def __init__(self, directory: Path, **environ: str) -> None:
        self.directory = directory
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8", **environ}

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "tokenweir.cli.main", *words]

    def run(self, *words: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), cwd=self.directory, env=self.environ, input=text,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def good(self, *words: str, text: str = "") -> str:
        """What it prints; it must end well."""
        done = self.run(*words, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def up(self, port: int, *words: str) -> Iterator[subprocess.Popen[str]]:
        """A gateway that answers on the port, until the end of the block."""
        with (self.directory / "up.log").open("w") as log:
            process = subprocess.Popen(
                self.command("up", *words),
                cwd=self.directory,
                env=self.environ,
                stdout=log,
                stderr=log,
                text=True,
            )
        try:
            wait_for(lambda: answers(port) or process.poll() is not None, "the gateway's answer")
            assert process.poll() is None, (self.directory / "up.log").read_text()
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)

    def greeting(self) -> str:
        return (self.directory / "up.log").read_text()


def answers(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@contextmanager
def simulated(*words: str) -> Iterator[str]:
    """The address of a simulated engine."""
    command = [sys.executable, "-m", "tokenweir.engines.simulated", "--port", "0", *words]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
