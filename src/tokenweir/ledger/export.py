"""The ledger's entries as a file: CSV, JSON lines or Parquet, read and written a batch at a time."""

import csv
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.core.ids import uuid_text
from tokenweir.core.money import format_pico
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.database import Connection
from tokenweir.ledger.entries import Entry
from tokenweir.ledger.views import entries, iso_time

BATCH = 10_000
FORMATS = ("csv", "jsonl", "parquet")


class ExportRow(msgspec.Struct, frozen=True):
    """One entry, flat: every column of it, and money once more as an exact decimal of its currency; empty or null where there is
    none.
    """

    seq: int
    kind: str
    at: str  # UTC, ISO 8601, milliseconds
    at_us: int
    call: str
    ordinal: int
    attempt: str
    account: str
    key: str
    run: str
    model: str
    dialect: str
    upstream: str
    deployment: str
    served_model: str
    input: int
    cache_read: int
    cache_write_5m: int
    cache_write_1h: int
    output: int
    reasoning: int
    provenance: str
    price: str
    cost: str | None
    cost_pico: int | None
    currency: str
    ttft_us: int | None
    duration_us: int | None
    status: int
    outcome: str | None
    reason: str
    bound_input: int
    bound_output: int
    reserved_pico: int | None
    route: str
    tool_calls: int
    charge: str | None
    charge_pico: int | None
    charge_currency: str
    charge_price: str
    covered_tokens: int
    also_reserved: str


COLUMNS = ExportRow.__struct_fields__


def export_row(seq: int, entry: Entry) -> ExportRow:
    """The flat form of an entry."""
    cost, charge = entry.cost_pico, entry.charge_pico
    values = {name: getattr(entry, name) for name in COLUMNS if hasattr(entry, name)}
    values |= {name: getattr(entry.usage, name) for name in TOKEN_CLASSES}
    values |= {
        "seq": seq,
        "kind": entry.kind.value,
        "at": iso_time(entry.at_us),
        "call": uuid_text(entry.call),
        "attempt": uuid_text(entry.attempt) if entry.attempt else "",
        "provenance": entry.usage.provenance.value,
        "cost": None if cost is None else format_pico(cost),
        "charge": None if charge is None else format_pico(charge),
        "outcome": entry.outcome.value if entry.outcome else None,
    }
    return ExportRow(**values)


def export(
    connection: Connection,
    format: str,
    target: Path,
    *,
    since_us: int | None = None,
    until_us: int | None = None,
    progress: Callable[[int], None] = lambda _count: None,
) -> int:
    """Write entries to `target`, which is replaced only once it is complete; how many.

    `progress` gets the number of entries written so far. Raises LedgerError where the file cannot be
    written or the format's library is missing.
    """
    write = _WRITERS[format]
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        with unfinished.open("wb") as file:
            count = write(file, _rows(connection, since_us, until_us), progress)
        unfinished.replace(target)
    except OSError as error:
        raise LedgerError(f"{target} cannot be written: {error.strerror}") from None
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def export_stream(
    connection: Connection,
    format: str,
    file: IO[bytes],
    *,
    since_us: int | None = None,
    until_us: int | None = None,
) -> int:
    """Write entries to an open file, such as standard output; how many."""
    return _WRITERS[format](file, _rows(connection, since_us, until_us), lambda _count: None)


def _rows(connection: Connection, since_us: int | None, until_us: int | None) -> Iterator[ExportRow]:
    return (export_row(seq, entry) for seq, entry in entries(connection, since_us, until_us))


def _batches(rows: Iterator[ExportRow]) -> Iterator[list[ExportRow]]:
    while batch := list(islice(rows, BATCH)):
        yield batch


class _Lines:
    """What csv writes to: lines of text, kept until they are taken."""

    def __init__(self) -> None:
        self.parts: list[str] = []

    def write(self, text: str) -> int:
        self.parts.append(text)
        return len(text)

    def take(self) -> bytes:
        data = "".join(self.parts).encode()
        self.parts.clear()
        return data


def _write_csv(file: IO[bytes], rows: Iterator[ExportRow], progress: Callable[[int], None]) -> int:
    lines = _Lines()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(COLUMNS)
    file.write(lines.take())
    count = 0
    for batch in _batches(rows):
        writer.writerows(msgspec.structs.astuple(row) for row in batch)
        file.write(lines.take())
        count += len(batch)
        progress(count)
    return count


def _write_jsonl(file: IO[bytes], rows: Iterator[ExportRow], progress: Callable[[int], None]) -> int:
    encode = msgspec.json.Encoder().encode_lines
    count = 0
    for batch in _batches(rows):
        file.write(encode(batch))
        count += len(batch)
        progress(count)
    return count


def _write_parquet(file: IO[bytes], rows: Iterator[ExportRow], progress: Callable[[int], None]) -> int:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise LedgerError(
            "Parquet needs the package pyarrow: pip install 'tokenweir[parquet]', or export --format csv"
        ) from None
    types = {
        int: pyarrow.int64(),
        int | None: pyarrow.int64(),
        str: pyarrow.string(),
        str | None: pyarrow.string(),
    }
    schema = pyarrow.schema([pyarrow.field(f.name, types[f.type]) for f in msgspec.structs.fields(ExportRow)])
    count = 0
    with parquet.ParquetWriter(file, schema) as writer:
        for batch in _batches(rows):
            columns = zip(*(msgspec.structs.astuple(row) for row in batch), strict=True)
            arrays = [pyarrow.array(c, type=field.type) for c, field in zip(columns, schema, strict=True)]
            writer.write_table(pyarrow.table(arrays, schema=schema))
            count += len(batch)
            progress(count)
    return count


_WRITERS: dict[str, Callable[[IO[bytes], Iterator[ExportRow], Callable[[int], None]], int]] = {
    "csv": _write_csv,
    "jsonl": _write_jsonl,
    "parquet": _write_parquet,
}
