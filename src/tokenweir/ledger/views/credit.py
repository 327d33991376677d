"""What accounts have: credit, what their plan includes this month, and what they owe."""

import msgspec

from tokenweir.ledger.budgets import ALLOWANCE, OVERAGE, OWED, Purse
from tokenweir.ledger.database import Connection
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.terms import Credit, Plan
from tokenweir.ledger.views.state import state_now
from tokenweir.ledger.windows import window_of


class CreditNow(msgspec.Struct, frozen=True, kw_only=True):
    """A credit, and what was drawn from it. `left_pico` is nothing once it has expired."""

    credit: Credit
    drawn_pico: int
    left_pico: int
    expired: bool  # or ended


class AllowanceNow(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan includes this month, in `unit`: tokens, or pico of the purse's currency."""

    unit: str
    amount: int
    drawn: int
    left: int
    start_us: int  # of the month
    renews_at_us: int


class PurseNow(msgspec.Struct, frozen=True, kw_only=True):
    """An account with credit or a plan. Those below it draw on it too, unless they have a purse of their own."""

    account: str
    currency: str  # of all its money; empty where it has neither credit nor an allowance
    beyond_credit: str  # "refuse" or "bill"
    plan: Plan | None
    credits: tuple[CreditNow, ...]  # in the order in which they were added
    allowance: AllowanceNow | None
    balance_pico: int  # of credit and of an allowance of money what is left, less debts
    reserved_pico: int  # of that, by calls under way
    reserved_tokens: int  # of an allowance of tokens
    overage_pico: int  # this month, beyond what it has, to be billed
    owed_pico: int  # ever, beyond what it had: corrections, or calls under way when the terms changed
    zone: str  # whose months these are

    @property
    def available_pico(self) -> int:
        """What the next call may set aside; less than nothing with debts."""
        return self.balance_pico - self.reserved_pico


def purses_now(connection: Connection, now_us: int, account: str = "") -> list[PurseNow]:
    """Every account with credit or a plan, or the one named, sorted. Raises LedgerError."""
    return purses_of(*state_now(connection, now_us), account)


def purses_of(state: LedgerState, at_us: int, account: str = "") -> list[PurseNow]:
    """The same, of a state that has been read."""
    named = sorted(state.purses(), key=lambda purse: purse.account)
    return [_purse(state, purse, at_us) for purse in named if account in ("", purse.account)]


def _purse(state: LedgerState, purse: Purse, at_us: int) -> PurseNow:
    start_us, _ = window_of("month", purse.zone, at_us)
    overage, owed = purse.beyond(OVERAGE), purse.beyond(OWED)
    return PurseNow(
        account=purse.account,
        currency=purse.currency,
        beyond_credit="refuse" if purse.refuses else "bill",
        plan=purse.plan,
        credits=_credits(state, purse, at_us),
        allowance=_allowance(purse, at_us),
        balance_pico=purse.balance_pico(at_us),
        reserved_pico=purse.reserved_pico(at_us),
        reserved_tokens=purse.reserved_tokens(at_us),
        overage_pico=overage.get(start_us, 0),
        owed_pico=sum(owed.values()),
        zone=purse.zone,
    )


def _credits(state: LedgerState, purse: Purse, at_us: int) -> tuple[CreditNow, ...]:
    lots = {lot.window: lot for lot in purse.lots(at_us)}
    known = sorted(state.terms.credits.get(purse.account, {}).values(), key=lambda credit: credit.added_us)
    return tuple(
        CreditNow(
            credit=credit,
            drawn_pico=lot.spent,
            left_pico=lot.left(at_us),
            expired=at_us >= lot.expires_us,
        )
        for credit in known
        for lot in [lots[f"credit/{credit.id}"]]
    )


def _allowance(purse: Purse, at_us: int) -> AllowanceNow | None:
    for lot in purse.lots(at_us):
        if lot.window == ALLOWANCE and lot.amount and lot.valid_from_us <= at_us < lot.expires_us:
            return AllowanceNow(
                unit=lot.unit,
                amount=lot.amount,
                drawn=lot.spent,
                left=lot.left(at_us),
                start_us=lot.start_us,
                renews_at_us=lot.expires_us,
            )
    return None
