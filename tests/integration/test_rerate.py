"""A span of the ledger priced anew, over a ledger that the writer's own journal wrote."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from billed_ledger import CNY, DAY_US, DEARER, USD, Books

from tokenweir.billing import correcting, invoicing
from tokenweir.billing.answer import invoice_answer
from tokenweir.billing.invoice import Document
from tokenweir.billing.invoicing import issue, reckon
from tokenweir.billing.page import invoice_page
from tokenweir.billing.rerate import Request, rerate
from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import Bracket, Price
from tokenweir.catalog.pricing import cost
from tokenweir.core.errors import LedgerError
from tokenweir.core.ids import uuid7
from tokenweir.core.money import format_pico
from tokenweir.core.usage import Provenance, Usage
from tokenweir.ledger.entries import Kind
from tokenweir.ledger.messages import Checkpoint, Reprice
from tokenweir.ledger.terms import (
    AccountRecord,
    ExchangeRate,
    NoteCorrection,
    RemoveCharge,
    SetAccount,
    SetCharge,
    SetRate,
)
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import calls, entries, open_reader, total, usage
from tokenweir.ledger.views.standing import Asked
from tokenweir.ledger.views.terms import changes

USED = Usage(input=1_000, output=100)
CORRECT = Price("vendor, corrected", "CNY", (Bracket(0, DEARER.rates),))
PRICES = {"up": (CORRECT,), "down": ()}


@pytest.fixture
def books(tmp_path: Path) -> Iterator[Books]:
    with Books(tmp_path) as made:
        for id, parent in (("org", ""), ("team", "org"), ("other", "")):
            made.account(id, parent)
        yield made


def prices_of(upstream: str, deployment: str) -> tuple[Price, ...]:
    return PRICES.get(upstream, ())


def again(books: Books, dry_run: bool = False, account: str = "", **asked: object):  # type: ignore[no-untyped-def]
    request = Request(Asked(**asked), account, "the vendor's price was wrong")  # type: ignore[arg-type]
    return books.let_others_write(
        lambda: rerate(books.data, request, prices_of, books.clock, "command line", dry_run=dry_run)
    )


def cost_of(books: Books) -> dict[str, int]:
    connection = open_reader(books.data)
    try:
        return total(usage(connection, ("model",))).cost_pico
    finally:
        connection.close()


def test_what_differs_is_corrected_once_and_noted_with_its_reason(books: Books) -> None:
    books.call("team", USED)
    books.call("team", USED, CNY, upstream="down")  # has no price now: keeps the one it has
    tried = again(books, dry_run=True)
    assert (tried.attempts, tried.difference.entries) == (2, 1)
    assert cost_of(books) == {"CNY": 2 * 5_600_000_000}
    done = again(books)
    assert done == tried
    assert done.difference.cost_before == {"CNY": 5_600_000_000}
    assert done.difference.cost_after == {"CNY": 7_000_000_100}
    assert cost_of(books) == {"CNY": 5_600_000_000 + 7_000_000_100}
    assert again(books).difference.entries == 0
    noted = [a for a in changes(books.data) if isinstance(a.change, NoteCorrection)]
    assert [(a.actor, a.change) for a in noted] == [
        ("command line", NoteCorrection(done.correction, "rerate", "the vendor's price was wrong", 1))
    ]
    assert verify(books.data).problems == ()


def test_what_was_unpriced_is_priced_and_what_is_unknown_stays_so(books: Books) -> None:
    books.call("team", USED, None)
    books.call("team", Usage(provenance=Provenance.UNKNOWN), None)
    found = again(books).difference
    assert (found.entries, found.priced) == (1, 1)
    connection = open_reader(books.data)
    assert [(c.cost_pico, c.unpriced) for c in calls(connection)] == [
        ({}, False),
        ({"CNY": 7_000_000_100}, False),
    ]
    assert total(usage(connection, ("model",))).unknown_calls == 1
    connection.close()
    assert verify(books.data).problems == ()


def test_an_attempt_before_the_last_is_corrected_as_well(books: Books) -> None:
    opened = books.open("team")
    books.close(opened, USED, final=False)
    under_way = books.open("team")
    books.close(under_way, USED, final=False)  # its call goes on: nothing to correct yet
    books.close(opened, USED, ordinal=2)
    assert again(books).difference.entries == 2
    assert again(books).difference.entries == 0
    books.close(under_way, USED, ordinal=2)
    assert again(books).difference.entries == 2
    assert cost_of(books) == {"CNY": 4 * 7_000_000_100}
    assert verify(books.data).problems == ()


def test_only_what_is_asked_for(books: Books) -> None:
    books.call("team", USED, model="kimi-k2")
    books.clock.advance(DAY_US)
    since_us = books.clock.now_us()
    books.call("other", USED, model="qwen-max")
    for asked in ({"since_us": since_us}, {"model": "qwen*"}, {"account": "other"}, {"until_us": since_us}):
        assert again(books, dry_run=True, **asked).difference.entries == 1
    assert again(books, dry_run=True, account="org").difference.entries == 1
    books.call("other", USED, upstream="down")
    assert again(books, dry_run=True, upstream="down").difference.entries == 0
    assert again(books, dry_run=True, upstream="up").difference.entries == 2
    with pytest.raises(ValueError, match=r"the ledger has no call of upstream 'upp': down, up$"):
        again(books, upstream="upp")
    with pytest.raises(ValueError, match="there is no account 'nobody'"):
        again(books, account="nobody")


def test_charges_go_by_the_price_book_as_it_was_with_what_was_set_right_since(books: Books) -> None:
    books.change(SetCharge("org", ChargeRule(markup_bp=2_500)))
    books.call("team", USED)  # as if its worker had not known the rule yet
    books.clock.advance(DAY_US)
    books.change(RemoveCharge("org", "*", 0), SetAccount(AccountRecord("team", "")))
    books.call("team", USED)
    found = again(books).difference
    assert found.charge_before == {}
    assert found.charge_after == {"CNY": 1_000 * 6_250_000 + 100 * 25_000_002}
    own = Price("price book", "USD", (Bracket(0, USD.rates),))
    books.change(SetCharge("team", ChargeRule(price=own, valid_from_us=books.clock.now_us() - DAY_US // 2)))
    corrected = again(books).difference
    assert (corrected.entries, corrected.charge_after) == (1, {"USD": 1_000 * 700_001 + 100 * 2_100_003})
    assert verify(books.data).problems == ()


def test_cut_off_halfway_the_same_again_finishes_it(books: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        books.call("team", USED)
    monkeypatch.setattr(correcting, "AT_ONCE", 2)
    written = correcting.correct
    steps: list[int] = []

    def breaks(*words) -> None:  # type: ignore[no-untyped-def]
        steps.append(1)
        if len(steps) == 2:
            raise LedgerError("the power is gone")
        written(*words)

    monkeypatch.setattr(correcting, "correct", breaks)
    with pytest.raises(LedgerError, match="power"):
        again(books)
    assert cost_of(books) == {"CNY": 2 * 7_000_000_100 + 3 * 5_600_000_000}
    assert verify(books.data).problems == ()
    assert again(books).difference.entries == 3
    assert cost_of(books) == {"CNY": 5 * 7_000_000_100}
    assert len([a for a in changes(books.data) if isinstance(a.change, NoteCorrection)]) == 1


def test_an_invoice_after_it_holds_the_difference(books: Books) -> None:
    books.call("team", USED)
    books.clock.advance(31 * DAY_US)
    november = books.let_others_write(lambda: issue(books.data, "org", "2026-11", books.clock, "test"))
    assert [(line.token_class, line.tokens, line.rate_pico, line.pico) for line in november.lines] == [
        ("input", 1_000, 4_000_000, 4_000_000_000),
        ("output", 100, 16_000_000, 1_600_000_000),
    ]
    again(books)
    books.call("team", Usage(input=1), DEARER)
    books.clock.advance(31 * DAY_US)
    december = books.let_others_write(lambda: issue(books.data, "org", "2026-12", books.clock, "test"))
    assert [(line.tokens, line.pico) for line in december.lines] == [(1, 5_000_000)]
    assert sorted((line.tokens, line.pico) for line in december.corrections) == [
        (-1_000, -4_000_000_000),
        (-100, -1_600_000_000),
        (100, 2_000_000_100),
        (1_000, 5_000_000_000),
    ]
    assert december.totals[0].corrections == 7_000_000_100 - 5_600_000_000
    connection = open_reader(books.data)
    assert (
        reckon(connection, november.id).lines == november.lines
    )  # an invoice that was issued stays what it was
    connection.close()


def test_a_late_report_from_before_the_month_ended_counts_where_it_belongs(books: Books) -> None:
    books.clock.advance(30 * DAY_US - 1_000_000)
    opened = books.open("team")
    books.clock.advance(3_000_000)  # December has begun when its worker is given up
    books.journal.interrupt([opened.call])
    books.journal.commit()
    books.close(opened, USED, at_us=books.clock.now_us() - 2_500_000)  # but it ended in November
    november = books.let_others_write(lambda: issue(books.data, "org", "2026-11", books.clock, "test"))
    assert november.totals[0].charges == 5_600_000_000
    books.clock.advance(31 * DAY_US)
    december = books.let_others_write(lambda: issue(books.data, "org", "2026-12", books.clock, "test"))
    assert (december.lines, december.corrections, december.gaps) == ((), (), ())


def test_what_is_due_is_told_in_one_currency_by_the_rates_of_the_months_last_day(books: Books) -> None:
    books.call("team", USED)
    books.call("team", Usage(input=1_000), USD)
    books.clock.advance(31 * DAY_US)
    for day, rate_pico in (("2026-11-29", 71 * 10**11), ("2026-12-01", 72 * 10**11)):
        books.change(SetRate(ExchangeRate("USD", "CNY", day, rate_pico, "bank")))
    document = books.let_others_write(lambda: issue(books.data, "org", "2026-11", books.clock, "test"))
    told = invoice_answer(document, "CNY").converted
    assert told is not None and [(rate.day, rate.rate) for rate in told.rates] == [("2026-11-29", "7.1")]
    assert told.due == format_pico(5_600_000_000 + 700_001_000 * 71 // 10)
    apart = invoice_answer(document, "EUR").converted
    assert apart is not None and (apart.due, apart.apart) == ("0", {"CNY": "0.0056", "USD": "0.000700001"})
    assert "7.1 CNY, 2026-11-29, bank" in invoice_page(invoice_answer(document, "CNY"), "en")


def test_each_attempt_is_priced_at_the_moment_it_was_made(books: Books) -> None:
    books.call("team", USED)
    opened = books.open("team")
    books.clock.advance(2_000_000)
    late = msgspec.structs.replace(CORRECT, valid_from_us=books.clock.now_us() - 1_000_000)
    books.close(opened, USED)  # it was sent before that price began, and answered after
    books.call("team", USED)
    for priced_at, differ in (("start", 1), ("end", 2)):
        dated = msgspec.structs.replace(late, priced_at=priced_at)
        found = books.let_others_write(
            lambda dated=dated: rerate(
                books.data, Request(Asked(), "", ""), lambda *_: (dated,), books.clock, "test", dry_run=True
            )
        )
        assert found.difference.entries == differ


def test_of_two_invoices_reckoned_at_once_the_second_is_reckoned_anew(
    books: Books, monkeypatch: pytest.MonkeyPatch
) -> None:
    books.call("team", USED)
    books.clock.advance(31 * DAY_US)
    known = invoicing.make_changes
    others: list[Document] = []

    def meanwhile(*words) -> str:  # type: ignore[no-untyped-def]
        monkeypatch.setattr(invoicing, "make_changes", known)
        others.append(issue(books.data, "team", "2026-11", books.clock, "somebody else"))
        return known(*words)

    monkeypatch.setattr(invoicing, "make_changes", meanwhile)
    second = books.let_others_write(lambda: issue(books.data, "org", "2026-11", books.clock, "test"))
    assert [(other.number, len(other.lines)) for other in others] == [(1, 2)]
    assert (second.number, second.lines) == (2, ())


def test_a_correction_of_what_a_late_report_has_changed_meanwhile_waits_for_the_next(tmp_path: Path) -> None:
    first, whole = Usage(input=100), Usage(input=100, output=7)
    with Books(tmp_path) as books:
        books.account("team")
        opened = books.open("team")
        attempt = uuid7(opened.at_us, (1).to_bytes(10, "big"))
        now_us = books.clock.now_us()
        seen = books.amount(CNY, first)
        books.journal.apply(Checkpoint(0, opened.call, attempt, 1, now_us, "up", "up/m", first, *seen))
        books.journal.interrupt([opened.call])
        books.journal.commit()
        planned = Reprice(0, opened.call, attempt, first, "c1", *books.amount(DEARER, first))
        assert books.close(opened, whole).attempt == attempt
        books.journal.apply(planned)
        books.journal.commit()
        anew = msgspec.structs.replace(planned, usage=whole, cost_pico=cost(DEARER, whole))
        books.journal.apply(anew)
        books.journal.commit()
    assert verify(tmp_path).problems == ()
    db = open_reader(tmp_path)
    kinds = [(entry.kind, entry.usage, entry.cost_pico) for _, entry in entries(db)][2:]
    db.close()
    assert kinds == [
        (Kind.SETTLED, first, cost(CNY, first)),
        (Kind.LATE, whole, cost(CNY, whole)),
        (Kind.REPRICED, whole, cost(DEARER, whole)),
    ]
