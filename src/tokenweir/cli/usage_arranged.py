"""`weir usage --tree` and `--in`: usage that needs the terms, of the accounts and of exchange rates, to be shown."""

from contextlib import closing
from pathlib import Path

import msgspec

from tokenweir.cli.usage_table import Shown
from tokenweir.ledger.store import read_terms
from tokenweir.ledger.terms import Terms
from tokenweir.ledger.views import open_reader, total, usage
from tokenweir.ledger.views.accounts import account_tree
from tokenweir.ledger.views.conversion import RateBook
from tokenweir.ledger.views.converted import converted, total_converted, with_days


class Arrangement(msgspec.Struct, frozen=True):
    """What is asked for: groups, of accounts perhaps as a tree, and perhaps in one currency."""

    groups: tuple[str, ...]
    tree: bool
    currency: str


def read(
    directory: Path, asked: Arrangement, since_us: int | None, until_us: int | None
) -> tuple[list[Shown], Shown]:
    """Rows, and the sum of all. Raises LedgerError."""
    by = with_days(asked.groups) if asked.currency else asked.groups
    with closing(open_reader(directory)) as connection:
        rows = usage(connection, by, since_us, until_us)
        terms = read_terms(connection)
    if asked.currency:
        book = RateBook(terms.rates.values())
        flat = [Shown(money.row, money) for money in converted(rows, asked.groups, asked.currency, book)]
    else:
        flat = [Shown(row) for row in rows]
    return _tree(flat, terms, asked.currency) if asked.tree else flat, _whole(flat, asked.currency)


def _tree(flat: list[Shown], terms: Terms, currency: str) -> list[Shown]:
    """Accounts under the ones above them, each with all below it."""
    known = {shown.row.by["account"]: shown for shown in flat}
    tree = account_tree(terms, known)
    found = []
    for branch in tree:
        whole = _whole([known[id] for id in branch.below if id in known], currency)
        whole.row.by = {"account": branch.id}
        record = terms.accounts.get(branch.id)
        parent = record.parent if record is not None else ""
        found.append(Shown(whole.row, whole.money, parent, branch.depth))
    return found


def _whole(parts: list[Shown], currency: str) -> Shown:
    """The sum of rows."""
    if not currency:
        return Shown(total(part.row for part in parts))
    money = total_converted([part.money for part in parts if part.money is not None], currency)
    return Shown(money.row, money)
