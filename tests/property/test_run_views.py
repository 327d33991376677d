"""Runs in the console are the fold of their entries; forecasts and rankings hold what they say."""

from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from plain_ledger import PLANS, SPAN_US, START_US, Planned, Try, write_ledger
from test_console_views import Made

from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import ENDS, Kind, Outcome
from tokenweir.ledger.terms import ExchangeRate, Limit
from tokenweir.ledger.views import entries, iso_time, open_reader
from tokenweir.ledger.views.conversion import RateBook
from tokenweir.ledger.views.figures import Figures
from tokenweir.ledger.views.forecast import LEAST_PART, Known, forecast
from tokenweir.ledger.views.limits import LimitNow
from tokenweir.ledger.views.one_currency import in_one_currency
from tokenweir.ledger.views.overview import growth, growth_by
from tokenweir.ledger.views.ranking import MEASURES, Measure, ranked
from tokenweir.ledger.views.run_list import entries_between, run_calls, runs
from tokenweir.ledger.views.spans import Span, as_long_from, series_of, span_of
from tokenweir.ledger.windows import NEVER_US, window_of

WHOLE = span_of(START_US, START_US + SPAN_US + 86_400_000_000, ZoneInfo("UTC"))


@settings(max_examples=60, deadline=None)
@given(
    plans=PLANS, accounts=st.sampled_from((None, frozenset({"ann"}), frozenset({"blue", "bob"}), frozenset()))
)
def test_a_run_is_the_fold_of_its_entries(plans: list[Planned], accounts: frozenset[str] | None) -> None:
    with Made(plans) as made:
        of_run = [e for e in made.standing if e.run and (accounts is None or e.account in accounts)]
        listed = runs(made.db, WHOLE, accounts)
        assert [row.run for row in listed] == (["run-1"] if of_run else [])
        for row in listed:
            assert row.calls == sum(entry.kind in ENDS for entry in of_run)
            assert row.refused == sum(entry.kind is Kind.REFUSED for entry in of_run)
            assert row.tokens == sum(entry.usage.total for entry in of_run)
            assert {c: p for c, p in row.cost_pico.items() if p} == _costs(of_run)
            assert set(row.accounts) >= {entry.account for entry in of_run}
            assert set(row.models) >= {entry.model for entry in of_run}
        of_it = {entry.call for entry in made.standing if entry.run}
        assert set(run_calls(made.db, "run-1")) >= of_it


def _costs(of: list) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in of:
        if entry.cost_pico:
            found[entry.currency] = found.get(entry.currency, 0) + entry.cost_pico
    return found


def test_runs_come_a_page_at_a_time_the_last_that_ended_first(tmp_path: Path) -> None:
    one = Try(Usage(input=1), "cny", "", Outcome.OK, 1, 1, None)
    hours = [(f"run-{n}", START_US + n * 3_600_000_000) for n in range(5)]
    write_ledger(tmp_path, [Planned(at_us, "ann", "m", run, "settled", [one]) for run, at_us in hours])
    db = open_reader(tmp_path)
    assert [row.run for row in runs(db, WHOLE, limit=2)] == ["run-4", "run-3"]
    assert [row.run for row in runs(db, WHOLE, limit=2, skip=4)] == ["run-0"]
    assert run_calls(db, "nobody") == []
    after, upto = entries_between(db, hours[1][1], hours[3][1])
    between = [entry.run for seq, entry in entries(db) if after < seq <= upto and entry.kind is Kind.OPENED]
    assert between == ["run-1", "run-2"]


def _limit(window: str, spent: int, amount: int) -> LimitNow:
    return LimitNow(
        scope="key/k", limit=Limit("tokens", amount, window), spent=spent, reserved=0, renews_at_us=None, zone="Europe/Berlin"
    )  # fmt: skip


@given(
    window=st.sampled_from(("day", "month")),
    spent=st.integers(0, 10**15),
    amount=st.integers(1, 10**15),
    at_us=st.integers(START_US, START_US + 3 * SPAN_US),
)
def test_a_forecast_is_the_straight_line_to_the_end_of_the_window(
    window: str, spent: int, amount: int, at_us: int
) -> None:
    start_us, end_us = window_of(window, "Europe/Berlin", at_us)
    told = forecast(_limit(window, spent, amount), at_us)
    if (at_us - start_us) * LEAST_PART < end_us - start_us:
        assert (told.known, told.amount, told.reached_us) == (Known.TOO_EARLY, None, None)
        return
    assert told.known is Known.YES
    assert told.amount is not None
    assert told.amount >= spent
    assert abs(told.amount * (at_us - start_us) - spent * (end_us - start_us)) < at_us - start_us
    # It says when the limit is reached just where the line passes it before the end.
    if told.reached_us is None:
        assert told.amount <= amount
    else:
        assert start_us <= told.reached_us < end_us
        assert told.amount >= amount or spent >= amount


def test_what_has_no_end_or_is_over_at_once_has_no_forecast() -> None:
    for window, known in (
        ("total", Known.NO_END),
        ("at once", Known.NO_END),
        ("hour", Known.TOO_SHORT),
        ("minute", Known.TOO_SHORT),
    ):
        assert forecast(_limit(window, 5, 9), START_US).known is known
    assert window_of("total", "UTC", START_US)[1] == NEVER_US


def test_models_without_a_value_come_last_and_places_are_told_beside_those_before() -> None:
    def row(model: str, **fields: object) -> Figures:
        return Figures(by={"model": model}, **fields)  # type: ignore[arg-type]

    now = {
        "a": row("a", input=5),
        "b": row("b", well_output=9, well_us=1_000_000),
        "c": row("c", well_output=3, well_us=1_000_000),
    }
    then = {"c": row("c", well_output=9, well_us=1), "gone": row("gone", well_output=99, well_us=1)}
    by_speed = ranked(now, then, MEASURES["speed"])
    assert by_speed[1].then is then["c"]
    assert [(r.name, r.place, r.place_then) for r in by_speed] == [
        ("b", 1, None),
        ("c", 2, 2),
        ("a", 3, None),
    ]
    slow = {"a": row("a", ttft=(0, 0, 9, *(0,) * 17)), "b": row("b", ttft=(9, *(0,) * 19))}
    assert [r.name for r in ranked(slow, {}, MEASURES["ttft"])] == ["b", "a"]
    paid = {
        "a": row("a", cost_pico={"CNY": 5}),
        "b": row("b", cost_pico={"USD": 9}),
        "c": row("c", cost_pico={"CNY": 7}),
    }
    money = Measure[Figures](lambda figures: figures.cost_pico.get("CNY"))
    assert [r.name for r in ranked(paid, {}, money)] == ["c", "a", "b"]


@settings(max_examples=40, deadline=None)
@given(plans=PLANS, rate_pico=st.integers(1, 10**13))
def test_money_in_one_currency_is_each_day_at_its_own_rate(plans: list[Planned], rate_pico: int) -> None:
    """The first day has no rate yet; on the fourth it is another."""
    rates = [
        ExchangeRate("USD", "CNY", "2026-10-23", rate_pico),
        ExchangeRate("USD", "CNY", "2026-10-26", rate_pico + 7),
    ]
    book = RateBook(rates)
    with Made(plans) as made:
        told = in_one_currency(made.db, WHOLE, "CNY", book, lambda row: row.cost_pico)
        days: dict[str, dict[str, int]] = {}
        for entry in made.standing:
            if entry.cost_pico and WHOLE.since_us <= entry.at_us < WHOLE.until_us:
                day = days.setdefault(iso_time(entry.at_us)[:10], {})
                day[entry.currency] = day.get(entry.currency, 0) + entry.cost_pico
        by_day = [book.convert(amounts, "CNY", day) for day, amounts in days.items()]
        assert told.pico == sum(converted.pico for converted in by_day)
        apart = sum(converted.apart.get("USD", 0) for converted in by_day)
        assert told.apart.get("USD", 0) == apart


def test_growth_is_told_only_where_there_is_something_to_compare_with() -> None:
    assert (growth(5, 4), growth(3, 4), growth(3, 0), growth(None, 4), growth(4, None)) == (
        0.25,
        -0.25,
        None,
        None,
        None,
    )
    assert growth_by({"CNY": 6, "USD": 1}, {"CNY": 3}) == {"CNY": 1.0, "USD": None}


def test_a_long_span_is_told_by_the_month_and_another_may_be_chosen_beside_it() -> None:
    zone = ZoneInfo("America/New_York")
    long = Span(500_000, 500_000 + 24 * 500)
    series = series_of(long, zone)
    assert series.grain == "month"
    assert sum(part.span.hours for part in series.parts) == long.hours
    other = as_long_from(START_US, long, zone)
    assert (other.since_us, other.hours) == (START_US, long.hours)
    assert long.before.end == long.first
