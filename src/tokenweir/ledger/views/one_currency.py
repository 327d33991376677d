"""Money of a span of time told in one currency: each UTC day's by the rates of that day."""

from collections.abc import Callable, Collection, Mapping
from functools import reduce

from tokenweir.ledger.database import Connection
from tokenweir.ledger.views.conversion import Converted, RateBook, add
from tokenweir.ledger.views.figures import Figures, figures
from tokenweir.ledger.views.reader import iso_time
from tokenweir.ledger.views.spans import Span
from tokenweir.ledger.views.usage import DAY_HOURS


def in_one_currency(
    connection: Connection,
    span: Span,
    currency: str,
    book: RateBook,
    amounts: Callable[[Figures], Mapping[str, int]],
    accounts: Collection[str] | None = None,
) -> Converted:
    """What `amounts` says of each day, converted and added up; what has no rate stays apart, in its own currency."""
    days = [
        Span(max(span.first, day * DAY_HOURS), min(span.end, (day + 1) * DAY_HOURS))
        for day in range(span.first // DAY_HOURS, (span.end - 1) // DAY_HOURS + 1)
    ]
    converted = (
        book.convert(dict(amounts(row)), currency, iso_time(day.since_us)[:10])
        for day, row in zip(days, figures(connection, days, accounts), strict=True)
    )
    return reduce(add, converted, Converted(currency, 0, {}, ()))
