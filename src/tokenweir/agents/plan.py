"""What a run is asked for, and what it is given of the machine."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from tokenweir.agents.adapter import Adapter
from tokenweir.agents.confinement import Means
from tokenweir.agents.meter import Ended, Spent
from tokenweir.agents.records import Run, RunStart
from tokenweir.agents.trees import TESTS
from tokenweir.core.clock import Clock
from tokenweir.ledger.terms import DEFAULT_ACCOUNT, Limit

#: What a program gets as one argument; a longer task is no command line's.
MAX_TASK_BYTES = 100_000


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `limits` hold for it alone."""

    adapter: Adapter
    version: str
    model: str
    task: str
    directory: Path  # where the user stands
    limits: tuple[Limit, ...]
    time_s: int
    account: str = DEFAULT_ACCOUNT
    command: tuple[str, ...] = ()  # of an adapter that has no program
    verify: str = ""  # a shell's command
    verify_time_s: int = 600
    protect: tuple[str, ...] = TESTS
    in_place: bool = False
    means: Means = Means.LANDLOCK
    read: tuple[str, ...] = ()  # further paths
    write: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()  # names of the user's environment that are passed on
    keep_text_s: int = 0  # the text of its calls is kept for so long; 0: not at all
    keep: bool = False  # the workspace stays, and what was printed


class Door(msgspec.Struct, frozen=True):
    """The gateway: its ledger's directory, its address, and whether it is still there."""

    data_dir: Path
    address: str
    alive: Callable[[], bool]


class Machine(msgspec.Struct, frozen=True):
    """What a run takes from outside. `interrupts`: how often the user has said stop."""

    clock: Clock
    random_bytes: Callable[[int], bytes]
    sleep: Callable[[float], None]
    environ: Mapping[str, str]
    interrupts: Callable[[], int]


class Watcher(Protocol):
    """Is told how a run goes."""

    def begins(self, start: RunStart, work: Path) -> None:
        """The agent is about to be started, in `work`."""

    def call(self, ended: Ended, spent: Spent) -> None:
        """A call has ended or been refused; the sums with it."""

    def says(self, words: str) -> None:
        """Something else that is worth a line."""

    def ends(self, run: Run) -> None:
        """It is over and recorded."""
