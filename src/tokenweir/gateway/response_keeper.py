"""The store of responses, off the event loop: its file is read and written by one thread, in the order it is asked."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tokenweir.gateway.response_store import ResponseStore, ResponseStoreError

#: Questions that wait for the thread; one more is not taken.
MOST_WAITING = 256

T = TypeVar("T")


class ResponseKeeper:
    """Ask it from the event loop."""

    def __init__(self, open_store: Callable[[], ResponseStore], loop: asyncio.AbstractEventLoop) -> None:
        """The store is opened by the thread that uses it, when it is first asked."""
        self._open_store = open_store
        self._loop = loop
        self._thread = ThreadPoolExecutor(1, "responses")
        self._store: ResponseStore | None = None
        self.waiting = 0

    def ask(
        self, question: Callable[[ResponseStore], T], done: Callable[[T | ResponseStoreError], None]
    ) -> None:
        """`done` gets the store's answer, or its fault, on the event loop; a full queue is a fault at once."""
        if self.waiting >= MOST_WAITING:
            done(ResponseStoreError(f"{MOST_WAITING} calls wait for the store of responses"))
            return
        self.waiting += 1
        self._thread.submit(self._answer, question, done)

    def _answer(
        self, question: Callable[[ResponseStore], T], done: Callable[[T | ResponseStoreError], None]
    ) -> None:
        try:
            if self._store is None:
                self._store = self._open_store()
            answer: T | ResponseStoreError = question(self._store)
        except ResponseStoreError as error:
            answer = error
        self._loop.call_soon_threadsafe(self._told, done, answer)

    def _told(self, done: Callable[[T | ResponseStoreError], None], answer: T | ResponseStoreError) -> None:
        self.waiting -= 1
        done(answer)

    def close(self) -> None:
        """Waits for what was asked, then closes the store."""
        self._thread.submit(self._close)
        self._thread.shutdown(wait=True)

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
