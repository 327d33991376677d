"""How upstreams did lately: of the newest attempts, how they ended, how soon they began, and what of their prompts was cached."""

import msgspec

from tokenweir.ledger.database import Connection
from tokenweir.ledger.views.reader import last_seq

#: The newest entries that are looked at.
MOST_ENTRIES = 20_000
_OK = "ok"
#: The client's doing, or ours: no failure of the upstream's.
_NOT_ITS_FAULT = frozenset({"cancelled", "interrupted", "refused"})


class Lately(msgspec.Struct):
    """Of one upstream's newest attempts. `ttft_us`: sorted, of those that began to answer."""

    attempts: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    last_us: int = 0  # the end of the newest
    ttft_us: list[int] = []

    def ttft_at(self, quantile: float) -> int | None:
        """The time to the first byte that this part of the attempts did not exceed."""
        if not self.ttft_us:
            return None
        return self.ttft_us[min(len(self.ttft_us) - 1, int(quantile * len(self.ttft_us)))]

    @property
    def failed_share(self) -> float | None:
        """How many of its attempts failed."""
        return self.failed / self.attempts if self.attempts else None

    @property
    def cached_share(self) -> float | None:
        """What of the prompts' tokens came from a cache."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else None


def lately(connection: Connection, since_us: int) -> dict[str, Lately]:
    """By upstream, of attempts that ended since then, as far as the newest entries go back."""
    query = (
        "SELECT upstream, at_us, outcome, ttft_us, input, cache_read, cache_write_5m + cache_write_1h FROM entries "
        "WHERE seq > ? AND kind IN ('settled', 'attempt', 'late') AND at_us >= ? AND upstream <> ''"
    )
    found: dict[str, Lately] = {}
    for upstream, at_us, outcome, ttft_us, given, cached, written in connection.execute(
        query, (last_seq(connection) - MOST_ENTRIES, since_us)
    ):
        row = found.setdefault(upstream, Lately())
        row.attempts += 1
        row.failed += outcome != _OK and outcome not in _NOT_ITS_FAULT
        row.prompt_tokens += given + cached + written
        row.cached_tokens += cached
        row.last_us = max(row.last_us, at_us)
        if ttft_us is not None:
            row.ttft_us.append(ttft_us)
    for row in found.values():
        row.ttft_us.sort()
    return found
