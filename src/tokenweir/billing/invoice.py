"""An invoice as a document: lines that multiply out, totals by currency, and what was paid already. Pure.

`due` = lines + corrections + fees + surcharges - covered by allowances - paid from credit, in each currency for itself.
"""

from collections.abc import Mapping, Sequence

import msgspec

from tokenweir.billing.books import Fee, Plans
from tokenweir.billing.months import last_day, month_at
from tokenweir.catalog.price import AppliedPrice, SpreadCost
from tokenweir.catalog.pricing import rate
from tokenweir.core.errors import LedgerError
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.budgets import ALLOWANCE, OVERAGE, OWED
from tokenweir.ledger.terms import ExchangeRate, Terms
from tokenweir.ledger.views.conversion import Converted, RateBook
from tokenweir.ledger.views.drawn import Drawn, Draws
from tokenweir.ledger.views.invoiced import Billed, Name

_WHOLE_BP = 10_000


class Line(msgspec.Struct, frozen=True):
    """`tokens` × `rate_pico` = `pico`; a cost that does not go by tokens has no rate. `name` leads to its entries.

    Of a correction, lines that take away count less than nothing.
    """

    number: int
    name: Name
    price: str  # in words: where it comes from, and which bracket and hours of it
    token_class: str  # empty: all
    tokens: int
    rate_pico: int | None
    currency: str
    pico: int
    entries: int


class Gap(msgspec.Struct, frozen=True):
    """Usage that no money is asked for: it has no price ("unpriced"), or nobody knows it ("unknown")."""

    number: int
    name: Name
    entries: int
    tokens: dict[str, int]


class Surcharge(msgspec.Struct, frozen=True):
    """What a plan asks on top of what went beyond allowance and credit."""

    account: str
    month: str
    currency: str
    beyond_pico: int
    overage_bp: int
    pico: int


class Paid(msgspec.Struct, frozen=True):
    """What was not to be paid, or was paid already. `what`: "allowance", "credit" or "owed" (of the next credit).

    `amount` is in `unit`: pico of a currency; or tokens, and what those would have cost is in `Total.allowance`.
    """

    account: str
    what: str
    credit: str
    month: str
    unit: str
    amount: int


class Total(msgspec.Struct, frozen=True):
    """Sums in one currency, in pico. Currencies are never added."""

    currency: str
    charges: int = 0
    corrections: int = 0
    fees: int = 0
    surcharges: int = 0
    allowance: int = 0
    credit: int = 0  # with what is owed to the next credit

    @property
    def due(self) -> int:
        """What is left to pay; less than nothing is to be paid back."""
        asked = self.charges + self.corrections + self.fees + self.surcharges
        return asked - self.allowance - self.credit


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """An invoice. `issued_us` is None for a preview; `accounts` are those it covers."""

    id: str
    number: int
    account: str
    account_name: str
    month: str
    time_zone: str
    until_us: int
    upto_seq: int
    issued_us: int | None
    accounts: tuple[str, ...]
    lines: tuple[Line, ...]
    corrections: tuple[Line, ...]
    gaps: tuple[Gap, ...]
    fees: tuple[Fee, ...]
    surcharges: tuple[Surcharge, ...]
    paid: tuple[Paid, ...]
    totals: tuple[Total, ...]
    rates: tuple[ExchangeRate, ...]  # that were known when it was reckoned

    def due_in(self, currency: str) -> Converted:
        """What is due in one currency, by the rates of the month's last day; what has no rate stands apart."""
        day = last_day(self.month)
        return RateBook(self.rates).convert(
            {total.currency: total.due for total in self.totals}, currency, day
        )


def due_of(document: Document) -> tuple[tuple[str, int], ...]:
    """What is due, by currency: what the ledger notes of an invoice that is issued."""
    return tuple((total.currency, total.due) for total in document.totals)


Prices = Mapping[str, AppliedPrice | SpreadCost]


class Body(msgspec.Struct, frozen=True):
    """What sums and prices come to: numbered lines, corrections and gaps."""

    lines: tuple[Line, ...]
    corrections: tuple[Line, ...]
    gaps: tuple[Gap, ...]


def body_of(rows: Sequence[Billed], prices: Prices) -> Body:
    """Lines of every sum. Raises LedgerError where tokens times a price are not what was booked."""
    drafts = [draft for row in rows if row.name.state == "priced" for draft in _lines(row, prices)]
    drafts.sort(key=_order)
    lines = [msgspec.structs.replace(line, number=number) for number, line in enumerate(drafts, 1)]
    missing = [row for row in rows if row.name.state != "priced" and (row.entries or any(row.tokens))]
    gaps = tuple(
        Gap(number, row.name, row.entries, _counts(row)) for number, row in enumerate(missing, len(lines) + 1)
    )
    return Body(
        tuple(line for line in lines if not line.name.corrects),
        tuple(line for line in lines if line.name.corrects),
        gaps,
    )


def _order(line: Line) -> tuple[bool, str, str, bool, str, str]:
    """Corrections last, and of them what is taken away first; classes of one price stay in their order."""
    name, taken_away = line.name, line.pico < 0 or line.tokens < 0
    return name.corrects, name.account, name.model, name.corrects and not taken_away, line.price, name.price


def _lines(row: Billed, prices: Prices) -> list[Line]:
    price = prices.get(row.name.price)
    if price is None:
        raise LedgerError(f"price {row.name.price} is not in the ledger; run `weir ledger verify`")
    words = ", ".join(filter(None, (price.ref, price.note)))
    if isinstance(price, SpreadCost):
        words = f"{price.ref}, {price.note.partition(',')[0]}"  # without the correction's id
        whole = Line(0, row.name, words, "", sum(row.tokens), None, row.name.currency, row.pico, row.entries)
        return [whole] if whole.tokens or whole.pico else []
    lines = []
    for name, tokens in _counts(row).items():
        each = rate(price.rates, name)
        lines.append(
            Line(0, row.name, words, name, tokens, each, row.name.currency, tokens * each, row.entries)
        )
    if sum(line.pico for line in lines) != row.pico:
        raise LedgerError(
            f"the entries of {row.name.account} for {row.name.model} at price {row.name.price} add up to {row.pico} pico, "
            "which is not their tokens times it; run `weir ledger verify`"
        )
    return lines


def _counts(row: Billed) -> dict[str, int]:
    return {name: tokens for name, tokens in zip(TOKEN_CLASSES, row.tokens, strict=True) if tokens}


def surcharges_of(draws: Draws, plans: Plans, terms: Terms) -> tuple[Surcharge, ...]:
    """By the plan of the month that the calls were opened in; each rounded up to a whole pico."""
    found = []
    for name, amount in sorted(draws.amounts.items()):
        month = month_at(name.start_us, terms.time_zone(name.account))
        plan = plans.at(name.account, month) if name.window == OVERAGE else None
        if plan is not None and plan.overage_bp and amount:
            pico = -(-amount * plan.overage_bp // _WHOLE_BP)
            found.append(Surcharge(name.account, month, name.unit, amount, plan.overage_bp, pico))
    return tuple(found)


def paid_of(draws: Draws, terms: Terms) -> tuple[Paid, ...]:
    """What allowances covered and credit paid; what went beyond them is not in it."""
    return tuple(
        _paid(name, amount, terms)
        for name, amount in sorted(draws.amounts.items())
        if amount and name.window != OVERAGE
    )


def _paid(name: Drawn, amount: int, terms: Terms) -> Paid:
    kind, _, credit = name.window.partition("/")
    month = "" if credit else month_at(name.start_us, terms.time_zone(name.account))
    return Paid(name.account, kind, credit, month, name.unit, amount)


def totals_of(
    body: Body,
    fees: Sequence[Fee],
    surcharges: Sequence[Surcharge],
    paid: Sequence[Paid],
    covered_pico: Mapping[str, int],
) -> tuple[Total, ...]:
    """Sums by currency."""
    sums: dict[str, dict[str, int]] = {}

    def add(currency: str, field: str, pico: int) -> None:
        fields = sums.setdefault(currency, {})
        fields[field] = fields.get(field, 0) + pico

    for line in body.lines:
        add(line.currency, "charges", line.pico)
    for line in body.corrections:
        add(line.currency, "corrections", line.pico)
    for fee in fees:
        add(fee.currency, "fees", fee.pico)
    for surcharge in surcharges:
        add(surcharge.currency, "surcharges", surcharge.pico)
    for currency, pico in covered_pico.items():
        add(currency, "allowance", pico)
    for one in paid:
        if one.unit != "tokens":
            add(one.unit, "allowance" if one.what == ALLOWANCE else "credit", one.amount)
    return tuple(Total(currency, **fields) for currency, fields in sorted(sums.items()))


#: What `Paid.what` can be.
PAID = (ALLOWANCE, "credit", OWED)
