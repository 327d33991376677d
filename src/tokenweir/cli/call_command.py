"""`weir calls CALL`: one call with every entry, down to the tokens and prices of what it cost and what is charged."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec

from tokenweir.catalog.price import AppliedPrice, SpreadCost
from tokenweir.cli import show
from tokenweir.cli.calls_command import CallLine, call_line
from tokenweir.core.ids import parse_uuid, uuid_text
from tokenweir.core.money import decimals, format_per_mtok, format_pico
from tokenweir.ledger.entries import Entry, Kind
from tokenweir.ledger.views import CallDetail, PricedEntry, Product, call_detail, iso_time, open_reader
from tokenweir.ledger.views.told import Line, Tokens, lines_of, tokens_of

CORRECTIONS = (Kind.REPRICED, Kind.REPRICED_ATTEMPT)


class ReservedLine(msgspec.Struct, frozen=True):
    """What a call set aside before it was sent: the dearest it could become. Money by currency, where a limit asked."""

    input: int
    output: int
    money: dict[str, str]
    allowance_tokens: int  # of an allowance of tokens, which then paid for the call


class EntryLine(msgspec.Struct, frozen=True):
    """One entry of the ledger; `products` add up to `cost`, `charge_products` to `charge`. No price: unpriced, or nothing
    to price. A cost or charge that does not go by tokens has no products."""

    seq: int
    at: str
    kind: str
    upstream: str
    deployment: str
    tokens: Tokens
    usage_from: str
    price: str
    price_note: str
    currency: str
    products: tuple[Line, ...]
    cost: str | None
    outcome: str | None
    status: int
    reason: str
    route: str  # why it was made at this deployment, at this place; empty where there was no choice
    charge_price: str
    charge_note: str
    charge_currency: str
    charge_products: tuple[Line, ...]
    charge: str | None
    covered_tokens: int  # of them, by an allowance
    reserved: ReservedLine | None
    correction: str  # why the entry stands in the place of another, in words


class OpenedCall(CallLine, frozen=True):
    """`weir calls CALL --json`: its line as in the list, and what it was reckoned from."""

    entries: tuple[EntryLine, ...]


class CallUnderWay(msgspec.Struct, frozen=True):
    """`weir calls CALL --json` while it has not ended."""

    call: str
    open: bool
    entries: tuple[EntryLine, ...]


def entry_line(item: PricedEntry, corrections: dict[str, str]) -> EntryLine:
    """The JSON form of an entry."""
    entry = item.entry
    return EntryLine(
        seq=item.seq,
        at=iso_time(entry.at_us),
        kind=entry.kind.value,
        upstream=entry.upstream,
        deployment=entry.deployment,
        tokens=tokens_of(entry.usage),
        usage_from=entry.usage.provenance.value,
        price=item.price.ref if item.price else "",
        price_note=item.price.note if item.price else "",
        currency=entry.currency,
        products=lines_of(item.products),
        cost=None if entry.cost_pico is None else format_pico(entry.cost_pico),
        outcome=entry.outcome.value if entry.outcome else None,
        status=entry.status,
        reason=entry.reason,
        route=entry.route,
        charge_price=item.charge.ref if item.charge else "",
        charge_note=item.charge.note if item.charge else "",
        charge_currency=entry.charge_currency,
        charge_products=lines_of(item.charges),
        charge=None if entry.charge_pico is None else format_pico(entry.charge_pico),
        covered_tokens=0 if entry.kind is Kind.OPENED else entry.covered_tokens,
        reserved=_reserved(entry),
        correction=_correction(entry, corrections),
    )


def _reserved(entry: Entry) -> ReservedLine | None:
    if entry.kind is not Kind.OPENED:
        return None
    return ReservedLine(
        entry.bound_input, entry.bound_output, decimals(_money_reserved(entry)), entry.covered_tokens
    )


def _money_reserved(entry: Entry) -> dict[str, int]:
    """Pico by currency."""
    held = {} if entry.reserved_pico is None else {entry.currency: entry.reserved_pico}
    return held | (
        msgspec.json.decode(entry.also_reserved, type=dict[str, int]) if entry.also_reserved else {}
    )


def _correction(entry: Entry, corrections: dict[str, str]) -> str:
    return corrections.get(entry.reason, "") if entry.kind in CORRECTIONS else ""


def opened_call(call: str, detail: CallDetail) -> OpenedCall | CallUnderWay:
    """The JSON form of one call."""
    entries = tuple(entry_line(item, detail.corrections) for item in detail.entries)
    if detail.row is None:
        return CallUnderWay(call, True, entries)
    return OpenedCall(**msgspec.structs.asdict(call_line(detail.row)), entries=entries)


def run(directory: Path, call: str, *, as_json: bool) -> bool:
    """Print one call with every attempt; False where there is none such. Raises ValueError, LedgerError."""
    try:
        wanted = parse_uuid(call)
    except ValueError:
        raise ValueError(f"{call!r} is no call's id; answers carry it as x-weir-call") from None
    with closing(open_reader(directory)) as connection:
        detail = call_detail(connection, wanted)
    if detail is None:
        return False
    if as_json:
        show.print_json(opened_call(uuid_text(wanted), detail))
        return True
    _print(detail)
    return True


def _print(detail: CallDetail) -> None:
    out = show.console()
    for item in detail.entries:
        for line in detail_lines(item, detail.corrections):
            out.print(line, markup=False)
    if detail.row is None:
        out.print("This call is still under way.")
        return
    out.print(f"cost of the call: {show.money(detail.row.cost_pico) or 'unpriced'}", markup=False)
    if detail.row.charge_pico:
        out.print(f"charged for it: {show.money(detail.row.charge_pico)}", markup=False)


def detail_lines(item: PricedEntry, corrections: dict[str, str]) -> list[str]:
    """An entry in words, with each product of its cost and of its charge."""
    entry = item.entry
    head = [f"{item.seq}", iso_time(entry.at_us), entry.kind.value]
    head += [text for text in (entry.deployment, entry.outcome.value if entry.outcome else "") if text]
    if entry.status:
        head.append(f"HTTP {entry.status}")
    lines = ["  ".join(head)]
    if entry.route:
        lines.append(f"    tried {entry.route}")
    if entry.reason:
        told = _correction(entry, corrections)
        lines.append(f"    {f'corrected ({entry.reason}): {told}' if told else entry.reason}")
    lines += _reserved_lines(entry)
    lines += _amount_lines(item.products, item.price, entry.cost_pico, entry.currency)
    charged = list(_amount_lines(item.charges, item.charge, entry.charge_pico, entry.charge_currency))
    if charged:
        lines += ["    charged for it:", *(f"  {line}" for line in charged)]
    if entry.covered_tokens and entry.kind is not Kind.OPENED:
        lines.append(
            f"    {entry.covered_tokens:,} of {entry.usage.total:,} tokens are covered by an allowance"
        )
    return lines


def _reserved_lines(entry: Entry) -> Iterator[str]:
    """Of an opening: what was set aside, where it has a price; and of an allowance of tokens."""
    money = _money_reserved(entry)
    if entry.kind is not Kind.OPENED:
        return
    if money:
        yield (
            f"    set aside: {show.money(money)}, for {entry.bound_input:,} tokens of input "
            f"and {entry.bound_output:,} of output at most"
        )
    if entry.covered_tokens:
        yield f"    set aside of the allowance: {entry.covered_tokens:,} tokens"


def _amount_lines(
    products: tuple[Product, ...], price: AppliedPrice | SpreadCost | None, pico: int | None, currency: str
) -> Iterator[str]:
    """Tokens × price for each class, and their sum; a share of a cost that does not go by tokens is one line."""
    if price is None or pico is None:
        return
    note = f"; {price.note}" if price.note else ""
    if isinstance(price, SpreadCost):
        whole = f"of {format_pico(price.total_pico)} {price.currency}"
        yield f"    = {format_pico(pico)} {currency}  (a share {whole}: {price.ref}{note})"
        return
    for product in products:
        yield (
            f"    {product.token_class}: {product.tokens:,} tokens × {format_per_mtok(product.rate_pico)} "
            f"{currency} per million = {format_pico(product.pico)} {currency}"
        )
    yield f"    = {format_pico(pico)} {currency}  (price: {price.ref}{note})"
