"""Replay every entry and compare: the proof that what is shown follows from the ledger alone."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from tokenweir.catalog.price import AppliedPrice
from tokenweir.catalog.pricing import cost
from tokenweir.core.errors import LedgerError
from tokenweir.core.ids import uuid_text
from tokenweir.core.money import PICO
from tokenweir.core.usage import Provenance
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.schema import HOURLY_KEYS, HOURLY_SUMS
from tokenweir.ledger.store import hourly, read_entry
from tokenweir.ledger.views import open_reader

MAX_PROBLEMS = 20  # the first differences; more say nothing new

#: After an entry of the kind on the left, what may follow for the same call. "" is the beginning.
_FOLLOWS: dict[str, frozenset[Kind]] = {
    "": frozenset({Kind.OPENED, Kind.REFUSED}),
    Kind.OPENED: frozenset({Kind.CHECKPOINT, Kind.ATTEMPT, Kind.SETTLED}),
    Kind.CHECKPOINT: frozenset({Kind.CHECKPOINT, Kind.ATTEMPT, Kind.SETTLED}),
    Kind.ATTEMPT: frozenset({Kind.CHECKPOINT, Kind.ATTEMPT, Kind.SETTLED}),
    Kind.SETTLED: frozenset({Kind.LATE}),
    Kind.LATE: frozenset({Kind.LATE}),
    Kind.REFUSED: frozenset(),
}
_ENDS = frozenset({Kind.SETTLED, Kind.LATE, Kind.REFUSED})
_PRICED = frozenset({Kind.CHECKPOINT, Kind.ATTEMPT, Kind.SETTLED, Kind.LATE})


class Verification(msgspec.Struct, frozen=True):
    """What a replay found. `ok` means: no difference anywhere."""

    ok: bool
    entries: int
    calls: int
    open_calls: int
    problems: tuple[str, ...] = ()


class _Replay:
    """What has been seen so far, entry by entry."""

    def __init__(self, prices: dict[str, AppliedPrice]) -> None:
        self.prices = prices
        self.last: dict[bytes, Kind] = {}
        self.sums: dict[tuple[object, ...], list[int]] = defaultdict(lambda: [0] * len(HOURLY_SUMS))
        self.entries = 0

    def step(self, seq: int, entry: Entry) -> Iterator[str]:
        """Take one entry; yields what is wrong with it."""
        self.entries += 1
        if seq != self.entries:
            yield f"entry {self.entries} is missing: the next one is {seq}"
            self.entries = seq
        before = self.last.get(entry.call, "")
        if entry.kind not in _FOLLOWS[before]:
            what = f"follows its {before!s}" if before else "comes first"
            yield f"entry {seq}: {entry.kind} of call {uuid_text(entry.call)} {what}"
        self.last[entry.call] = entry.kind
        if entry.kind in _PRICED and entry.kind is not Kind.LATE:
            yield from self._check_cost(seq, entry)
        for row in hourly((entry,)):
            total = self.sums[tuple(row[: len(HOURLY_KEYS)])]
            for index, amount in enumerate(row[len(HOURLY_KEYS) :]):
                assert isinstance(amount, int)
                total[index] += amount

    def _check_cost(self, seq: int, entry: Entry) -> Iterator[str]:
        if not entry.price:
            if entry.cost_pico is not None:
                yield f"entry {seq} has a cost but no price"
            return
        price = self.prices.get(entry.price)
        if price is None:
            yield f"entry {seq} refers to a price {entry.price} that is not there"
        elif entry.usage.provenance is Provenance.UNKNOWN:
            if entry.cost_pico is not None:
                yield f"entry {seq} has a cost though its usage is unknown"
        elif entry.cost_pico != cost(price, entry.usage) or entry.currency != price.currency:
            yield f"entry {seq}: its tokens times its price are {cost(price, entry.usage)}, not {entry.cost_pico} pico"

    def compare(self, rows: Iterator[tuple[object, ...]]) -> Iterator[str]:
        """The table `hourly` against what the entries add up to; yields each difference."""
        at_cost = HOURLY_SUMS.index("cost_units")
        for row in rows:
            name = tuple(row[: len(HOURLY_KEYS)])
            kept = [int(str(v)) for v in row[len(HOURLY_KEYS) :]]
            replayed = self.sums.pop(name, [0] * len(HOURLY_SUMS))
            for total in (kept, replayed):
                carried, total[at_cost + 1] = divmod(total[at_cost + 1], PICO)
                total[at_cost] += carried
            for column, was, is_now in zip(HOURLY_SUMS, kept, replayed, strict=True):
                if was != is_now:
                    yield f"hour {name[0]} of key {name[2]}: {column} is {was}, the entries say {is_now}"
        for name in self.sums:
            yield f"hour {name[0]} of key {name[2]}: the entries have it, the hourly sums do not"


def verify(data_dir: Path) -> Verification:
    """Replay the ledger of `data_dir` in one read transaction. Raises LedgerError where it cannot be read."""
    db = open_reader(data_dir)
    try:
        db.execute("BEGIN")
        return _verify(db)
    except (sqlite3.Error, msgspec.MsgspecError) as error:
        raise LedgerError(f"the ledger in {data_dir} cannot be read: {error}") from error
    finally:
        db.close()


def _verify(db: sqlite3.Connection) -> Verification:
    prices = {
        str(i): msgspec.json.decode(a, type=AppliedPrice)
        for i, a in db.execute("SELECT id, applied FROM prices")
    }
    replay = _Replay(prices)
    problems: list[str] = []
    for row in db.execute("SELECT * FROM entries ORDER BY seq"):
        problems += replay.step(int(row[0]), read_entry(row))
    columns = ", ".join((*HOURLY_KEYS, *HOURLY_SUMS))
    problems += replay.compare(db.execute(f"SELECT {columns} FROM hourly"))
    is_open = sum(kind not in _ENDS for kind in replay.last.values())
    return Verification(
        not problems, replay.entries, len(replay.last), is_open, tuple(problems[:MAX_PROBLEMS])
    )
