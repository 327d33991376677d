"""Ledgers that Hypothesis makes, written by the journal itself; and what stands in them, by a plain fold over their entries."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import strategies as st

from tokenweir.catalog.price import AppliedPrice, Rates, SpreadCost
from tokenweir.catalog.pricing import cost, price_id
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Provenance, Usage
from tokenweir.ledger.entries import ENDS, Entry, Kind, Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    NO_CHARGE,
    Charge,
    CloseAttempt,
    DefinePrice,
    MakeChanges,
    OpenCall,
    Reprice,
)
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import AccountRecord, Change, KeyRecord, SetAccount, SetKey

#: Two teams with a person each and one without, an account beside them.
ACCOUNTS = (AccountRecord("org"), AccountRecord("red", "org"), AccountRecord("ann", "red"), AccountRecord("blue", "org"), AccountRecord("bob", "blue"))  # fmt: skip
USED_BY = ("ann", "bob", "blue", "nobody-made")
KEYS = {account: f"key-of-{account}" for account in USED_BY}
PRICES = {
    "cny": AppliedPrice("a", "CNY", Rates(input=4_000_000, output=16_000_000, cache_read=700_001)),
    "usd": AppliedPrice("b", "USD", Rates(input=3_000_000, output=9_000_000)),  # reading from the cache saves nothing
    "dear": AppliedPrice("c", "CNY", Rates(input=9_000_000_000_000, output=1, cache_read=10_000_000_000_000)),  # … costs more
    "none": None,
}  # fmt: skip
SPREAD = SpreadCost("month", "CNY", 5_000_000)
#: Clocks of Berlin and New York are set back in these days, those of Lord Howe had been set forward by half an hour before.
START_US, SPAN_US = 1_792_627_200_000_000, 12 * 86_400_000_000  # 2026-10-22T00:00Z, twelve days


@dataclass
class Try:
    used: Usage
    price: str
    charged: str
    outcome: Outcome
    ttft_us: int | None
    duration_us: int
    repriced: str | None  # afterwards, at this price


@dataclass
class Planned:
    at_us: int
    account: str
    model: str
    run: str
    fate: str  # "settled", "interrupted", "late", "refused" or "open"
    tries: list[Try] = field(default_factory=list)


_COUNTS = st.integers(0, 3_000) | st.just(0)
_USAGE = st.builds(
    Usage, input=_COUNTS, cache_read=_COUNTS, cache_write_5m=_COUNTS, output=_COUNTS, reasoning=_COUNTS,
    provenance=st.sampled_from((Provenance.REPORTED, Provenance.COUNTED, Provenance.ESTIMATED)),
) | st.just(Usage(provenance=Provenance.UNKNOWN))  # fmt: skip
_TRY = st.builds(
    Try,
    used=_USAGE,
    price=st.sampled_from(tuple(PRICES)),
    charged=st.sampled_from(("", "", "cny", "usd")),
    outcome=st.sampled_from((Outcome.OK, Outcome.OK, *(o for o in Outcome if o is not Outcome.REFUSED))),
    ttft_us=st.none() | st.integers(0, 60_000_000) | st.integers(0, 700_000),
    duration_us=st.integers(0, 90_000_000),
    repriced=st.none() | st.none() | st.sampled_from((*PRICES, "spread")),
)
PLANS = st.lists(
    st.builds(
        Planned,
        at_us=st.integers(START_US, START_US + SPAN_US),
        account=st.sampled_from(USED_BY),
        model=st.sampled_from(("kimi-k2", "qwen3")),
        run=st.sampled_from(("", "", "run-1")),
        fate=st.sampled_from(("settled", "settled", "settled", "interrupted", "late", "refused", "open")),
        tries=st.lists(_TRY, min_size=1, max_size=2),
    ),
    max_size=8,
)


class _Writer:
    def __init__(self, data: Path) -> None:
        self.clock = FakeClock(START_US)
        self.store = Store(data, "os")
        self.journal = Journal(self.store, self.clock)
        self.number = 0
        changes: list[Change] = [SetAccount(account) for account in ACCOUNTS]
        changes += [
            SetKey(KeyRecord(id, id, account, f"{id:32}".encode()[:32], id, 0))
            for account, id in KEYS.items()
        ]
        assert self.journal.apply(MakeChanges(0, "test", tuple(changes))) == ""
        for applied in (*PRICES.values(), SPREAD):
            if applied is not None:
                self.journal.apply(DefinePrice(0, *price_id(applied)))
        self.journal.commit()

    def write(self, planned: Planned) -> None:
        self.number += 1
        call = uuid7(planned.at_us, self.number.to_bytes(10, "big"))
        key = "no-such-key" if planned.fate == "refused" else KEYS[planned.account]
        self.journal.apply(
            OpenCall(
                0,
                call,
                planned.at_us,
                key,
                planned.account,
                planned.run,
                planned.model,
                "chat",
                (),
                False,
                9,
                9,
            )
        )
        self.journal.commit()
        if planned.fate in ("refused", "open"):
            return
        for number, one in enumerate(planned.tries[:-1], 1):
            self.journal.apply(self._closed(call, planned, number, one, final=False))
        if planned.fate != "settled":
            self.clock.step(planned.at_us - self.clock.now_us())
            self.journal.interrupt([call])
            self.journal.commit()
        if planned.fate != "interrupted":
            self.journal.apply(self._closed(call, planned, len(planned.tries), planned.tries[-1], final=True))
        self.journal.commit()
        for number, one in enumerate(planned.tries, 1):
            if one.repriced is not None:
                self.number += 1
                self.journal.apply(self._repriced(call, number, one))
                self.journal.commit()

    def _closed(self, call: bytes, planned: Planned, number: int, one: Try, *, final: bool) -> CloseAttempt:
        price, pico, currency = _priced(one.price, one.used)
        charge = NO_CHARGE if not one.charged else Charge(*_priced(one.charged, one.used))
        at_us = planned.at_us + number * 7_000_000
        return CloseAttempt(
            0, call, bytes([number]) * 16, number, final, at_us, "up", f"up/{planned.model}", "m", one.used, price, pico,
            currency, one.ttft_us, one.duration_us, 200, one.outcome, "", charge,
            route=f"{number} of {len(planned.tries)}: as configured",
        )  # fmt: skip

    def _repriced(self, call: bytes, number: int, one: Try) -> Reprice:
        assert one.repriced is not None
        priced = (
            (price_id(SPREAD)[0], 5, "CNY") if one.repriced == "spread" else _priced(one.repriced, one.used)
        )
        return Reprice(0, call, bytes([number]) * 16, one.used, f"correction-{self.number}", *priced)


def _priced(name: str, used: Usage) -> tuple[str, int | None, str]:
    applied = PRICES[name]
    if applied is None:
        return "", None, ""
    id, _ = price_id(applied)
    return id, None if used.provenance is Provenance.UNKNOWN else cost(applied, used), applied.currency


def write_ledger(data: Path, plans: Iterable[Planned]) -> None:
    """All of them, in the order of their time."""
    writer = _Writer(data)
    for planned in sorted(plans, key=lambda planned: planned.at_us):
        writer.write(planned)
    writer.store.close()


def standing(entries: Iterable[Entry]) -> list[Entry]:
    """The entries that count: of each attempt the last that speaks of it, of each call its last end, and refusals."""
    attempts: dict[tuple[bytes, bytes], Entry] = {}
    ends: dict[bytes, Entry] = {}
    refused = []
    for entry in entries:
        if entry.kind in ENDS:
            ends[entry.call] = entry
        elif entry.kind in (Kind.ATTEMPT, Kind.REPRICED_ATTEMPT):
            attempts[entry.call, entry.attempt] = entry
        elif entry.kind is Kind.REFUSED:
            refused.append(entry)
    return [*attempts.values(), *ends.values(), *refused]
