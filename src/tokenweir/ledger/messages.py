"""What a worker and the ledger's writer say to each other, over one Unix socket.

A frame is msgpack behind a 4-byte big-endian length: an array of operations, or one answer. A worker numbers its
operations; the writer answers a batch once it is on disk. Operations may be sent again after a lost connection: each is known by
its call (and ordinal), so twice is once.
"""

import msgspec

from tokenweir.core.sentence import Said, say
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.terms import Change, Limit, Terms
from tokenweir.protocol.steps import Step

MAX_FRAME_BYTES = 64 * 1024 * 1024


class CostBound(msgspec.Struct, frozen=True, array_like=True):
    """The dearest a call can become in one currency: for its input as a whole, and per token of output."""

    currency: str
    input_pico: int
    output_pico: int


class Charge(msgspec.Struct, frozen=True, array_like=True):
    """What the account is charged for an attempt, where that is not what it cost."""

    price: str = ""  # id of the applied price; empty: there is no charge of its own
    pico: int | None = None  # None: unknown, as the cost
    currency: str = ""


NO_CHARGE = Charge()
#: Why a change is refused that was decided by what is no longer so.
OUTDATED = say("somebody else has changed it in the meantime; look at it again, and decide anew")


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
    charge: Charge = NO_CHARGE
    reserves: dict[str, int] = {}  # the dearest that the call can still become, by unit; empty: as before
    route: str = ""  # as of an entry


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
    charge: Charge = NO_CHARGE
    step: Step | None = None  # of a run, at the end of its call
    route: str = ""  # as of an entry


class DefinePrice(msgspec.Struct, frozen=True, array_like=True, tag="price"):
    """Sent before the first operation that refers to `id`; kept forever. `applied` is JSON of AppliedPrice."""

    seq: int
    id: str
    applied: bytes


class MakeChanges(msgspec.Struct, frozen=True, array_like=True, tag="change"):
    """Change terms, all or nothing. Answered by `Committed` once durable, or by `ChangeRefused`; told to every worker.

    `after` is the number of the last change that they were decided by: they are refused as OUTDATED where a later one has
    replaced a record that they replace.
    """

    seq: int
    actor: str  # who: a key's id, or "command line"
    changes: tuple[Change, ...]
    after: int | None = None


class Reprice(msgspec.Struct, frozen=True, array_like=True, tag="reprice"):
    """The entry that stands for an attempt is corrected: the same usage at another price.

    `usage` is what the amounts are of: where another stands by now, from a report that came late, nothing is done.
    `correction` is the id that was noted with a reason; the same one twice is once.
    """

    seq: int
    call: bytes
    attempt: bytes
    usage: Usage
    correction: str
    price: str
    cost_pico: int | None
    currency: str
    charge: Charge = NO_CHARGE


class Known(msgspec.Struct, frozen=True, array_like=True, tag="known"):
    """This worker goes by every change up to that number. Who made a change is answered once all workers do."""

    number: int


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
    | MakeChanges
    | Reprice
    | Known
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
    scope: str = ""  # where it stands: "key/ID", "run/ID", "account/ID"
    zone: str = "UTC"  # of its days and months


class OpenResult(msgspec.Struct, frozen=True, array_like=True):
    """`refused` is empty when the call is open; then `output_tokens` may be less than asked.

    `limited`: a limit or a purse holds for it, so that the upstream has to be told how much was granted.
    """

    seq: int
    output_tokens: int
    refused: str = ""  # "limit", "unpriced", "currency", "key_revoked", "account_closed"
    limit: LimitState | None = None
    limited: bool = False
    tools_left: int | None = None  # that its answer may ask for, where a limit on a run counts them
    again: int = 0  # of a run that is refused: how many of its calls had been refused before


class Committed(msgspec.Struct, frozen=True, array_like=True, tag="committed"):
    """Every operation up to `seq` of this connection is durable."""

    seq: int
    opened: tuple[OpenResult, ...] = ()


class Unavailable(msgspec.Struct, frozen=True, array_like=True, tag="unavailable"):
    """The opens named were not written (disk full, say) and are forgotten; anything else is kept and tried again."""

    opens: tuple[int, ...]
    reason: str


class Snapshot(msgspec.Struct, frozen=True, array_like=True, tag="terms"):
    """The terms in force; sent after Hello."""

    terms: Terms


class Changed(msgspec.Struct, frozen=True, array_like=True, tag="changed"):
    """Terms have changed, durably: sent to every worker, which answers with `Known`."""

    number: int
    changes: tuple[Change, ...]


class ChangeRefused(msgspec.Struct, frozen=True, array_like=True, tag="change_refused"):
    """Nothing was changed, and why."""

    seq: int
    reason: Said


class CountersResult(msgspec.Struct, frozen=True, array_like=True, tag="counters_result"):
    """The sum over workers."""

    seq: int
    values: dict[str, float]


Answer = Committed | Unavailable | Snapshot | Changed | ChangeRefused | CountersResult
