"""Further entries in the place of others at other prices: counted first, noted with a reason, then written in steps."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from tokenweir.catalog.price import AppliedPrice, SpreadCost
from tokenweir.catalog.pricing import price_id
from tokenweir.core.clock import Clock
from tokenweir.core.errors import LedgerError
from tokenweir.ledger.changing import AT_ONCE, correct, make_changes
from tokenweir.ledger.entries import Entry
from tokenweir.ledger.messages import DefinePrice, Reprice
from tokenweir.ledger.terms import Audited, NoteCorrection


class Move(msgspec.Struct, frozen=True):
    """An entry, and what takes its place; `named` are prices that this refers to."""

    entry: Entry
    to: Reprice
    named: tuple[AppliedPrice | SpreadCost, ...] = ()


class Difference(msgspec.Struct):
    """Sums over the entries that are corrected, by currency, before and after; `priced` of them had no price."""

    entries: int = 0
    priced: int = 0
    cost_before: dict[str, int] = {}
    cost_after: dict[str, int] = {}
    charge_before: dict[str, int] = {}
    charge_after: dict[str, int] = {}

    def add(self, move: Move) -> None:
        """Count one."""
        entry, to = move.entry, move.to
        self.entries += 1
        self.priced += entry.cost_pico is None and to.cost_pico is not None
        _add(self.cost_before, entry.currency, entry.cost_pico)
        _add(self.cost_after, to.currency, to.cost_pico)
        _add(self.charge_before, entry.charge_currency, entry.charge_pico)
        _add(self.charge_after, to.charge.currency, to.charge.pico)


def _add(sums: dict[str, int], currency: str, pico: int | None) -> None:
    if currency and pico is not None:
        sums[currency] = sums.get(currency, 0) + pico


def difference(moves: Iterable[Move]) -> Difference:
    """What corrections come to."""
    found = Difference(0, 0, {}, {}, {}, {})
    for move in moves:
        found.add(move)
    return found


def is_noted(changes: Iterable[Audited], id: str) -> bool:
    """Whether a correction was begun before."""
    return any(isinstance(a.change, NoteCorrection) and a.change.id == id for a in changes)


def write(
    data_dir: Path, moves: Callable[[], Iterable[Move]], note: NoteCorrection | None, clock: Clock, actor: str
) -> None:
    """Note why, then write. Cut off, the same again writes what is missing: entries that name the correction stand already.

    `moves` is read while entries are written: those that are being written are not among them. Raises LedgerError.
    """
    if note is not None:
        refused = make_changes(data_dir, [note], clock, actor)
        if refused:
            raise LedgerError(f"nothing was corrected: {refused}")
    defined: set[str] = set()
    remaining = iter(moves())
    while some := list(islice(remaining, AT_ONCE)):
        correct(data_dir, list(_operations(some, defined)), clock)


def _operations(moves: Iterable[Move], defined: set[str]) -> Iterator[DefinePrice | Reprice]:
    for move in moves:
        for price in move.named:
            id, content = price_id(price)
            if id not in defined:
                defined.add(id)
                yield DefinePrice(0, id, content)
        yield move.to
