"""Calls as they ended, and one of them with the arithmetic of what it cost and is charged."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import (
    MOST_ON_A_PAGE,
    Moment,
    Name,
    Page,
    Query,
    micros_or_none,
    moment,
)
from tokenweir.admin.problems import Problem, not_found
from tokenweir.admin.rights import reads_all
from tokenweir.catalog.price import AppliedPrice, SpreadCost
from tokenweir.core.ids import parse_uuid, uuid_text
from tokenweir.core.money import format_pico
from tokenweir.core.sentence import say
from tokenweir.ledger.entries import Entry, Outcome
from tokenweir.ledger.views import CallRow, PricedEntry, Product, call_detail, calls
from tokenweir.ledger.views.told import Line, Tokens, call_members, lines_of, tokens_of


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A call that ended or was refused. Tokens and money are of all its attempts; money is exact decimals by currency."""

    id: str
    at: Moment  # when it was opened or refused
    account: str
    key: str
    run: str
    model: str
    dialect: str
    upstream: str  # of the last attempt
    deployment: str
    served_model: str
    tokens: Tokens
    usage_from: str  # reported, counted, estimated or unknown
    cost: dict[str, str]
    charge: dict[str, str]  # where the account is charged by a price of its own
    unpriced: bool  # something of it has no price
    attempts: int
    ttft_ms: float | None
    duration_ms: float | None
    status: int
    outcome: str | None
    reason: str
    seq: int  # of the entry that ended it


class Sum(msgspec.Struct, frozen=True, kw_only=True):
    """An amount and how it was reckoned: its lines add up to it, where it goes by tokens."""

    amount: str
    currency: str
    price: str  # where the price comes from
    note: str  # which bracket and window of it
    lines: tuple[Line, ...]


class EntryOfCall(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the ledger. No cost: unpriced, or nothing to price. No charge: the cost is what is paid.

    Who has the role member is told what is charged, and neither the cost of that nor what it was reckoned from.
    """

    seq: int
    at: Moment
    kind: str
    upstream: str
    deployment: str
    tokens: Tokens
    usage_from: str
    cost: Sum | None
    charge: Sum | None
    outcome: str | None
    status: int
    reason: str
    route: (
        str  # why it was made at this deployment, at this place: "2 of 3: …"; empty where there was no choice
    )
    covered_tokens: int  # of them, by an allowance
    correction: str  # why the entry stands in the place of another


class CallInFull(msgspec.Struct, frozen=True, kw_only=True):
    """A call with its entries; `call` is null while it is under way."""

    id: str
    call: Call | None
    entries: tuple[EntryOfCall, ...]


class CallsQuery(Query, frozen=True, kw_only=True):
    """Only calls of these. `account`: it and those below it. `after` goes back in time from there."""

    limit: Annotated[int, Meta(ge=1, le=MOST_ON_A_PAGE)] = 50
    after: Annotated[int, Meta(ge=1, le=2**62)] | None = None
    account: Name | None = None
    key: Name | None = None
    run: Name | None = None
    model: Name | None = None
    outcome: Outcome | None = None
    since: Moment | None = None
    until: Moment | None = None


def list_calls(asked: Asked, query: CallsQuery) -> Page[Call]:
    """Ended and refused calls, newest first."""
    accounts: set[str] | None = None
    if query.account is not None:
        accounts = {a for a in asked.terms.below(query.account) if asked.sees(a)}
    elif not reads_all(asked.actor):
        accounts = asked.terms.below(asked.actor.account)
    found = calls(
        asked.db,
        limit=query.limit,
        before_seq=query.after,
        accounts=accounts,
        key=query.key or "",
        run=query.run or "",
        model=query.model or "",
        outcome="" if query.outcome is None else query.outcome.value,
        since_us=micros_or_none(query.since),
        until_us=micros_or_none(query.until),
    )
    shown = tuple(told_call(row, tells_cost=reads_all(asked.actor)) for row in found)
    return Page(shown, str(found[-1].seq) if len(found) == query.limit else None)


def get_call(asked: Asked, id: str) -> CallInFull | Problem:
    """One call: each attempt, and how its cost and charge were reckoned."""
    try:
        detail = call_detail(asked.db, parse_uuid(id))
    except ValueError:
        detail = None
    if detail is None or not asked.sees(detail.entries[0].entry.account):
        return not_found(say("call {id!r}", id=id[:100]))
    tells_cost = reads_all(asked.actor)
    return CallInFull(
        id=uuid_text(detail.entries[0].entry.call),
        call=None if detail.row is None else told_call(detail.row, tells_cost=tells_cost),
        entries=tuple(_entry(item, detail.corrections, tells_cost) for item in detail.entries),
    )


def told_call(row: CallRow, *, tells_cost: bool) -> Call:
    """A call as it is shown: the cost of one that is charged otherwise is for those who may know it."""
    members = call_members(row)
    if not tells_cost and row.charge_pico:
        members["cost"] = {}
    return Call(id=row.call, at=moment(row.at_us), **members)


def _entry(item: PricedEntry, corrections: dict[str, str], tells_cost: bool) -> EntryOfCall:
    entry: Entry = item.entry
    charge_price = item.charge if tells_cost else None  # a mark-up names the cost's price, and itself
    charge = _sum(entry.charge_pico, entry.charge_currency, charge_price, item.charges)
    shows_cost = tells_cost or not entry.charge_price
    return EntryOfCall(
        seq=item.seq,
        at=moment(entry.at_us),
        kind=entry.kind.value,
        upstream=entry.upstream,
        deployment=entry.deployment,
        tokens=tokens_of(entry.usage),
        usage_from=entry.usage.provenance.value,
        cost=_sum(entry.cost_pico, entry.currency, item.price, item.products) if shows_cost else None,
        charge=charge,
        outcome=None if entry.outcome is None else entry.outcome.value,
        status=entry.status,
        reason=entry.reason,
        route=entry.route,
        covered_tokens=entry.covered_tokens,
        correction=corrections.get(entry.reason, ""),
    )


def _sum(
    pico: int | None, currency: str, price: AppliedPrice | SpreadCost | None, products: tuple[Product, ...]
) -> Sum | None:
    if pico is None or not currency:
        return None
    return Sum(
        amount=format_pico(pico),
        currency=currency,
        price="" if price is None else price.ref,
        note="" if price is None else price.note,
        lines=lines_of(products),
    )
