"""The full text of calls of runs that asked for it, written by a thread of its own, and removed when its time has come."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING

from tokenweir.gateway.metrics import Counters

if TYPE_CHECKING:
    from tokenweir.agents.texts import Text

#: Texts that wait for the thread, which hold memory; one more is lost, and counted.
MOST_WAITING = 64
#: Where they lie, below the data directory.
ROOM = "texts"
#: How often it is looked for texts whose time has come.
SWEEP_EVERY_US = 60_000_000


class KeptTexts:
    """Of one worker. No call waits for it: what is billed does not depend on it."""

    def __init__(self, data_dir: Path, counters: Counters) -> None:
        self._data_dir = data_dir
        self._counters = counters
        self._thread: ThreadPoolExecutor | None = None
        self._room = BoundedSemaphore(MOST_WAITING)
        self._swept_us: int | None = None

    def keep(self, run: str, text: "Text", until_us: int) -> None:
        """Write it, soon."""
        if not self._room.acquire(blocking=False):
            self._counters.add("weir_texts_lost")
            return
        self._submit(lambda: self._write(run, text, until_us))

    def tick(self, now_us: int) -> None:
        """Called a few times a second."""
        if self._swept_us is not None and now_us - self._swept_us < SWEEP_EVERY_US:
            return
        self._swept_us = now_us
        if (self._data_dir / ROOM).is_dir():
            self._submit(lambda: self._sweep(now_us))

    def close(self) -> None:
        """Waits for what was to be written."""
        if self._thread is not None:
            self._thread.shutdown(wait=True)

    def _submit(self, work: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, "texts")
        self._thread.submit(work)

    def _write(self, run: str, text: "Text", until_us: int) -> None:
        from tokenweir.agents import texts  # few runs keep any

        try:
            texts.write(self._data_dir, run, text, until_us)
        except OSError as error:
            print(f"the text of call {text.call} cannot be kept: {error}", file=sys.stderr, flush=True)
        finally:
            self._room.release()

    def _sweep(self, now_us: int) -> None:
        from tokenweir.agents import texts

        try:
            texts.sweep(self._data_dir, now_us)
        except OSError as error:
            print(f"texts whose time has come cannot be removed: {error}", file=sys.stderr, flush=True)
