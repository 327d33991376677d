"""Efforts and budgets stand for each other, and a host's nearest word is found."""

import pytest

from tokenweir.protocol.translate.thinking import BUDGETS, budget_of, effort_of, nearest_effort


def test_an_effort_survives_its_budget() -> None:
    assert [effort_of(budget_of(effort)) for effort in BUDGETS] == list(BUDGETS)
    assert sorted(BUDGETS.values()) == list(BUDGETS.values())


@pytest.mark.parametrize(
    ("budget", "effort"), [(0, "minimal"), (1025, "low"), (16_000, "high"), (10**6, "max")]
)
def test_a_budget_has_the_least_effort_that_holds_it(budget: int, effort: str) -> None:
    assert effort_of(budget) == effort


def test_an_unknown_effort_has_a_middling_budget() -> None:
    assert budget_of("heroic") == budget_of(None) == budget_of("medium")


@pytest.mark.parametrize(
    ("effort", "known", "nearest"),
    [
        ("low", (), "low"),
        ("heroic", (), "heroic"),
        ("heroic", ("low",), None),
        ("minimal", ("low", "high", "max"), "low"),
        ("medium", ("low", "high", "max"), "high"),  # of two that are as near, the greater
        ("xhigh", ("low", "medium", "high"), "high"),
        ("xhigh", ("high", "max"), "max"),
        ("low", ("on",), None),
    ],
)
def test_the_nearest_effort_that_a_host_knows(effort: str, known: tuple[str, ...], nearest: str) -> None:
    assert nearest_effort(effort, known) == nearest
