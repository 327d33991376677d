"""Who tries to sign in and fails too often has to wait. Counted by name and by address, in bounded memory. Pure."""

import msgspec

#: Failures within WINDOW_US that lock a name, and an address; who shares an address with others must not be locked by one slip.
MOST_FAILURES = {"name": 5, "address": 20}
WINDOW_US = 15 * 60 * 1_000_000
#: Names and addresses that are remembered; beyond these the one that failed longest ago is forgotten.
MOST_REMEMBERED = 10_000


class Failures(msgspec.Struct):
    """How often in a row, since when and until when."""

    count: int
    last_us: int


class Lockout:
    """Times are of a steady clock, in microseconds."""

    def __init__(self) -> None:
        self._failed: dict[tuple[str, str], Failures] = {}

    def wait_us(self, now_us: int, **who: str) -> int:
        """How long until somebody may try again; 0: now. `who` is by the kinds of MOST_FAILURES."""
        waits = [0]
        for kind, value in who.items():
            known = self._failed.get((kind, value))
            if known is not None and known.count >= MOST_FAILURES[kind]:
                waits.append(known.last_us + WINDOW_US - now_us)
        return max(waits)

    def failed(self, now_us: int, **who: str) -> None:
        """Count a failure."""
        for kind, value in who.items():
            name = (kind, value)
            known = self._failed.pop(
                name, None
            )  # put at the end again: the dictionary is ordered by last failure
            count = 1 if known is None or now_us - known.last_us >= WINDOW_US else known.count + 1
            self._failed[name] = Failures(count, now_us)
        while len(self._failed) > MOST_REMEMBERED:
            del self._failed[next(iter(self._failed))]

    def forgive(self, **who: str) -> None:
        """What was counted last was no failure. Whoever knows the secret is whom the name means, so that begins anew; an
        address goes on with what it has: it may be trying other names.
        """
        self._failed.pop(("name", who.get("name", "")), None)
        known = self._failed.get(("address", who.get("address", "")))
        if known is not None:
            known.count -= 1
