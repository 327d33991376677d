"""Every limit, with what is used of it in the window of this moment."""

from collections.abc import Iterator

import msgspec

from tokenweir.ledger.database import Connection
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.limit_text import format_limit
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.views.state import state_now
from tokenweir.ledger.windows import NEVER_US


class LimitNow(msgspec.Struct, frozen=True, kw_only=True):
    """A limit and its window. Amounts are in the limit's unit: pico of a currency, tokens, or calls."""

    scope: str  # "account/ID", "key/ID" or "run/ID"
    limit: Limit
    spent: int
    reserved: int  # by calls under way
    renews_at_us: int | None  # None: never
    zone: str  # whose days and months these are

    @property
    def text(self) -> str:
        """As people write it, and as it can be set again; the model that it is for stands beside it."""
        return format_limit(self.limit)

    @property
    def left(self) -> int:
        """What may still be set aside; nothing where more was used than the limit is now."""
        return max(0, self.limit.amount - self.spent - self.reserved)


def limits_now(connection: Connection, now_us: int, scope: str = "") -> list[LimitNow]:
    """Every limit, or those of one scope, sorted. Raises LedgerError."""
    return list(limits_of(*state_now(connection, now_us), scope))


def limits_of(state: LedgerState, at_us: int, scope: str = "") -> Iterator[LimitNow]:
    """The same, of a state that has been read."""
    for name in [scope] if scope else sorted(state.terms.limits):
        for limit in sorted(state.terms.limits.get(name, {}).values(), key=lambda limit: limit.name):
            budget = state.budgets[name, *limit.name]
            window = budget.at(at_us)
            renews = None if window.end_us == NEVER_US else window.end_us
            yield LimitNow(
                scope=name,
                limit=limit,
                spent=window.spent,
                reserved=window.reserved,
                renews_at_us=renews,
                zone=budget.zone,
            )
