"""An invoice as JSON and CSV have it: exact decimals, moments in UTC."""

import csv
import io
from collections.abc import Iterable, Iterator

import msgspec

from tokenweir.billing.invoice import Document, Gap, Line, Paid, Total
from tokenweir.core.ids import uuid_text
from tokenweir.core.money import format_per_mtok, format_pico
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.entries import Entry
from tokenweir.ledger.views import iso_time
from tokenweir.ledger.views.conversion import Converted


class LineAnswer(msgspec.Struct, frozen=True):
    """`tokens` × `per_million` / 1,000,000 = `amount`; null: its price does not go by tokens."""

    line: int
    account: str
    model: str
    attempts: int
    price: str
    token_class: str
    tokens: int
    per_million: str | None
    currency: str
    amount: str


class GapAnswer(msgspec.Struct, frozen=True):
    """Usage that no money is asked for. `what`: "unpriced" or "unknown"."""

    line: int
    account: str
    model: str
    what: str
    correction: bool
    attempts: int
    tokens: dict[str, int]


class FeeAnswer(msgspec.Struct, frozen=True):
    """A month's fee of a plan."""

    account: str
    plan: str
    month: str
    currency: str
    amount: str


class SurchargeAnswer(msgspec.Struct, frozen=True):
    """`percent` of what went `beyond` allowance and credit."""

    account: str
    month: str
    currency: str
    beyond: str
    percent: str
    amount: str


class PaidAnswer(msgspec.Struct, frozen=True):
    """What an allowance covered ("allowance"), a credit paid ("credit"), or is taken from the next one ("owed")."""

    account: str
    what: str
    credit: str
    month: str
    unit: str
    amount: str


class TotalAnswer(msgspec.Struct, frozen=True):
    """Sums in one currency."""

    currency: str
    charges: str
    corrections: str
    fees: str
    surcharges: str
    allowance: str
    credit: str
    due: str


class RateAnswer(msgspec.Struct, frozen=True):
    """One unit of `base` is `rate` of `quote`, from a day on."""

    base: str
    quote: str
    day: str
    rate: str
    source: str


class ConvertedAnswer(msgspec.Struct, frozen=True):
    """What is due in one currency, rounded to 10⁻¹²; `apart` has no rate and is not in it."""

    currency: str
    due: str
    apart: dict[str, str]
    rates: tuple[RateAnswer, ...]


class InvoiceAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole invoice; `issued` is null for a preview. It holds entries up to `upto_entry`, of times before `until`."""

    id: str
    number: int
    account: str
    name: str
    month: str
    time_zone: str
    until: str
    upto_entry: int
    issued: str | None
    accounts: tuple[str, ...]
    lines: tuple[LineAnswer, ...]
    corrections: tuple[LineAnswer, ...]
    without_money: tuple[GapAnswer, ...]
    fees: tuple[FeeAnswer, ...]
    surcharges: tuple[SurchargeAnswer, ...]
    paid: tuple[PaidAnswer, ...]
    totals: tuple[TotalAnswer, ...]
    converted: ConvertedAnswer | None


class EntryAnswer(msgspec.Struct, frozen=True):
    """An attempt behind a line; `sign` is -1 where a correction takes it away. `amount` is of all its tokens."""

    sign: int
    seq: int
    call: str
    at: str
    kind: str
    account: str
    key: str
    run: str
    model: str
    deployment: str
    tokens: dict[str, int]
    provenance: str
    currency: str
    amount: str | None
    reason: str


def invoice_answer(document: Document, currency: str = "") -> InvoiceAnswer:
    """The JSON form; where a currency is named, with what is due in it."""
    return InvoiceAnswer(
        id=document.id,
        number=document.number,
        account=document.account,
        name=document.account_name,
        month=document.month,
        time_zone=document.time_zone,
        until=iso_time(document.until_us),
        upto_entry=document.upto_seq,
        issued=None if document.issued_us is None else iso_time(document.issued_us),
        accounts=document.accounts,
        lines=tuple(map(_line, document.lines)),
        corrections=tuple(map(_line, document.corrections)),
        without_money=tuple(map(_gap, document.gaps)),
        fees=tuple(
            FeeAnswer(f.account, f.plan, f.month, f.currency, format_pico(f.pico)) for f in document.fees
        ),
        surcharges=tuple(
            SurchargeAnswer(
                s.account,
                s.month,
                s.currency,
                format_pico(s.beyond_pico),
                percent(s.overage_bp),
                format_pico(s.pico),
            )
            for s in document.surcharges
        ),
        paid=tuple(map(_paid, document.paid)),
        totals=tuple(map(_total, document.totals)),
        converted=_converted(document.due_in(currency)) if currency else None,
    )


def percent(basis_points: int) -> str:
    """Exact, without the sign: 12.5."""
    whole, part = divmod(basis_points, 100)
    return f"{whole}.{part:02d}".rstrip("0").rstrip(".")


def _line(line: Line) -> LineAnswer:
    return LineAnswer(
        line=line.number,
        account=line.name.account,
        model=line.name.model,
        attempts=line.entries,
        price=line.price,
        token_class=line.token_class,
        tokens=line.tokens,
        per_million=None if line.rate_pico is None else format_per_mtok(line.rate_pico),
        currency=line.currency,
        amount=format_pico(line.pico),
    )


def _gap(gap: Gap) -> GapAnswer:
    name = gap.name
    return GapAnswer(gap.number, name.account, name.model, name.state, name.corrects, gap.entries, gap.tokens)


def _paid(paid: Paid) -> PaidAnswer:
    amount = str(paid.amount) if paid.unit == "tokens" else format_pico(paid.amount)
    return PaidAnswer(paid.account, paid.what, paid.credit, paid.month, paid.unit, amount)


def _total(total: Total) -> TotalAnswer:
    names = TotalAnswer.__struct_fields__[1:]
    return TotalAnswer(total.currency, *(format_pico(getattr(total, name)) for name in names))


def _converted(converted: Converted) -> ConvertedAnswer:
    rates = tuple(
        RateAnswer(r.base, r.quote, r.day, format_pico(r.rate_pico), r.source)
        for r in (rate.quoted for rate in converted.rates)
    )
    apart = {currency: format_pico(pico) for currency, pico in converted.apart.items()}
    return ConvertedAnswer(converted.currency, format_pico(converted.pico), apart, rates)


def entry_answer(sign: int, seq: int, entry: Entry) -> EntryAnswer:
    """The JSON form of an attempt behind a line."""
    charged = bool(entry.charge_price)
    pico = entry.charge_pico if charged else entry.cost_pico
    counts = {name: getattr(entry.usage, name) for name in TOKEN_CLASSES}
    return EntryAnswer(
        sign=sign,
        seq=seq,
        call=uuid_text(entry.call),
        at=iso_time(entry.at_us),
        kind=entry.kind,
        account=entry.account,
        key=entry.key,
        run=entry.run,
        model=entry.model,
        deployment=entry.deployment,
        tokens={name: count for name, count in counts.items() if count},
        provenance=entry.usage.provenance,
        currency=entry.charge_currency if charged else entry.currency,
        amount=None if pico is None else format_pico(sign * pico),
        reason=entry.reason,
    )


CSV_COLUMNS = (
    "section", "line", "account", "model", "attempts", "what", "token_class", "tokens", "per_million", "currency", "amount",
)  # fmt: skip


def invoice_csv(answer: InvoiceAnswer) -> str:
    """One row for each line, correction, gap, fee, surcharge, payment and sum; `section` says which."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(CSV_COLUMNS)
    writer.writerows([_cell(value) for value in row] for row in _rows(answer))
    return out.getvalue()


def _rows(answer: InvoiceAnswer) -> Iterator[tuple[object, ...]]:
    for section, lines in (("line", answer.lines), ("correction", answer.corrections)):
        yield from _line_rows(section, lines)
    for gap in answer.without_money:
        for name, tokens in gap.tokens.items() or (("", 0),):
            yield (gap.what, gap.line, gap.account, gap.model, gap.attempts, "", name, tokens, "", "", "")
    for fee in answer.fees:
        yield (
            "fee", "", fee.account, "", "", f"{fee.plan} {fee.month}", "", "", "", fee.currency, fee.amount,
        )  # fmt: skip
    for extra in answer.surcharges:
        what = f"{extra.percent} % of {extra.beyond} {extra.currency} beyond, {extra.month}"
        yield ("surcharge", "", extra.account, "", "", what, "", "", "", extra.currency, extra.amount)
    for paid in answer.paid:
        counts = (paid.amount, "", "", "") if paid.unit == "tokens" else ("", "", paid.unit, paid.amount)
        yield (paid.what, "", paid.account, "", "", paid.credit or paid.month, "", *counts)
    for total in answer.totals:
        for name in TotalAnswer.__struct_fields__[1:]:
            yield ("total", "", "", "", "", name, "", "", "", total.currency, getattr(total, name))
    told = answer.converted
    if told is not None:
        for rate in told.rates:
            what = f"1 {rate.base} = {rate.rate} {rate.quote} since {rate.day}"
            yield ("rate", "", "", "", "", what, "", "", "", "", "")
        yield ("converted", "", "", "", "", "due", "", "", "", told.currency, told.due)


def _line_rows(section: str, lines: Iterable[LineAnswer]) -> Iterator[tuple[object, ...]]:
    for line in lines:
        yield (
            section, line.line, line.account, line.model, line.attempts, line.price, line.token_class, line.tokens,
            line.per_million or "", line.currency, line.amount,
        )  # fmt: skip


def _cell(value: object) -> object:
    """Words that a spreadsheet would take for a formula are marked as text; numbers stay numbers."""
    is_words = isinstance(value, str) and not value.lstrip("-").replace(".", "").isdigit()
    return f"'{value}" if is_words and str(value)[:1] in tuple("=+-@\t\r") else value
