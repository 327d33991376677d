"""The supervisor with real children: restarted when they die, stopped in order, gone when it is gone.

The children are forked functions that write what happens to them into a pipe; the test reads it, so nothing
waits for a length of time.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from tokenweir.cli.children import (
    STAGE_CONTROL,
    STAGE_LEDGER,
    STAGE_WORKERS,
    Child,
    describe_status,
    pause_us,
)
from tokenweir.cli.supervise import Supervisor
from tokenweir.cli.system import SystemClock


class Stage:
    """A supervisor in a process of its own, whose children report by lines."""

    def __init__(self, *, stubborn: bool = False, late: bool = False) -> None:
        self._read, self._write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._supervise(stubborn, late))
        os.close(self._write)
        self._lines = os.fdopen(self._read, "r")

    def say(self, text: str) -> None:
        os.write(self._write, f"{text}\n".encode())

    def line(self) -> str:
        return self._lines.readline().strip()

    def lines(self, count: int) -> list[str]:
        return sorted(self.line() for _ in range(count))

    def end(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def rest(self) -> list[str]:
        """What is said until the last process has closed the pipe."""
        return [line.strip() for line in self._lines]

    def close(self) -> None:
        self._lines.close()

    def _supervise(self, stubborn: bool, late: bool) -> int:
        children = [
            Child(name="worker", stage=STAGE_WORKERS, run=lambda: self._child("worker", stubborn)),
            Child(name="writer", stage=STAGE_LEDGER, run=lambda: self._child("writer", False)),
        ]
        if late:
            run = lambda: self._child("control", False)  # noqa: E731
            children.append(Child(name="control", stage=STAGE_CONTROL, run=run, late_us=50_000))
        supervisor = Supervisor(
            children,
            SystemClock(),
            drain_us=1_000_000,
            reload=lambda: self.say("reload"),
            stop_listening=lambda: self.say("stop listening"),
            log=lambda _line: None,
        )
        supervisor.hold_signals()
        supervisor.start_all()
        return supervisor.run()

    def _child(self, name: str, stubborn: bool) -> None:
        def on_term(*_: object) -> None:
            if not stubborn:
                self._leave(name)
            self.say(f"{name} was asked")

        signal.signal(signal.SIGTERM, on_term)
        self.say(f"{name} {os.getpid()}")
        while True:
            signal.pause()

    def _leave(self, name: str) -> None:
        self.say(f"{name} stops")
        raise SystemExit(0)


@pytest.fixture
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


def test_children_stop_in_order_and_the_end_is_clean(stage: Stage) -> None:
    stage.lines(2)
    os.kill(stage.pid, signal.SIGTERM)
    assert [stage.line() for _ in range(3)] == ["stop listening", "worker stops", "writer stops"]
    assert stage.end() == 0


def test_a_late_child_is_started_by_itself_and_ends_in_its_stage() -> None:
    stage = Stage(late=True)
    assert [line.split()[0] for line in stage.lines(3)] == ["control", "worker", "writer"]
    os.kill(stage.pid, signal.SIGTERM)
    assert [stage.line() for _ in range(4)] == [
        "stop listening", "worker stops", "control stops", "writer stops",
    ]  # fmt: skip
    assert stage.end() == 0
    stage.close()


def test_a_hangup_reads_the_settings_again(stage: Stage) -> None:
    stage.lines(2)
    os.kill(stage.pid, signal.SIGHUP)
    assert stage.line() == "reload"
    os.kill(stage.pid, signal.SIGTERM)
    assert stage.end() == 0


def test_a_killed_worker_comes_back_with_another_pid(stage: Stage) -> None:
    pids = dict(line.split() for line in stage.lines(2))
    os.kill(int(pids["worker"]), signal.SIGKILL)
    name, pid = stage.line().split()
    assert name == "worker"
    assert pid != pids["worker"]
    os.kill(stage.pid, signal.SIGTERM)
    assert stage.end() == 0


def test_a_second_signal_asks_again_and_a_third_kills() -> None:
    stage = Stage(stubborn=True)
    stage.lines(2)
    os.kill(stage.pid, signal.SIGINT)
    assert [stage.line(), stage.line()] == ["stop listening", "worker was asked"]
    os.kill(stage.pid, signal.SIGTERM)
    assert stage.line() == "worker was asked"
    os.kill(stage.pid, signal.SIGINT)
    assert stage.rest() == ["writer stops"]
    assert stage.end() == 0
    stage.close()


def test_children_die_with_a_killed_supervisor(stage: Stage) -> None:
    stage.lines(2)
    os.kill(stage.pid, signal.SIGKILL)
    assert stage.rest() == []  # the pipe has ended: nobody holds it any more
    assert stage.end() == -signal.SIGKILL


def test_pauses_grow_to_a_bound() -> None:
    assert [pause_us(n) for n in (1, 2, 3)] == [100_000, 200_000, 400_000]
    assert pause_us(1_000) == 10_000_000
    assert "signal 9" in describe_status(9)
