"""A ledger that a test fills through the writer's own journal: calls, corrections, terms."""

import hashlib
from pathlib import Path

import msgspec
from made_terms import key

from tokenweir.catalog.price import AppliedPrice, Rates, SpreadCost
from tokenweir.catalog.pricing import cost
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Provenance, Usage
from tokenweir.ledger.entries import Outcome
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
from tokenweir.ledger.terms import AccountRecord, Change, SetAccount, SetKey

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
NOVEMBER_US = 1_793_491_200_000_000  # 2026-11-01T00:00:00Z
CNY = AppliedPrice("vendor", "CNY", Rates(4_000_000, 16_000_000, cache_read=1_000_000))
DEARER = AppliedPrice("vendor, corrected", "CNY", Rates(5_000_000, 20_000_001))
USD = AppliedPrice("price book", "USD", Rates(700_001, 2_100_003))


class Books:
    """`journal` is the writer; close it (or use it as a context) before anybody else writes."""

    def __init__(self, data: Path) -> None:
        self.data, self.clock, self.number = data, FakeClock(NOVEMBER_US), 0
        self.prices: dict[str, AppliedPrice | SpreadCost] = {}
        self._open()

    def _open(self) -> None:
        self.store = Store(self.data, "os")
        self.journal = Journal(self.store, self.clock)

    def __enter__(self) -> "Books":
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def let_others_write(self, action):  # type: ignore[no-untyped-def]
        """What `action()` gives, while the file is free."""
        self.store.close()
        try:
            return action()
        finally:
            self._open()

    def change(self, *changes: Change) -> None:
        assert self.journal.apply(MakeChanges(0, "test", changes)) == ""
        self.journal.commit()

    def account(self, id: str, parent: str = "", **fields: object) -> None:
        """An account with a key of the same name."""
        self.change(SetAccount(AccountRecord(id, parent, **fields)), SetKey(_key(id)))  # type: ignore[arg-type]

    def price(self, applied: AppliedPrice | SpreadCost) -> str:
        content = msgspec.json.encode(applied, order="deterministic")
        id = hashlib.blake2b(content, digest_size=16).hexdigest()
        self.prices[id] = applied
        self.journal.apply(DefinePrice(0, id, content))
        return id

    def open(self, account: str, model: str = "m") -> OpenCall:
        self.number += 1
        at_us = self.clock.now_us()
        call = uuid7(at_us, self.number.to_bytes(10, "big"))
        asked = OpenCall(
            self.number, call, at_us, account, account, "", model, "chat", (), False, 9_000, 9_000
        )
        result = self.journal.apply(asked)
        assert result is not None and not isinstance(result, str) and not result.refused, result
        return asked

    def close(
        self,
        opened: OpenCall,
        usage: Usage,
        price: AppliedPrice | None = CNY,
        charge: AppliedPrice | None = None,
        *,
        upstream: str = "up",
        final: bool = True,
        ordinal: int = 1,
        at_us: int | None = None,
    ) -> CloseAttempt:
        now_us = self.clock.now_us() if at_us is None else at_us
        attempt = uuid7(opened.at_us, ordinal.to_bytes(10, "big"))
        op = CloseAttempt(
            0, opened.call, attempt, ordinal, final, now_us, upstream, f"{upstream}/{opened.model}", opened.model,
            usage, *self.amount(price, usage), 1_000, max(0, now_us - opened.at_us), 200,
            Outcome.OK if final else Outcome.UPSTREAM_BROKE, "", NO_CHARGE if charge is None else Charge(*self.amount(charge, usage)),
        )  # fmt: skip
        self.journal.apply(op)
        self.journal.commit()
        return op

    def amount(self, price: AppliedPrice | None, usage: Usage) -> tuple[str, int | None, str]:
        if price is None:
            return "", None, ""
        known = usage.provenance is not Provenance.UNKNOWN
        return self.price(price), cost(price, usage) if known else None, price.currency

    def call(
        self, account: str, usage: Usage, price: AppliedPrice | None = CNY, **more: object
    ) -> CloseAttempt:
        """A call of one attempt that takes a second."""
        model = str(more.pop("model", "m"))
        opened = self.open(account, model)
        self.clock.advance(1_000_000)
        return self.close(opened, usage, price, **more)  # type: ignore[arg-type]

    def reprice(
        self,
        closed: CloseAttempt,
        price: AppliedPrice | None,
        correction: str,
        charge: AppliedPrice | None = None,
    ) -> None:
        charged = NO_CHARGE if charge is None else Charge(*self.amount(charge, closed.usage))
        self.journal.apply(
            Reprice(
                0,
                closed.call,
                closed.attempt,
                closed.usage,
                correction,
                *self.amount(price, closed.usage),
                charged,
            )
        )
        self.journal.commit()


def _key(account: str):  # type: ignore[no-untyped-def]
    return (
        key(account, account)
        if len(account) == 1
        else msgspec.structs.replace(key(account, account), hash=hashlib.sha256(account.encode()).digest())
    )
