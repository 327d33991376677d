"""What an invoice holds: sums over the entries of its accounts that no earlier invoice held, and these entries one by one.

An entry is held by the first invoice over its account that was issued after it was written and whose month ends after it.
A correction stands in the place of an earlier entry: what that had added is taken away by the invoice that is the first to
hold both. So the sum of an account's invoices is at any time what stands of the entries that they hold.
"""

import json
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from tokenweir.core.money import PICO
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.database import Connection
from tokenweir.ledger.entries import ENDS, Entry
from tokenweir.ledger.rollups import CORRECTIONS, PAID, PAID_IN, REPLACED, one_where, units_of
from tokenweir.ledger.schema import ENTRY_COLUMNS
from tokenweir.ledger.views.reader import read_entry

#: Entries that are summed in one read transaction.
AT_ONCE = 200_000


class Held(NamedTuple):
    """What one earlier invoice holds: entries up to one, of times before a moment."""

    upto_seq: int
    until_us: int


class Covered(msgspec.Struct, frozen=True):
    """Accounts that the same invoices covered before."""

    accounts: tuple[str, ...]
    held: tuple[Held, ...] = ()


class Scope(msgspec.Struct, frozen=True):
    """What is on an invoice: entries of these accounts up to `upto_seq`, of times before `until_us`, not held before."""

    covered: tuple[Covered, ...]
    upto_seq: int
    until_us: int

    def held_before(self) -> dict[str, tuple[Held, ...]]:
        """What was held before of each account."""
        return {account: group.held for group in self.covered for account in group.accounts}


class Name(NamedTuple):
    """What entries that are billed alike have in common."""

    account: str
    model: str
    corrects: bool  # what an earlier invoice held
    price: str  # id of the price that is paid: the charge's where there is one, else the cost's; empty: none
    currency: str
    state: str  # "priced", "unpriced" or "unknown" (usage)


class Billed(msgspec.Struct, frozen=True):
    """Their sums; what corrections take away counts less than nothing."""

    name: Name
    entries: int
    tokens: tuple[int, ...]  # in the order of TOKEN_CLASSES
    pico: int


_TOTAL = " + ".join(TOKEN_CLASSES)
_NAME = {
    "account": "account",
    "model": "model",
    "corrects": "corrects",
    "price": "CASE WHEN charge_price <> '' THEN charge_price ELSE price END",
    "currency": PAID_IN,
    "state": (
        f"CASE WHEN {PAID} IS NOT NULL THEN 'priced' WHEN provenance = 'unknown' THEN 'unknown' "
        "ELSE 'unpriced' END"
    ),
}
#: Attempts that used nothing and cost nothing are on no line.
_SOMETHING = f"({_TOTAL} > 0 OR provenance = 'unknown' OR coalesce({PAID}, 0) <> 0)"
_KINDS = "kind IN ('attempt', 'settled', 'late', 'repriced', 'repriced_attempt')"
_ENDS = ", ".join(f"'{kind}'" for kind in ENDS)


def _counted(group: Covered, scope: Scope, names: str) -> str:
    """A table expression `counted`: entries that a group adds to the invoice, with -1 those that corrections take away."""

    def held(entry: str) -> str:
        parts = [f"{entry}.seq <= {seq:d} AND {entry}.at_us < {at_us:d}" for seq, at_us in group.held]
        return f"({' OR '.join(parts) or '1 = 0'})"

    def inside(entry: str) -> str:
        now = f"{entry}.seq <= {scope.upto_seq:d} AND {entry}.at_us < {scope.until_us:d}"
        return f"({now} OR {held(entry)})"

    def fresh(entry: str) -> str:
        return f"({inside(entry)} AND NOT {held(entry)})"

    def corrects(entry: str) -> str:
        return f"""({entry}.{CORRECTIONS} AND EXISTS (
            SELECT 1 FROM entries AS old WHERE old.call = {entry}.call AND old.seq < {entry}.seq AND {held("old")}
            AND CASE WHEN {entry}.kind = 'repriced_attempt'
                THEN old.kind IN ('attempt', 'repriced_attempt') AND old.attempt = {entry}.attempt
                ELSE old.kind IN ({_ENDS}) END))"""

    past_corrects = one_where(f"NOT {fresh('past')} OR {corrects('past')}")
    of_part = f"seq > :after AND seq <= :upto AND account IN ({names})"
    return f"""
    WITH counted AS (
        SELECT 1 AS sign, {one_where(corrects("e"))} AS corrects, e.* FROM entries AS e
        WHERE {of_part} AND {_KINDS} AND {fresh("e")}
        UNION ALL
        SELECT -1, {past_corrects}, past.*
        FROM (SELECT * FROM entries WHERE {of_part} AND {CORRECTIONS}) AS c
        JOIN entries AS past ON past.seq = ({REPLACED})
        WHERE {inside("c")} AND {inside("past")} AND ({fresh("c")} OR {fresh("past")})
    )
    """


def billed(connection: Connection, scope: Scope, at_once: int = AT_ONCE) -> list[Billed]:
    """The sums that an invoice is made of. Memory grows with accounts, models and prices, not with entries."""
    sums: dict[Name, list[int]] = {}
    figures = ["1", *TOKEN_CLASSES, *units_of(PAID)]
    named = connection.database.names.format(":accounts")
    names, added = ", ".join(_NAME.values()), ", ".join(f"sum(sign * ({figure}))" for figure in figures)
    count = len(_NAME)
    group_by = ", ".join(map(str, range(1, count + 1)))
    for group in scope.covered:
        query = f"{_counted(group, scope, named)} SELECT {names}, {added} FROM counted WHERE {_SOMETHING} GROUP BY {group_by}"
        for bounds in _parts(group, scope, at_once):
            for row in connection.execute(query, bounds).fetchall():
                account, model, corrects, *rest = row[:count]
                name = Name(account, model, bool(corrects), *rest)
                known = sums.setdefault(name, [0] * len(figures))
                for index, value in enumerate(row[count:]):
                    known[index] += value
    return [
        Billed(name, entries, tuple(tokens), units * PICO + pico)
        for name, (entries, *tokens, units, pico) in sorted(sums.items())
    ]


def billed_entries(
    connection: Connection, scope: Scope, name: Name, at_once: int = AT_ONCE
) -> Iterator[tuple[int, int, Entry]]:
    """The entries behind one sum, in the ledger's order: 1 or -1 (taken away by a correction), number, entry."""
    conditions = " AND ".join(f"{expression} = :{field}" for field, expression in _NAME.items())
    columns, named = ", ".join(ENTRY_COLUMNS), connection.database.names.format(":accounts")
    group = next(group for group in scope.covered if name.account in group.accounts)
    query = (
        f"{_counted(Covered((name.account,), group.held), scope, named)} SELECT sign, {columns} FROM counted "
        f"WHERE {_SOMETHING} AND {conditions} ORDER BY seq, sign"
    )
    wanted = {**name._asdict(), "corrects": int(name.corrects)}
    for bounds in _parts(Covered((name.account,)), scope, at_once):
        for sign, *record in connection.execute(query, {**bounds, **wanted}).fetchall():
            yield sign, *read_entry(record)


def _parts(group: Covered, scope: Scope, at_once: int) -> Iterator[dict[str, int | str]]:
    """The ledger a part at a time: a reader that held one view of a long one would keep its log from being folded."""
    accounts = json.dumps(group.accounts)
    for after in range(0, scope.upto_seq, at_once):
        yield {"after": after, "upto": min(after + at_once, scope.upto_seq), "accounts": accounts}
