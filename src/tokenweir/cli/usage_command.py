"""`weir usage`: what was used and what it cost, by group."""

from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.moments import parse_moment
from tokenweir.cli.settings_file import nearest
from tokenweir.core.clock import Clock
from tokenweir.ledger.views import GROUPS, UsageRow, iso_time, open_reader, total, usage, whole_hours


class Tokens(msgspec.Struct, frozen=True):
    """Disjoint classes; cache writes of every length together."""

    input: int
    cache_read: int
    cache_write: int
    output: int
    reasoning: int


class UsageLine(msgspec.Struct, frozen=True):
    """One row of `--json`. Money is exact decimal strings by currency."""

    by: dict[str, str]
    calls: int
    tokens: Tokens
    cost: dict[str, str]
    unpriced_calls: int
    estimated_calls: int
    counted_calls: int
    unknown_calls: int
    refused: int
    failed: int
    attempts: int
    charge: dict[str, str]  # where accounts are charged by a price of their own


class UsageAnswer(msgspec.Struct, frozen=True):
    """The whole of `--json`. Bounds are whole UTC hours; null: none."""

    rows: tuple[UsageLine, ...]
    since: str | None
    until: str | None


def usage_line(row: UsageRow) -> UsageLine:
    """The JSON form of a row."""
    return UsageLine(
        by=row.by,
        calls=row.calls,
        tokens=tokens_of(row),
        cost=show.decimals(row.cost_pico),
        unpriced_calls=row.unpriced_calls,
        estimated_calls=row.estimated_calls,
        counted_calls=row.counted_calls,
        unknown_calls=row.unknown_calls,
        refused=row.refused,
        failed=row.failed,
        attempts=row.attempts,
        charge=show.decimals(row.charge_pico),
    )


def tokens_of(row: UsageRow) -> Tokens:
    """The five classes that are shown."""
    written = row.cache_write_5m + row.cache_write_1h
    return Tokens(row.input, row.cache_read, written, row.output, row.reasoning)


def parse_groups(text: str) -> tuple[str, ...]:
    """Groups from `model` or `model,day`. Raises ValueError."""
    groups = tuple(part.strip() for part in text.split(","))
    for group in groups:
        if group not in GROUPS:
            raise ValueError(f"usage has no {group!r}; {nearest(group, GROUPS)}")
    return groups


def run(directory: Path, by: str, since: str, until: str, as_json: bool, clock: Clock) -> None:
    """Print usage. Raises ValueError for wrong words, LedgerError."""
    groups = parse_groups(by)
    now_us = clock.now_us()
    since_us = parse_moment(since, now_us) if since else None
    until_us = parse_moment(until, now_us) if until else None
    connection = open_reader(directory)
    try:
        rows = usage(connection, groups, since_us, until_us)
    finally:
        connection.close()
    if as_json:
        first, last = whole_hours(since_us, until_us)
        shown = tuple(None if bound is None else iso_time(bound) for bound in (first, last))
        show.print_json(UsageAnswer(tuple(map(usage_line, rows)), *shown))
        return
    _print(groups, rows)


def _print(groups: tuple[str, ...], rows: list[UsageRow]) -> None:
    charged = any(row.charge_pico for row in rows)
    counts = ["calls", "input", "cached", "written", "output", "reasoning"]
    columns = [*groups, *counts, "cost", *(["charge"] if charged else []), "remarks"]
    lines = [[*row.by.values(), *_cells(row, charged)] for row in rows]
    if len(rows) > 1:
        lines.append(["total", *[""] * (len(groups) - 1), *_cells(total(rows), charged)])
    show.print_table(columns, lines, right=frozenset(range(len(groups), len(columns) - 1)))
    if not rows:
        show.console().print("No calls yet.")


def _cells(row: UsageRow, charged: bool) -> list[str]:
    tokens = tokens_of(row)
    counts = (row.calls, *msgspec.structs.astuple(tokens))
    amounts = [row.cost_pico, row.charge_pico] if charged else [row.cost_pico]
    return [
        *(f"{count:,}" for count in counts),
        *(show.money(amount) or "–" for amount in amounts),
        remarks(row),
    ]


def remarks(row: UsageRow) -> str:
    """What must be known to read the numbers right."""
    parts = (
        (row.unpriced_calls, "unpriced"),
        (row.estimated_calls, "estimated"),
        (row.counted_calls, "counted here"),
        (row.unknown_calls, "of unknown usage"),
        (row.failed, "failed"),
        (row.refused, "refused"),
    )
    return ", ".join(f"{count:,} {word}" for count, word in parts if count)
