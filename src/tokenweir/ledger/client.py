"""What the gateway needs of the ledger: the seam between them."""

from collections.abc import Callable
from typing import Protocol

from tokenweir.ledger.known_terms import KnownTerms
from tokenweir.ledger.messages import Checkpoint, CloseAttempt, OpenCall, OpenResult


class LedgerLink(Protocol):
    """A worker's side of the ledger. Callbacks run on the worker's event loop, once each.

    Operations of one loop turn travel as one write. Operations not yet durable when the connection is lost
    are sent again by the link, for as long as it takes; opens whose connection is lost before their answer
    are reported as unavailable instead, so that their callers can answer 503.
    """

    @property
    def terms(self) -> KnownTerms:
        """Keys, prices for customers, and who is under a limit."""
        ...

    @property
    def available(self) -> bool:
        """Whether an open would be sent now."""
        ...

    def next_seq(self) -> int:
        """The number for the next operation."""
        ...

    def open(self, operation: OpenCall, done: Callable[[OpenResult | None], None]) -> None:
        """Reserve; `done(None)` when the ledger cannot be reached or written."""
        ...

    def checkpoint(self, operation: Checkpoint) -> None:
        """Note how far a stream has come. No answer."""
        ...

    def close_attempt(self, operation: CloseAttempt, durable: Callable[[], None] | None) -> None:
        """Settle; `durable()` once it is on disk."""
        ...

    def define_price(self, applied: bytes) -> str:
        """The id of an applied price (JSON of AppliedPrice), written before anything that refers to it."""
        ...
