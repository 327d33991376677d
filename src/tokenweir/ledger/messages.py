"""What a worker and the ledger's writer say to each other, over one Unix socket.

Frames are msgpack arrays behind a 4-byte big-endian length. A worker numbers its operations; the writer
answers a batch once it is on disk. Operations may be sent again after a lost connection: each is known by
its call (and ordinal), so twice is once.
"""

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Outcome

MAX_FRAME_BYTES = 64 * 1024 * 1024


class Limit(msgspec.Struct, frozen=True):
    """A cap. `unit` is a currency code (amount in pico), "tokens" or "calls"; windows are UTC."""

    unit: str
    amount: int
    window: str  # "day", "month" or "total"


class KeyRecord(msgspec.Struct, frozen=True):
    """A key as the gateway knows it: its hash, never its secret."""

    id: str
    name: str
    account: str
    hash: bytes  # SHA-256 of the secret
    hint: str  # the secret's first characters, to tell keys apart
    created_us: int
    revoked_us: int | None = None
    limits: tuple[Limit, ...] = ()
    run: str = ""


class CostBound(msgspec.Struct, frozen=True, array_like=True):
    """The dearest a call can become in one currency: for its input as a whole, and per token of output."""

    currency: str
    input_pico: int
    output_pico: int


# --- worker -> writer -------------------------------------------------------------------------------------


class Hello(msgspec.Struct, frozen=True, array_like=True, tag="hello"):
    """First frame of a connection. `open_calls` are still under way; others of this worker are not."""

    worker: str
    open_calls: tuple[bytes, ...] = ()


class OpenCall(msgspec.Struct, frozen=True, array_like=True, tag="open"):
    """Reserve and write "opened" (or "refused"). Answered by an `OpenResult`."""

    seq: int
    call: bytes
    at_us: int
    key: str
    account: str
    run: str
    model: str
    dialect: str
    bounds: tuple[CostBound, ...]  # empty where nothing that may serve this call has a price
    unpriced: bool  # some deployment that may serve it has no price
    input_tokens: int  # proven bound
    output_tokens: int  # asked for, or the model's most


class Checkpoint(msgspec.Struct, frozen=True, array_like=True, tag="checkpoint"):
    """How far a long stream has come: what an interrupted call is settled from."""

    seq: int
    call: bytes
    attempt: bytes
    ordinal: int
    at_us: int
    upstream: str
    deployment: str
    usage: Usage
    price: str
    cost_pico: int | None
    currency: str


class CloseAttempt(msgspec.Struct, frozen=True, array_like=True, tag="close"):
    """The end of an attempt; `final` ends its call and its reservation too."""

    seq: int
    call: bytes
    attempt: bytes
    ordinal: int
    final: bool
    at_us: int
    upstream: str
    deployment: str
    served_model: str
    usage: Usage
    price: str
    cost_pico: int | None
    currency: str
    ttft_us: int | None
    duration_us: int
    status: int
    outcome: Outcome
    reason: str


class DefinePrice(msgspec.Struct, frozen=True, array_like=True, tag="price"):
    """Sent before the first operation that refers to `id`; kept forever. `applied` is JSON of AppliedPrice."""

    seq: int
    id: str
    applied: bytes


class CreateKey(msgspec.Struct, frozen=True, array_like=True, tag="create_key"):
    """Answered once durable; pushed to every worker."""

    seq: int
    key: KeyRecord


class RevokeKey(msgspec.Struct, frozen=True, array_like=True, tag="revoke_key"):
    """Answered once durable; pushed to every worker."""

    seq: int
    id: str
    at_us: int


class Counters(msgspec.Struct, frozen=True, array_like=True, tag="counters"):
    """A worker's own counters, sent every second: what /metrics sums over workers. Not durable."""

    seq: int
    values: dict[str, float]


class ReadCounters(msgspec.Struct, frozen=True, array_like=True, tag="read_counters"):
    """Asks for the sum of every worker's counters. Answered by `CountersResult`."""

    seq: int


Operation = (
    Hello
    | OpenCall
    | Checkpoint
    | CloseAttempt
    | DefinePrice
    | CreateKey
    | RevokeKey
    | Counters
    | ReadCounters
)

# --- writer -> worker -------------------------------------------------------------------------------------


class LimitState(msgspec.Struct, frozen=True, array_like=True):
    """The limit that refused a call, in its own unit."""

    limit: Limit
    spent: int
    reserved: int
    renews_at_us: int | None  # None: never


class OpenResult(msgspec.Struct, frozen=True, array_like=True):
    """`refused` is empty when the call is open; then `output_tokens` may be less than asked."""

    seq: int
    output_tokens: int
    refused: str = ""  # "limit", "unpriced", "currency", "key_revoked"
    limit: LimitState | None = None


class Committed(msgspec.Struct, frozen=True, array_like=True, tag="committed"):
    """Every operation up to `seq` of this connection is durable."""

    seq: int
    opened: tuple[OpenResult, ...] = ()


class Unavailable(msgspec.Struct, frozen=True, array_like=True, tag="unavailable"):
    """The opens named were not written (disk full, say) and are forgotten; anything else is kept and tried again."""

    opens: tuple[int, ...]
    reason: str


class Keys(msgspec.Struct, frozen=True, array_like=True, tag="keys"):
    """Every key that is not revoked; sent after Hello and again at each change."""

    keys: tuple[KeyRecord, ...]


class CountersResult(msgspec.Struct, frozen=True, array_like=True, tag="counters_result"):
    """The sum over workers."""

    seq: int
    values: dict[str, float]


Answer = Committed | Unavailable | Keys | CountersResult
