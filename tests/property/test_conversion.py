"""Conversion: exact but for one rounding, never across a missing rate, and no two currencies added."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from tokenweir.core.money import PICO
from tokenweir.ledger.terms import ExchangeRate
from tokenweir.ledger.views.conversion import RateBook, add

CURRENCIES = ("CNY", "USD", "EUR")
days = st.dates().map(lambda day: day.isoformat())
picos = st.integers(-(10**24), 10**24)
rates = st.builds(
    ExchangeRate,
    base=st.sampled_from(CURRENCIES),
    quote=st.sampled_from(CURRENCIES),
    day=st.integers(1, 28).map(lambda day: f"2026-11-{day:02d}"),
    rate_pico=st.integers(1, 10**18),
).filter(lambda rate: rate.base != rate.quote)
books = st.lists(rates, max_size=12, unique_by=lambda rate: (rate.base, rate.quote, rate.day))
some_day = st.integers(1, 28).map(lambda day: f"2026-11-{day:02d}")
amounts = st.dictionaries(st.sampled_from((*CURRENCIES, "GBP")), picos)


@given(picos, st.integers(1, 10**18))
def test_a_direct_rate_multiplies_and_a_turned_one_divides(pico: int, rate_pico: int) -> None:
    book = RateBook([ExchangeRate("USD", "CNY", "2026-11-01", rate_pico)])
    direct, inverse = book.find("USD", "CNY", "2026-11-25"), book.find("CNY", "USD", "2026-11-25")
    assert direct is not None
    assert inverse is not None
    assert (direct.inverse, inverse.inverse) == (False, True)
    for got, exact in (
        (direct.convert(pico), Fraction(pico * rate_pico, PICO)),
        (inverse.convert(pico), Fraction(pico * PICO, rate_pico)),
    ):
        assert abs(got - exact) <= Fraction(1, 2)
        if abs(got - exact) == Fraction(1, 2):
            assert got % 2 == 0
        assert type(got) is int


@given(picos, st.integers(2 * PICO, 10**18))
def test_there_and_back_again_is_the_same_where_there_is_room_on_the_way(pico: int, rate_pico: int) -> None:
    """Half a pico there is less than half of one here."""
    book = RateBook([ExchangeRate("USD", "CNY", "2026-11-01", rate_pico)])
    there, back = book.find("USD", "CNY", "2026-11-01"), book.find("CNY", "USD", "2026-11-01")
    assert there is not None
    assert back is not None
    assert back.convert(there.convert(pico)) == pico


@given(books, some_day, st.sampled_from(CURRENCIES), st.sampled_from(CURRENCIES))
def test_the_latest_rate_at_or_before_the_day_is_found(
    known: list[ExchangeRate], day: str, base: str, quote: str
) -> None:
    fitting = [
        (rate.day, rate.base == base, rate)
        for rate in known
        if {rate.base, rate.quote} == {base, quote} and rate.day <= day
    ]
    found = RateBook(known).find(base, quote, day)
    if base == quote or not fitting:
        assert found is None
    else:
        assert found is not None
        assert found.quoted == max(fitting, key=lambda fit: fit[:2])[2]
        assert found.inverse == (found.quoted.base == quote)


@given(books, amounts, st.sampled_from(CURRENCIES), some_day)
def test_what_has_no_rate_stays_apart_as_it_was(
    known: list[ExchangeRate], told: dict[str, int], currency: str, day: str
) -> None:
    book = RateBook(known)
    got = book.convert(told, currency, day)
    assert got.apart == {
        other: pico
        for other, pico in told.items()
        if other != currency and book.find(other, currency, day) is None
    }
    own = told.get(currency, 0)
    converted = [
        rate.convert(pico)
        for other, pico in told.items()
        if other != currency and (rate := book.find(other, currency, day)) is not None
    ]
    assert got.pico == own + sum(converted)
    assert len(got.rates) == len(converted)


@given(books, amounts, amounts, st.sampled_from(CURRENCIES), some_day, some_day)
def test_sums_add_what_is_in_one_currency_and_nothing_else(
    known: list[ExchangeRate],
    first: dict[str, int],
    second: dict[str, int],
    currency: str,
    day: str,
    other_day: str,
) -> None:
    book = RateBook(known)
    one, other = book.convert(first, currency, day), book.convert(second, currency, other_day)
    both = add(one, other)
    assert both.pico == one.pico + other.pico
    assert both.apart.keys() == one.apart.keys() | other.apart.keys()
    for name, pico in both.apart.items():
        assert pico == one.apart.get(name, 0) + other.apart.get(name, 0)
    assert set(both.rates) == {*one.rates, *other.rates}
    assert len(set(both.rates)) == len(both.rates)


@given(days)
def test_a_rate_from_tomorrow_on_says_nothing_of_today(day: str) -> None:
    book = RateBook([ExchangeRate("USD", "CNY", "9999-12-31", 7 * PICO)])
    assert (book.find("USD", "CNY", day) is None) == (day < "9999-12-31")
