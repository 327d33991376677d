"""The next catalog from the one in use and what is listed now: every change dated, nothing forgotten."""

import pytest

from tokenweir.catalog.hosts import CatalogData, CatalogHost, CatalogModel, CatalogRates
from tokenweir.catalog.providers import Catalog, shipped
from tokenweir.catalog.refresh import refresh
from tokenweir.core.errors import CatalogError

NOW, LATER = "2026-11-24T00:00:00Z", "2026-12-01T00:00:00Z"


def rates(text: str) -> tuple[CatalogRates, ...]:
    return (CatalogRates(text, text),) if text else ()


def data(**models: str) -> CatalogData:
    """A catalog of one host; the values are what a model's input and output cost, or nothing."""
    listed = tuple(CatalogModel(name, rates=rates(text)) for name, text in models.items())
    return CatalogData("s", "", (CatalogHost("openai", "O", "https://o/v1", ("K",), listed),))


def only(found: CatalogData, name: str) -> CatalogModel:
    return next(model for model in found.hosts[0].models if model.id == name)


def test_new_changed_and_removed_prices_are_told_and_dated() -> None:
    result = refresh(data(a="1", b="2", c="3", d="4"), data(a="1", b="5", c="3", e="6"), NOW)
    assert [(c.model, c.now) for c in result.new] == [("e", rates("6"))]
    assert [(c.model, c.before, c.now) for c in result.changed] == [("b", rates("2"), rates("5"))]
    assert [c.model for c in result.removed] == ["d"]
    assert only(result.data, "a").since == ""
    assert only(result.data, "b").since == NOW
    assert only(result.data, "d").gone == NOW
    assert result.data.date == NOW


def test_a_corrected_price_is_a_further_one() -> None:
    first = refresh(data(a="1", b="1"), data(a="2", b="1"), NOW).data
    second = refresh(first, data(a="3", b="1"), LATER).data
    model = only(second, "a")
    assert [(step.since, step.rates) for step in model.earlier] == [("", rates("1")), (NOW, rates("2"))]
    prices = Catalog(second, ()).prices("openai", model)
    assert [price.brackets[0].rates.input for price in prices] == [1_000_000, 2_000_000, 3_000_000]


def test_a_price_that_is_lost_or_whose_model_is_gone_is_kept() -> None:
    first = refresh(data(a="1", b="2", c="3"), data(a="", c="3"), NOW)
    assert [c.model for c in first.lost] == ["a"]
    assert only(first.data, "a").rates == rates("1")
    second = refresh(first.data, data(a="1", b="2", c="3"), LATER)
    assert (only(second.data, "b").gone, only(second.data, "b").rates) == ("", rates("2"))
    assert second.changed == second.new == second.removed == ()


def test_a_second_look_at_the_same_changes_nothing() -> None:
    once = refresh(shipped(), shipped(), NOW)
    assert once.new == once.changed == once.removed == once.lost == ()
    assert once.data.hosts == shipped().hosts


@pytest.mark.parametrize(
    ("fetched", "word"),
    [
        (data(a="1"), "only 1 are left"),
        (data(a="0.001", b="0.002", c="0.003"), "a unit seems to have changed"),
        (data(a="1000", b="2000", c="3"), "a unit seems to have changed"),
    ],
)
def test_what_is_absurd_replaces_nothing(fetched: CatalogData, word: str) -> None:
    with pytest.raises(CatalogError, match=word):
        refresh(data(a="1", b="2", c="3"), fetched, NOW)


def test_one_price_may_leap() -> None:
    before = data(**dict.fromkeys("abcdefgh", "1"))
    after = data(**dict.fromkeys("bcdefgh", "1") | {"a": "100"})
    assert [c.model for c in refresh(before, after, NOW).changed] == ["a"]
