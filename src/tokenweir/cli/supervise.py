"""The supervisor: starts the children, starts again who dies, stops them in order. No threads, no loop."""

import os
import signal
import sys
from collections.abc import Callable, Sequence

from tokenweir.cli.children import (
    HANDLED,
    HEALTHY_US,
    STAGE_LEDGER,
    Child,
    describe_status,
    pause_us,
    start,
)
from tokenweir.core.clock import Clock

#: Time a stage has to end after SIGTERM, beyond the drain time of the workers; then it is killed.
STOP_GRACE_US = 10_000_000
#: Wake at least this often.
LONGEST_WAIT_US = 1_000_000


class Supervisor:
    """Runs until a signal ends it; `run` returns the exit code."""

    def __init__(
        self,
        children: Sequence[Child],
        clock: Clock,
        *,
        drain_us: int,
        reload: Callable[[], None],
        stop_listening: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        self._children = children
        self._clock = clock
        self._drain_us = drain_us
        self._reload = reload
        self._stop_listening = stop_listening
        self._log = log
        self._stopping = -1  # the stage that is being stopped; stages after it still run
        self._deadline_us = 0
        self._hurried = False
        self._killed = False

    @staticmethod
    def hold_signals() -> None:
        """Keep signals until `run` asks for them; before the first fork."""
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)

    def start_all(self) -> None:
        """Start every child that is not to be late, the ledger's writer first, since the others talk to it."""
        for child in sorted(self._children, key=lambda c: -c.stage):
            now_us = self._clock.steady_us()
            if child.late_us:
                child.start_at_us = now_us + child.late_us  # `run` starts it when it is due
            else:
                start(child, now_us)

    def run(self) -> int:
        """Wait and act until every child has ended. 0, or 1 when one had to be killed."""
        while True:
            info = signal.sigtimedwait(HANDLED, self._wait_us() / 1_000_000)
            # Stopped and continued when its time is up, CPython's sigtimedwait returns what nobody has filled in.
            if info is not None and info.si_signo in HANDLED:
                self._on_signal(signal.Signals(info.si_signo))
            self._reap()
            if self._stopping >= 0 and not self._advance():
                return 1 if self._killed else 0
            self._start_due()

    # --- waiting

    def _wait_us(self) -> int:
        now_us = self._clock.steady_us()
        due = [c.start_at_us - now_us for c in self._children if not c.pid and c.stage > self._stopping]
        if self._stopping >= 0:
            due.append(self._deadline_us - now_us)
        return max(0, min([LONGEST_WAIT_US, *due]))

    def _on_signal(self, number: signal.Signals) -> None:
        if number == signal.SIGHUP and self._stopping < 0:
            self._reload()
        elif number in (signal.SIGTERM, signal.SIGINT):
            if self._stopping < 0:
                self._log("stopping: no new calls; streams under way finish (once more to end them now)")
                self._stop_listening()
                self._stop_stage(0)
            elif not self._hurried:
                self._log("stopping sooner: streams under way are ended and settled (once more to kill)")
                self._hurried = True
                self._deadline_us = min(self._deadline_us, self._clock.steady_us() + STOP_GRACE_US)
                self._signal(signal.SIGTERM)
            else:
                self._log("stopping at once")
                self._kill_all()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._ended(child, status)

    def _ended(self, child: Child, status: int) -> None:
        child.pid = 0
        if child.stage <= self._stopping:
            return
        now_us = self._clock.steady_us()
        lived_us = now_us - child.started_us
        child.failures = 1 if lived_us >= HEALTHY_US else child.failures + 1
        pause = pause_us(child.failures)
        child.start_at_us = now_us + pause
        self._log(f"{child.name} ended ({describe_status(status)}); it is started again in {pause / 1e6:g} s")

    def _start_due(self) -> None:
        now_us = self._clock.steady_us()
        for child in self._children:
            if not child.pid and child.stage > self._stopping and child.start_at_us <= now_us:
                start(child, now_us)

    # --- stopping

    def _stop_stage(self, stage: int) -> None:
        self._stopping = stage
        extra_us = self._drain_us if stage == 0 else 0
        self._deadline_us = self._clock.steady_us() + extra_us + STOP_GRACE_US
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid and child.stage <= self._stopping:
                os.kill(child.pid, number)

    def _advance(self) -> bool:
        """Stop the next stage once this one has ended; False when all have."""
        while not any(child.pid for child in self._children if child.stage <= self._stopping):
            if self._stopping >= STAGE_LEDGER:
                return False
            self._stop_stage(self._stopping + 1)
        if self._clock.steady_us() >= self._deadline_us:
            self._log("a process did not stop in time and is killed")
            self._killed = True
            self._signal(signal.SIGKILL)
            self._deadline_us = self._clock.steady_us() + STOP_GRACE_US
        return True

    def _kill_all(self) -> None:
        """At once: workers and engines are killed; the writer, which leaves nothing undone, is asked."""
        for child in self._children:
            if child.pid:
                os.kill(child.pid, signal.SIGTERM if child.stage == STAGE_LEDGER else signal.SIGKILL)
        self._stopping = STAGE_LEDGER
        self._deadline_us = self._clock.steady_us() + STOP_GRACE_US


def log(line: str) -> None:
    """A line of the supervisor's log: standard error, so that standard output stays the greeting."""
    print(f"weir up: {line}", file=sys.stderr, flush=True)
