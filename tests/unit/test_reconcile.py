"""Our lines and a bill's, compared: what agrees, what does not, and the sums of each."""

from datetime import UTC

import msgspec
import pytest

from tokenweir.billing.bill import BillLine, Period, Section
from tokenweir.billing.reconcile import OurLine, Outcome, Result, reconcile
from tokenweir.core.usage import TOKEN_CLASSES

DAYS = [Period(n * 86_400_000_000, (n + 1) * 86_400_000_000, f"day {n}") for n in range(3)]
SECTION = Section(
    name="days",
    grain="day",
    zone=UTC,
    by_model=True,
    items={},
    counts={"": TOKEN_CLASSES},
    has_money=True,
    decimals=12,
    lines=(),
    left_out=0,
)
PARTED = msgspec.structs.replace(
    SECTION,
    items={"input": ("input",), "output+reasoning": ("output", "reasoning")},
    counts={"input": ("input",), "output+reasoning": ("output", "reasoning")},
)


def theirs(day: int = 0, **fields: object) -> BillLine:
    line = BillLine(
        period=DAYS[day],
        model="M",
        item="",
        tokens={"": 10},
        amount_pico=100,
        currency="CNY",
        slack_pico=0,
        file="b.csv",
        row=2,
    )
    return msgspec.structs.replace(line, **fields)


def ours(day: int = 0, **fields: object) -> OurLine:
    line = OurLine(period=DAYS[day], model="m", token_class="input", tokens=10, cost_pico=100, currency="CNY")
    return msgspec.structs.replace(line, **fields)


def compared(
    bill: list[BillLine], ledger: list[OurLine], section: Section = SECTION, tolerance: int = 0
) -> Result:
    return reconcile(section, bill, ledger, str.lower, tolerance)


def cells(result: Result) -> dict[Outcome, int]:
    return {outcome: len(group.cells) for outcome, group in result.groups.items() if group.cells}


def test_the_same_on_both_sides_matches_whatever_the_case_of_a_name() -> None:
    result = compared([theirs()], [ours(tokens=4, cost_pico=60), ours(tokens=6, cost_pico=40)])
    assert cells(result) == {Outcome.MATCHED: 1}
    assert result.agrees
    assert result.groups[Outcome.MATCHED].ours.money == {"CNY": 100}


def test_what_differs_is_told_with_both_sides_and_the_difference() -> None:
    result = compared([theirs(row=2), theirs(row=3)], [ours()])
    (cell,) = result.groups[Outcome.DIFFERENT].cells
    assert [(f.measure, f.ours, f.theirs, f.theirs_more) for f in cell.figures()] == [
        ("", 10, 20, 10),
        ("CNY", 100, 200, 100),
    ]
    assert cell.rows == (("b.csv", 2), ("b.csv", 3))
    assert not result.agrees


def test_what_only_one_side_has_stands_apart() -> None:
    result = compared([theirs(0), theirs(1, model="other")], [ours(0), ours(2)])
    assert cells(result) == {Outcome.MATCHED: 1, Outcome.OURS_ONLY: 1, Outcome.THEIRS_ONLY: 1}
    assert result.groups[Outcome.OURS_ONLY].ours.money == {"CNY": 100}
    assert result.groups[Outcome.OURS_ONLY].theirs.money == {}
    assert result.groups[Outcome.THEIRS_ONLY].theirs.tokens == {"": 10}


def test_a_bill_can_match_only_to_its_own_precision() -> None:
    rounded = theirs(slack_pico=5)
    assert compared([rounded], [ours(cost_pico=105)]).agrees
    assert not compared([rounded], [ours(cost_pico=106)]).agrees
    two = [theirs(slack_pico=5, tokens={"": 5}), theirs(slack_pico=5, tokens={"": 5})]
    assert compared(two, [ours(cost_pico=190)]).agrees  # each row may be off
    assert not compared(two, [ours(cost_pico=189)]).agrees


def test_a_tolerance_is_for_money_alone() -> None:
    assert compared([theirs()], [ours(cost_pico=90)], tolerance=10).agrees
    assert not compared([theirs()], [ours(cost_pico=89)], tolerance=10).agrees
    assert not compared([theirs()], [ours(tokens=9)], tolerance=10**12).agrees
    money_alone = msgspec.structs.replace(SECTION, counts={})
    assert compared([], [ours(cost_pico=7)], money_alone, tolerance=7).agrees


def test_currencies_are_never_added() -> None:
    result = compared([theirs(currency="CNY")], [ours(currency="USD")])
    group = result.groups[Outcome.DIFFERENT]
    assert (group.ours.money, group.theirs.money) == ({"USD": 100}, {"CNY": 100})
    assert [f.theirs_more for f in group.cells[0].figures() if f.is_money] == [100, -100]


def test_what_is_unpriced_never_counts_as_matched_money() -> None:
    result = compared([theirs(amount_pico=0)], [ours(cost_pico=None, currency="")])
    (cell,) = result.groups[Outcome.DIFFERENT].cells
    assert cell.ours.unpriced_tokens == 10


def test_classes_are_compared_as_the_bill_parts_them() -> None:
    bill = [
        theirs(item="input", tokens={"input": 3}, amount_pico=30),
        theirs(item="output+reasoning", tokens={"output+reasoning": 5}, amount_pico=50),
        theirs(item="video_duration", tokens={}, amount_pico=7),
    ]
    ledger = [
        ours(tokens=3, cost_pico=30),
        ours(token_class="output", tokens=1, cost_pico=10),
        ours(token_class="reasoning", tokens=4, cost_pico=40),
        ours(token_class="cache_read", tokens=9, cost_pico=1),
        ours(token_class="", tokens=0, cost_pico=2),
    ]
    result = compared(bill, ledger, PARTED)
    assert cells(result) == {Outcome.MATCHED: 2, Outcome.OURS_ONLY: 2, Outcome.THEIRS_ONLY: 1}
    assert {cell.item for cell in result.groups[Outcome.OURS_ONLY].cells} == {"cache_read", "unparted"}
    assert result.groups[Outcome.OURS_ONLY].ours.money == {"CNY": 3}


def test_a_bill_without_models_is_compared_with_all_of_ours() -> None:
    whole = msgspec.structs.replace(SECTION, by_model=False)
    bill = [theirs(model="", tokens={"": 30}, amount_pico=300)]
    assert compared(bill, [ours(model=name) for name in "abc"], whole).agrees


def test_requests_are_compared_one_by_one_where_both_sides_know_their_ids() -> None:
    bill = [theirs(request="a"), theirs(request="b", amount_pico=90), theirs(request="d")]
    ledger = [ours(1, request="a"), ours(request="b", cost_pico=110), ours(request="c")]
    result = compared(bill, ledger)
    found = {outcome: [cell.request for cell in group.cells] for outcome, group in result.groups.items()}
    assert found == {
        Outcome.MATCHED: ["a"],
        Outcome.DIFFERENT: ["b"],
        Outcome.OURS_ONLY: ["c"],
        Outcome.THEIRS_ONLY: ["d"],
    }
    by_day = compared(bill, [ours(), ours(cost_pico=90), ours()])
    assert cells(by_day) == {Outcome.MATCHED: 1}


def test_nothing_on_both_sides_is_no_cell() -> None:
    nothing = theirs(tokens={"": 0}, amount_pico=0)
    assert cells(compared([nothing], [])) == {}
    assert cells(compared([nothing], [ours(tokens=0, cost_pico=0)])) == {}
    assert cells(compared([nothing], [ours()])) == {Outcome.OURS_ONLY: 1}


@pytest.mark.parametrize("has_money", [True, False])
def test_a_table_without_money_compares_none(has_money: bool) -> None:
    section = msgspec.structs.replace(SECTION, has_money=has_money)
    bill = [theirs(amount_pico=None, currency="")]
    assert compared(bill, [ours()], section).agrees is not has_money
