"""The lines of the ledger. An entry is never changed and never removed."""

from enum import StrEnum

import msgspec

from tokenweir.core.usage import NO_USAGE, Usage


class Kind(StrEnum):
    """What an entry says about its call."""

    OPENED = "opened"  # durable before the first byte goes upstream
    REFUSED = "refused"  # a limit or a rule said no; nothing went upstream
    CHECKPOINT = "checkpoint"  # how far a long stream has come; superseded by what closes the call
    ATTEMPT = "attempt"  # an attempt that was followed by another, with its own usage and cost
    SETTLED = (
        "settled"  # the last attempt and the end of the call; durable before the last byte to the client
    )
    LATE = "late"  # what the end of a call really was, learned after it was settled: takes that entry's place
    REPRICED = "repriced"  # the end of a call at another price: takes that entry's place, at its time
    REPRICED_ATTEMPT = "repriced_attempt"  # the same for an attempt that was followed by another


#: Entries that end a call; of several the last one stands.
ENDS = (Kind.SETTLED, Kind.LATE, Kind.REPRICED)


class Outcome(StrEnum):
    """How an attempt, and with the last one the call, ended."""

    OK = "ok"
    UPSTREAM_ERROR = "upstream_error"  # refused or broke before its first byte
    UPSTREAM_BROKE = "upstream_broke"  # broke after its first byte
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"  # the client went away
    INTERRUPTED = "interrupted"  # this gateway died, or was stopped and could not wait
    REFUSED = "refused"
    FAILED = "failed"  # nothing could be sent: no deployment was left to try


#: The reason of a settlement that the ledger wrote in a worker's stead; the worker's own report may still come.
WORKER_GONE = "the gateway's process ended during this call"


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line. Fields that a kind does not use keep their default. Ids are UUIDv7 (16 bytes)."""

    kind: Kind
    at_us: int  # UTC
    call: bytes
    attempt: bytes = b""
    ordinal: int = 0  # 1 for the first attempt; checkpoints and corrections count their own
    account: str = ""
    key: str = ""  # the key's id, never the secret
    run: str = ""
    model: str = ""  # as the client asked
    dialect: str = ""
    upstream: str = ""
    deployment: str = ""
    served_model: str = ""  # as the upstream said
    usage: Usage = NO_USAGE
    price: str = ""  # id of the applied price; empty: unpriced
    cost_pico: int | None = None  # None: unpriced, never zero
    currency: str = ""
    ttft_us: int | None = None  # from the call's arrival to the first byte of this attempt's answer
    duration_us: int | None = None
    status: int = 0  # HTTP status of the upstream's answer, or ours where there was none
    outcome: Outcome | None = None
    reason: str = ""  # in words, for a refusal or a failure; never text of a prompt or an answer
    bound_input: int = 0  # of "opened": tokens set aside for the prompt …
    bound_output: int = 0  # … and granted to the answer
    reserved_pico: int | None = None  # of "opened": money set aside, in `currency`; None: nothing has a price
    charge_price: str = (
        ""  # id of the applied price that the account is charged; empty: it pays what the attempt cost
    )
    charge_pico: int | None = None
    charge_currency: str = ""
    covered_tokens: int = 0  # of the usage, by an allowance of tokens; of "opened": set aside of one
    also_reserved: str = (
        ""  # of "opened": JSON of money set aside in further currencies; of "checkpoint": of all units
    )

    tool_calls: int = 0  # that its answer asked for; known of calls of a run
    route: str = (
        ""  # why the attempt was made at this deployment, at this place; empty where there was no choice
    )

    @property
    def refusal(self) -> str:
        """The word of a refusal, without the limit that its reason names behind a colon."""
        return self.reason.partition(":")[0]

    @property
    def pays(self) -> tuple[int, str]:
        """What the account pays for it: the charge where there is one, else the cost; pico and currency."""
        if self.charge_price:
            return self.charge_pico or 0, self.charge_currency
        return self.cost_pico or 0, self.currency
