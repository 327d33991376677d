"""Calls and usage as JSON tells them: what the command line and the admin API have in common."""

from collections.abc import Iterable
from typing import Any, Protocol

import msgspec

from tokenweir.core.money import decimals, format_per_mtok, format_pico
from tokenweir.ledger.views.calls import CallRow, Product
from tokenweir.ledger.views.usage import UsageRow


class Tokens(msgspec.Struct, frozen=True):
    """Disjoint classes."""

    input: int
    cache_read: int
    cache_write: int  # of every length
    output: int
    reasoning: int


class Line(msgspec.Struct, frozen=True):
    """`tokens` of a class at `per_million` make `amount`."""

    token_class: str
    tokens: int
    per_million: str
    amount: str


class _Classes(Protocol):
    """Of one answer, or sums over many."""

    @property
    def input(self) -> int: ...
    @property
    def cache_read(self) -> int: ...
    @property
    def cache_write_5m(self) -> int: ...
    @property
    def cache_write_1h(self) -> int: ...
    @property
    def output(self) -> int: ...
    @property
    def reasoning(self) -> int: ...


def tokens_of(used: _Classes) -> Tokens:
    """The five classes that are shown."""
    written = used.cache_write_5m + used.cache_write_1h
    return Tokens(used.input, used.cache_read, written, used.output, used.reasoning)


def lines_of(products: Iterable[Product]) -> tuple[Line, ...]:
    """How an amount was reckoned."""
    return tuple(
        Line(p.token_class, p.tokens, format_per_mtok(p.rate_pico), format_pico(p.pico)) for p in products
    )


def call_members(row: CallRow) -> dict[str, Any]:
    """All of a call but its id and its moment, by name."""
    return {
        "account": row.account,
        "key": row.key,
        "run": row.run,
        "model": row.model,
        "dialect": row.dialect,
        "upstream": row.upstream,
        "deployment": row.deployment,
        "served_model": row.served_model,
        "tokens": tokens_of(row.usage),
        "usage_from": row.usage.provenance.value,
        "cost": decimals(row.cost_pico),
        "charge": decimals(row.charge_pico),
        "unpriced": row.unpriced,
        "attempts": row.attempts,
        "ttft_ms": _ms(row.ttft_us),
        "duration_ms": _ms(row.duration_us),
        "status": row.status,
        "outcome": None if row.outcome is None else row.outcome.value,
        "reason": row.reason,
        "seq": row.seq,
    }


def usage_members(row: UsageRow) -> dict[str, Any]:
    """The sums of a group, by name."""
    return {
        "by": row.by,
        "calls": row.calls,
        "tokens": tokens_of(row),
        "cost": decimals(row.cost_pico),
        "charge": decimals(row.charge_pico),
        "margin": decimals(row.margin_pico),
        "unpriced_calls": row.unpriced_calls,
        "estimated_calls": row.estimated_calls,
        "counted_calls": row.counted_calls,
        "unknown_calls": row.unknown_calls,
        "refused": row.refused,
        "failed": row.failed,
        "attempts": row.attempts,
    }


def _ms(value_us: int | None) -> float | None:
    return None if value_us is None else value_us / 1000
