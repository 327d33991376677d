"""The ledger's figures of one upstream in the spans of a bill, as they are compared."""

from collections.abc import Sequence

import msgspec

from tokenweir.billing.bill import BillLine, Period, Section
from tokenweir.billing.periods import Periods
from tokenweir.billing.reconcile import OurLine
from tokenweir.ledger.database import Connection
from tokenweir.ledger.views import Spend, spend


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of both sides that lie wholly in a span, and what is said of them."""

    since_us: int
    until_us: int
    theirs: tuple[BillLine, ...]
    ours: tuple[OurLine, ...]
    outside: int  # lines of the bill that do not lie wholly in the span
    entries: int
    unknown: int  # entries whose usage nobody knows
    estimated: int  # entries whose usage was estimated


def both_sides(
    connection: Connection,
    upstream: str,
    section: Section,
    lines: Sequence[BillLine],
    since_us: int | None = None,
    until_us: int | None = None,
) -> Compared:
    """Lines of a section beside the ledger's, in the span asked for; without one, in that which the lines cover.

    A day or month counts only where all of it lies in the span: half of one could not agree.
    """
    starts = [line.period.start_us for line in lines]
    ends = [line.period.end_us for line in lines]
    since = min(starts, default=0) if since_us is None else since_us
    until = max(ends, default=0) if until_us is None else until_us
    periods = Periods((line.period for line in lines), section.grain, section.zone)

    def span_of(at_us: int) -> Period | None:
        period = periods.at(at_us)
        return period if since <= period.start_us and period.end_us <= until else None

    theirs = tuple(x for x in lines if since <= x.period.start_us and x.period.end_us <= until)
    spent = spend(connection, upstream, span_of, since, until)
    return Compared(
        since_us=since,
        until_us=until,
        theirs=theirs,
        ours=our_lines(spent),
        outside=len(lines) - len(theirs),
        entries=spent.entries,
        unknown=spent.unknown,
        estimated=spent.estimated,
    )


def our_lines(spent: Spend[Period]) -> tuple[OurLine, ...]:
    """Rows of the ledger under the names that their upstream gives models: a deployment's after its upstream's."""
    return tuple(
        OurLine(
            period=row.span,
            model=row.deployment.partition("/")[2] or row.served_model,
            token_class=row.token_class,
            tokens=row.tokens,
            cost_pico=row.cost_pico,
            currency=row.currency,
        )
        for row in spent.rows
    )
