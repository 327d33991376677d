"""Costs are exact, borders are where the price says, and what has no price has no cost."""

from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.catalog.price import Bracket, DayWindow, Price, Rates
from tokenweir.catalog.pricing import apply, cost, dearest, lines, price_at, price_call, price_id
from tokenweir.core.clock import FakeClock
from tokenweir.core.money import format_per_mtok, pico_per_token
from tokenweir.core.usage import TOKEN_CLASSES, Usage

TOKENS = st.integers(0, 10**7)
USAGES = st.builds(Usage, **dict.fromkeys(TOKEN_CLASSES, TOKENS))
RATE = st.integers(0, 10**9)
RATES = st.builds(
    Rates, input=RATE, output=RATE, cache_read=RATE | st.none(), cache_write_5m=RATE | st.none(),
    cache_write_1h=RATE | st.none(), reasoning=RATE | st.none(),
)  # fmt: skip


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@given(RATES, USAGES)
def test_a_cost_is_the_exact_sum_of_its_classes(rates: Rates, usage: Usage) -> None:
    applied = apply(Price("test", "CNY", (Bracket(0, rates),)), usage.prompt, 0)
    into, out = Fraction(rates.input, 10**12), Fraction(rates.output, 10**12)
    own = {n: into if r is None else Fraction(r, 10**12) for n, r in (("cache_read", rates.cache_read), ("cache_write_5m", rates.cache_write_5m), ("cache_write_1h", rates.cache_write_1h))}  # fmt: skip
    reasoning = out if rates.reasoning is None else Fraction(rates.reasoning, 10**12)
    expected = usage.input * into + usage.output * out + usage.reasoning * reasoning
    expected += sum(getattr(usage, name) * each for name, each in own.items())
    assert Fraction(cost(applied, usage), 10**12) == expected
    assert sum(line.pico for line in lines(applied, usage)) == cost(applied, usage)


@given(RATES, USAGES, st.sampled_from(TOKEN_CLASSES), TOKENS)
def test_more_tokens_never_cost_less(rates: Rates, usage: Usage, name: str, more: int) -> None:
    applied = apply(Price("test", "CNY", (Bracket(0, rates),)), 0, 0)
    values = {n: getattr(usage, n) for n in TOKEN_CLASSES}
    values[name] += more
    assert cost(applied, Usage(**values)) >= cost(applied, usage)


@given(st.decimals(0, 10_000, places=6))
def test_a_published_price_is_kept_exactly(price) -> None:  # type: ignore[no-untyped-def]
    text = format(price, "f")
    assert Fraction(format_per_mtok(pico_per_token(text))) == Fraction(text)


@pytest.mark.parametrize(("prompt", "each"), [(0, 1), (128_000, 1), (128_001, 2), (256_001, 3)])
def test_the_whole_call_is_priced_in_its_bracket(prompt: int, each: int) -> None:
    brackets = tuple(Bracket(above, Rates(n, n)) for n, above in enumerate((0, 128_000, 256_000), 1))
    assert apply(Price("test", "CNY", brackets), prompt, 0).rates.input == each


PEAK = (Bracket(0, Rates(2, 2)),)
BY_THE_CLOCK = Price(
    "test", "USD", (Bracket(0, Rates(1, 1)),), time_zone="Asia/Shanghai",
    windows=(DayWindow((0, 1, 2, 3, 4), 9 * 60, 12 * 60, PEAK), DayWindow((0, 1, 2, 3, 4), 14 * 60, 18 * 60, PEAK)),
)  # fmt: skip


@pytest.mark.parametrize(
    ("moment", "each"),
    [
        ("2026-11-23T00:59:59", 1),  # a Monday
        ("2026-11-23T01:00:00", 2),
        ("2026-11-23T03:59:59", 2),
        ("2026-11-23T04:00:00", 1),
        ("2026-11-23T06:00:00", 2),
        ("2026-11-23T10:00:00", 1),
        ("2026-11-22T01:30:00", 1),  # a Sunday
    ],
)
def test_the_time_of_day_is_the_vendors(moment: str, each: int) -> None:
    assert apply(BY_THE_CLOCK, 1, at(moment)).rates.input == each


def test_a_price_holds_from_its_date_on_and_before_it_there_is_none() -> None:
    old, new = (Price(r, "USD", PEAK, valid_from_us=n) for r, n in (("old", 10), ("new", 20)))
    assert [price_at((old, new), n) for n in (9, 10, 19, 20)] == [None, old, old, new]
    assert price_at((), 5) is None


def test_the_dearest_is_over_all_brackets_and_times() -> None:
    assert dearest((BY_THE_CLOCK, Price("x", "CNY", (Bracket(0, Rates(5, 1, cache_write_1h=9, reasoning=4)),)))) == (("CNY", 9, 4), ("USD", 2, 2))  # fmt: skip


def test_an_applied_price_is_known_by_its_content() -> None:
    one, two = (
        apply(BY_THE_CLOCK, 1, at("2026-11-23T01:00:00")),
        apply(BY_THE_CLOCK, 1, at("2026-11-23T05:00:00")),
    )
    assert price_id(one)[0] != price_id(two)[0]
    assert price_id(one) == price_id(apply(BY_THE_CLOCK, 1, at("2026-11-24T01:00:00")))


BEIJING = timezone(timedelta(hours=8))  # without summer time since 1991


@given(st.integers(at("2026-08-16T16:00:00"), at("2027-12-31T00:00:00")))
def test_the_weekday_is_that_of_the_price_s_own_calendar(at_us: int) -> None:
    """Windows of a whole day show it: Friday and Sunday evening in UTC are Saturday and Monday in Beijing."""
    price = Price("test", "USD", (Bracket(0, Rates(1, 1)),), time_zone="Asia/Shanghai", windows=(DayWindow((0, 1, 2, 3, 4), 0, 1440, PEAK),))  # fmt: skip
    local = datetime.fromtimestamp(at_us // 1_000_000, BEIJING)
    assert apply(price, 1, at_us).rates.input == (2 if local.weekday() < 5 else 1)


@pytest.mark.parametrize(
    ("moment", "each"),
    [
        ("2026-11-20T15:59:59", 2),  # Friday in Beijing, to its last second
        ("2026-11-20T16:00:00", 1),  # Saturday there, Friday in UTC
        ("2026-11-22T15:59:59", 1),
        ("2026-11-22T16:00:00", 2),  # Monday there, Sunday in UTC
    ],
)
def test_the_border_of_the_week_is_the_vendors_midnight(moment: str, each: int) -> None:
    price = Price("test", "USD", (Bracket(0, Rates(1, 1)),), time_zone="Asia/Shanghai", windows=(DayWindow((0, 1, 2, 3, 4), 0, 1440, PEAK),))  # fmt: skip
    assert apply(price, 1, at(moment)).rates.input == each


@pytest.mark.parametrize(("priced_at", "each"), [("start", 2), ("end", 1)])
def test_a_stream_that_crosses_a_border_is_priced_at_the_vendors_moment(priced_at: str, each: int) -> None:
    price = Price(**{n: getattr(BY_THE_CLOCK, n) for n in BY_THE_CLOCK.__struct_fields__ if n != "priced_at"}, priced_at=priced_at)  # fmt: skip
    clock = FakeClock(at("2026-11-23T03:59:50"))  # Monday, ten seconds before noon in Beijing
    begun_us = clock.now_us()
    clock.advance(20_000_000)
    applied = price_call((price,), 1, begun_us=begun_us, ended_us=clock.now_us())
    assert applied is not None and applied.rates.input == each


@given(st.integers(0, 60), st.integers(0, 60), st.sampled_from(["start", "end"]))
def test_a_price_that_changes_during_a_call_is_asked_at_its_own_moment(
    begun: int, lasts: int, asked: str
) -> None:
    old, new = (
        Price(r, "USD", PEAK, valid_from_us=n, priced_at=asked) for r, n in (("old", 20), ("new", 40))
    )
    applied = price_call((old, new), 1, begun_us=begun, ended_us=begun + lasts)
    expected = price_at((old, new), begun if asked == "start" else begun + lasts)
    assert (applied and applied.ref) == (expected and expected.ref)


@given(st.integers(0, 2_000_000), RATES, RATES)
def test_a_bracket_of_a_million_holds_for_the_whole_call(prompt: int, below: Rates, above: Rates) -> None:
    price = Price("test", "CNY", (Bracket(0, below), Bracket(1_000_000, above)))
    usage = Usage(input=prompt - prompt // 3, cache_read=prompt // 3, output=7)
    rates = above if prompt > 1_000_000 else below
    cached = rates.input if rates.cache_read is None else rates.cache_read
    expected = usage.input * rates.input + usage.cache_read * cached + 7 * rates.output
    assert cost(apply(price, usage.prompt, 0), usage) == expected


def test_caches_of_five_minutes_and_of_an_hour_have_a_price_each_or_that_of_the_input() -> None:
    usage = Usage(cache_write_5m=10, cache_write_1h=100)
    for rates, expected in ((Rates(4, 9), 440), (Rates(4, 9, cache_write_5m=5), 450), (Rates(4, 9, cache_write_5m=5, cache_write_1h=8), 850)):  # fmt: skip
        assert cost(apply(Price("test", "CNY", (Bracket(0, rates),)), usage.prompt, 0), usage) == expected
