"""What calls to one upstream used and cost, by spans of time that the caller names: our side of a provider's bill."""

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

import msgspec

from tokenweir.catalog.price import AppliedPrice, SpreadCost, read_applied
from tokenweir.core.money import PICO
from tokenweir.core.usage import TOKEN_CLASSES, Usage
from tokenweir.ledger.database import Connection
from tokenweir.ledger.rollups import counted, one_where, units_of
from tokenweir.ledger.views.calls import products
from tokenweir.ledger.views.reader import last_seq

#: Entries are summed by quarters of an hour, in which the offsets of all time zones are whole.
SLOT_US = 900_000_000
#: Entries that are read in one read transaction.
AT_ONCE = 100_000

Span = TypeVar("Span")


class SpendRow(msgspec.Struct, Generic[Span], frozen=True, kw_only=True):
    """Tokens of one class and what they cost, of one deployment in one span of time.

    A cost that its price does not account for by class stands under the class "" and without tokens.
    """

    span: Span
    deployment: str
    served_model: str
    token_class: str
    tokens: int
    cost_pico: int | None  # None: these tokens have no price
    currency: str


class Spend(msgspec.Struct, Generic[Span], frozen=True, kw_only=True):
    """All of it. `unknown` entries have usage that nobody knows: they are in `entries` and in no row."""

    rows: tuple[SpendRow[Span], ...]
    entries: int
    unknown: int
    estimated: int


class _Sums(msgspec.Struct):
    """Sums of entries with one price."""

    counts: list[int]
    units: int = 0
    pico: int = 0

    @property
    def cost_pico(self) -> int:
        return self.units * PICO + self.pico


#: Span, deployment, model as served, price, currency, whether it has no price.
_Key = tuple[Span, str, str, str, str, bool]


def upstreams(connection: Connection) -> tuple[str, ...]:
    """Those that the ledger has calls of."""
    found = connection.execute("SELECT DISTINCT upstream FROM daily WHERE upstream <> '' ORDER BY upstream")
    return tuple(str(row[0]) for row in found)


def spend(
    connection: Connection,
    upstream: str,
    span_of: Callable[[int], Span | None],
    since_us: int,
    until_us: int,
    at_once: int = AT_ONCE,
) -> Spend[Span]:
    """Sums over the entries from `since_us` up to `until_us`, by the span that `span_of` puts a moment in.

    `span_of` is asked for the beginning of each quarter of an hour; None leaves what is in it out. Memory grows with spans,
    deployments and prices, not with entries.
    """
    sums: dict[_Key[Span], _Sums] = {}
    entries = unknown = estimated = 0
    for slot, *names, unpriced, count, no_usage, guessed, units, pico, counts in _slots(
        connection, upstream, since_us, until_us, at_once
    ):
        span = span_of(slot * SLOT_US)
        if span is None:
            continue
        entries, unknown, estimated = entries + count, unknown + no_usage, estimated + guessed
        deployment, served, price, currency = names
        key = (span, deployment, served, price, currency, bool(unpriced))
        row = sums.setdefault(key, _Sums([0] * len(TOKEN_CLASSES)))
        row.counts = [have + more for have, more in zip(row.counts, counts, strict=True)]
        row.units, row.pico = row.units + units, row.pico + pico
    prices = _prices(connection, {key[3] for key in sums if key[3]})
    rows = tuple(row for key, found in sums.items() for row in _by_class(key, found, prices.get(key[3])))
    return Spend(rows=rows, entries=entries, unknown=unknown, estimated=estimated)


def _statement() -> str:
    """Sums by slot; which entries count, and which of them corrections take away, is `rollups`' to say."""
    figures = _FIGURES | {name: name for name in TOKEN_CLASSES}
    sums = ", ".join(f"sum(sign * ({value})) AS {name}" for name, value in figures.items())
    return f"""
{counted("seq > :after AND seq <= :upto")}
SELECT at_us / {SLOT_US} AS slot, deployment, served_model, price, currency, {one_where("cost_pico IS NULL")} AS unpriced, {sums}
FROM counted
WHERE upstream = :upstream AND kind <> 'refused' AND at_us >= :since AND at_us < :until
GROUP BY slot, deployment, served_model, price, currency, unpriced"""


#: Money that is summed is kept in whole units and pico beyond them, as the sums of the ledger are.
_FIGURES = {
    "entries": "1",
    "unknown": one_where("provenance = 'unknown'"),
    "estimated": one_where("provenance = 'estimated'"),
    **dict(zip(("units", "pico"), units_of("cost_pico"), strict=True)),
}
_QUERY = _statement()

_Slot = tuple[int, str, str, str, str, int, int, int, int, int, int, list[int]]


def _slots(
    connection: Connection, upstream: str, since_us: int, until_us: int, at_once: int
) -> Iterator[_Slot]:
    """Sums by slot, a part of the ledger at a time: a reader that held one view of a long one would keep its log."""
    last = last_seq(connection)
    bounds = {"upstream": upstream, "since": since_us, "until": until_us}
    for after in range(0, last, at_once):
        part = connection.execute(_QUERY, {**bounds, "after": after, "upto": min(after + at_once, last)})
        for record in part.fetchall():
            yield (*record[:11], list(record[11:]))


def _prices(connection: Connection, ids: set[str]) -> dict[str, AppliedPrice | SpreadCost]:
    found = {}
    for id in ids:
        row = connection.execute("SELECT applied FROM prices WHERE id = ?", (id,)).fetchone()
        if row:
            found[id] = read_applied(row[0])
    return found


def _by_class(
    key: _Key[Span], sums: _Sums, price: AppliedPrice | SpreadCost | None
) -> Iterator[SpendRow[Span]]:
    """The rows of one price: each class with its tokens times its rate, where that is what was booked."""
    span, deployment, served, _, currency, unpriced = key
    counts = dict(zip(TOKEN_CLASSES, sums.counts, strict=True))
    rates = price.rates if isinstance(price, AppliedPrice) and not unpriced else None
    lines = products(msgspec.convert(counts, Usage), rates) if rates else ()
    costs = {line.token_class: line.pico for line in lines}
    split = sum(costs.values()) == sums.cost_pico
    for name, tokens in counts.items():
        if tokens:
            cost = None if unpriced else costs.get(name, 0) if split else 0
            yield SpendRow(
                span=span,
                deployment=deployment,
                served_model=served,
                token_class=name,
                tokens=tokens,
                cost_pico=cost,
                currency="" if unpriced else currency,
            )
    if not split and sums.cost_pico:
        yield SpendRow(
            span=span,
            deployment=deployment,
            served_model=served,
            token_class="",
            tokens=0,
            cost_pico=sums.cost_pico,
            currency=currency,
        )
