"""A limit's text reads back as the same limit, whatever its amount."""

from hypothesis import given
from hypothesis import strategies as st

from tokenweir.ledger.limit_text import CURRENCIES, MAX_COUNT, MAX_MONEY_PICO, format_limit, parse_limit
from tokenweir.ledger.terms import Limit

WINDOWS = st.sampled_from(("day", "month", "total"))
MONEY = st.builds(Limit, st.sampled_from(CURRENCIES), st.integers(1, MAX_MONEY_PICO), WINDOWS)
COUNTS = st.builds(
    Limit, st.sampled_from(("tokens", "calls", "tool calls")), st.integers(1, MAX_COUNT), WINDOWS
)


@given(MONEY | COUNTS)
def test_text_and_limit_are_the_same(limit: Limit) -> None:
    assert parse_limit(format_limit(limit)) == limit


@given(st.text(max_size=40))
def test_any_text_is_a_limit_or_a_value_error(text: str) -> None:
    try:
        limit = parse_limit(text)
    except ValueError as error:
        assert str(error)
    else:
        assert limit.amount > 0
