"""A ledger that has been tampered with: the first difference is named, with what is there and what should be."""

import hashlib
import sqlite3
from pathlib import Path

import msgspec
import pytest
from made_terms import key_with

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid_text
from tokenweir.core.usage import Usage
from tokenweir.ledger import rollups, verify
from tokenweir.ledger.database import DATABASE_NAME
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    Checkpoint,
    CloseAttempt,
    DefinePrice,
    OpenCall,
)
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.views import GROUPS, calls, open_reader, total, usage

START_US = 1_795_392_000_000_000  # 2026-11-23T00:00:00Z
APPLIED = msgspec.json.encode(AppliedPrice("test", "CNY", Rates(input=2, output=3)), order="deterministic")
PRICE = hashlib.blake2b(APPLIED, digest_size=16).hexdigest()


def call_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def close(number: int, used: Usage, *, ordinal: int = 1, final: bool = True) -> CloseAttempt:
    return CloseAttempt(
        0, call_id(number), b"", ordinal, final, START_US + number, "u", "u/m", "m", used, PRICE,
        used.input * 2 + used.output * 3, "CNY", 5, 10, 200, Outcome.OK if final else Outcome.UPSTREAM_BROKE, "",
    )  # fmt: skip


def open_call(number: int) -> OpenCall:
    return OpenCall(0, call_id(number), START_US + number, "k", "a", "", "m", "chat", (), False, 100, 100)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Entries 1 to 9: three calls that were opened, checkpointed or tried twice, and settled."""
    store = Store(tmp_path, "os")
    journal = Journal(store, FakeClock(START_US))
    limits = (Limit("tokens", 10_000, "day"), Limit("calls", 100, "total"))
    assert journal.apply(key_with(limits)) == ""
    journal.apply(DefinePrice(0, PRICE, APPLIED))
    for number in (1, 2, 3):
        journal.apply(open_call(number))
    seen = Usage(input=10, output=2)
    journal.apply(Checkpoint(0, call_id(1), b"", 1, START_US, "u", "u/m", seen, PRICE, 26, "CNY"))
    journal.apply(close(1, Usage(input=10, output=20)))
    journal.apply(close(2, Usage(input=1), ordinal=1, final=False))
    journal.apply(close(2, Usage(input=4, output=5), ordinal=2))
    journal.apply(close(3, Usage(input=7)))
    journal.commit()
    store.close()
    return tmp_path


def tamper(data: Path, *statements: str) -> None:
    db = sqlite3.connect(data / DATABASE_NAME)
    db.execute("DROP TRIGGER entries_are_never_changed")
    db.execute("DROP TRIGGER entries_are_never_removed")
    for statement in statements:
        db.execute(statement)
    db.commit()
    db.close()


ONE = uuid_text(call_id(1))
COPY = "INSERT INTO entries SELECT 9 + {0}, kind, at_us, call, {1}, attempt, account, key, run, model, dialect, upstream, deployment, served_model, input, cache_read, cache_write_5m, cache_write_1h, output, reasoning, provenance, price, cost_pico, currency, ttft_us, duration_us, status, outcome, reason, bound_input, bound_output, reserved_pico, charge_price, charge_pico, charge_currency, covered_tokens, also_reserved, tool_calls, route FROM entries WHERE seq = {2}"

TAMPERED = {
    "a changed cost": (
        "UPDATE entries SET cost_pico = 81 WHERE seq = 5",
        "entry 5: its cost is 81 pico, but its tokens times its price are 80",
    ),
    "changed tokens": (
        "UPDATE entries SET output = 21 WHERE seq = 5",
        "entry 5: its cost is 80 pico, but its tokens times its price are 83",
    ),
    "a removed entry": ("DELETE FROM entries WHERE seq = 6", "entry 6 is missing: after 5 comes 7"),
    "removed entries": (
        "DELETE FROM entries WHERE seq IN (1, 2)",
        "entries 1 to 2 are missing: after 0 comes 3",
    ),
    "the last entry removed": (
        "DELETE FROM entries WHERE seq = 8",
        "hourly sums of 2026-11-23T00:00Z (account a, key k, model m, upstream u, deployment u/m, dialect chat, "
        "currency CNY): calls is 3, the entries add up to 2",
    ),
    "an edited sum": (
        "UPDATE hourly SET input = 999",
        "hourly sums of 2026-11-23T00:00Z (account a, key k, model m, upstream u, deployment u/m, dialect chat, "
        "currency CNY): input is 999, the entries add up to 22",
    ),
    "an edited sum of a day": (
        "UPDATE daily SET cost_pico = cost_pico + 1",
        "daily sums of 2026-11-23T00:00Z (account a, key k, model m, upstream u, deployment u/m, dialect chat, "
        "currency CNY): cost_pico is 120, the entries add up to 119",
    ),
    "an edited detail of an account": (
        "UPDATE hourly_accounts SET well_output = 1",
        "hourly_accounts sums of 2026-11-23T00:00Z (account a, model m, currency CNY): well_output is 1, the entries add up to 25",
    ),
    "what reading from a cache saves": (
        "UPDATE prices SET cache_saves_pico = 7",
        f"entry 4 refers to price {PRICE}, by which a token read from a cache saves 0 pico, not 7",
    ),
    "a row of sums removed": (
        "DELETE FROM daily_runs",
        "daily_runs sums of 2026-11-23T00:00Z (key k, model m, currency CNY): calls is 0, the entries add up to 3",
    ),
    "a settlement that stands twice": (
        COPY.format(0, 7, 5),
        f"entry 9: settled of call {ONE}, which ended with entry 5 (settled)",
    ),
    "a call that begins twice": (
        COPY.format(0, 7, 1),
        f"entry 9: call {ONE} begins again; it began with entry 1",
    ),
    "a settlement of a call that never was": (
        f"UPDATE entries SET call = x'{'ab' * 16}' WHERE seq = 8",
        "entry 8: settled of call abababab-abab-abab-abab-abababababab, which was never opened",
    ),
    "a price that was changed": (
        "UPDATE prices SET applied = replace(applied, '\"input\":2', '\"input\":1')",
        "entry 4 refers to price",
    ),
    "a price that was removed": (
        "DELETE FROM prices",
        f"entry 4 refers to price {PRICE}, which is not there",
    ),
    "a currency that was changed": (
        "UPDATE entries SET currency = 'USD' WHERE seq = 8",
        "entry 8: its cost is in USD, its price in CNY",
    ),
    "what counts against a limit": (
        "UPDATE spent SET amount_low = amount_low - 1 WHERE unit = 'tokens'",
        "spent of key/k, tokens per day: 46 is there, the entries add up to 47",
    ),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_the_first_difference_is_named(data: Path, what: str) -> None:
    assert verify.verify(data).ok
    statement, named = TAMPERED[what]
    tamper(data, statement)
    report = verify.verify(data)
    assert not report.ok
    assert report.problems[0].startswith(named)


def test_a_ledger_longer_than_what_is_read_at_once(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "AT_ONCE", 3)
    seen: list[tuple[int, int]] = []
    report = verify.verify(data, lambda done, of: seen.append((done, of)))
    assert report == verify.Verification(ok=True, entries=8, calls=3, open_calls=0)
    assert seen == [(3, 8), (6, 8), (8, 8)]
    tamper(data, "DELETE FROM entries WHERE seq IN (3, 4)")
    assert verify.verify(data).problems[0] == "entry 3 is missing: the ledger goes on to 3"


def test_a_report_that_comes_after_an_interruption_takes_its_place(data: Path) -> None:
    """Sums of every group are as if the call had been settled right at once."""
    store = Store(data, "os")
    journal = Journal(store, FakeClock(START_US + 7_200_000_000))
    journal.apply(open_call(4))
    journal.commit()
    journal.interrupt(journal.open_calls)
    journal.commit()
    before = total(usage(open_reader(data), ("model",)))
    assert (before.calls, before.failed, before.unknown_calls, before.tokens) == (4, 1, 1, 47)
    report = close(4, Usage(input=3, output=3))
    for _ in range(2):  # twice is once, within a commit and after it
        journal.apply(report)
        journal.apply(report)
        journal.commit()
    store.close()
    reader = open_reader(data)
    for group in GROUPS:
        rows = usage(reader, (group,))
        whole = total(rows)
        assert len(rows) == 1  # the group of the interrupted call, which had no upstream, is empty again
        assert (whole.calls, whole.failed, whole.unknown_calls, whole.tokens) == (4, 0, 0, 53)
        assert whole.cost_pico == {"CNY": 119 + 15}
    newest = calls(reader)[0]
    assert (newest.outcome, newest.usage.total, newest.cost_pico, newest.upstream) == (
        Outcome.OK,
        6,
        {"CNY": 15},
        "u",
    )
    assert verify.verify(data).ok
    assert {r.table for r in rollups.ROLLUPS} == {
        "hourly", "hourly_accounts", "hourly_models", "daily", "daily_runs",
    }  # fmt: skip


def test_it_is_read_while_a_writer_writes(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is committed between two reads is replayed too, and no reader holds up the writer."""
    monkeypatch.setattr(verify, "AT_ONCE", 2)
    store = Store(data, "os")
    journal = Journal(store, FakeClock(START_US))
    numbers = iter(range(10, 100))

    def write_more(_done: int, _of: int) -> None:
        number = next(numbers)
        journal.apply(open_call(number))
        journal.commit()
        journal.apply(close(number, Usage(input=1)))
        journal.commit()

    report = verify.verify(data, write_more)
    store.close()
    assert report == verify.Verification(ok=True, entries=16, calls=7, open_calls=0)
