"""Token counts in disjoint classes, and where they come from."""

from enum import StrEnum

import msgspec


class Provenance(StrEnum):
    """Where a count comes from; the ledger never shows one as another."""

    REPORTED = "reported"  # the upstream said so
    COUNTED = "counted"  # counted here, from what passed through
    ESTIMATED = "estimated"  # derived from lengths; may be off
    UNKNOWN = "unknown"  # nothing is known; counts are zero and mean nothing


#: The classes, disjoint: their sum is every token of the call.
TOKEN_CLASSES = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """Tokens of one attempt. `input` excludes cached tokens and `output` excludes reasoning."""

    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    provenance: Provenance = Provenance.REPORTED

    @property
    def prompt(self) -> int:
        """Every token that went in: what context brackets are chosen by."""
        return self.input + self.cache_read + self.cache_write_5m + self.cache_write_1h

    @property
    def completion(self) -> int:
        """Every token that came out."""
        return self.output + self.reasoning

    @property
    def total(self) -> int:
        """Every token."""
        return self.prompt + self.completion


#: The upstream may have used something, and nobody can say what.
NO_USAGE = Usage(provenance=Provenance.UNKNOWN)
#: Known to be nothing: the upstream never got the request, or refused it.
NOTHING_USED = Usage(provenance=Provenance.COUNTED)
