"""The proof that what is shown follows from the entries, asked for over HTTP."""

import msgspec

from tokenweir.admin.desk import Asked
from tokenweir.ledger.verify import verify


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What a replay of every entry found. `ok`: no difference anywhere."""

    ok: bool
    entries: int
    calls: int
    open_calls: int
    problems: tuple[str, ...]  # the first differences


def verify_ledger(asked: Asked) -> Verified:
    """Replay every entry and compare it with all that is derived from it, as `weir ledger verify` does."""
    found = verify(asked.desk.data_dir)
    return Verified(
        ok=found.ok,
        entries=found.entries,
        calls=found.calls,
        open_calls=found.open_calls,
        problems=found.problems,
    )
