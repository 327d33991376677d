"""Shares of a standing cost add up to it, whatever the weights; and are never further than a pico from their proportion."""

from hypothesis import given
from hypothesis import strategies as st

from tokenweir.billing.spreading import shares


@given(total=st.integers(0, 10**19), weights=st.lists(st.integers(0, 10**12), max_size=60))
def test_shares_add_up_and_are_as_near_as_whole_numbers_can_be(total: int, weights: list[int]) -> None:
    found = list(shares(total, weights))
    whole = sum(weights)
    assert sum(found) == (total if whole else 0)
    for share, weight in zip(found, weights, strict=True):
        assert share * whole > total * weight - whole if whole else share == 0
        assert share * whole < total * weight + whole if whole else share == 0


@given(total=st.integers(0, 10**6), weights=st.lists(st.integers(0, 9), min_size=2, max_size=9))
def test_what_is_left_goes_to_the_largest_remainders(total: int, weights: list[int]) -> None:
    whole = sum(weights)
    found = list(shares(total, weights))
    if not whole:
        return
    left = total - sum(total * w // whole for w in weights)
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    rounded_up = {i for i, w in enumerate(weights) if found[i] > total * w // whole}
    assert rounded_up == set(by_remainder[:left])
