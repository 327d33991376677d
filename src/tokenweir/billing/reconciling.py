"""A bill compared with the ledger, table by table, and the formats that it may have."""

from collections.abc import Callable, Collection, Sequence
from datetime import tzinfo
from functools import cache, partial

import msgspec

from tokenweir.billing.bill import Bill, Section
from tokenweir.billing.our_side import Compared, both_sides
from tokenweir.billing.reconcile import Result, reconcile
from tokenweir.catalog.bill_formats import BillFormat, same_model, shipped_bill_formats
from tokenweir.ledger.database import Connection

#: A moment that is asked for (µs since 1970 UTC; None: none is), in the time zone that a table of the bill is in.
Bound = Callable[[tzinfo], int | None]


class Comparison(msgspec.Struct, frozen=True):
    """A bill, with the lines of both sides and what came of them, by its tables."""

    bill: Bill
    sides: Sequence[Compared]
    results: Sequence[Result]
    tolerance_pico: int

    @property
    def agrees(self) -> bool:
        """Whether nothing is left to look at."""
        return all(result.agrees for result in self.results)


def compare(
    connection: Connection,
    upstream: str,
    bill: Bill,
    span: tuple[Bound, Bound],
    tolerance_pico: int,
) -> Comparison:
    """Both sides of every table in the span asked for. Raises LedgerError."""
    sides = [
        both_sides(connection, upstream, section, section.lines, *_span(span, bill, section))
        for section in bill.sections
    ]
    results = [
        reconcile(section, side.theirs, side.ours, cache(partial(same_model, bill.models)), tolerance_pico)
        for section, side in zip(bill.sections, sides, strict=True)
    ]
    return Comparison(bill, sides, results, tolerance_pico)


def keys_of(bill: Bill) -> set[str]:
    """The keys that rows of a bill name."""
    return {line.key for section in bill.sections for line in section.lines if line.key}


def of_key(bill: Bill, key: str) -> Bill:
    """The bill with the rows of one key."""
    sections = (
        msgspec.structs.replace(section, lines=tuple(line for line in section.lines if line.key == key))
        for section in bill.sections
    )
    return msgspec.structs.replace(bill, sections=tuple(sections))


def has_rows(bill: Bill) -> bool:
    """Whether a span can be told from it."""
    return any(section.lines for section in bill.sections)


def formats_for(provider: str, names: Collection[str]) -> tuple[tuple[BillFormat, ...], tuple[str, ...]]:
    """Formats that a bill may have, and the ids of those preferred: the provider's, else those of an upstream's `names`.

    None, where a provider is named that has no format.
    """
    shipped = shipped_bill_formats()
    if provider:
        found = tuple(form for form in shipped.values() if provider in (form.id, *form.upstreams))
        return found, tuple(form.id for form in found)
    preferred = tuple(form.id for form in shipped.values() if set(names) & set(form.upstreams))
    return tuple(shipped.values()), preferred


def _span(span: tuple[Bound, Bound], bill: Bill, section: Section) -> tuple[int | None, int | None]:
    """The span asked for; of a table without rows, that of the others, in which ours are missing from it."""
    since_us, until_us = (bound(section.zone) for bound in span)
    if not section.lines:
        periods = [line.period for other in bill.sections for line in other.lines]
        since_us = min(period.start_us for period in periods) if since_us is None else since_us
        until_us = max(period.end_us for period in periods) if until_us is None else until_us
    return since_us, until_us
