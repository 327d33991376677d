"""What the changes of terms say of invoices: whom they cover, what is held before, and whose fee is asked when."""

import pytest

from tokenweir.billing.books import Books, open_books
from tokenweir.billing.months import last_day, month_at, month_bounds, months
from tokenweir.billing.price_book import PriceBook
from tokenweir.catalog.charges import ChargeRule
from tokenweir.ledger.terms import (
    AccountRecord,
    Audited,
    Change,
    Invoice,
    IssueInvoice,
    Plan,
    RemoveCharge,
    SetAccount,
    SetCharge,
    SetPlan,
)

DAY_US = 86_400_000_000


def audited(*changes: tuple[str, Change]) -> list[Audited]:
    """Changes made on days of UTC, one after the other."""
    return [
        Audited(seq=seq, at_us=month_bounds(day[:7], "UTC")[0] + (int(day[8:]) - 1) * DAY_US, actor="t", after_seq=seq * 10, change=change)
        for seq, (day, change) in enumerate(changes, 1)
    ]  # fmt: skip


def invoice(account: str, month: str, number: int, upto_change: int) -> IssueInvoice:
    until_us = month_bounds(month, "UTC")[1]
    made = Invoice(f"{month}-{number:04d}", account, month, until_us, number * 100, (), number, upto_change)
    return IssueInvoice(made)


def account(id: str, parent: str = "", **fields: object) -> SetAccount:
    return SetAccount(AccountRecord(id, parent, **fields))  # type: ignore[arg-type]


def fees(books: Books, account: str, month: str) -> list[tuple[str, str, str]]:
    return [(fee.account, fee.plan, fee.month) for fee in books.fees(account, month)]


def test_months_are_those_of_a_zones_clocks() -> None:
    start_us, end_us = month_bounds("2026-11", "Asia/Shanghai")
    assert month_bounds("2026-11", "UTC")[0] - start_us == 8 * 3_600_000_000
    assert (month_at(start_us, "Asia/Shanghai"), month_at(start_us - 1, "Asia/Shanghai")) == (
        "2026-11",
        "2026-10",
    )
    assert month_at(end_us, "UTC") == "2026-11"
    assert list(months("2026-11", "2027-02")) == ["2026-11", "2026-12", "2027-01", "2027-02"]
    assert last_day("2028-02") == "2028-02-29"


@pytest.mark.parametrize("month", ["2026-13", "2026-00", "2026", "11-2026", "1026-11", "2026-11-01", ""])
def test_what_is_no_month_is_told(month: str) -> None:
    with pytest.raises(ValueError, match="write it as 2026-11"):
        month_bounds(month, "UTC")


def test_an_invoice_covers_the_tree_it_was_reckoned_by() -> None:
    books = open_books(
        audited(
            ("2026-11-01", account("org")),
            ("2026-11-01", account("team", "org")),
            ("2026-12-01", invoice("org", "2026-11", 1, upto_change=2)),
            ("2026-12-02", account("team", "")),
            ("2027-01-01", invoice("org", "2026-12", 2, upto_change=4)),
        )
    )
    assert [sorted(one.accounts) for one in books.issued] == [["org", "team"], ["org"]]
    held = books.scope("team", 0, 0).held_before()["team"]
    assert [one.upto_seq for one in held] == [100]
    assert [one.upto_seq for one in books.scope("org", 0, 0).held_before()["org"]] == [200]


def test_of_invoices_that_hold_less_in_every_way_nothing_is_asked() -> None:
    books = open_books(
        audited(
            ("2026-10-01", account("a")),
            ("2026-12-01", invoice("a", "2026-10", 1, 1)),
            ("2026-12-02", invoice("a", "2026-11", 2, 2)),
        )
    )
    assert [one.upto_seq for one in books.scope("a", 0, 0).held_before()["a"]] == [200]


def test_every_month_of_a_plan_is_asked_for_once() -> None:
    steps = [
        ("2026-09-10", account("a")),
        ("2026-09-15", SetPlan("a", Plan("small", "CNY", 10))),
        ("2026-11-20", SetPlan("a", Plan("large", "CNY", 30, from_us=month_bounds("2026-12", "UTC")[0]))),
    ]
    assert fees(open_books(audited(*steps)), "a", "2026-10") == [
        ("a", "small", "2026-09"),
        ("a", "small", "2026-10"),
    ]
    steps.append(("2026-11-01", invoice("a", "2026-10", 1, 3)))
    books = open_books(audited(*steps))
    assert fees(books, "a", "2026-12") == [("a", "small", "2026-11"), ("a", "large", "2026-12")]
    assert fees(books, "a", "2026-10") == []
    steps.append(("2026-12-24", SetPlan("a", None)))
    assert fees(open_books(audited(*steps)), "a", "2027-03") == [
        ("a", "small", "2026-11"),
        ("a", "large", "2026-12"),
    ]


def test_an_account_that_is_closed_pays_no_further_fees() -> None:
    closed_us = month_bounds("2026-11", "UTC")[0] + DAY_US
    steps = audited(
        ("2026-09-10", account("org")),
        ("2026-09-10", account("a", "org")),
        ("2026-10-01", SetPlan("a", Plan("small", "CNY", 10))),
        ("2026-11-02", account("org", closed_us=closed_us)),
    )
    assert [month for _, _, month in fees(open_books(steps), "org", "2027-03")] == ["2026-10", "2026-11"]


def test_a_rule_that_was_taken_away_holds_for_the_calls_before_and_the_tree_is_that_of_then() -> None:
    steps = audited(
        ("2026-11-01", account("org")),
        ("2026-11-01", account("team", "org")),
        ("2026-11-01", SetCharge("org", ChargeRule(markup_bp=10))),
        ("2026-11-01", SetCharge("", ChargeRule(markup_bp=99))),
        ("2026-11-10", RemoveCharge("org", "*", 0)),
        ("2026-11-11", account("team", "")),
    )
    book, taken_us = PriceBook(steps), steps[4].at_us

    def markup(account: str, at_us: int, seq: int) -> int:
        rule = book.rule(account, "m", at_us, seq)
        assert rule is not None
        return rule.markup_bp

    assert markup("team", taken_us - 1, 45) == 10
    assert markup("team", taken_us, 55) == 99
    assert markup("team", taken_us - 1, 65) == 99  # it stood no longer under org
    assert PriceBook([]).rule("team", "m", 0, 0) is None
