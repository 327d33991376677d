"""Accounts as a tree, and what each has used this month with all below it."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from tokenweir.ledger.database import Connection
from tokenweir.ledger.terms import Terms
from tokenweir.ledger.views.usage import UsageRow, total, usage
from tokenweir.ledger.windows import window_of


class Branch(msgspec.Struct, frozen=True):
    """An account where it stands. `below`: it and all under it."""

    id: str
    depth: int
    below: tuple[str, ...]


def account_tree(terms: Terms, also: Iterable[str] = ()) -> list[Branch]:
    """Every account that was made, that has a key, or is in `also`: each before those below it, sorted by id."""
    named = {*terms.accounts, *(key.account for key in terms.keys.values()), *also}
    under: dict[str, list[str]] = {}
    for id in sorted(named):
        record = terms.accounts.get(id)
        under.setdefault(record.parent if record is not None else "", []).append(id)

    def grow(id: str, depth: int) -> Iterator[Branch]:
        children = [branch for child in under.get(id, ()) for branch in grow(child, depth + 1)]
        yield Branch(id, depth, (id, *(branch.id for branch in children)))
        yield from children

    return [branch for root in under.get("", ()) for branch in grow(root, 0)]


def with_below(tree: Iterable[Branch], rows: Mapping[str, UsageRow]) -> dict[str, UsageRow]:
    """The sums of each account and of all below it, from those of each alone."""
    summed = {}
    for branch in tree:
        row = total(rows[id] for id in branch.below if id in rows)
        row.by = {"account": branch.id}
        summed[branch.id] = row
    return summed


def month_usage(connection: Connection, terms: Terms, at_us: int) -> dict[str, UsageRow]:
    """What each account with all below it has used since its month began, in its time zone (to the whole hour)."""
    everybody = {row.by["account"] for row in usage(connection, ("account",))}
    tree = account_tree(terms, everybody)
    zones: dict[str, list[Branch]] = {}
    for branch in tree:
        zones.setdefault(terms.time_zone(branch.id), []).append(branch)
    found: dict[str, UsageRow] = {}
    for zone, branches in zones.items():
        since_us, _ = window_of("month", zone, at_us)
        rows = {row.by["account"]: row for row in usage(connection, ("account",), since_us)}
        found |= with_below(branches, rows)
    return {branch.id: found[branch.id] for branch in tree}
