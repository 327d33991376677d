"""`weir accounts`: who pays, as a tree; what each has used this month, is limited to, and has left."""

from contextlib import closing
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.bars import bar
from tokenweir.cli.credit_command import PurseLine, purse_line, purse_lines
from tokenweir.cli.limits_command import LimitLine, limit_line
from tokenweir.cli.terms_words import NONE, change, find_account, meant, terms_to_change
from tokenweir.cli.usage_command import UsageLine, usage_line
from tokenweir.core.clock import Clock
from tokenweir.core.money import format_pico
from tokenweir.ledger.changing import decided_anew
from tokenweir.ledger.limit_text import format_limit
from tokenweir.ledger.terms import AccountRecord, SetAccount, Terms
from tokenweir.ledger.views import UsageRow, iso_time, open_reader
from tokenweir.ledger.views.accounts import Branch, account_tree, month_usage
from tokenweir.ledger.views.audit import charge_in_words
from tokenweir.ledger.views.credit import PurseNow, purses_of
from tokenweir.ledger.views.limits import LimitNow, limits_of
from tokenweir.ledger.views.state import state_now


class AccountLine(msgspec.Struct, frozen=True):
    """An account in `--json`."""

    id: str
    parent: str
    depth: int
    name: str
    time_zone: str  # its own or that of the account above
    beyond_credit: str
    created: str | None  # null: nobody made it, but a key names it
    closed: str | None


class AccountNow(AccountLine, frozen=True):
    """What stands about it besides. `month`: with all below it, since the month began."""

    month: UsageLine
    limits: tuple[LimitLine, ...]
    credit: PurseLine | None
    keys: int


class AccountsAnswer(msgspec.Struct, frozen=True):
    """`weir accounts list --json`: each account before those below it."""

    accounts: tuple[AccountNow, ...]


class AccountWords(msgspec.Struct, frozen=True):
    """What the command line says of an account; None: nothing. `none` takes away."""

    parent: str | None = None
    name: str | None = None
    time_zone: str | None = None
    beyond_credit: str | None = None


class Seen(msgspec.Struct, frozen=True):
    """All that is shown of accounts, of one moment."""

    terms: Terms
    tree: list[Branch]
    month: dict[str, UsageRow]
    limits: dict[str, list[LimitNow]]  # by scope
    purses: dict[str, PurseNow]


@decided_anew
def create(directory: Path, id: str, words: AccountWords, as_json: bool, clock: Clock) -> None:
    """Make an account. Raises ValueError for wrong words, LedgerError."""
    terms = terms_to_change(directory)
    if id in terms.accounts:
        raise ValueError(f"there is an account {id} already; `weir accounts set {id}` changes it")
    made = _changed(terms, AccountRecord(id, created_us=clock.now_us()), words)
    _write(directory, terms, made, as_json, clock)
    if not as_json:
        under = f" under {made.parent}" if made.parent else ""
        print(f"{id} is made{under}. `weir keys create --account {id} --name NAME` makes it a key.")


@decided_anew
def set_account(
    directory: Path, id: str, words: AccountWords, reopen: bool, as_json: bool, clock: Clock
) -> None:
    """Change what is said of an account. Raises ValueError for wrong words, LedgerError."""
    terms = terms_to_change(directory)
    known = _known(terms, id)
    made = _changed(terms, known, words)
    if reopen:
        made = msgspec.structs.replace(made, closed_us=None)
    if made == known:
        raise ValueError(f"nothing was said to change of {id}; see `weir accounts set --help`")
    _write(directory, terms, made, as_json, clock)
    if not as_json:
        print(f"{id} is changed.")


@decided_anew
def close(directory: Path, id: str, as_json: bool, clock: Clock) -> None:
    """Close an account and all below it. Raises ValueError for wrong words, LedgerError."""
    terms = terms_to_change(directory)
    known = _known(terms, id)
    if known.closed_us is not None:
        raise ValueError(f"{id} was closed on {iso_time(known.closed_us)[:10]}")
    _write(directory, terms, msgspec.structs.replace(known, closed_us=clock.now_us()), as_json, clock)
    if not as_json:
        others = len(terms.below(id)) - 1
        below = f" with {'the one' if others == 1 else f'the {others}'} below it" if others else ""
        print(
            f"{id} is closed{below}: calls of its keys are refused. `weir accounts set {id} --reopen` undoes it."
        )


def _known(terms: Terms, id: str) -> AccountRecord:
    known = terms.accounts.get(id)
    if known is None:
        raise ValueError(
            f"there is no account {id!r}{meant(id, terms.accounts)}; `weir accounts create {id}` makes one"
        )
    return known


def _changed(terms: Terms, known: AccountRecord, words: AccountWords) -> AccountRecord:
    said = {name: value for name, value in msgspec.structs.asdict(words).items() if value is not None}
    cleared = {name: "" if value == NONE else value for name, value in said.items()}
    if cleared.get("parent") and cleared["parent"] not in terms.accounts:
        parent = cleared["parent"]
        raise ValueError(
            f"there is no account {parent!r}{meant(parent, terms.accounts)} to stand under; make it first"
        )
    return msgspec.structs.replace(known, **cleared)


def _write(directory: Path, terms: Terms, record: AccountRecord, as_json: bool, clock: Clock) -> None:
    change(directory, [SetAccount(record)], clock, terms)
    if as_json:
        terms.apply(SetAccount(record))
        depth = len(list(terms.chain(record.id))) - 1
        show.print_json(_line(terms, Branch(record.id, depth, ())))


# --- what is shown


def see(directory: Path, clock: Clock) -> Seen:
    """Read all of it. Raises LedgerError."""
    with closing(open_reader(directory)) as connection:
        state, at_us = state_now(connection, clock.now_us())
        month = month_usage(connection, state.terms, at_us)
    limits: dict[str, list[LimitNow]] = {}
    for now in limits_of(state, at_us):
        limits.setdefault(now.scope, []).append(now)
    purses = {purse.account: purse for purse in purses_of(state, at_us)}
    return Seen(state.terms, account_tree(state.terms, month), month, limits, purses)


def show_all(directory: Path, as_json: bool, clock: Clock) -> None:
    """List accounts as a tree. Raises LedgerError."""
    seen = see(directory, clock)
    if as_json:
        show.print_json(AccountsAnswer(tuple(_now(seen, branch) for branch in seen.tree)))
        return
    if not seen.tree:
        show.console().print("No accounts. `weir accounts create ID` makes one.")
        return
    charged = any(row.charge_pico for row in seen.month.values())
    columns = [
        "account",
        "name",
        "cost this month",
        *(["charge"] if charged else []),
        "limits",
        "balance",
        "remarks",
    ]
    rows = [_cells(seen, branch, charged) for branch in seen.tree]
    show.print_table(columns, rows, right=frozenset(range(2, 4 if charged else 3)))


def show_one(directory: Path, id: str, as_json: bool, clock: Clock) -> None:
    """Show an account. Raises ValueError for wrong words, LedgerError."""
    seen = see(directory, clock)
    find_account(seen.terms, id)
    branch = next((branch for branch in seen.tree if branch.id == id), Branch(id, 0, (id,)))
    if as_json:
        show.print_json(_now(seen, branch))
        return
    out = show.console()
    for line in _lines(seen, branch):
        out.print(line, markup=False)


def _now(seen: Seen, branch: Branch) -> AccountNow:
    purse = seen.purses.get(branch.id)
    return AccountNow(
        **msgspec.structs.asdict(_line(seen.terms, branch)),
        month=usage_line(_month(seen, branch)),
        limits=tuple(map(limit_line, seen.limits.get(f"account/{branch.id}", ()))),
        credit=None if purse is None else purse_line(purse),
        keys=len(_keys(seen.terms, branch.id)),
    )


def _line(terms: Terms, branch: Branch) -> AccountLine:
    record = terms.accounts.get(branch.id) or AccountRecord(branch.id)
    return AccountLine(
        id=branch.id,
        parent=record.parent,
        depth=branch.depth,
        name=record.name,
        time_zone=terms.time_zone(branch.id),
        beyond_credit=record.beyond_credit,
        created=iso_time(record.created_us) if record.created_us else None,
        closed=None if record.closed_us is None else iso_time(record.closed_us),
    )


def _month(seen: Seen, branch: Branch) -> UsageRow:
    return seen.month.get(branch.id) or UsageRow(by={"account": branch.id})


def _keys(terms: Terms, account: str) -> list[str]:
    return [key.id for key in terms.keys.values() if key.account == account and key.revoked_us is None]


def _cells(seen: Seen, branch: Branch, charged: bool) -> list[str]:
    line, row = _line(seen.terms, branch), _month(seen, branch)
    amounts = [row.cost_pico, row.charge_pico] if charged else [row.cost_pico]
    limits = ", ".join(_limit(now) for now in seen.limits.get(f"account/{branch.id}", ()))
    purse = seen.purses.get(branch.id)
    balance = f"{format_pico(purse.balance_pico)} {purse.currency}" if purse and purse.currency else "–"
    spent = [show.money(amount) or "–" for amount in amounts]
    return [
        "  " * branch.depth + branch.id,
        line.name,
        *spent,
        limits or "–",
        balance,
        _remarks(seen.terms, line),
    ]


def _limit(now: LimitNow) -> str:
    used = (now.spent + now.reserved) * 100 // now.limit.amount if now.limit.amount else 100
    of = f" of {now.limit.model}" if now.limit.model else ""
    return f"{now.text}{of} ({used} %)"


def _remarks(terms: Terms, line: AccountLine) -> str:
    own = terms.accounts.get(line.id)
    parts = (
        f"closed {line.closed[:10]}" if line.closed else "",
        "bills beyond credit" if line.beyond_credit == "bill" else "",
        own.time_zone if own is not None else "",
    )
    return ", ".join(part for part in parts if part)


def _lines(seen: Seen, branch: Branch) -> list[str]:
    """An account in words."""
    terms, line, row = seen.terms, _line(seen.terms, branch), _month(seen, branch)
    above = list(terms.chain(branch.id))[1:]
    named = f' "{line.name}"' if line.name else ""
    under = f", under {' under '.join(above)}" if above else ""
    lines = [f"{branch.id}{named}{under}"]
    facts = (
        ("closed", line.closed or ""),
        ("time zone", line.time_zone),
        ("accounts below", ", ".join(branch.below[1:])),
        ("keys", ", ".join(terms.keys[id].name for id in _keys(terms, branch.id))),
        ("cost this month", show.money(row.cost_pico) or "nothing"),
        ("charge this month", show.money(row.charge_pico)),
        ("margin", show.money(row.margin_pico)),
    )
    lines += [f"    {name}: {value}" for name, value in facts if value]
    for scope in (f"account/{id}" for id in terms.chain(branch.id)):
        where = "" if scope == f"account/{branch.id}" else f" (of {scope.partition('/')[2]})"
        for now in seen.limits.get(scope, ()):
            of = f" of {now.limit.model}" if now.limit.model else ""
            used = bar(now.spent, now.reserved, now.limit.amount)
            lines.append(f"    limit: {format_limit(now.limit)}{of}{where}  {used}")
    payer = terms.purse_of(branch.id)
    if payer is not None and payer != branch.id:
        lines.append(f"    its calls are paid by {payer}")
    purse = seen.purses.get(branch.id)
    lines += [f"    {text}" for text in (purse_lines(purse) if purse else ())]
    for name in (*terms.chain(branch.id), ""):
        for rule in terms.charges.get(name, ()):
            lines.append(
                f"    charge for {rule.model}: {charge_in_words(rule)} (price book of {name or 'everybody'})"
            )
    return lines
