"""Sums with details over spans of time, for everybody or for some accounts: what the console's pages are made of."""

from collections.abc import Collection, Iterable, Sequence
from itertools import pairwise

import msgspec

from tokenweir.core.money import PICO
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.database import Connection
from tokenweir.ledger.rollups import (
    DETAIL_MONEY,
    DETAILS,
    FAILURES,
    HOURLY_ACCOUNTS,
    HOURLY_MODELS,
    TTFT,
    TTFT_FROM_MS,
)
from tokenweir.ledger.views.spans import Span
from tokenweir.ledger.views.usage import SUM_ORDER, UsageRow, add_sums

_PROMPT = ("input", "cache_read", "cache_write_5m", "cache_write_1h")
_COLUMNS = (*SUM_ORDER, *DETAILS)
_AT = {name: place for place, name in enumerate(_COLUMNS)}
_TOKENS_AT = tuple(_AT[name] for name in TOKEN_CLASSES)
_TTFT_AT = tuple(_AT[name] for name in TTFT)
_ENDED_AT = {outcome.value: _AT[f"ended_{outcome}"] for outcome in FAILURES}


class Figures(UsageRow, kw_only=True):
    """Sums of calls by how and when they ended. Money is pico by currency; currencies are never added.

    `cost_pico` is what upstreams take, `paid_pico` what accounts pay: the charge where there is one, else the cost. Of either, `…_tokens`
    are the tokens that it is for, so that the two make a price; `saved_pico` and `paid_saved_pico` are what the tokens read from a cache
    would have come to more as input, by each call's own price.
    """

    failures: dict[str, int] = msgspec.field(
        default_factory=dict
    )  # calls that ended otherwise than well, by outcome
    ttft: tuple[int, ...] = (0,) * len(TTFT_FROM_MS)  # calls by time to first token
    well_output: int = 0  # tokens of output and reasoning of calls that ended well …
    well_us: int = 0  # … and how long these took
    cost_tokens: dict[str, int] = msgspec.field(default_factory=dict)
    paid_tokens: dict[str, int] = msgspec.field(default_factory=dict)
    saved_pico: dict[str, int] = msgspec.field(default_factory=dict)
    paid_saved_pico: dict[str, int] = msgspec.field(default_factory=dict)

    @property
    def unpriced_tokens(self) -> int:
        """Tokens that no cost is known for."""
        return self.tokens - sum(self.cost_tokens.values())

    @property
    def cache_share(self) -> float | None:
        """Of the tokens that went in, the part that was read from a cache; None: none went in."""
        prompt = sum(getattr(self, name) for name in _PROMPT)
        return self.cache_read / prompt if prompt else None

    @property
    def output_per_s(self) -> float | None:
        """Tokens of output and reasoning per second of calls that ended well, from the call's arrival to its end."""
        return self.well_output * 1e6 / self.well_us if self.well_us else None

    def ttft_ms(self, quantile: float) -> float | None:
        """Time to first token below which this part of calls lies; None: no call had one.

        Calls are counted by classes of time (`rollups.TTFT_FROM_MS`) and taken to be spread evenly within each.
        """
        return quantile_of(self.ttft, quantile)


def quantile_of(counts: Sequence[int], quantile: float) -> float | None:
    """A quantile in ms of counts by the classes of TTFT_FROM_MS. What is in the last class, which has no end, is told as its beginning."""
    wanted, seen = quantile * sum(counts), 0
    if not wanted:
        return None
    for count, (first, end) in zip(counts, pairwise(TTFT_FROM_MS), strict=False):
        if count and seen + count >= wanted:
            return first + (end - first) * (wanted - seen) / count
        seen += count
    return float(TTFT_FROM_MS[-1])


def per_million(pico: dict[str, int], tokens: dict[str, int]) -> dict[str, int]:
    """What a million tokens cost, by currency: pico, rounded to the nearest."""
    return {
        currency: (2 * amount * 1_000_000 + tokens[currency]) // (2 * tokens[currency])
        for currency, amount in pico.items()
        if tokens.get(currency)
    }


def figures(
    connection: Connection, spans: Sequence[Span], accounts: Collection[str] | None = None
) -> list[Figures]:
    """The sums of each span. `accounts`: of these alone; None: of all."""
    found = [Figures(by={}) for _ in spans]
    for number, _, currencies, sums in _read(connection, spans, accounts, ()):
        add_figures(found[number], currencies, sums)
    return found


def figures_by_model(
    connection: Connection, spans: Sequence[Span], accounts: Collection[str] | None = None
) -> list[dict[str, Figures]]:
    """The sums of each span by model. A model of which corrections have left nothing is not among them."""
    found: list[dict[str, Figures]] = [{} for _ in spans]
    for number, model, currencies, sums in _read(connection, spans, accounts, ("model",)):
        row = found[number].get(model)
        if row is None:
            row = found[number][model] = Figures(by={"model": model})
        add_figures(row, currencies, sums)
    return [{model: row for model, row in rows.items() if row.is_something} for rows in found]


def whole(rows: Iterable[Figures]) -> Figures:
    """The sum of all."""
    total = Figures(by={})
    for row in rows:
        for name in _NUMBERS:
            setattr(total, name, getattr(total, name) + getattr(row, name))
        for name in _BY_NAME:
            _merge(getattr(total, name), getattr(row, name))
        total.ttft = tuple(map(sum, zip(total.ttft, row.ttft, strict=True)))
    return total


_NUMBERS = (
    *(name for name in SUM_ORDER if name in UsageRow.__struct_fields__ and not name.endswith("_pico")),
    "well_output",
    "well_us",
)
_BY_NAME = (
    "cost_pico", "charge_pico", "margin_pico", "failures", "cost_tokens", "paid_tokens", "saved_pico", "paid_saved_pico",
)  # fmt: skip


def _merge(into: dict[str, int], more: dict[str, int]) -> None:
    for name, amount in more.items():
        into[name] = into.get(name, 0) + amount


#: Span, group, currencies of cost and charge, sums.
_Record = tuple[int, str, tuple[str, str], tuple[int, ...]]


def _read(
    connection: Connection,
    spans: Sequence[Span],
    accounts: Collection[str] | None,
    by: tuple[str, ...],
) -> Iterable[_Record]:
    """Sums by span, by the group named if any is, and by the currencies of cost and charge."""
    if not spans or (accounts is not None and not accounts):
        return
    rollup, values = (HOURLY_MODELS, ()) if accounts is None else (HOURLY_ACCOUNTS, tuple(sorted(accounts)))
    of = f" AND account IN ({', '.join('?' * len(values))})" if values else ""
    rows = ", ".join(f"({number:d}, {span.first:d}, {span.end:d})" for number, span in enumerate(spans))
    groups = ", ".join(("span", *by, "currency", "charge_currency"))
    sums = ", ".join(f"sum({name})" for name in _COLUMNS)
    query = (
        f"WITH spans (span, first_hour, end_hour) AS (VALUES {rows}) SELECT {groups}, {sums} "
        f"FROM spans, {rollup.table} WHERE hour >= first_hour AND hour < end_hour{of} GROUP BY {groups}"
    )
    for number, *record in connection.execute(query, values):
        group, rest = (record[0], record[1:]) if by else ("", record)
        yield number, group, (rest[0], rest[1]), tuple(rest[2:])


def add_figures(row: Figures, currencies: tuple[str, str], sums: Sequence[int]) -> None:
    """Add sums of entries with these currencies, of cost and charge, in the order of `_COLUMNS`."""
    add_sums(row, currencies, sums[: len(SUM_ORDER)])
    row.well_output += sums[_AT["well_output"]]
    row.well_us += sums[_AT["well_us"]]
    row.ttft = tuple(have + sums[place] for have, place in zip(row.ttft, _TTFT_AT, strict=True))
    _merge(row.failures, {name: sums[place] for name, place in _ENDED_AT.items() if sums[place]})
    tokens = sum(sums[place] for place in _TOKENS_AT)
    saved, charge_saved = (sums[_AT[units]] * PICO + sums[_AT[pico]] for units, pico in DETAIL_MONEY)
    paid = (currencies[1], charge_saved) if currencies[1] else (currencies[0], saved)
    if currencies[0]:
        _merge(row.cost_tokens, {currencies[0]: tokens})
        _merge(row.saved_pico, {currencies[0]: saved})
    if paid[0]:
        _merge(row.paid_tokens, {paid[0]: tokens})
        _merge(row.paid_saved_pico, {paid[0]: paid[1]})
