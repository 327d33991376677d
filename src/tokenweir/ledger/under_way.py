"""Calls under way: what each has set aside of the limits above it and of a purse. Pure."""

import msgspec

from tokenweir.ledger.budgets import Budget, Purse, Window
from tokenweir.ledger.messages import OpenCall


class Share(msgspec.Struct):
    """What a call has set aside of one limit, in the window it was opened in."""

    budget: Budget
    window: Window
    amount: int


class Open(msgspec.Struct):
    """A call under way. `reserves`: the dearest it can still become, by unit ("tokens", "calls", a currency).

    That much it has set aside of every limit above it.
    """

    key: str
    opened_us: int
    model: str
    account: str
    run: str
    dialect: str
    output_tokens: int
    reserves: dict[str, int]
    shares: list[Share] = []
    by_allowance: bool = False  # its tokens fit into an allowance: of a purse it sets aside these, else money
    purse: Purse | None = None
    held: int = 0  # what it has set aside of the purse

    def unit_of(self, purse: Purse) -> str:
        """In what it sets aside of a purse."""
        return "tokens" if self.by_allowance else purse.currency

    @property
    def is_limited(self) -> bool:
        """Whether any limit or purse stands above it."""
        return bool(self.shares) or self.purse is not None


def opened(asked: OpenCall, granted: int) -> Open:
    """A call that was granted so many tokens of output, and the dearest it can become."""
    reserves = {"tokens": asked.input_tokens + granted, "calls": 1}
    for bound in asked.bounds:
        pico = bound.input_pico + bound.output_pico * granted
        reserves[bound.currency] = max(reserves.get(bound.currency, 0), pico)
    return Open(
        asked.key, asked.at_us, asked.model, asked.account, asked.run, asked.dialect, granted, reserves
    )


def give_back(record: Open) -> None:
    """What it has set aside of a purse is free."""
    if record.purse is not None:
        record.purse.hold(record.unit_of(record.purse), -record.held, record.opened_us)
        record.held = 0


def set_aside_only(record: Open, reserves: dict[str, int]) -> None:
    """Free what a call has set aside beyond this."""
    record.reserves = reserves
    for share in record.shares:
        less = share.amount - reserves.get(share.budget.limit.unit, 0)
        share.window.reserved -= less
        share.amount -= less
    if record.purse is not None:
        unit = record.unit_of(record.purse)
        less = record.held - reserves.get(unit, 0)
        record.purse.hold(unit, -less, record.opened_us)
        record.held -= less
