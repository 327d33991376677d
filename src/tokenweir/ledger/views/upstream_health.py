"""How upstreams and deployments did lately: of the newest attempts, how they ended, how soon and how fast they answered, and
what of their prompts was cached."""

from typing import Literal

import msgspec

from tokenweir.ledger.database import Connection
from tokenweir.ledger.views.reader import last_seq

#: The newest entries that are looked at.
MOST_ENTRIES = 20_000
_OK = "ok"
#: The client's doing, or ours: no failure of the upstream's.
_NOT_ITS_FAULT = frozenset({"cancelled", "interrupted", "refused"})
_UNKNOWN = "unknown"


class Lately(msgspec.Struct):
    """The newest attempts at one upstream or deployment. `ttft_us`: sorted, of those that began to answer."""

    attempts: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    last_us: int = 0  # the end of the newest
    ttft_us: list[int] = []
    well_tokens: int = 0  # of answers that ended well: tokens of output and reasoning …
    well_us: int = 0  # … and the time that they took, from their calls' arrival
    failed_us: int = 0  # the end of the newest that failed
    failure: str = ""  # its reason

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

    @property
    def tokens_per_s(self) -> float | None:
        """What one answer that ended well told in a second, waiting for its first token included."""
        return self.well_tokens * 1e6 / self.well_us if self.well_us else None


def lately(
    connection: Connection, since_us: int, by: Literal["upstream", "deployment"] = "upstream"
) -> dict[str, Lately]:
    """By name, of attempts that ended since then, as far as the newest entries go back."""
    query = (
        f"SELECT {by}, at_us, outcome, ttft_us, input, cache_read, cache_write_5m + cache_write_1h, output + reasoning, "
        "provenance, duration_us, reason FROM entries "
        f"WHERE seq > ? AND kind IN ('settled', 'attempt', 'late') AND at_us >= ? AND {by} <> ''"
    )
    found: dict[str, Lately] = {}
    for (
        name,
        at_us,
        outcome,
        ttft_us,
        given,
        cached,
        written,
        said,
        source,
        took_us,
        reason,
    ) in connection.execute(query, (last_seq(connection) - MOST_ENTRIES, since_us)):
        row = found.setdefault(name, Lately())
        row.attempts += 1
        row.prompt_tokens += given + cached + written
        row.cached_tokens += cached
        row.last_us = max(row.last_us, at_us)
        if ttft_us is not None:
            row.ttft_us.append(ttft_us)
        if outcome == _OK and source != _UNKNOWN and took_us is not None:
            row.well_tokens += said
            row.well_us += took_us
        elif outcome != _OK and outcome not in _NOT_ITS_FAULT:
            row.failed += 1
            if at_us >= row.failed_us:
                row.failed_us, row.failure = at_us, reason
    for row in found.values():
        row.ttft_us.sort()
    return found
