"""What the changes of terms say of invoices: whom they cover, what earlier ones hold, and whose plan asks which fee. Pure."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from tokenweir.billing.months import FIRST_US, month_at, month_bounds, months
from tokenweir.ledger.terms import Audited, Invoice, IssueInvoice, Plan, SetPlan, Terms
from tokenweir.ledger.views.invoiced import Covered, Held, Scope


class Issued(msgspec.Struct, frozen=True):
    """An invoice, whom it covers, when it was issued and by whom."""

    invoice: Invoice
    accounts: frozenset[str]
    at_us: int
    actor: str


class Fee(msgspec.Struct, frozen=True):
    """What a plan asks for a month, however much was used."""

    account: str
    plan: str
    month: str
    currency: str
    pico: int


class Books(msgspec.Struct, frozen=True):
    """The terms as a change left them, every invoice that was issued before, and the plans of every month."""

    terms: Terms
    issued: tuple[Issued, ...]
    plans: "Plans"

    def scope(self, account: str, until_us: int, upto_seq: int) -> Scope:
        """What an invoice of an account, and of all below it, would hold after the ones that were issued."""
        alike: dict[tuple[Held, ...], list[str]] = {}
        for name in sorted(self.terms.below(account)):
            held = {
                Held(one.invoice.upto_seq, one.invoice.until_us)
                for one in self.issued
                if name in one.accounts
            }
            alike.setdefault(tuple(sorted(_widest(held))), []).append(name)
        groups = tuple(Covered(tuple(names), held) for held, names in alike.items())
        return Scope(groups, upto_seq, until_us)

    def fees(self, account: str, month: str) -> tuple[Fee, ...]:
        """Fees of plans for a month and those before it that are on no earlier invoice."""
        found = []
        for name in sorted(self.terms.below(account)):
            billed = max((one.invoice.month for one in self.issued if name in one.accounts), default="")
            last = min(month, self._closed(name) or month)
            for of, plan in self.plans.upto(name, last):
                if plan.fee_pico and of > billed:
                    found.append(Fee(name, plan.name, of, plan.currency, plan.fee_pico))
        return tuple(found)

    def _closed(self, account: str) -> str:
        """The month in which it, or one above it, was closed; empty: none was."""
        records = (self.terms.accounts.get(name) for name in self.terms.chain(account))
        closed = [
            record.closed_us for record in records if record is not None and record.closed_us is not None
        ]
        return month_at(min(closed), self.terms.time_zone(account)) if closed else ""


def _widest(held: set[Held]) -> set[Held]:
    """Without those that another one contains."""
    return {
        one
        for one in held
        if not any(
            other != one and other.upto_seq >= one.upto_seq and other.until_us >= one.until_us
            for other in held
        )
    }


class Plans:
    """The plan of each account in each month. One that is replaced asks its fee for the months before; one that is taken
    away, for the month in which it was.
    """

    def __init__(self) -> None:
        self._plans: dict[str, list[tuple[str, Plan | None]]] = {}  # from that month on

    def note(self, account: str, plan: Plan | None, at_us: int, zone: str) -> None:
        """A plan was set, or taken away."""
        known = self._plans.setdefault(account, [])
        if plan is None:
            _, first = islice(months(month_at(at_us, zone), "2199-12"), 2)  # the month after
        else:
            # One that names no beginning begins when it is made.
            first = month_at(plan.from_us if plan.from_us >= FIRST_US else at_us, zone)
        known[:] = [(month, before) for month, before in known if month < first]
        known.append((first, plan))

    def at(self, account: str, month: str) -> Plan | None:
        """The plan of a month."""
        known = self._plans.get(account, [])
        found = bisect_right(known, month, key=lambda step: step[0])
        return known[found - 1][1] if found else None

    def upto(self, account: str, month: str) -> Iterator[tuple[str, Plan]]:
        """Each month up to one, with its plan, where there is one."""
        known = self._plans.get(account, [])
        for of in months(known[0][0], month) if known else ():
            plan = self.at(account, of)
            if plan is not None:
                yield of, plan


def open_books(changes: Sequence[Audited], upto_change: int | None = None) -> Books:
    """What the changes up to one say; None: all of them. `changes` are all there are, oldest first."""
    wanted: dict[int, list[Audited]] = {}
    for audited in changes:
        if isinstance(audited.change, IssueInvoice):
            wanted.setdefault(audited.change.invoice.upto_change, []).append(audited)
    terms, plans = Terms(), Plans()
    issued = {later.seq: _issued(later, terms) for later in wanted.get(0, ())}
    last = upto_change if upto_change is not None else changes[-1].seq if changes else 0
    for audited in changes:
        if audited.seq > last:
            break
        change = audited.change
        if isinstance(change, SetPlan):
            plans.note(change.account, change.plan, audited.at_us, terms.time_zone(change.account))
        terms.apply(change)
        for later in wanted.get(audited.seq, ()):
            issued[later.seq] = _issued(later, terms)
    return Books(terms, tuple(one for seq, one in sorted(issued.items()) if seq <= last), plans)


def _issued(audited: Audited, terms: Terms) -> Issued:
    assert isinstance(audited.change, IssueInvoice)
    invoice = audited.change.invoice
    return Issued(invoice, frozenset(terms.below(invoice.account)), audited.at_us, audited.actor)


def next_invoice(books: Books, account: str, month: str, upto_seq: int, upto_change: int) -> Invoice:
    """The invoice that would be issued now, without its totals. Raises ValueError for a month that is none."""
    _, until_us = month_bounds(month, books.terms.time_zone(account))
    number = len(books.issued) + 1
    return Invoice(
        id=f"{month.strip()}-{number:04d}",
        account=account,
        month=month.strip(),
        until_us=until_us,
        upto_seq=upto_seq,
        number=number,
        upto_change=upto_change,
    )
