"""`weir standing spread`: standing costs laid on calls."""

from pathlib import Path

import msgspec

from tokenweir.billing.correction_answer import SpreadAnswer, spread_answer
from tokenweir.billing.spread import Spread, due_months, spread, spread_upstream
from tokenweir.cli import show
from tokenweir.core.clock import Clock
from tokenweir.core.money import format_pico
from tokenweir.ledger.changing import COMMAND_LINE
from tokenweir.ledger.views import entries, open_reader
from tokenweir.ledger.views.terms import terms_now


class Words(msgspec.Struct, frozen=True):
    """The words of the command line."""

    id: str
    month: str
    every: bool
    dry_run: bool
    as_json: bool


class SpreadsAnswer(msgspec.Struct, frozen=True):
    """`weir standing spread --json`."""

    spreads: tuple[SpreadAnswer, ...]


def run(directory: Path, asked: Words, clock: Clock) -> None:
    """Spread one cost's month, or all that are over. Raises ValueError for wrong words, LedgerError."""
    if asked.every == bool(asked.id) or bool(asked.id) != bool(asked.month):
        raise ValueError("name a standing cost and a month, such as `gpus 2026-11`; or say --all")
    if asked.every:
        found = [
            spread_upstream(directory, upstream, month, clock, COMMAND_LINE, dry_run=asked.dry_run)
            for upstream, month in _due(directory, clock)
        ]
    else:
        found = [spread(directory, asked.id, asked.month, clock, COMMAND_LINE, dry_run=asked.dry_run)]
    if asked.as_json:
        show.print_json(SpreadsAnswer(tuple(spread_answer(one, asked.dry_run) for one in found)))
        return
    for one in found:
        _tell(one, asked.dry_run)
    if not found:
        print("No month that is over has a standing cost.")


def _due(directory: Path, clock: Clock) -> tuple[tuple[str, str], ...]:
    connection = open_reader(directory)
    try:
        first = next(entries(connection), None)
    finally:
        connection.close()
    if first is None:
        return ()
    return due_months(terms_now(directory), first[1].at_us, clock.now_us())


def _tell(one: Spread, dry_run: bool) -> None:
    for id, pico in one.costs.items():
        print(
            f"{id}, {one.month}: {format_pico(pico)} {one.currency} over {one.attempts:,} attempts at {one.upstream}"
        )
    for id, pico in one.idle.items():
        print(
            f"{id}, {one.month}: {format_pico(pico)} {one.currency} idle: no call used {one.upstream} in it"
        )
    count = one.difference.entries
    if not count:
        print("Nothing to write: it is spread so already." if one.costs else "Nothing to write.")
    elif dry_run:
        print(f"{count:,} entries would be written.")
    else:
        print(f"{count:,} entries written as {one.correction}.")
