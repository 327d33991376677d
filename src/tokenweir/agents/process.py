"""An agent's processes: started in a group of their own, asked to end, ended, and nothing left behind."""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

#: Kept of what a program prints: the beginning in its file, and as much of the end as holds a report.
MAX_OUTPUT_BYTES = 8 << 20
TAIL_BYTES = 512 << 10
_CHUNK_BYTES = 64 << 10
#: A process that was killed is gone within moments; one that waits for a disk may take longer.
GONE_WITHIN_S = 5.0
_LOOK_S = 0.05
_PR_SET_CHILD_SUBREAPER = 36


class Output:
    """What one stream of a program says, kept in a file up to a bound, and its end."""

    def __init__(self, stream: IO[bytes], file: Path) -> None:
        self._stream, self._file = stream, file
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    def _keep(self) -> None:
        left = MAX_OUTPUT_BYTES
        with self._stream, self._file.open("wb", buffering=0) as kept:
            while chunk := os.read(self._stream.fileno(), _CHUNK_BYTES):
                kept.write(chunk[:left])
                left = max(0, left - len(chunk))
                self._tail.append(chunk)
                self._tail_bytes += len(chunk)
                while self._tail_bytes - len(self._tail[0]) > TAIL_BYTES:
                    self._tail_bytes -= len(self._tail.popleft())

    def end(self) -> str:
        """Its last bytes, as text; what came may still come from a process that outlived its group is not waited for."""
        self._thread.join(GONE_WITHIN_S)
        return b"".join(tuple(self._tail)).decode(errors="replace")


class Group:
    """A program and all that it starts. What it prints lies in `logs`, as NAME.out and NAME.err."""

    def __init__(
        self, command: Sequence[str], cwd: Path, environ: Mapping[str, str], logs: Path, name: str
    ) -> None:
        adopt_orphans(True)
        self._others = frozenset(_children().get(os.getpid(), ()))  # children that are none of the program's
        self._process = subprocess.Popen(
            command, cwd=cwd, env=environ, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None and self._process.stderr is not None
        self.output = Output(self._process.stdout, logs / f"{name}.out")
        self.errors = Output(self._process.stderr, logs / f"{name}.err")

    @property
    def pid(self) -> int:
        """Of the program; its group has the same number."""
        return self._process.pid

    def wait(self, within_s: float) -> int | None:
        """Its exit code (less than nothing: the signal that ended it); None while it lives."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            return None

    def ask(self, number: signal.Signals) -> None:
        """Ask the whole group to end, as a terminal does at Ctrl-C."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def end(self) -> int:
        """End the program and all that it started, also in groups of their own; how many of these were left."""
        left = 0
        for _ in range(round(GONE_WITHIN_S / _LOOK_S)):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)  # at once: whoever it orphans is adopted, and found next
            found = self._left()
            left = max(left, len(found))
            for pid in found:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            if self.wait(_LOOK_S) is not None and not self._left():
                break
            time.sleep(_LOOK_S)
        self._reap()
        adopt_orphans(False)
        return left

    def _reap(self) -> None:
        """Orphans that were adopted and have died wait to be seen."""
        for pid in _children(dead=True).get(os.getpid(), ()):
            if pid != self.pid and pid not in self._others:
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)

    def _left(self) -> list[int]:
        """Processes below the program, and those that were: who lost its parent has been adopted by this process."""
        children = _children()
        found, below = [], [self.pid, *(p for p in children.get(os.getpid(), ()) if p not in self._others)]
        while below:
            pid = below.pop()
            if pid != self.pid:
                found.append(pid)
            below += children.get(pid, ())
        return list(dict.fromkeys(found))


def _children(dead: bool = False) -> dict[int, list[int]]:
    """Living processes (or dead ones that nobody has seen) by their parent, where the system has /proc."""
    known: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if (state == "Z") is dead:
                known.setdefault(int(parent), []).append(int(entry.name))
    return known


def adopt_orphans(adopt: bool) -> None:
    """Whether, from now on, whose parent dies below this process becomes its child."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, int(adopt), 0, 0, 0)
