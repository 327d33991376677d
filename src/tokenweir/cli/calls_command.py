"""`weir calls`: ended calls, newest first; or as they end."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.moments import parse_moment
from tokenweir.core.clock import Clock
from tokenweir.ledger.database import ledger_file
from tokenweir.ledger.views import CallRow, calls, calls_after, iso_time, last_seq, open_reader
from tokenweir.ledger.views.told import Tokens, call_members

#: How often `--follow` looks.
FOLLOW_PAUSE_S = 0.5


class CallLine(msgspec.Struct, frozen=True):
    """One line of `--json`."""

    call: str
    at: str
    account: str
    key: str
    run: str
    model: str
    dialect: str
    upstream: str
    deployment: str
    served_model: str
    tokens: Tokens
    usage_from: str  # reported, counted, estimated or unknown
    cost: dict[str, str]
    unpriced: bool
    attempts: int
    ttft_ms: float | None
    duration_ms: float | None
    status: int
    outcome: str | None
    reason: str
    seq: int
    charge: dict[str, str]  # where the account is charged by a price of its own


def call_line(row: CallRow) -> CallLine:
    """The JSON form of a call."""
    return CallLine(call=row.call, at=iso_time(row.at_us), **call_members(row))


def run_list(
    directory: Path, *, limit: int, model: str, key: str, since: str, as_json: bool, clock: Clock
) -> None:
    """Print the newest calls. Raises ValueError for wrong words, LedgerError."""
    since_us = parse_moment(since, clock.now_us()) if since else None
    connection = open_reader(directory)
    try:
        rows = calls(connection, limit=limit, key=key, model=model, since_us=since_us)
    finally:
        connection.close()
    if as_json:
        for row in rows:
            show.print_json(call_line(row))
        return
    show.print_table(_COLUMNS, [_cells(row) for row in rows], right=_RIGHT)
    if not rows:
        show.console().print("No calls yet.")


def run_follow(directory: Path, *, model: str, key: str, as_json: bool) -> None:
    """Print calls as they end, until interrupted. Raises LedgerError."""
    if not as_json:
        show.console().print(_follow_line(_COLUMNS), style="bold")
    for row in follow(directory, time.sleep):
        if (not model or row.model == model) and (not key or row.key == key):
            if as_json:
                show.print_json(call_line(row))
            else:
                show.console().print(_follow_line(_cells(row)), markup=False)


def follow(directory: Path, sleep: Callable[[float], None]) -> Iterator[CallRow]:
    """Calls that end from now on. A ledger that is put in the place of this one is followed from its end."""
    connection, file = open_reader(directory), _file_of(directory)
    try:
        seq = last_seq(connection)
        while True:
            if _file_of(directory) != file:
                connection.close()
                connection, file = open_reader(directory), _file_of(directory)
                seq = last_seq(connection)
            for row in calls_after(connection, seq):
                seq = row.seq
                yield row
            sleep(FOLLOW_PAUSE_S)
    finally:
        connection.close()


def _file_of(directory: Path) -> tuple[int, int]:
    found = ledger_file(directory).stat()
    return found.st_dev, found.st_ino


def _follow_line(cells: Iterable[str]) -> str:
    """Cells under each other, as far as they keep to their widths: what comes is not known."""
    padded = (
        show.pad(cell, width, right=index in _RIGHT)
        for index, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
    )
    return "  ".join(padded).rstrip()


_COLUMNS = ("time (UTC)", "model", "upstream", "input", "cached", "output", "cost", "ms", "outcome", "call")
_RIGHT = frozenset({3, 4, 5, 6, 7})
_WIDTHS = (19, 20, 14, 9, 9, 9, 16, 8, 10, 36)


def _cells(row: CallRow) -> list[str]:
    usage = row.usage
    cost = "unpriced" if row.unpriced else show.money(row.cost_pico) or "–"
    return [
        iso_time(row.at_us)[:19].replace("T", " "),
        row.model,
        row.upstream or "–",
        f"{usage.input:,}",
        f"{usage.cache_read:,}",
        f"{usage.completion:,}",
        cost,
        "–" if row.duration_us is None else f"{row.duration_us / 1000:,.0f}",
        row.outcome.value if row.outcome else "–",
        row.call,
    ]
