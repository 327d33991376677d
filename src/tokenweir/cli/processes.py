"""The processes of `weir up` and what each is given: the ledger's writer, the workers and the control process."""

import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tokenweir.cli import control
from tokenweir.cli.around import Around
from tokenweir.cli.children import STAGE_CONTROL, STAGE_LEDGER, STAGE_WORKERS, Child
from tokenweir.cli.system import SystemClock, random_bytes
from tokenweir.gateway.config import GatewayConfig
from tokenweir.gateway.worker import run_worker
from tokenweir.ledger.service import serve

#: What the control process loads takes a moment of the machine, which the first call must not wait for.
CONTROL_LATE_US = 500_000


class Gate:
    """What the supervisor holds and no child may keep: the directory's lock and the sockets of the workers.

    A worker's listening socket outlives it, so that a caller who comes while it is started again only waits.
    """

    def __init__(self, lock: int, listening: list[socket.socket]) -> None:
        self.listening = listening
        self.controls: dict[str, socket.socket] = {}
        self._lock = lock

    def close_in_child(self, keep: socket.socket | None = None) -> None:
        """In a child: let go of everything but `keep`. The lock stays the supervisor's."""
        os.close(self._lock)
        for sock in (*self.listening, *self.controls.values()):
            if sock is not keep:
                sock.close()

    def stop_listening(self) -> None:
        """Calls that come now are refused by the kernel once the workers have closed theirs too."""
        for sock in self.listening:
            sock.close()

    def close(self) -> None:
        """The supervisor is done."""
        self.stop_listening()
        for sock in self.controls.values():
            sock.close()
        os.close(self._lock)


def writer(data_dir: Path, durability: str, gate: Gate) -> Child:
    """The ledger's writer."""

    def run() -> None:
        gate.close_in_child()
        serve(data_dir, SystemClock(), durability=durability)

    return Child(name="ledger writer", stage=STAGE_LEDGER, run=run)


def control_process(data_dir: Path, gate: Gate, around: Around) -> Child:
    """The admin API and the console. What they are made of is loaded in it alone."""

    def run() -> None:
        from tokenweir.admin.service import serve as serve_control
        from tokenweir.cli.control_app import control_app

        gate.close_in_child()
        serve_control(data_dir, control_app(data_dir, SystemClock(), random_bytes, around))

    return Child(name="control process", stage=STAGE_CONTROL, run=run, late_us=CONTROL_LATE_US)


class Worker:
    """One worker: what it serves now, and how it is told of something new."""

    def __init__(
        self, number: int, gate: Gate, data_dir: Path, config: GatewayConfig, durability: str
    ) -> None:
        self.name = f"worker-{number}"
        self._listen = gate.listening[number - 1]
        self._gate = gate
        self._data_dir = data_dir
        self._durability = durability
        self._config = config
        self._theirs: socket.socket | None = None
        self.child = Child(
            name=self.name, stage=STAGE_WORKERS, run=self._run, prepare=self._prepare, forked=self._forked
        )

    def reconfigure(self, config: GatewayConfig) -> None:
        """Serve this from now on, after restarts too. A worker that does not take it is started again."""
        self._config = config
        if self.child.pid and not control.send(self._gate.controls[self.name], config):
            os.kill(self.child.pid, signal.SIGTERM)

    def _prepare(self) -> None:
        old = self._gate.controls.pop(self.name, None)
        if old is not None:
            old.close()
        self._gate.controls[self.name], self._theirs = control.pair()

    def _forked(self) -> None:
        assert self._theirs is not None
        self._theirs.close()
        self._theirs = None

    def _run(self) -> None:
        assert self._theirs is not None
        self._gate.close_in_child(keep=self._listen)
        run_worker(
            self._config,
            listen=self._listen,
            data_dir=self._data_dir,
            worker=self.name,
            control=self._theirs,
            clock=SystemClock(),
            durability=self._durability,
        )


def make_workers(gate: Gate, data_dir: Path, config: GatewayConfig, durability: str) -> list[Worker]:
    """One worker for each listening socket."""
    numbers = range(1, len(gate.listening) + 1)
    return [Worker(number, gate, data_dir, config, durability) for number in numbers]


def tell(workers: list[Worker]) -> Callable[[GatewayConfig], None]:
    """A function that gives all of them something new to serve."""

    def reconfigure(config: GatewayConfig) -> None:
        for worker in workers:
            worker.reconfigure(config)

    return reconfigure
