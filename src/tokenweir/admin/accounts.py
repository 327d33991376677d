"""Accounts: the tree of who pays."""

from typing import Literal

import msgspec

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Body, Moment, Name, Page, PageQuery, Words, moment, moment_or_none, page_of
from tokenweir.admin.problems import Problem, not_found, problem
from tokenweir.core.sentence import say
from tokenweir.ledger.terms import AccountRecord, SetAccount, Terms


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays. `created` is null for an account that has keys but was never made."""

    id: str
    parent: str  # the account above; empty: none
    name: str
    time_zone: str  # of its own; empty: that of the account above
    days_in: str  # the time zone that its days and months are in
    beyond_credit: str  # "refuse" or "bill": what happens to calls once credit or allowance is used up
    live_keys: int
    created: Moment | None
    closed: Moment | None


class AccountBody(Body, frozen=True, kw_only=True):
    """What is known of an account; what is left out is as for a new one."""

    parent: Words = ""
    name: Words = ""
    time_zone: Words = ""
    beyond_credit: Literal["refuse", "bill"] = "refuse"


class AccountsQuery(PageQuery, frozen=True, kw_only=True):
    """`under`: only this account and those below it."""

    under: Name | None = None


def told_account(terms: Terms, id: str, now_us: int, live_keys: int | None = None) -> Account:
    """An account as it is shown."""
    record = terms.accounts.get(id, AccountRecord(id))
    if live_keys is None:
        live_keys = sum(key.account == id and key.is_live(now_us) for key in terms.keys.values())
    return Account(
        id=id,
        parent=record.parent,
        name=record.name,
        time_zone=record.time_zone,
        days_in=terms.time_zone(id),
        beyond_credit=record.beyond_credit,
        live_keys=live_keys,
        created=moment(record.created_us) if id in terms.accounts else None,
        closed=moment_or_none(record.closed_us),
    )


def list_accounts(asked: Asked, query: AccountsQuery) -> Page[Account]:
    """Accounts, by their ids; `parent` makes the tree of them."""
    terms, counts = asked.terms, dict.fromkeys(asked.terms.accounts, 0)
    for key in terms.keys.values():
        counts[key.account] = counts.get(key.account, 0) + key.is_live(asked.now_us)
    shown = [
        id for id in counts if asked.sees(id) and (query.under is None or query.under in terms.chain(id))
    ]
    page = page_of(shown, str, query)
    return Page(tuple(told_account(terms, id, asked.now_us, counts[id]) for id in page.items), page.next)


def get_account(asked: Asked, id: str) -> Account | Problem:
    """One account."""
    known = id in asked.terms.accounts or any(key.account == id for key in asked.terms.keys.values())
    if not (known and asked.sees(id)):
        return not_found(say("account {id!r}", id=id[:100]))
    return told_account(asked.terms, id, asked.now_us)


def put_account(asked: Asked, id: str, body: AccountBody) -> Account | Problem:
    """Make an account, or replace what is known of it. A closed one stays closed."""
    before = asked.terms.accounts.get(id)
    record = AccountRecord(
        id=id,
        parent=body.parent,
        name=body.name,
        time_zone=body.time_zone,
        beyond_credit=body.beyond_credit,
        created_us=asked.now_us if before is None else before.created_us,
        closed_us=None if before is None else before.closed_us,
    )
    return _set(asked, record)


def close_account(asked: Asked, id: str) -> Account | Problem:
    """Close an account: nothing is called with its keys, or with those of the accounts below it, any more."""
    return _close(asked, id, asked.now_us)


def reopen_account(asked: Asked, id: str) -> Account | Problem:
    """Open a closed account again, with its keys as they were."""
    return _close(asked, id, None)


def _close(asked: Asked, id: str, closed_us: int | None) -> Account | Problem:
    record = asked.terms.accounts.get(id)
    if record is None:
        return not_found(say("account {id!r} that was made", id=id[:100]))
    if closed_us is not None and id in asked.terms.chain(asked.actor.account):
        return problem("refused", say("That would close the account of the key that you ask with."))
    if (closed_us is None) == (record.closed_us is None):
        return told_account(asked.terms, id, asked.now_us)  # it is so already
    return _set(asked, msgspec.structs.replace(record, closed_us=closed_us))


def _set(asked: Asked, record: AccountRecord) -> Account | Problem:
    return asked.change([SetAccount(record)]) or told_account(asked.terms, record.id, asked.now_us)
