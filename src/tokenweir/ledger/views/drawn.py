"""What credit and allowances paid of an invoice: the entries of their purses replayed, in order, through the laws."""

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger import terms as t
from tokenweir.ledger.budgets import NOTHING, Counted, Purse, Spent
from tokenweir.ledger.database import Connection
from tokenweir.ledger.laws import LedgerState
from tokenweir.ledger.rollups import CORRECTIONS, REPLACED
from tokenweir.ledger.terms import Audited, Limit
from tokenweir.ledger.views.invoiced import Scope

#: Entries that are read in one read transaction.
AT_ONCE = 20_000

_TOKENS = " + ".join(TOKEN_CLASSES)
_SPENT = f"""
{{e}}.{_TOKENS.replace(" + ", " + {e}.")},
coalesce(CASE WHEN {{e}}.charge_price <> '' THEN {{e}}.charge_pico ELSE {{e}}.cost_pico END, 0),
CASE WHEN {{e}}.charge_price <> '' THEN {{e}}.charge_currency ELSE {{e}}.currency END, {{e}}.covered_tokens
"""
_ENTRIES = f"""
SELECT c.seq, c.account, c.at_us, coalesce(opened.at_us, past.at_us, c.at_us), past.seq, {_SPENT.format(e="c")}, {_SPENT.format(e="past")}
FROM entries AS c
LEFT JOIN entries AS opened ON opened.call = c.call AND opened.kind = 'opened'
LEFT JOIN entries AS past ON c.{CORRECTIONS} AND past.seq = ({REPLACED})
WHERE c.seq > :after AND c.seq <= :upto AND c.account IN ({{names}})
AND c.kind IN ('attempt', 'settled', 'late', 'repriced', 'repriced_attempt') ORDER BY c.seq
"""


class Drawn(NamedTuple):
    """What came from one part of a purse: `window` is "credit/ID", "allowance", "overage" or "owed"."""

    account: str  # whose purse it is
    window: str
    unit: str  # "tokens" or a currency
    start_us: int  # of the month; 0 for credit


class Draws(msgspec.Struct):
    """All that did: amounts in their units; and by currency what was not to be paid, since an allowance of tokens covered it."""

    amounts: dict[Drawn, int] = {}
    covered_pico: dict[str, int] = {}


class _Purses:
    """The purses as the entries before have left them."""

    def __init__(self, changes: Sequence[Audited]) -> None:
        self._state = LedgerState()
        self._changes = [audited for audited in changes if not isinstance(audited.change, _LIMITS)]
        self._next = 0

    def before(self, seq: int) -> None:
        """Take in the changes that were decided before an entry."""
        while self._next < len(self._changes) and self._changes[self._next].after_seq < seq:
            audited = self._changes[self._next]
            self._state.change(audited.change, audited.at_us, _no_history)
            self._next += 1

    def of(self, account: str) -> Purse | None:
        """The purse that calls of an account draw on now."""
        return self._state.standing("", account, "", "").purse


_LIMITS = (t.SetLimit, t.RemoveLimit)  # none stands in the way of what has been used


def _no_history(_scope: str, _limit: Limit, _since_us: int) -> int:
    raise AssertionError("without limits nobody asks")


def drawn(connection: Connection, changes: Sequence[Audited], scope: Scope, at_once: int = AT_ONCE) -> Draws:
    """What purses paid of the entries of an invoice. A correction draws the difference to what it stands for.

    What was drawn before decides what is left to draw, so all calls on these purses are replayed from the first on.
    """
    held_before = scope.held_before()
    accounts = sharing(changes, set(held_before))
    draws = Draws({}, {})
    if not accounts:
        return draws
    purses = _Purses(changes)
    for seq, account, at_us, opened_us, before, after in _entries(
        connection, accounts, scope.upto_seq, at_once
    ):
        purses.before(seq)
        purse = purses.of(account)
        if purse is None:
            continue
        rows = list(purse.draw(before, after, opened_us))
        held = held_before.get(account)
        if held is None or at_us >= scope.until_us:
            continue
        if not any(seq <= one.upto_seq and at_us < one.until_us for one in held):
            _note(draws, before, after, rows)
    return draws


def _note(draws: Draws, before: Spent, after: Spent, rows: list[Counted]) -> None:
    for row in rows:
        name = Drawn(row.scope.removeprefix("account/"), row.window, row.unit, row.start_us)
        draws.amounts[name] = draws.amounts.get(name, 0) + row.amount
    for what, sign in ((after, 1), (before, -1)):
        if what.covered:
            free = sign * (what.pico - what.uncovered_pico)
            draws.covered_pico[what.currency] = draws.covered_pico.get(what.currency, 0) + free


def _entries(
    connection: Connection, accounts: set[str], upto_seq: int, at_once: int
) -> Iterator[tuple[int, str, int, int, Spent, Spent]]:
    """Number, account, time, when the call was opened, what it had been counted at before, what it is counted at now."""
    named = json.dumps(sorted(accounts))
    query = _ENTRIES.format(names=connection.database.names.format(":accounts"))
    for after in range(0, upto_seq, at_once):
        bounds = {"after": after, "upto": min(after + at_once, upto_seq), "accounts": named}
        for seq, account, at_us, opened_us, past, *spent in connection.execute(query, bounds).fetchall():
            before = NOTHING if past is None else Spent(*spent[4:])
            yield seq, account, at_us, opened_us, before, Spent(*spent[:4])


def sharing(changes: Sequence[Audited], accounts: set[str]) -> set[str]:
    """Accounts that have at any time drawn on a purse that one of these drew on, and perhaps some more; none without purses."""
    above: dict[str, set[str]] = {}
    below: dict[str, set[str]] = {}
    purses: set[str] = set()
    for audited in changes:
        match audited.change:
            case t.SetAccount(account=record):
                above.setdefault(record.id, set()).add(record.parent)
                below.setdefault(record.parent, set()).add(record.id)
            case t.AddCredit(credit=credit):
                purses.add(credit.account)
            case t.SetPlan(account=account, plan=plan) if plan is not None and plan.allowance_unit:
                purses.add(account)
            case _:
                pass
    return _reached(purses & _reached(accounts, above), below)


def _reached(accounts: set[str], edges: dict[str, set[str]]) -> set[str]:
    found: set[str] = set()
    waiting = list(accounts)
    while waiting:
        account = waiting.pop()
        if account and account not in found:
            found.add(account)
            waiting += edges.get(account, ())
    return found
