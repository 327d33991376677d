"""Usage: sums by group, of what who asks may see."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import (
    Moment,
    Name,
    Query,
    micros_or_none,
    moment_or_none,
)
from tokenweir.admin.problems import Problem, problem
from tokenweir.admin.rights import reads_all
from tokenweir.core.sentence import say
from tokenweir.ledger.views import GROUPS, UsageRow, total, usage, whole_hours
from tokenweir.ledger.views.told import Tokens, usage_members

#: Rows of one answer; who needs more asks for a shorter time or fewer groups.
MOST_ROWS = 100_000


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over one group. Money is exact decimals by currency.

    `charge` is what accounts are charged by prices of their own; `uncharged_calls` have none, and are paid at their cost.
    `margin` is what these charges are above the cost of the calls they are for. Who has the role member is told neither
    that nor the cost of what is charged otherwise.
    """

    by: dict[str, str]
    calls: int
    tokens: Tokens
    cost: dict[str, str]
    charge: dict[str, str]
    margin: dict[str, str]
    uncharged_calls: int
    unpriced_calls: int
    estimated_calls: int
    counted_calls: int
    unknown_calls: int
    refused: int
    failed: int
    attempts: int


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Rows by group. Bounds are whole UTC hours; null: none."""

    rows: tuple[UsageSum, ...]
    since: Moment | None
    until: Moment | None


class UsageQuery(Query, frozen=True, kw_only=True):
    """`by`: groups, such as model,day. `account`: it and those below it."""

    by: Annotated[str, Meta(max_length=100, description=", ".join(GROUPS))] = "model"
    since: Moment | None = None
    until: Moment | None = None
    account: Name | None = None
    key: Name | None = None
    model: Name | None = None


def get_usage(asked: Asked, query: UsageQuery) -> Usage | Problem:
    """What was used and what it cost, by group."""
    by = [name.strip() for name in query.by.split(",")]
    unknown = next((name for name in by if name not in GROUPS), None)
    if unknown is not None or len(set(by)) != len(by):
        return problem(
            "wrong_form", say("Usage is by some of these, each once: {groups}.", groups=", ".join(GROUPS))
        )
    since_us, until_us = micros_or_none(query.since), micros_or_none(query.until)
    only = {"key": query.key, "model": query.model}
    narrowed: dict[str, str | None] = {name: value for name, value in only.items() if value is not None}
    if query.account is not None or not reads_all(asked.actor):
        narrowed["account"] = query.account
    rows = usage(asked.db, [*by, *(name for name in narrowed if name not in by)], since_us, until_us)
    kept = [row for row in rows if _is_wanted(asked, query.account, narrowed, row)]
    sums = _regrouped(by, kept) if set(narrowed) - set(by) else kept
    if len(sums) > MOST_ROWS:
        return problem(
            "refused",
            say("That is more than {most} rows. Ask for less time, or fewer groups.", most=MOST_ROWS),
        )
    first, last = whole_hours(since_us, until_us)
    shown = tuple(_told(row, reads_all(asked.actor)) for row in sums)
    return Usage(rows=shown, since=moment_or_none(first), until=moment_or_none(last))


def _is_wanted(asked: Asked, account: str | None, narrowed: dict[str, str | None], row: UsageRow) -> bool:
    for name, value in narrowed.items():
        if name != "account":
            if row.by[name] != value:
                return False
        elif not asked.sees(row.by[name]) or (
            account is not None and account not in asked.terms.chain(row.by[name])
        ):
            return False
    return True


def _regrouped(by: list[str], rows: list[UsageRow]) -> list[UsageRow]:
    groups: dict[tuple[str, ...], list[UsageRow]] = {}
    for row in rows:
        groups.setdefault(tuple(row.by[name] for name in by), []).append(row)
    sums = {group: total(members) for group, members in groups.items()}
    for group, row in sums.items():
        row.by = dict(zip(by, group, strict=True))
    return [sums[group] for group in sorted(sums)]


def _told(row: UsageRow, tells_cost: bool) -> UsageSum:
    members = usage_members(row)
    if not tells_cost:
        members |= {"margin": {}} | ({"cost": {}} if row.charge_pico else {})
    return UsageSum(**members, uncharged_calls=row.uncharged_calls)
