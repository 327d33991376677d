"""Invoices over random calls, corrections, moves in the tree and moments of issue: nothing is billed twice, nothing is left out."""

import tempfile
from contextlib import suppress
from pathlib import Path

from billed_ledger import CNY, DAY_US, DEARER, USD, Books
from hypothesis import given, settings
from hypothesis import strategies as st

from tokenweir.billing.invoice import Document
from tokenweir.billing.invoicing import explain, issue, issued, preview, reckon
from tokenweir.billing.months import month_at
from tokenweir.core.usage import TOKEN_CLASSES, Provenance, Usage
from tokenweir.ledger.entries import ENDS, Entry, Kind
from tokenweir.ledger.messages import CloseAttempt
from tokenweir.ledger.terms import AccountRecord, AddCredit, Credit, Plan, SetAccount, SetPlan
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import entries, open_reader

ACCOUNTS = ("org", "team", "other")
PRICES = (CNY, DEARER, USD, None)
COUNTS = st.integers(0, 5_000)
USAGES = st.builds(
    Usage,
    input=COUNTS,
    cache_read=COUNTS,
    output=COUNTS,
    provenance=st.sampled_from([Provenance.REPORTED, Provenance.COUNTED]),
) | st.just(Usage(provenance=Provenance.UNKNOWN))
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.sampled_from(ACCOUNTS), USAGES, st.sampled_from(PRICES), st.sampled_from(PRICES)),
        st.tuples(st.just("twice"), st.sampled_from(ACCOUNTS), USAGES, st.sampled_from(PRICES), st.sampled_from(PRICES)),
        st.tuples(st.just("interrupted"), st.sampled_from(ACCOUNTS), USAGES, st.sampled_from(PRICES), st.integers(-3, 0)),
        st.tuples(st.just("reprice"), st.integers(0, 9), st.sampled_from(PRICES), st.sampled_from(PRICES)),
        st.tuples(st.just("wait"), st.integers(1, 20)),
        st.tuples(st.just("issue"), st.sampled_from(ACCOUNTS)),
        st.tuples(st.just("move"), st.sampled_from(["", "org"])),
    ),
    max_size=14,
)  # fmt: skip


def standing(found: list[tuple[int, Entry]]) -> list[tuple[int, Entry]]:
    """What counts of each attempt, found without the ledger's own SQL."""
    last: dict[tuple[bytes, bytes], tuple[int, Entry]] = {}
    for seq, entry in found:
        if entry.kind in ENDS:
            last[entry.call, b"end"] = seq, entry
        elif entry.kind in (Kind.ATTEMPT, Kind.REPRICED_ATTEMPT):
            last[entry.call, entry.attempt] = seq, entry
    return list(last.values())


def money(documents: list[Document]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for total in (total for document in documents for total in document.totals):
        sums[total.currency] = sums.get(total.currency, 0) + total.charges + total.corrections
    return {currency: pico for currency, pico in sums.items() if pico}


def play(books: Books, steps: list[tuple[object, ...]]) -> None:
    closed: list[CloseAttempt] = []
    for number, (what, *words) in enumerate(steps):
        books.clock.advance(DAY_US // 7)
        match what, *words:
            case "call", account, usage, price, charge:
                closed.append(books.call(account, usage, price, charge=charge))
            case "twice", account, usage, price, charge:
                opened = books.open(account)
                closed.append(books.close(opened, usage, price, charge, final=False))
                closed.append(books.close(opened, Usage(input=7), price, ordinal=2))
            case "interrupted", account, usage, price, days:
                opened = books.open(account)
                books.journal.interrupt([opened.call])
                books.journal.commit()
                at_us = books.clock.now_us() + days * DAY_US
                closed.append(books.close(opened, usage, price, at_us=at_us))
            case "reprice", index, price, charge if closed:
                books.reprice(closed[index % len(closed)], price, f"c{number}", charge)
            case "wait", days:
                books.clock.advance(days * DAY_US)
            case "move", parent:
                books.change(SetAccount(AccountRecord("team", parent)))
            case "issue", account:
                books.let_others_write(lambda account=account: issue_last_month(books, account))
            case _:
                pass


def issue_all(books: Books, steps: list[tuple[object, ...]]) -> None:
    """Steps, and an invoice of each account when they are over."""
    for id, parent in (("org", ""), ("team", "org"), ("other", "")):
        books.account(id, parent)
    play(books, steps)
    books.clock.advance(70 * DAY_US)
    for account in ACCOUNTS:
        books.let_others_write(lambda account=account: issue_last_month(books, account))


def issue_last_month(books: Books, account: str) -> None:
    month = month_at(books.clock.now_us() - 31 * DAY_US, "UTC")
    with suppress(ValueError):  # it holds a later month
        issue(books.data, account, month, books.clock, "test")


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_all_invoices_of_an_account_come_to_what_its_calls_are_charged(
    steps: list[tuple[object, ...]],
) -> None:
    with tempfile.TemporaryDirectory() as directory, Books(Path(directory)) as books:
        issue_all(books, steps)
        connection = open_reader(books.data)
        documents = [reckon(connection, one.invoice.id) for one in issued(connection)]
        stands = standing(list(entries(connection)))
        charged: dict[str, int] = {}
        for _, entry in stands:
            pico, currency = entry.pays
            charged[currency] = charged.get(currency, 0) + pico
        assert money(documents) == {currency: pico for currency, pico in charged.items() if currency and pico}
        for document in documents:
            assert_explained(connection, document)
        for account in ACCOUNTS:  # nothing is left
            assert money([preview(connection, account, "2027-12")]) == {}
        connection.close()
        assert verify(books.data).problems == ()


def assert_explained(connection, document: Document) -> None:  # type: ignore[no-untyped-def]
    """Every line is the sum of the entries behind it."""
    for line in (*document.lines, *document.corrections):
        token_class, found = explain(connection, document, line.number)
        behind = list(found)
        assert token_class == line.token_class
        classes = [token_class] if token_class else TOKEN_CLASSES
        tokens = sum(sign * getattr(e.usage, name) for sign, _, e in behind for name in classes)
        assert tokens == line.tokens
        assert sum(sign for sign, _, _ in behind) == line.entries
        if line.rate_pico is not None:
            assert line.pico == tokens * line.rate_pico


@settings(max_examples=30, deadline=None)
@given(
    steps=STEPS,
    credit=st.integers(0, 10**11),
    allowance=st.integers(0, 20_000),
    unit=st.sampled_from(["CNY", "tokens"]),
    overage_bp=st.integers(0, 5_000),
)
def test_what_is_due_and_what_was_paid_come_to_what_is_charged(
    steps: list[tuple[object, ...]], credit: int, allowance: int, unit: str, overage_bp: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, Books(Path(directory)) as books:
        for id, parent in (("org", ""), ("team", "org"), ("other", "")):
            books.account(id, parent, beyond_credit="bill")
        included = allowance if unit == "tokens" else allowance * 10**6
        plan = Plan("plan", "CNY", 3 * 10**12, included, unit, overage_bp)
        books.change(SetPlan("org", plan), AddCredit(Credit("top-up", "team", "CNY", credit + 1, 0)))
        play(books, steps)
        books.clock.advance(70 * DAY_US)
        for account in ACCOUNTS:
            books.let_others_write(lambda account=account: issue_last_month(books, account))
        connection = open_reader(books.data)
        documents = [reckon(connection, one.invoice.id) for one in issued(connection)]
        drawn: dict[str, int] = {}
        for one in (one for document in documents for one in document.paid):
            window = f"credit/{one.credit}" if one.credit else one.what
            drawn[f"{window} {one.unit}"] = drawn.get(f"{window} {one.unit}", 0) + one.amount
        kept = connection.execute(
            "SELECT window || ' ' || unit, sum(amount_high * 1000000000000 + amount_low) FROM spent "
            "WHERE window <> 'overage' GROUP BY 1"
        )
        assert {n: a for n, a in drawn.items() if a} == {n: a for n, a in kept if a}
        beyond = connection.execute(
            "SELECT coalesce(sum(amount_high * 1000000000000 + amount_low), 0) FROM spent WHERE window = 'overage' "
            "AND scope = 'account/org'"
        ).fetchone()[0]
        asked = sum(s.beyond_pico for d in documents for s in d.surcharges)
        assert asked == (beyond if overage_bp else 0)
        fees = [(fee.account, fee.month) for document in documents for fee in document.fees]
        assert len(fees) == len(set(fees))
        connection.close()
