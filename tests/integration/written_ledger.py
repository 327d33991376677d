"""A real ledger that a test writes call by call, as the writer would: by its journal, on a clock of the test's own."""

import hashlib
from pathlib import Path

import msgspec

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.catalog.pricing import cost
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    Charge,
    CloseAttempt,
    CostBound,
    DefinePrice,
    MakeChanges,
    OpenCall,
    OpenResult,
)
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Change

START_US = 1_795_392_000_000_000  # 2026-11-23T00:00:00Z
#: 4 and 16 per million tokens.
COSTS = AppliedPrice("settings", "CNY", Rates(input=4_000_000, output=16_000_000))
CHARGED = AppliedPrice("settings, +25 %", "CNY", Rates(input=5_000_000, output=20_000_000))


class WrittenLedger:
    """Closed after use, so that commands may write too."""

    def __init__(self, data: Path, now_us: int = START_US) -> None:
        self.data, self.clock = data, FakeClock(now_us)
        self.store = Store(data)
        self.journal = Journal(self.store, self.clock)
        self.number = 0

    def close(self) -> None:
        self.store.close()

    def change(self, *changes: Change) -> None:
        refused = self.journal.apply(MakeChanges(0, "test", changes))
        assert refused == "", refused
        self.journal.commit()

    def price(self, applied: AppliedPrice) -> str:
        """The id of a price, which the ledger knows from now on."""
        content = msgspec.json.encode(applied, order="deterministic")
        id = hashlib.blake2b(content, digest_size=16).hexdigest()
        self.journal.apply(DefinePrice(0, id, content))
        return id

    def open(self, key: str = "k", account: str = "a", input: int = 1_000, output: int = 100) -> bytes:
        """A call under way. Its reservation is what its bounds cost."""
        result, call = self.ask(key, account, input, output)
        assert result.refused == "", result
        return call

    def ask(
        self, key: str = "k", account: str = "a", input: int = 1_000, output: int = 100
    ) -> tuple[OpenResult, bytes]:
        """A call that may be refused."""
        self.number += 1
        call = uuid7(self.clock.now_us(), self.number.to_bytes(10, "big"))
        bounds = (CostBound("CNY", input * COSTS.rates.input, COSTS.rates.output),)
        asked = OpenCall(
            self.number, call, self.clock.now_us(), key, account, "", "kimi-k2", "chat", bounds, False, input, output
        )  # fmt: skip
        result = self.journal.apply(asked)
        assert isinstance(result, OpenResult)
        self.journal.commit()
        return result, call

    def end(
        self, call: bytes, usage: Usage, price: AppliedPrice = COSTS, charged: AppliedPrice | None = None
    ) -> None:
        """Its only attempt, with what it used."""
        charge = Charge()
        if charged is not None:
            charge = Charge(self.price(charged), cost(charged, usage), charged.currency)
        self.journal.apply(
            CloseAttempt(
                0, call, call, 1, True, self.clock.now_us(), "moonshot", "moonshot/kimi-k2", "kimi-k2", usage,
                self.price(price), cost(price, usage), price.currency, 1_000, 2_000, 200, Outcome.OK, "", charge,
            )
        )  # fmt: skip
        self.journal.commit()
