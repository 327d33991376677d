"""What the console shows is what a plain fold over the entries gives, for ledgers of every kind and spans of every zone."""

import tempfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_ledger import PLANS, PRICES, SPAN_US, START_US, Planned, standing, write_ledger

from tokenweir.catalog.price import AppliedPrice
from tokenweir.catalog.pricing import price_id
from tokenweir.core.usage import TOKEN_CLASSES, Provenance
from tokenweir.ledger.entries import ENDS, Entry, Kind, Outcome
from tokenweir.ledger.rollups import TTFT_FROM_MS
from tokenweir.ledger.store import read_terms
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import entries, open_reader
from tokenweir.ledger.views.figures import Figures, figures, figures_by_model, per_million, quantile_of, whole
from tokenweir.ledger.views.overview import active, overview
from tokenweir.ledger.views.ranking import MEASURES, ranked
from tokenweir.ledger.views.spans import HOUR_US, Span, day_of, series_of, span_of

ZONES = (
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
)
SCOPES: tuple[frozenset[str] | None, ...] = (
    None,
    frozenset({"blue", "bob"}),
    frozenset({"ann"}),
    frozenset(),
)
zones = st.sampled_from(ZONES).map(ZoneInfo)
moments = st.integers(START_US, START_US + SPAN_US)
_RATES = {
    price_id(applied)[0]: applied.rates for applied in PRICES.values() if isinstance(applied, AppliedPrice)
}


@st.composite
def spans(draw: st.DrawFn) -> tuple[Span, ZoneInfo]:
    zone = draw(zones)
    since, until = sorted((draw(moments), draw(moments)))
    return span_of(since, until, zone), zone


def folded(
    of: Iterable[Entry], span: Span, accounts: frozenset[str] | None = None, model: str = ""
) -> Figures:
    """The sums, one entry at a time."""
    row = Figures(by={"model": model} if model else {})
    ttft = [0] * len(TTFT_FROM_MS)
    for entry in of:
        here = span.since_us <= entry.at_us < span.until_us and (not model or entry.model == model)
        if here and (accounts is None or entry.account in accounts):
            _fold_counts(row, entry, ttft)
            _fold_money(row, entry)
    row.ttft = tuple(ttft)
    return row


def _fold_counts(row: Figures, entry: Entry, ttft: list[int]) -> None:
    for name in TOKEN_CLASSES:
        setattr(row, name, getattr(row, name) + getattr(entry.usage, name))
    row.refused += entry.kind is Kind.REFUSED
    row.attempts += entry.kind is not Kind.REFUSED and entry.upstream != ""
    if entry.kind not in ENDS:
        return
    row.calls += 1
    row.uncharged_calls += not entry.charge_price
    row.unpriced_calls += entry.cost_pico is None and entry.outcome is not Outcome.FAILED
    for provenance in (Provenance.COUNTED, Provenance.ESTIMATED, Provenance.UNKNOWN):
        if entry.usage.provenance is provenance:
            setattr(row, f"{provenance}_calls", getattr(row, f"{provenance}_calls") + 1)
    row.duration_us += entry.duration_us or 0
    if entry.ttft_us is not None:
        row.ttft_count, row.ttft_us = row.ttft_count + 1, row.ttft_us + entry.ttft_us
        ttft[max(place for place, ms in enumerate(TTFT_FROM_MS) if ms * 1_000 <= entry.ttft_us)] += 1
    if entry.outcome is not Outcome.OK:
        row.failed += 1
        _add(row.failures, str(entry.outcome), 1)
    elif entry.usage.provenance is not Provenance.UNKNOWN and entry.duration_us is not None:
        row.well_output += entry.usage.completion
        row.well_us += entry.duration_us


def _fold_money(row: Figures, entry: Entry) -> None:
    cost, charge, tokens = entry.cost_pico or 0, entry.charge_pico or 0, entry.usage.total
    saved, charge_saved = _saved(entry, entry.price), _saved(entry, entry.charge_price)
    if entry.currency:
        _add(row.cost_pico, entry.currency, cost)
        _add(row.cost_tokens, entry.currency, tokens)
        _add(row.saved_pico, entry.currency, saved)
    if entry.charge_currency:
        _add(row.charge_pico, entry.charge_currency, charge)
        _add(row.margin_pico, entry.charge_currency, charge)
        if entry.currency:
            _add(row.margin_pico, entry.currency, -cost)
    paid = (
        (entry.charge_currency, charge, charge_saved) if entry.charge_price else (entry.currency, cost, saved)
    )
    if paid[0]:
        _add(row.paid_pico, paid[0], paid[1])
        _add(row.paid_tokens, paid[0], tokens)
        _add(row.paid_saved_pico, paid[0], paid[2])


def _saved(entry: Entry, price: str) -> int:
    rates = _RATES.get(price)
    if rates is None:
        return 0
    return entry.usage.cache_read * (
        rates.input - (rates.input if rates.cache_read is None else rates.cache_read)
    )


def _add(into: dict[str, int], name: str, amount: int) -> None:
    into[name] = into.get(name, 0) + amount


def plain(row: Figures) -> dict[str, object]:
    """To be compared: an amount of nothing is none."""
    found = msgspec.structs.asdict(row)
    return {
        name: {c: v for c, v in value.items() if v} if isinstance(value, dict) else value
        for name, value in found.items()
    }


class Made:
    """A ledger that was made, open to read."""

    def __init__(self, plans: Sequence[Planned]) -> None:
        self._place = tempfile.TemporaryDirectory()
        data = Path(self._place.name)
        write_ledger(data, plans)
        self.report = verify(data)
        self.db = open_reader(data)
        self.terms = read_terms(self.db)
        self.standing = standing(entry for _, entry in entries(self.db))

    def __enter__(self) -> "Made":
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()
        self._place.cleanup()


@settings(max_examples=120, deadline=None)
@given(plans=PLANS, chosen=spans(), accounts=st.sampled_from(SCOPES))
def test_an_overview_is_the_fold_of_its_entries(
    plans: list[Planned], chosen: tuple[Span, ZoneInfo], accounts: frozenset[str] | None
) -> None:
    span, zone = chosen
    with Made(plans) as made:
        # What was spread here does not add up to what there was to spread; nothing else is wrong.
        assert [problem for problem in made.report.problems if not problem.startswith("month: ")] == []
        seen = overview(made.db, made.terms, span, zone, accounts=accounts)
        for point in seen.points:
            assert plain(point.figures) == plain(folded(made.standing, point.part.span, accounts))
        assert plain(seen.now) == plain(folded(made.standing, span, accounts))
        assert plain(seen.then) == plain(folded(made.standing, span.before, accounts))


@settings(max_examples=60, deadline=None)
@given(plans=PLANS, chosen=spans(), accounts=st.sampled_from(SCOPES))
def test_models_and_who_was_active_are_the_fold_of_their_entries(
    plans: list[Planned], chosen: tuple[Span, ZoneInfo], accounts: frozenset[str] | None
) -> None:
    span, _ = chosen
    with Made(plans) as made:
        (by_model,) = figures_by_model(made.db, [span], accounts)
        for model in ("kimi-k2", "qwen3"):
            expected = folded(made.standing, span, accounts, model)
            assert (model in by_model) == expected.is_something
            if model in by_model:
                assert plain(by_model[model]) == plain(expected)
        order = [row.name for row in ranked(by_model, {}, MEASURES["tokens"])]
        assert order == sorted(by_model, key=lambda model: (-by_model[model].tokens, model))
        ended = [
            entry for entry in made.standing
            if entry.kind in ENDS and span.since_us <= entry.at_us < span.until_us
            and (accounts is None or entry.account in accounts)
        ]  # fmt: skip
        told = active(made.db, made.terms, span, accounts)
        assert told.keys == len({entry.key for entry in ended})
        used = {entry.account for entry in ended}
        assert (told.accounts, told.people) == (len(used), len(used - {"blue"}))  # bob is below blue
        leaves = {"ann", "bob", "nobody-made"}
        assert told.of_people == len(leaves if accounts is None else leaves & accounts)


@given(chosen=spans())
def test_the_parts_of_a_series_are_the_hours_or_days_of_the_zone(chosen: tuple[Span, ZoneInfo]) -> None:
    span, zone = chosen
    series = series_of(span, zone)
    parts = series.parts
    assert (parts[0].span.first, parts[-1].span.end) == (span.first, span.end)
    assert all(one.span.end == other.span.first for one, other in pairwise(parts))
    if series.grain == "hour":
        assert all(part.span.hours == 1 for part in parts)
        return
    for part in parts:  # an hour of UTC belongs to the day that its last moment lies in
        days = {day_of((hour + 1) * HOUR_US - 1, zone) for hour in range(part.span.first, part.span.end)}
        assert days == {day_of(part.start_us, zone)}
    assert len({day_of(part.start_us, zone) for part in parts}) == len(parts)


@given(
    zone=st.sampled_from(("UTC", "Asia/Shanghai", "Europe/Berlin", "America/New_York")).map(ZoneInfo),
    days=st.integers(1, 9),
    at_us=moments,
)
def test_whole_days_of_a_zone_are_exactly_those(zone: ZoneInfo, days: int, at_us: int) -> None:
    """23 or 25 hours long where clocks are set, and nothing but them."""
    first = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    midnight = first.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
    since = int(midnight.timestamp()) * 1_000_000
    end = datetime.combine(midnight.date() + timedelta(days=days), midnight.timetz())
    until = int(end.timestamp()) * 1_000_000
    span = span_of(since, until, zone)
    assert (span.since_us, span.until_us) == (since, until)
    series = series_of(span, zone)
    assert series.grain == "hour" or len(series.parts) == days


@given(times=st.lists(st.integers(0, 200_000), min_size=1), quantile=st.sampled_from((0.5, 0.95)))
def test_a_quantile_lies_in_the_class_of_the_true_one(times: list[int], quantile: float) -> None:
    counts = [0] * len(TTFT_FROM_MS)
    for ms in times:
        counts[max(place for place, first in enumerate(TTFT_FROM_MS) if first <= ms)] += 1
    wanted = quantile * len(times)
    true = sorted(times)[max(0, -int(-wanted // 1) - 1)]
    told = quantile_of(counts, quantile)
    place = max(place for place, first in enumerate(TTFT_FROM_MS) if first <= true)
    assert told is not None
    assert TTFT_FROM_MS[place] <= told <= (TTFT_FROM_MS[place + 1] if place + 1 < len(TTFT_FROM_MS) else told)


@given(pico=st.integers(0, 10**18), tokens=st.integers(1, 10**9))
def test_a_price_per_million_is_rounded_to_the_nearest_pico(pico: int, tokens: int) -> None:
    told = per_million({"CNY": pico, "USD": 1}, {"CNY": tokens})
    assert abs(told["CNY"] * tokens - pico * 1_000_000) * 2 <= tokens
    assert set(told) == {"CNY"}


def test_nothing_is_read_where_nobody_may_be_seen(tmp_path: Path) -> None:
    write_ledger(tmp_path, [Planned(START_US, "ann", "kimi-k2", "", "refused")])
    db = open_reader(tmp_path)
    span = span_of(START_US, START_US + HOUR_US, ZoneInfo("UTC"))
    assert figures(db, [span])[0].refused == 1
    assert not figures(db, [span], frozenset())[0].is_something
    assert whole([]) == Figures(by={})
