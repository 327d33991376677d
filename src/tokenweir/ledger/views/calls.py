"""Calls as they ended, and one call with the arithmetic of its cost."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from tokenweir.catalog.price import AppliedPrice, Rates, SpreadCost, read_applied
from tokenweir.core.ids import uuid_text
from tokenweir.core.usage import TOKEN_CLASSES, Usage
from tokenweir.ledger.database import Connection
from tokenweir.ledger.entries import ENDS, Entry, Kind, Outcome
from tokenweir.ledger.views.call_cost import costs_at_least
from tokenweir.ledger.views.reader import COLUMNS, read_entry, seq_before

MAX_PAGE = 1_000
_ENDS = frozenset({*ENDS, Kind.REFUSED})
#: The entry that a row is known by: the first end of its call. A call that this ledger saw only late has no other.
_FIRST_END = (
    "(kind IN ('settled', 'refused') OR kind = 'late' AND NOT EXISTS (SELECT 1 FROM entries AS known "
    "WHERE known.call = entries.call AND known.kind = 'opened'))"
)


class CallRow(msgspec.Struct, frozen=True, kw_only=True):
    """One ended or refused call. Usage and cost are of all its attempts."""

    seq: int  # of the entry that ended it; pages and --follow go by it
    call: str
    at_us: int  # when it was opened or refused
    account: str
    key: str
    run: str
    model: str
    dialect: str
    upstream: str  # of the last attempt
    deployment: str
    served_model: str
    usage: Usage
    cost_pico: dict[str, int]  # by currency
    charge_pico: dict[str, int]  # what the account is charged, where that is by a price of its own
    unpriced: bool  # something of it has no price
    attempts: int
    ttft_us: int | None
    duration_us: int | None
    status: int
    outcome: Outcome | None
    reason: str
    tool_calls: int = 0  # that its answer asked for; known of calls of a run


class Product(msgspec.Struct, frozen=True):
    """One line of a cost: tokens × pico per token."""

    token_class: str
    tokens: int
    rate_pico: int

    @property
    def pico(self) -> int:
        """The line's amount."""
        return self.tokens * self.rate_pico


class PricedEntry(msgspec.Struct, frozen=True):
    """An entry with the prices it refers to; `products` add up to its cost where it has one, `charges` to its charge."""

    seq: int
    entry: Entry
    price: AppliedPrice | SpreadCost | None
    products: tuple[Product, ...]
    charge: AppliedPrice | SpreadCost | None
    charges: tuple[Product, ...]


class CallDetail(msgspec.Struct, frozen=True):
    """Everything the ledger has of one call."""

    row: CallRow | None  # None: it is still under way
    entries: tuple[PricedEntry, ...]
    corrections: dict[
        str, str
    ] = {}  # why entries of it were corrected, in words, by what they name as their reason


def calls(
    connection: Connection,
    *,
    limit: int = 50,
    before_seq: int | None = None,
    accounts: Iterable[str] | None = None,
    key: str = "",
    run: str = "",
    model: str = "",
    outcome: str = "",
    upstream: str = "",
    deployment: str = "",
    since_us: int | None = None,
    until_us: int | None = None,
    min_cost: tuple[int, str] | None = None,
    as_paid: bool = False,
    min_duration_us: int | None = None,
    after_seq: int = 0,
) -> list[CallRow]:
    """Ended and refused calls, newest first; the next page is before the last row's `seq`. `accounts`: only theirs.

    `min_cost` is pico and currency, of all attempts together; `as_paid`: of what the account pays. `after_seq`: no further back.
    """
    since_seq = max(after_seq, 0 if since_us is None else seq_before(connection, since_us))
    named = None if accounts is None else msgspec.json.encode(sorted(accounts)).decode()
    asked: tuple[tuple[str, str | int | None], ...] = (
        ("seq < ?", before_seq),
        ("seq > ?", since_seq or None),
        ("at_us >= ?", since_us),
        ("at_us < ?", until_us),
        (f"account IN ({connection.database.names.format('?')})", named),
        ("key = ?", key or None),
        ("run = ?", run or None),
        ("model = ?", model or None),
        ("outcome = ?", outcome or None),
        ("upstream = ?", upstream or None),
        ("deployment = ?", deployment or None),
        ("duration_us >= ?", min_duration_us),
    )
    conditions: list[tuple[str, tuple[str | int, ...]]] = [
        (text, (value,)) for text, value in asked if value is not None
    ]
    conditions += [] if min_cost is None else [costs_at_least(*min_cost, as_paid=as_paid)]
    where = " AND ".join([*(text for text, _ in conditions), _FIRST_END])
    query = f"SELECT {COLUMNS} FROM entries WHERE {where} ORDER BY seq DESC LIMIT ?"
    values = [*(value for _, some in conditions for value in some), min(limit, MAX_PAGE)]
    return [_call_row(connection, record) for record in connection.execute(query, values).fetchall()]


def calls_after(connection: Connection, seq: int, limit: int = MAX_PAGE) -> list[CallRow]:
    """Calls that ended after entry `seq`, oldest first: what `--follow` prints next."""
    query = f"SELECT {COLUMNS} FROM entries WHERE seq > ? AND {_FIRST_END} ORDER BY seq LIMIT ?"
    return [_call_row(connection, record) for record in connection.execute(query, (seq, limit)).fetchall()]


def call_detail(connection: Connection, call: bytes) -> CallDetail | None:
    """One call with its attempts and how each cost was reckoned; None where the ledger has no such call."""
    found = list(_entries_of(connection, call))
    if not found:
        return None
    named = {name for _, entry in found for name in (entry.price, entry.charge_price) if name}
    prices = {name: _price(connection, name) for name in named}
    priced = tuple(_with_prices(seq, entry, prices) for seq, entry in found)
    ends = [(seq, entry) for seq, entry in found if entry.kind in _ENDS]
    # A row is known by the entry that ended it first: a correction does not move it to another page.
    row = _summed(ends[0][0], [entry for _, entry in found]) if ends else None
    return CallDetail(row, priced, _corrections(connection, [entry for _, entry in found]))


def _corrections(connection: Connection, found: Sequence[Entry]) -> dict[str, str]:
    """The notes that corrected entries name."""
    named = {entry.reason for entry in found if entry.kind in (Kind.REPRICED, Kind.REPRICED_ATTEMPT)}
    if not named:
        return {}
    # Few calls have any; what reads terms is loaded for these alone.
    from tokenweir.ledger.store import read_changes
    from tokenweir.ledger.terms import NoteCorrection

    notes = (audited.change for audited in read_changes(connection))
    return {note.id: note.what for note in notes if isinstance(note, NoteCorrection) and note.id in named}


def products(usage: Usage, rates: Rates) -> tuple[Product, ...]:
    """Tokens × rate of each class that has tokens. A class without a rate of its own has that of its kind."""
    fallbacks = {
        "cache_read": rates.input,
        "cache_write_5m": rates.input,
        "cache_write_1h": rates.input,
        "reasoning": rates.output,
    }
    lines = []
    for name in TOKEN_CLASSES:
        tokens = getattr(usage, name)
        rate = getattr(rates, name)
        if tokens:
            lines.append(Product(name, tokens, fallbacks[name] if rate is None else rate))
    return tuple(lines)


def _entries_of(connection: Connection, call: bytes) -> Iterator[tuple[int, Entry]]:
    for record in connection.execute(f"SELECT {COLUMNS} FROM entries WHERE call = ? ORDER BY seq", (call,)):
        yield read_entry(record)


def _price(connection: Connection, price: str) -> AppliedPrice | SpreadCost | None:
    row = connection.execute("SELECT applied FROM prices WHERE id = ?", (price,)).fetchone()
    return read_applied(row[0]) if row else None


def _with_prices(
    seq: int, entry: Entry, prices: Mapping[str, AppliedPrice | SpreadCost | None]
) -> PricedEntry:
    price, charge = prices.get(entry.price), prices.get(entry.charge_price)
    return PricedEntry(
        seq,
        entry,
        price,
        _products(entry.usage, price, entry.cost_pico),
        charge,
        _products(entry.usage, charge, entry.charge_pico),
    )


def _products(usage: Usage, price: AppliedPrice | SpreadCost | None, pico: int | None) -> tuple[Product, ...]:
    return products(usage, price.rates) if isinstance(price, AppliedPrice) and pico is not None else ()


def _call_row(connection: Connection, record: Sequence[object]) -> CallRow:
    seq, end = read_entry(record)
    return _summed(seq, [entry for _, entry in _entries_of(connection, end.call)])


def _summed(seq: int, all_entries: Sequence[Entry]) -> CallRow:
    """A row of all entries of a call that has ended; of each attempt the last that says what it cost counts."""
    end = [entry for entry in all_entries if entry.kind in _ENDS][-1]
    opened = next((entry for entry in all_entries if entry.kind is Kind.OPENED), end)
    tried = {
        e.attempt or e.ordinal: e for e in all_entries if e.kind in (Kind.ATTEMPT, Kind.REPRICED_ATTEMPT)
    }
    spending = [*tried.values(), end]
    counts = {name: sum(getattr(e.usage, name) for e in spending) for name in TOKEN_CLASSES}
    cost: dict[str, int] = {}
    charge: dict[str, int] = {}
    for entry in spending:
        if entry.cost_pico is not None and entry.currency:
            cost[entry.currency] = cost.get(entry.currency, 0) + entry.cost_pico
        if entry.charge_pico is not None and entry.charge_currency:
            charge[entry.charge_currency] = charge.get(entry.charge_currency, 0) + entry.charge_pico
    return CallRow(
        seq=seq,
        call=uuid_text(end.call),
        at_us=opened.at_us,
        account=end.account or opened.account,
        key=end.key or opened.key,
        run=end.run or opened.run,
        model=end.model or opened.model,
        dialect=end.dialect or opened.dialect,
        upstream=end.upstream,
        deployment=end.deployment,
        served_model=end.served_model,
        usage=Usage(**counts, provenance=end.usage.provenance),
        cost_pico=cost,
        charge_pico=charge,
        unpriced=any(e.cost_pico is None and e.usage.total > 0 for e in spending),
        attempts=sum(bool(e.upstream) for e in spending),
        ttft_us=end.ttft_us,
        duration_us=end.duration_us,
        status=end.status,
        outcome=end.outcome,
        reason=end.reason,
        tool_calls=end.tool_calls,
    )
