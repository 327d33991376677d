"""A gateway for as long as a command needs one: the one that runs, or one of the command's own."""

import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenweir.agents.confine import command_of
from tokenweir.agents.confinement import Confinement, Means
from tokenweir.cli.exits import NotReachableError
from tokenweir.cli.first_key import first_key
from tokenweir.cli.running import Status, find_running, prepare_data_dir
from tokenweir.cli.system import SystemClock

#: A gateway is up within a second; a local engine may take a while to load, and is not waited for.
START_WITHIN_S = 30.0
#: What a gateway may take to end: its streams have been cut by then.
END_WITHIN_S = 20.0
LOOK_S = 0.05
LOG_NAME = "run-gateway.log"
#: Held, shared, by each command that uses a gateway which it or another of them has started.
LOCK_NAME = "run-gateway.lock"
OTHERS_WITHIN_S = 86_400.0
OTHERS_LOOK_S = 0.2


@contextmanager
def gateway(
    directory: Path, config: Path | None, say: Callable[[str], None], hurried: Callable[[], bool]
) -> Iterator[Status]:
    """Where the gateway of this data directory is; started here where none runs. Raises NotReachableError, LedgerError.

    Who started one keeps it until the runs of others that found it have ended, unless the user is in a hurry.
    """
    prepare_data_dir(directory)
    with (directory / LOCK_NAME).open("wb") as using:
        fcntl.flock(using, fcntl.LOCK_SH)
        running = find_running(directory)
        if running is not None:
            yield running
            return
        with _own(directory, config, say) as status:
            yield status
            _wait_for_others(using.fileno(), say, hurried)


@contextmanager
def _own(directory: Path, config: Path | None, say: Callable[[str], None]) -> Iterator[Status]:
    key = first_key(directory, SystemClock())
    if key:  # else it would stand in the log alone
        say(f"your first key, shown this once: {key}")
    log = directory / LOG_NAME
    process = _start(directory, config, log)
    try:
        status = _wait(process, directory, log)
        say(f"no gateway runs on {directory}: {status.address} is started for this run alone")
        yield status
    finally:
        _stop(process)


def _wait_for_others(using: int, say: Callable[[str], None], hurried: Callable[[], bool]) -> None:
    for look in range(round(OTHERS_WITHIN_S / OTHERS_LOOK_S)):
        if hurried():
            return
        try:
            fcntl.flock(using, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if look == 0:
                say("another run uses this gateway; it is kept until that has ended")
            time.sleep(OTHERS_LOOK_S)
        else:
            return


def _start(directory: Path, config: Path | None, log: Path) -> "subprocess.Popen[bytes]":
    words = ["up", "--port", "0", "--data", str(directory), *(["--config", str(config)] if config else [])]
    tied = Confinement(
        means=Means.NONE, command=(sys.executable, "-m", "tokenweir.cli.main", *words), parent=os.getpid()
    )
    with log.open("wb") as output:
        return subprocess.Popen(
            command_of(tied), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is for the run; its gateway goes last
        )  # fmt: skip


def _wait(process: "subprocess.Popen[bytes]", directory: Path, log: Path) -> Status:
    for _ in range(round(START_WITHIN_S / LOOK_S)):
        status = find_running(directory)
        if status is not None and status.pid == process.pid:
            return status
        if process.poll() is not None:
            if status is not None:  # another run was quicker, and its gateway serves both
                return status
            break
        time.sleep(LOOK_S)
    last = log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
    raise NotReachableError(f"no gateway could be started for the run: {last[0]} (see {log})")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
