"""What is shown of limits and credit is what the writer would decide by, also while calls are under way."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from made_terms import key
from written_ledger import START_US, WrittenLedger

from tokenweir.core.money import PICO
from tokenweir.core.usage import Usage
from tokenweir.ledger import terms as t
from tokenweir.ledger.views import open_reader
from tokenweir.ledger.views.credit import PurseNow, purses_now
from tokenweir.ledger.views.limits import LimitNow, limits_now

DAY_US = 86_400_000_000
A_CALL = 1_000 * 4_000_000 + 100 * 16_000_000  # the dearest that a call of `open` can become, pico of CNY


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[WrittenLedger]:
    ledger = WrittenLedger(tmp_path)
    ledger.change(
        t.SetAccount(t.AccountRecord("acme")),
        t.SetAccount(t.AccountRecord("a", parent="acme", time_zone="Asia/Shanghai")),
        t.SetKey(key("k", "a")),
    )
    with closing(ledger):
        yield ledger


def limits(ledger: WrittenLedger, scope: str = "") -> list[LimitNow]:
    with closing(open_reader(ledger.data)) as connection:
        return limits_now(connection, ledger.clock.now_us(), scope)


def purse(ledger: WrittenLedger, account: str = "acme") -> PurseNow:
    with closing(open_reader(ledger.data)) as connection:
        (found,) = purses_now(connection, ledger.clock.now_us(), account)
    return found


def credit(id: str, pico: int, expires_us: int | None = None) -> t.AddCredit:
    return t.AddCredit(t.Credit(id, "acme", "CNY", pico, START_US, expires_us))


def test_a_limit_shows_what_is_spent_and_what_calls_under_way_hold(ledger: WrittenLedger) -> None:
    ledger.change(
        t.SetLimit("key/k", t.Limit("calls", 2, "at once")),
        t.SetLimit("account/acme", t.Limit("CNY", PICO, "day")),
        t.SetLimit("account/a", t.Limit("tokens", 5_000, "day", model="kimi-*")),
    )
    ledger.end(ledger.open(), Usage(input=10, output=2))
    ledger.open()
    own, top, once = limits(ledger)
    assert (own.scope, own.text, own.limit.model) == ("account/a", "5000 tokens/day", "kimi-*")
    assert (own.spent, own.reserved, own.left) == (12, 1_100, 5_000 - 12 - 1_100)
    assert (top.spent, top.reserved) == (10 * 4_000_000 + 2 * 16_000_000, A_CALL)
    assert (once.spent, once.reserved, once.left, once.renews_at_us) == (0, 1, 1, None)
    assert limits(ledger, "key/k") == [once]
    assert limits(ledger, "key/other") == []


def test_a_day_is_that_of_the_account_and_renews(ledger: WrittenLedger) -> None:
    ledger.change(t.SetLimit("account/a", t.Limit("calls", 3, "day")))
    ledger.end(ledger.open(), Usage(input=1))
    (shown,) = limits(ledger)
    assert shown.renews_at_us == START_US + 16 * 3_600_000_000  # midnight in Shanghai
    assert (shown.spent, shown.zone) == (1, "Asia/Shanghai")
    ledger.clock.advance(DAY_US)
    assert limits(ledger)[0].spent == 0


@pytest.mark.parametrize(
    ("unit", "spent"), [("tokens", 33), ("calls", 2), ("CNY", 26 * 4_000_000 + 7 * 16_000_000)]
)
def test_a_limit_that_is_set_late_begins_with_what_its_window_has_seen(
    ledger: WrittenLedger, unit: str, spent: int
) -> None:
    ledger.end(ledger.open(), Usage(input=10, cache_read=5, output=4, reasoning=1))
    ledger.end(ledger.open(), Usage(input=11, output=2))
    ledger.change(t.SetLimit("account/acme", t.Limit(unit, PICO, "month")))
    assert limits(ledger)[0].spent == spent


def test_a_limit_that_was_lowered_has_nothing_left_rather_than_less(ledger: WrittenLedger) -> None:
    ledger.change(t.SetLimit("key/k", t.Limit("tokens", 10_000, "total")))
    ledger.open()
    ledger.change(t.SetLimit("key/k", t.Limit("tokens", 10, "total")))
    (shown,) = limits(ledger)
    assert (shown.reserved, shown.left) == (1_100, 0)


def test_credit_is_shown_as_it_is_drawn(ledger: WrittenLedger) -> None:
    ledger.change(credit("late", PICO), credit("soon", 60_000_000, START_US + DAY_US))
    ledger.end(
        ledger.open(), Usage(input=20)
    )  # 80,000,000 pico: the credit that expires first, then the other
    call = ledger.open()
    shown = purse(ledger)
    drawn = {now.credit.id: (now.drawn_pico, now.left_pico, now.expired) for now in shown.credits}
    assert drawn == {"late": (20_000_000, PICO - 20_000_000, False), "soon": (60_000_000, 0, False)}
    assert (shown.balance_pico, shown.reserved_pico) == (PICO - 20_000_000, A_CALL)
    assert shown.available_pico == shown.balance_pico - A_CALL
    ledger.end(call, Usage())
    ledger.clock.advance(DAY_US)
    ended = next(now for now in purse(ledger).credits if now.credit.id == "soon")
    assert ended.expired
    assert ended.left_pico == 0


def test_an_allowance_of_tokens_then_what_is_beyond_it(ledger: WrittenLedger) -> None:
    plan = t.Plan(
        "team", "CNY", fee_pico=99 * PICO, allowance=2_000, allowance_unit="tokens", from_us=START_US
    )
    ledger.change(t.SetAccount(t.AccountRecord("acme", beyond_credit="bill")), t.SetPlan("acme", plan))
    ledger.end(ledger.open(), Usage(input=900, output=100))
    ledger.open()
    shown = purse(ledger)
    assert shown.allowance is not None
    assert (shown.allowance.unit, shown.allowance.drawn, shown.allowance.left) == ("tokens", 1_000, 1_000)
    assert (shown.plan, shown.beyond_credit) == (plan, "bill")
    ledger.end(ledger.open(), Usage(input=2_000))
    over = purse(ledger)
    assert over.allowance is not None
    assert over.allowance.left == 0
    assert over.overage_pico == 1_000 * 4_000_000
    assert over.owed_pico == 0


def test_a_debt_stands_against_the_balance(ledger: WrittenLedger) -> None:
    ledger.change(credit("c", 10 * A_CALL))
    call = ledger.open()
    ledger.change(t.EndCredit("acme", "c", ledger.clock.now_us()))
    ledger.clock.advance(1)
    ledger.end(call, Usage(input=1))
    shown = purse(ledger)
    assert shown.credits[0].expired
    assert (shown.owed_pico, shown.balance_pico) == (4_000_000, -4_000_000)


def test_an_account_without_credit_or_plan_has_no_purse(ledger: WrittenLedger) -> None:
    with closing(open_reader(ledger.data)) as connection:
        assert purses_now(connection, START_US) == []
