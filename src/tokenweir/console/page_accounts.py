"""Accounts: the tree of who pays, and one of them."""

from collections.abc import Mapping

from tokenweir.admin.accounts import AccountsQuery, get_account, list_accounts
from tokenweir.admin.forms import MOST_ON_A_PAGE
from tokenweir.admin.problems import Problem
from tokenweir.console.fields import said
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.page_keys import accounts_of, done, state_of
from tokenweir.console.page_limits import limits_table
from tokenweir.console.table import Badge, Column, Link, Table

_COLUMNS = (
    Column("id", "link"),
    Column("name"),
    Column("under"),
    Column("live_keys", "number"),
    Column("days_in"),
    Column("beyond"),
    Column("state", "badge"),
)
_KEYS = (Column("name", "link"), Column("role"), Column("created", "time"), Column("state", "badge"))


def show(visit: Visit) -> Outcome:
    """The tree: each below the one it stands under."""
    rows = []
    for id, depth in _tree(visit):
        account = get_account(visit.asked, id)
        if isinstance(account, Problem):
            continue
        rows.append(
            (
                Link("\u2003" * depth + id, visit.to(f"/accounts/{id}")),
                account.name or None,
                account.parent or None,
                account.live_keys,
                account.days_in,
                visit.t(f"accounts.beyond_{account.beyond_credit}"),
                Badge("closed", "bad", "accounts.closed")
                if account.closed
                else Badge("open", "good", "accounts.open"),
            )
        )
    table = Table(name="accounts", words="accounts", columns=_COLUMNS, rows=rows)
    return shown("accounts.html", tables=(table,), accounts=accounts_of(visit))


def _tree(visit: Visit) -> list[tuple[str, int]]:
    page = list_accounts(visit.asked, AccountsQuery(limit=MOST_ON_A_PAGE))
    parents = {account.id: account.parent for account in page.items}
    found: list[tuple[str, int]] = []

    def put(parent: str, depth: int) -> None:
        for id in sorted(
            id for id, above in parents.items() if (above if above in parents else "") == parent
        ):
            found.append((id, depth))
            put(id, depth + 1)

    put("", 0)
    return found


def show_one(visit: Visit) -> Outcome:
    """One account: its keys and limits."""
    id = visit.path["id"]
    account = get_account(visit.asked, id)
    if isinstance(account, Problem):
        return account
    keys = [
        (
            Link(key.name, visit.to(f"/keys/{key.id}")),
            visit.t(f"role.{key.role}") if key.role else None,
            key.created_us,
            state_of(key, visit.asked.now_us),
        )
        for key in visit.asked.terms.keys.values()
        if key.account == id and key.revoked_us is None
    ]
    table = Table(name="keys", words="keys", columns=_KEYS, rows=keys)
    limits = limits_table(visit, f"account/{id}")
    return shown("account.html", tables=(table, limits), account=account, accounts=accounts_of(visit))


def create(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Make an account."""
    outcome = visit.do("put_account", id=fields.get("id", ""), body=_body(fields))
    return outcome if isinstance(outcome, Problem) else Redirect(visit.to("/accounts", done="saved"))


def change(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Replace what is known of one."""
    return done(visit, visit.do("put_account", id=visit.path["id"], body=_body(fields)))


def close(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Nothing is called with its keys any more."""
    return done(visit, visit.do("close_account", id=visit.path["id"]))


def reopen(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Open it again."""
    return done(visit, visit.do("reopen_account", id=visit.path["id"]))


def _body(fields: Mapping[str, str]) -> dict[str, object]:
    return said(fields, "parent", "name", "time_zone", "beyond_credit")
