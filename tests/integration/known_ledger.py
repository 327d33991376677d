"""A ledger of entries that a test names, in the real schema, written without the writer."""

from pathlib import Path

import msgspec

from tokenweir.catalog.price import Rates
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import TOKEN_CLASSES, Usage
from tokenweir.ledger.database import database_of
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.rollups import ROLLUPS
from tokenweir.ledger.schema import ENTRY_COLUMNS, migrate
from tokenweir.ledger.views import HOUR_US

START_US = 1_795_392_000_000_000  # 2026-11-23T00:00:00Z
RATES = Rates(input=4_000_000, output=16_000_000, cache_read=1_000_000)


class Book:
    """Writes entries and hourly rows as they are given."""

    def __init__(self, directory: Path) -> None:
        self.connection = database_of(directory).connect(directory, "os")
        migrate(self.connection, directory)
        self._seq = 0

    def write(self, entry: Entry) -> None:
        self._seq += 1
        flat = {name: getattr(entry, name, None) for name in ENTRY_COLUMNS}
        flat |= {name: getattr(entry.usage, name) for name in (*TOKEN_CLASSES, "provenance")}
        row = [self._seq if name == "seq" else flat[name] for name in ENTRY_COLUMNS]
        self.connection.execute(f"INSERT INTO entries VALUES ({', '.join('?' * len(row))})", row)

    def hour(self, hour: int, **fields: str | int) -> None:
        """Sums of an hour, and of its day."""
        for rollup in ROLLUPS:
            added = ", ".join(f"{name} = {rollup.table}.{name} + excluded.{name}" for name in rollup.sums)
            period = hour * HOUR_US // rollup.period_us
            sums = [fields.get(name, 0) for name in rollup.sums]
            row = [period, *(fields.get(name, "") for name in rollup.names), *sums]
            columns = ", ".join((rollup.period, *rollup.names, *rollup.sums))
            self.connection.execute(
                f"INSERT INTO {rollup.table} ({columns}) VALUES ({', '.join('?' * len(row))}) "
                f"ON CONFLICT ({', '.join(rollup.keys)}) DO UPDATE SET {added}",
                row,
            )


def call_id(number: int) -> bytes:
    return uuid7(START_US + number * 1000, number.to_bytes(10, "big"))


def write_call(book: Book, number: int) -> bytes:
    """A call with a failed attempt that cost money, then one that succeeded."""
    call, at_us = call_id(number), START_US + number * 1_000_000
    book.write(Entry(kind=Kind.OPENED, at_us=at_us, call=call, key="k1", account="a", model="kimi-k2"))
    base = Entry(
        kind=Kind.ATTEMPT, at_us=at_us + 1, call=call, key="k1", account="a", model="kimi-k2", ordinal=1
    )
    first = msgspec.structs.replace(
        base,
        upstream="u1",
        deployment="u1/k",
        usage=Usage(input=10),
        price="p1",
        cost_pico=40_000_000,
        currency="CNY",
        outcome=Outcome.UPSTREAM_BROKE,
    )
    last = msgspec.structs.replace(
        first,
        kind=Kind.SETTLED,
        ordinal=2,
        upstream="u2",
        deployment="u2/k",
        usage=Usage(input=3, cache_read=5, output=2, reasoning=1),
        cost_pico=3 * 4_000_000 + 5 * 1_000_000 + 3 * 16_000_000,
        outcome=Outcome.OK,
        status=200,
        ttft_us=1500,
        duration_us=2500,
    )
    book.write(first)
    book.write(last)
    return call


HOUR = START_US // HOUR_US
