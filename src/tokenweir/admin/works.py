"""Work that lasts longer than who asked for it waits: it goes on, and is asked after. Kept in memory of this process alone."""

import sys
import threading
import traceback
from collections.abc import Callable

from tokenweir.admin import problems
from tokenweir.admin.problems import Problem, problem
from tokenweir.core.clock import Clock
from tokenweir.core.sentence import say

#: How long an answer is waited for; the gateway gives up after 60 s.
WAIT_S = 40.0
#: What is under way at a time, and what is remembered: each may hold an answer of some MiB.
MOST_RUNNING = 8
MOST_KEPT = 64
#: How long what has ended is remembered.
KEPT_S = 3_600


class Work:
    """One piece of it."""

    def __init__(self, id: str, operation: str, status: int, key: str, started_us: int) -> None:
        self.id, self.operation, self.status, self.key = id, operation, status, key
        self.started_us = started_us
        self.ended_us: int | None = None
        self.outcome: object = None  # once it has ended: what its operation answers, or a Problem
        self.done = threading.Event()


class Works:
    """What is under way, and what has ended last. Its methods are called from many threads."""

    def __init__(self, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        self._clock, self._random_bytes = clock, random_bytes
        self._lock = threading.Lock()
        self._works: dict[str, Work] = {}

    def within(
        self, wait_s: float, operation: str, status: int, key: str, do: Callable[[], object]
    ) -> object:
        """What `do` gives, where that is soon; else the Work that goes on; or a Problem, where too much is under way."""
        work = self.begin(operation, status, key, do)
        if isinstance(work, Problem) or not work.done.wait(wait_s):
            return work
        self.forget(work)
        return work.outcome

    def begin(self, operation: str, status: int, key: str, do: Callable[[], object]) -> Work | Problem:
        """The Work that goes on, and is remembered for a while after its end; or a Problem, where too much is under way."""
        with self._lock:
            self._forget()
            if sum(work.ended_us is None for work in self._works.values()) >= MOST_RUNNING:
                return problems.busy()
            id = f"job_{self._random_bytes(8).hex()}"
            work = self._works[id] = Work(id, operation, status, key, self._clock.now_us())
        threading.Thread(target=self._do, args=(work, do), daemon=True).start()
        return work

    def forget(self, work: Work) -> None:
        """Its answer was given."""
        with self._lock:
            self._works.pop(work.id, None)

    def known(self) -> list[Work]:
        """All of it, oldest first."""
        with self._lock:
            self._forget()
            return list(self._works.values())

    def _do(self, work: Work, do: Callable[[], object]) -> None:
        try:
            work.outcome = do()
        except Exception:  # noqa: BLE001 - whoever asks after it is told, and the log has it
            traceback.print_exc(file=sys.stderr)
            work.outcome = problem("failed", say("This is a defect of the gateway's; its log has it."))
        work.ended_us = self._clock.now_us()
        work.done.set()

    def _forget(self) -> None:
        """What ended too long ago; and what ended first, where there is no room for one more."""
        now_us, too_many = self._clock.now_us(), len(self._works) + 1 - MOST_KEPT
        ended = [(work.ended_us, work.id) for work in self._works.values() if work.ended_us is not None]
        for number, (ended_us, id) in enumerate(sorted(ended)):
            if number < too_many or now_us - ended_us > KEPT_S * 1_000_000:
                del self._works[id]
