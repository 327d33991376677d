"""`weir credit`: prepaid amounts, what is drawn from them, and what is left."""

from contextlib import closing
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.bars import bar
from tokenweir.cli.moments import parse_later
from tokenweir.cli.system import random_bytes
from tokenweir.cli.terms_words import change, find_account, meant, terms_to_change
from tokenweir.core.clock import Clock
from tokenweir.core.money import format_pico
from tokenweir.ledger.amount_text import format_allowance, parse_money
from tokenweir.ledger.terms import AddCredit, Credit, EndCredit
from tokenweir.ledger.views import iso_time, open_reader
from tokenweir.ledger.views.audit import plan_in_words
from tokenweir.ledger.views.credit import AllowanceNow, CreditNow, PurseNow, purses_now


class CreditLine(msgspec.Struct, frozen=True):
    """A credit in `--json`. Amounts are exact decimals of `currency`."""

    id: str
    account: str
    currency: str
    amount: str
    drawn: str
    left: str
    added: str
    expires: str | None
    expired: bool
    note: str


class AllowanceLine(msgspec.Struct, frozen=True):
    """What a plan includes this month: exact decimals of `unit`."""

    unit: str
    amount: str
    drawn: str
    left: str
    renews: str


class PurseLine(msgspec.Struct, frozen=True):
    """An account's credit and plan in `--json`. Amounts are exact decimals of `currency`."""

    account: str
    currency: str
    beyond_credit: str
    balance: str
    reserved: str
    reserved_tokens: int
    available: str
    overage: str
    owed: str
    plan: str
    allowance: AllowanceLine | None
    credits: tuple[CreditLine, ...]


class PursesAnswer(msgspec.Struct, frozen=True):
    """`weir credit list --json`."""

    accounts: tuple[PurseLine, ...]


class CreditAnswer(msgspec.Struct, frozen=True):
    """`weir credit add --json`."""

    id: str
    account: str
    currency: str
    amount: str
    expires: str | None
    note: str


def purse_line(now: PurseNow) -> PurseLine:
    """The JSON form of an account's credit."""
    return PurseLine(
        account=now.account,
        currency=now.currency,
        beyond_credit=now.beyond_credit,
        balance=format_pico(now.balance_pico),
        reserved=format_pico(now.reserved_pico),
        reserved_tokens=now.reserved_tokens,
        available=format_pico(now.available_pico),
        overage=format_pico(now.overage_pico),
        owed=format_pico(now.owed_pico),
        plan=now.plan.name if now.plan else "",
        allowance=_allowance_line(now.allowance),
        credits=tuple(map(_credit_line, now.credits)),
    )


def _credit_line(now: CreditNow) -> CreditLine:
    credit = now.credit
    return CreditLine(
        id=credit.id,
        account=credit.account,
        currency=credit.currency,
        amount=format_pico(credit.pico),
        drawn=format_pico(now.drawn_pico),
        left=format_pico(now.left_pico),
        added=iso_time(credit.added_us),
        expires=None if credit.expires_us is None else iso_time(credit.expires_us),
        expired=now.expired,
        note=credit.note,
    )


def _allowance_line(now: AllowanceNow | None) -> AllowanceLine | None:
    if now is None:
        return None
    amount, drawn, left = (
        str(value) if now.unit == "tokens" else format_pico(value)
        for value in (now.amount, now.drawn, now.left)
    )
    return AllowanceLine(now.unit, amount, drawn, left, iso_time(now.renews_at_us))


def add(
    directory: Path, account: str, text: str, expires: str, note: str, id: str, as_json: bool, clock: Clock
) -> None:
    """Top an account up. Raises ValueError for wrong words, LedgerError."""
    money, now_us = parse_money(text), clock.now_us()
    terms = terms_to_change(directory)
    account = find_account(terms, account)
    until_us = parse_later(expires, now_us, terms.time_zone(account)) if expires else None
    credit = Credit(
        id=id or f"credit_{random_bytes(4).hex()}", account=account, currency=money.currency, pico=money.pico,
        added_us=now_us, expires_us=until_us, note=note,
    )  # fmt: skip
    change(directory, [AddCredit(credit)], clock)
    shown = None if until_us is None else iso_time(until_us)
    if as_json:
        amount = format_pico(money.pico)
        show.print_json(CreditAnswer(credit.id, account, money.currency, amount, shown, note))
        return
    until = f", good until {shown[:16].replace('T', ' ')} UTC" if shown else ""
    print(f"{account} has {money} more{until}. Id {credit.id}.")
    if terms.purse_of(account) != account:
        beyond = terms.accounts.get(account)
        refuses = beyond is None or beyond.beyond_credit == "refuse"
        told = "are refused" if refuses else "go on its bill"
        print(f"From now on its calls are paid from this; calls beyond it {told}.")


def end(directory: Path, account: str, id: str, as_json: bool, clock: Clock) -> None:
    """Void what is left of a credit. Raises ValueError for wrong words, LedgerError."""
    terms = terms_to_change(directory)
    account = find_account(terms, account)
    known = terms.credits.get(account, {})
    if id not in known:
        raise ValueError(
            f"{account} has no credit {id!r}{meant(id, known)}; `weir credit show {account}` lists them"
        )
    change(directory, [EndCredit(account, id, clock.now_us())], clock)
    if as_json:
        show.print_json({"account": account, "id": id, "ended": True})
    else:
        print(f"What is left of {id} is void.")


def show_all(directory: Path, as_json: bool, clock: Clock) -> None:
    """List accounts with credit or a plan. Raises LedgerError."""
    purses = _read(directory, "", clock)
    if as_json:
        show.print_json(PursesAnswer(tuple(map(purse_line, purses))))
        return
    if not purses:
        show.console().print(
            'No account has credit or a plan. `weir credit add ID "¥100"` adds some.', markup=False
        )
        return
    columns = ("account", "balance", "reserved", "allowance left", "overage", "owed", "beyond credit", "plan")
    rows = [_cells(purse) for purse in purses]
    show.print_table(columns, rows, right=frozenset({1, 2, 3, 4, 5}))


def show_one(directory: Path, account: str, as_json: bool, clock: Clock) -> None:
    """Show an account's credit. Raises ValueError for wrong words, LedgerError."""
    account = find_account(terms_to_change(directory), account)
    purses = _read(directory, account, clock)
    if as_json:
        show.print_json(purse_line(purses[0]) if purses else {"account": account, "credits": []})
        return
    if not purses:
        show.console().print(f"{account} has neither credit nor a plan of its own.", markup=False)
        return
    print_purse(purses[0])


def print_purse(now: PurseNow) -> None:
    """Credit and plan of an account in words and a table."""
    out = show.console()
    for line in purse_lines(now):
        out.print(line, markup=False)
    columns = ("id", "amount", "drawn", "left", "used", "added", "expires (UTC)", "note")
    if now.credits:
        show.print_table(columns, map(_credit_cells, now.credits), right=frozenset({1, 2, 3}))


def purse_lines(now: PurseNow) -> list[str]:
    """What an account has, owes and holds back."""
    lines = []
    if now.plan is not None:
        lines.append(f"plan {now.plan.name}: {plan_in_words(now.plan)}")
    if now.allowance is not None:
        left = format_allowance(now.allowance.left, now.allowance.unit)
        whole = format_allowance(now.allowance.amount, now.allowance.unit)
        used = bar(now.allowance.drawn, now.reserved_tokens, now.allowance.amount)
        renews = iso_time(now.allowance.renews_at_us)[:16].replace("T", " ")
        lines.append(f"this month: {left} of {whole} left  {used}, renews {renews} UTC")
    if now.currency:
        beyond = (
            "calls beyond it are refused" if now.beyond_credit == "refuse" else "calls beyond it are billed"
        )
        lines.append(f"balance: {_money(now.balance_pico, now)}; {beyond}")
    for name, pico in (
        ("reserved by calls under way", now.reserved_pico),
        ("billed this month beyond it", now.overage_pico),
        ("owed, and taken off the balance", now.owed_pico),
    ):
        if pico:
            lines.append(f"{name}: {_money(pico, now)}")
    return lines


def _cells(now: PurseNow) -> list[str]:
    allowance = now.allowance
    left = "–" if allowance is None else format_allowance(allowance.left, allowance.unit)
    amounts = [_money(pico, now) for pico in (now.balance_pico, now.reserved_pico)]
    beyond = [_money(pico, now) for pico in (now.overage_pico, now.owed_pico)]
    plan = now.plan.name if now.plan else "–"
    return [now.account, *amounts, left, *beyond, now.beyond_credit, plan]


def _credit_cells(now: CreditNow) -> list[str]:
    line = _credit_line(now)
    expires = "never" if line.expires is None else line.expires[:16].replace("T", " ")
    used = "expired" if now.expired else bar(now.drawn_pico, 0, now.credit.pico)
    return [
        line.id,
        f"{line.amount} {line.currency}",
        line.drawn,
        line.left,
        used,
        line.added[:10],
        expires,
        line.note,
    ]


def _money(pico: int, now: PurseNow) -> str:
    return f"{format_pico(pico)} {now.currency}" if now.currency else "–"


def _read(directory: Path, account: str, clock: Clock) -> list[PurseNow]:
    with closing(open_reader(directory)) as connection:
        return purses_now(connection, clock.now_us(), account)
