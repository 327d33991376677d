"""What a worker remembers of runs under way: results of tools that it has told the ledger of, and refusals that it holds back."""

from collections.abc import Callable, Container, Iterable
from typing import TYPE_CHECKING

from tokenweir.ledger.messages import OpenResult
from tokenweir.ledger.terms import KeyRecord
from tokenweir.ledger.windows import SHORT
from tokenweir.protocol.asking import Told

if TYPE_CHECKING:
    from tokenweir.gateway.run_call import RunCall

#: How long a refusal is held back. A launcher ends an agent that heeds nothing within eight seconds.
HOLD_US = 15_000_000
#: Refusals that are held back at a time; further ones are answered at once.
MOST_HELD = 256
#: Runs that are remembered, and results of each; what is forgotten is told again, which changes nothing.
MOST_RUNS = 256
MOST_RESULTS = 8_192

_NOTHING: frozenset[Told] = frozenset()


class Runs:
    """Of one worker."""

    def __init__(self, now_us: Callable[[], int], is_live: Callable[[KeyRecord], bool]) -> None:
        """`now_us` is of a steady clock; `is_live` whether a key is still good."""
        self._now_us = now_us
        self._is_live = is_live
        self._told: dict[str, dict[Told, None]] = {}  # by run
        self._held: dict[RunCall, int] = {}  # until when

    # --- results that were told

    def told(self, run: str) -> Container[Told]:
        """Results that need not be told again."""
        return self._told.get(run, _NOTHING)

    def tell(self, run: str, results: Iterable[Told]) -> None:
        """They are on their way to the ledger."""
        known = self._told.pop(run, {})
        known |= dict.fromkeys(results)
        while len(known) > MOST_RESULTS:
            del known[next(iter(known))]
        self._told[run] = known
        if len(self._told) > MOST_RUNS:
            del self._told[next(iter(self._told))]

    # --- refusals that are held back

    def ends(self, key: KeyRecord, result: OpenResult) -> bool:
        """Whether a refusal is a further one of a run that its launcher is about to end."""
        if not (key.launched and result.refused and result.again) or result.refused == "key_revoked":
            return False
        return result.limit is None or result.limit.limit.window not in SHORT

    def hold(self, call: "RunCall") -> bool:
        """Keep it until its run has ended; False where too many are kept."""
        if len(self._held) >= MOST_HELD:
            return False
        self._held[call] = self._now_us() + HOLD_US
        return True

    def forget(self, call: "RunCall") -> None:
        """Nobody waits for it any more."""
        self._held.pop(call, None)

    def tick(self) -> None:
        """Called a few times a second: refuse those whose run has ended, and those that have waited long enough."""
        now_us = self._now_us()
        for call, until_us in tuple(self._held.items()):
            if now_us >= until_us or not self._is_live(call.key):
                self._let_go(call)

    def release(self) -> None:
        """The gateway ends: refuse them all."""
        for call in tuple(self._held):
            self._let_go(call)

    def _let_go(self, call: "RunCall") -> None:
        self._held.pop(call, None)
        call.let_go()
