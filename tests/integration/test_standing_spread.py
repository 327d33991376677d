"""Subscriptions and machines spread over the calls that used them, over a ledger that the writer's own journal wrote."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from billed_ledger import DAY_US, HOUR_US, NOVEMBER_US, Books

from tokenweir.billing import correcting
from tokenweir.billing.spread import Spread, spread, spread_upstream
from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import AppliedPrice, Bracket, Price, Rates
from tokenweir.core.errors import LedgerError
from tokenweir.core.usage import Provenance, Usage
from tokenweir.ledger.known_terms import standing_price
from tokenweir.ledger.terms import NoteCorrection, SetCharge, SetStandingCost, StandingCost
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import call_detail, open_reader, total, usage
from tokenweir.ledger.views.terms import changes

PLAN = StandingCost("coding-plan", "up", "CNY", 199 * 10**12, "month")
MONTH = "2026-11"


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path) as made:
        made.account("team")
        made.change(SetStandingCost(PLAN))
        yield made


def used(books: Books, tokens: int, price: AppliedPrice | None = None, **more: object) -> bytes:
    return books.call("team", Usage(input=tokens), price or standing_price(PLAN), **more).call


def over(books: Books) -> None:
    books.clock.advance(max(0, NOVEMBER_US + 30 * DAY_US + HOUR_US - books.clock.now_us()))


def spread_now(books: Books, id: str = "coding-plan", dry_run: bool = False) -> Spread:
    over(books)
    return books.let_others_write(
        lambda: spread(books.data, id, MONTH, books.clock, "command line", dry_run=dry_run)
    )


def cost_of(books: Books, call: bytes) -> int | None:
    connection = open_reader(books.data)
    detail = call_detail(connection, call)
    connection.close()
    assert detail is not None and detail.row is not None
    return detail.row.cost_pico.get("CNY")


def spent(books: Books):  # type: ignore[no-untyped-def]
    connection = open_reader(books.data)
    try:
        return total(usage(connection, ("model",)))
    finally:
        connection.close()


def test_a_subscription_is_spread_by_tokens_to_the_last_pico(books: Books) -> None:
    found = [used(books, tokens) for tokens in (1, 2, 4)]
    elsewhere = used(books, 5, upstream="elsewhere")
    assert spent(books).unpriced_calls == 0
    assert spread_now(books, dry_run=True).difference.cost_after == {"CNY": 199 * 10**12}
    assert spent(books).cost_pico == {"CNY": 0}
    done = spread_now(books)
    assert done.costs == {"coding-plan": 199 * 10**12} and done.idle == {} and done.attempts == 3
    assert [cost_of(books, call) for call in found] == [28_428571_428571, 56_857142_857143, 113_714285_714286]
    assert cost_of(books, elsewhere) == 0
    assert spent(books).cost_pico == {"CNY": 199 * 10**12}
    assert spread_now(books).correction == ""
    assert verify(books.data).problems == ()


def test_machines_are_spread_by_the_time_calls_took(books: Books) -> None:
    gpus = StandingCost(
        "gpus", "box", "CNY", 12 * 10**12, "hour", units=8, spread_by="time",
        from_us=NOVEMBER_US + 29 * DAY_US, until_us=NOVEMBER_US + 29 * DAY_US + HOUR_US,
    )  # fmt: skip
    books.change(SetStandingCost(gpus))
    early = used(books, 9, upstream="box")
    books.clock.advance(29 * DAY_US)
    one, two = used(books, 9, upstream="box"), used(books, 9_999, upstream="box")
    done = spread_now(books, "gpus")
    assert done.costs == {"gpus": 96 * 10**12}
    assert [cost_of(books, call) for call in (early, one, two)] == [0, 48 * 10**12, 48 * 10**12]
    assert verify(books.data).problems == ()


def test_a_month_without_calls_is_idle_and_not_lost(books: Books) -> None:
    done = spread_now(books)
    assert (done.costs, done.idle, done.attempts) == ({}, {"coding-plan": 199 * 10**12}, 0)
    assert verify(books.data).problems == ()


def test_calls_from_before_it_was_noted_are_no_longer_unpriced_and_unknown_usage_bears_nothing(
    books: Books,
) -> None:
    books.call("team", Usage(input=3), None)
    books.call("team", Usage(provenance=Provenance.UNKNOWN), None)
    assert spent(books).unpriced_calls == 2
    spread_now(books)
    now = spent(books)
    assert (now.unpriced_calls, now.unknown_calls, now.cost_pico) == (1, 1, {"CNY": 199 * 10**12})
    assert verify(books.data).problems == ()


def test_after_a_late_report_it_is_spread_anew(books: Books) -> None:
    early = used(books, 10)
    opened = books.open("team")
    books.journal.interrupt([opened.call])
    books.journal.commit()
    spread_now(books)
    assert cost_of(books, early) == 199 * 10**12
    late_at_us = opened.at_us + 1_000_000
    books.close(opened, Usage(input=30), standing_price(PLAN), at_us=late_at_us)
    assert verify(books.data).problems == ()  # that it is out of date is no difference
    spread_now(books)
    assert cost_of(books, early) == 199 * 10**12 // 4
    assert spent(books).cost_pico == {"CNY": 199 * 10**12}
    assert spread_now(books).correction == ""
    assert verify(books.data).problems == ()


def test_a_corrected_amount_is_spread_anew_and_back(books: Books) -> None:
    used(books, 1), used(books, 2)
    for pico in (199, 300, 199):
        books.change(SetStandingCost(StandingCost("coding-plan", "up", "CNY", pico * 10**12, "month")))
        assert spread_now(books).difference.entries == 2
        assert spent(books).cost_pico == {"CNY": pico * 10**12}
        assert verify(books.data).problems == ()


def test_cut_off_it_is_told_and_finished_by_the_same_again(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tokens in (1, 1, 1, 1):
        used(books, tokens)
    monkeypatch.setattr(correcting, "AT_ONCE", 3)
    written, steps = correcting.correct, []

    def breaks(*words) -> None:  # type: ignore[no-untyped-def]
        steps.append(1)
        if len(steps) == 2:
            raise LedgerError("the power is gone")
        written(*words)

    monkeypatch.setattr(correcting, "correct", breaks)
    with pytest.raises(LedgerError, match="power"):
        spread_now(books)
    (problem,) = verify(books.data).problems
    assert problem.startswith(
        "standing cost coding-plan 2026-11: 149250000000000 pico are spread over calls, of 199000000000000;"
    )
    assert "do it again" in problem
    assert spread_now(books).difference.entries == 1
    assert verify(books.data).problems == ()
    assert spent(books).cost_pico == {"CNY": 199 * 10**12}
    assert len([a for a in changes(books.data) if isinstance(a.change, NoteCorrection)]) == 1


def test_cut_off_and_then_out_of_date_a_later_one_stands_in_its_place(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    for tokens in (1, 1):
        used(books, tokens)
    monkeypatch.setattr(correcting, "AT_ONCE", 2)
    written = correcting.correct
    monkeypatch.setattr(correcting, "correct", lambda data, some, clock: written(data, some[:2], clock))
    spread_now(books)
    monkeypatch.setattr(correcting, "correct", written)
    assert len(verify(books.data).problems) == 1
    opened = books.open("team")
    books.close(opened, Usage(input=2), standing_price(PLAN), at_us=NOVEMBER_US + DAY_US)
    spread_now(books)
    assert verify(books.data).problems == ()
    assert spent(books).cost_pico == {"CNY": 199 * 10**12}


def test_several_costs_of_one_upstream_are_spread_together(books: Books) -> None:
    books.change(SetStandingCost(StandingCost("power", "up", "CNY", 10**12, "month", spread_by="time")))
    call = used(books, 3)
    done = spread_now(books, "power")
    assert done.costs == {"coding-plan": 199 * 10**12, "power": 10**12}
    assert cost_of(books, call) == 200 * 10**12
    books.change(SetStandingCost(StandingCost("licence", "up", "USD", 10**12, "month")))
    with pytest.raises(ValueError, match="in CNY, USD; use one currency"):
        spread_now(books)


def test_a_mark_up_is_charged_on_what_was_spread_and_a_price_of_its_own_stays(books: Books) -> None:
    books.account("reseller")
    own = Price("price book", "CNY", (Bracket(0, Rates(7, 7)),))
    books.change(SetCharge("team", ChargeRule(markup_bp=1_000)), SetCharge("reseller", ChargeRule(price=own)))
    used(books, 1)
    books.call(
        "reseller",
        Usage(input=1),
        standing_price(PLAN),
        charge=AppliedPrice("price book", "CNY", Rates(7, 7)),
    )
    spread_now(books)
    now = spent(books)
    assert now.cost_pico == {"CNY": 199 * 10**12}
    assert now.charge_pico == {"CNY": 199 * 10**12 * 11 // 20 + 7}
    assert verify(books.data).problems == ()


def test_what_cannot_be_spread_is_told(books: Books) -> None:
    with pytest.raises(ValueError, match="2026-11 is not over"):
        spread(books.data, "coding-plan", MONTH, books.clock, "test", dry_run=True)
    with pytest.raises(ValueError, match="there is no standing cost 'plan'"):
        spread(books.data, "plan", MONTH, books.clock, "test", dry_run=True)
    over(books)
    with pytest.raises(ValueError, match="elsewhere has no standing cost in 2026-11"):
        spread_upstream(books.data, "elsewhere", MONTH, books.clock, "test", dry_run=True)
