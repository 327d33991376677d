"""What can be asked of the ledger: usage by group, calls, and one call with its arithmetic. Reads only."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.core.errors import LedgerError
from tokenweir.core.ids import uuid_text
from tokenweir.core.money import PICO
from tokenweir.core.usage import TOKEN_CLASSES, Usage
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.schema import DATABASE_NAME, ENTRY_COLUMNS, HOURLY_SUMS, check_version

HOUR_US = 3_600_000_000
#: What usage can be grouped by, and the expression over `hourly` that gives it.
GROUPS = {
    "model": "model",
    "key": "key",
    "account": "account",
    "run": "run",
    "day": "hour / 24",
    "hour": "hour",
    "upstream": "upstream",
    "deployment": "deployment",
    "dialect": "dialect",
}
_COUNTS = tuple(name for name in HOURLY_SUMS if name not in ("cost_units", "cost_pico"))
_COLUMNS = ", ".join(ENTRY_COLUMNS)
MAX_PAGE = 1_000


class UsageRow(msgspec.Struct, kw_only=True):
    """Sums over one group. Tokens are in disjoint classes; `cost_pico` is by currency."""

    by: dict[str, str]
    calls: int = 0
    attempts: int = 0
    refused: int = 0
    failed: int = 0
    unpriced_calls: int = 0
    counted_calls: int = 0
    estimated_calls: int = 0
    unknown_calls: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    ttft_count: int = 0
    ttft_us: int = 0
    duration_us: int = 0
    cost_pico: dict[str, int] = {}

    @property
    def tokens(self) -> int:
        """Every token."""
        return sum(getattr(self, name) for name in TOKEN_CLASSES)


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
    unpriced: bool  # something of it has no price
    attempts: int
    ttft_us: int | None
    duration_us: int | None
    status: int
    outcome: Outcome | None
    reason: str


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
    """An entry with the price it refers to; `products` add up to its cost where it has one."""

    seq: int
    entry: Entry
    price: AppliedPrice | None
    products: tuple[Product, ...]


class CallDetail(msgspec.Struct, frozen=True):
    """Everything the ledger has of one call."""

    row: CallRow | None  # None: it is still under way
    entries: tuple[PricedEntry, ...]


def open_reader(data_dir: Path) -> sqlite3.Connection:
    """A read-only connection that works beside the writer. Raises LedgerError."""
    path = data_dir / DATABASE_NAME
    if not path.is_file():
        raise LedgerError(
            f"there is no ledger in {data_dir} yet; `weir up` makes one, --data names another place"
        )
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA mmap_size = 268435456")
        check_version(connection)
    except sqlite3.Error as error:
        connection.close()
        raise LedgerError(f"the ledger {path} cannot be read: {error}") from None
    except LedgerError:
        connection.close()
        raise
    return connection


# --- usage


def whole_hours(since_us: int | None, until_us: int | None) -> tuple[int | None, int | None]:
    """The bounds that `usage` uses: sums are kept per UTC hour, so `since` moves down and `until` up."""
    since = None if since_us is None else since_us // HOUR_US * HOUR_US
    until = None if until_us is None else -(-until_us // HOUR_US) * HOUR_US
    return since, until


def usage(
    connection: sqlite3.Connection,
    by: Sequence[str],
    since_us: int | None = None,
    until_us: int | None = None,
) -> list[UsageRow]:
    """Sums by the groups named (of GROUPS), in whole UTC hours, sorted. KeyError for an unknown group."""
    expressions = [GROUPS[name] for name in by]
    wanted = [*expressions, "currency", *(f"SUM({name})" for name in (*_COUNTS, "cost_units", "cost_pico"))]
    since, until = whole_hours(since_us, until_us)
    bounds = [("hour >= ?", since), ("hour < ?", until)]
    conditions = [(text, value // HOUR_US) for text, value in bounds if value is not None]
    where = " AND ".join(text for text, _ in conditions) or "1"
    grouped = ", ".join([*expressions, "currency"])
    query = f"SELECT {', '.join(wanted)} FROM hourly WHERE {where} GROUP BY {grouped}"
    rows: dict[tuple[object, ...], UsageRow] = {}
    for record in connection.execute(query, [value for _, value in conditions]):
        group = record[: len(by)]
        row = rows.get(group)
        if row is None:
            row = rows[group] = UsageRow(by=_named(by, group), cost_pico={})
        _add(row, record[len(by)], record[len(by) + 1 :])
    return [rows[group] for group in sorted(rows, key=lambda g: tuple(map(str, g)))]


def _named(by: Sequence[str], group: Sequence[object]) -> dict[str, str]:
    return {name: _shown(name, value) for name, value in zip(by, group, strict=True)}


def _shown(name: str, value: object) -> str:
    if name == "day" and isinstance(value, int):
        return iso_time(value * 24 * HOUR_US)[:10]
    if name == "hour" and isinstance(value, int):
        return iso_time(value * HOUR_US)[:13] + ":00Z"
    return str(value)


def _add(row: UsageRow, currency: str, sums: Sequence[int]) -> None:
    for name, value in zip(_COUNTS, sums, strict=False):
        setattr(row, name, getattr(row, name) + value)
    pico = sums[-2] * PICO + sums[-1]
    if currency:
        row.cost_pico[currency] = row.cost_pico.get(currency, 0) + pico


def total(rows: Iterable[UsageRow]) -> UsageRow:
    """The sum of all groups."""
    whole = UsageRow(by={}, cost_pico={})
    for row in rows:
        for name in _COUNTS:
            setattr(whole, name, getattr(whole, name) + getattr(row, name))
        for currency, pico in row.cost_pico.items():
            whole.cost_pico[currency] = whole.cost_pico.get(currency, 0) + pico
    return whole


# --- calls


def calls(
    connection: sqlite3.Connection,
    *,
    limit: int = 50,
    before_seq: int | None = None,
    key: str = "",
    model: str = "",
    since_us: int | None = None,
) -> list[CallRow]:
    """Ended and refused calls, newest first; the next page is before the last row's `seq`."""
    conditions: list[tuple[str, str | int]] = []
    if before_seq is not None:
        conditions.append(("seq < ?", before_seq))
    if key:
        conditions.append(("key = ?", key))
    if model:
        conditions.append(("model = ?", model))
    if since_us is not None:
        conditions.append(("at_us >= ?", since_us))
    where = " AND ".join(["kind IN ('settled', 'refused')", *(text for text, _ in conditions)])
    query = f"SELECT {_COLUMNS} FROM entries WHERE {where} ORDER BY seq DESC LIMIT ?"
    values = [*(value for _, value in conditions), min(limit, MAX_PAGE)]
    return [_call_row(connection, record) for record in connection.execute(query, values).fetchall()]


def calls_after(connection: sqlite3.Connection, seq: int, limit: int = MAX_PAGE) -> list[CallRow]:
    """Calls that ended after entry `seq`, oldest first: what `--follow` prints next."""
    where = "seq > ? AND kind IN ('settled', 'refused')"
    query = f"SELECT {_COLUMNS} FROM entries WHERE {where} ORDER BY seq LIMIT ?"
    return [_call_row(connection, record) for record in connection.execute(query, (seq, limit)).fetchall()]


def last_seq(connection: sqlite3.Connection) -> int:
    """The number of the newest entry; 0 for none."""
    return int(connection.execute("SELECT COALESCE(MAX(seq), 0) FROM entries").fetchone()[0])


def call_detail(connection: sqlite3.Connection, call: bytes) -> CallDetail | None:
    """One call with its attempts and how each cost was reckoned; None where the ledger has no such call."""
    found = list(_entries_of(connection, call))
    if not found:
        return None
    prices = {entry.price: _price(connection, entry.price) for _, entry in found if entry.price}
    priced = tuple(_with_price(seq, entry, prices.get(entry.price)) for seq, entry in found)
    end = next(((s, e) for s, e in found if e.kind in (Kind.SETTLED, Kind.REFUSED)), None)
    row = _summed(end[0], end[1], [entry for _, entry in found]) if end else None
    return CallDetail(row, priced)


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


def iso_time(at_us: int) -> str:
    """UTC, to the millisecond: 2026-11-23T08:15:30.250Z."""
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def read_entry(record: Sequence[object]) -> tuple[int, Entry]:
    """`seq` and the entry of a row of ENTRY_COLUMNS."""
    fields = dict(zip(ENTRY_COLUMNS, record, strict=True))
    counts = {name: fields.pop(name) for name in (*TOKEN_CLASSES, "provenance")}
    seq = fields.pop("seq")
    assert isinstance(seq, int)
    return seq, msgspec.convert({**fields, "usage": counts}, Entry)


def entries(
    connection: sqlite3.Connection, since_us: int | None = None, until_us: int | None = None
) -> Iterator[tuple[int, Entry]]:
    """Every entry in the ledger's order, read as it is asked for."""
    query = f"SELECT {_COLUMNS} FROM entries WHERE at_us >= ? AND at_us < ? ORDER BY seq"
    bounds = (0 if since_us is None else since_us, 2**62 if until_us is None else until_us)
    for record in connection.execute(query, bounds):
        yield read_entry(record)


def _entries_of(connection: sqlite3.Connection, call: bytes) -> Iterator[tuple[int, Entry]]:
    for record in connection.execute(f"SELECT {_COLUMNS} FROM entries WHERE call = ? ORDER BY seq", (call,)):
        yield read_entry(record)


def _price(connection: sqlite3.Connection, price: str) -> AppliedPrice | None:
    row = connection.execute("SELECT applied FROM prices WHERE id = ?", (price,)).fetchone()
    return msgspec.json.decode(row[0], type=AppliedPrice) if row else None


def _with_price(seq: int, entry: Entry, price: AppliedPrice | None) -> PricedEntry:
    lines = products(entry.usage, price.rates) if price and entry.cost_pico is not None else ()
    return PricedEntry(seq, entry, price, lines)


def _call_row(connection: sqlite3.Connection, record: Sequence[object]) -> CallRow:
    seq, end = read_entry(record)
    return _summed(seq, end, [entry for _, entry in _entries_of(connection, end.call)])


def _summed(seq: int, end: Entry, all_entries: Sequence[Entry]) -> CallRow:
    opened = next((entry for entry in all_entries if entry.kind is Kind.OPENED), end)
    spending = [e for e in all_entries if e.kind in (Kind.ATTEMPT, Kind.SETTLED, Kind.LATE)]
    counts = {name: sum(getattr(e.usage, name) for e in spending) for name in TOKEN_CLASSES}
    cost: dict[str, int] = {}
    for entry in spending:
        if entry.cost_pico is not None and entry.currency:
            cost[entry.currency] = cost.get(entry.currency, 0) + entry.cost_pico
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
        unpriced=any(e.cost_pico is None and e.usage.total > 0 for e in spending),
        attempts=sum(e.kind in (Kind.ATTEMPT, Kind.SETTLED) and bool(e.upstream) for e in spending),
        ttft_us=end.ttft_us,
        duration_us=end.duration_us,
        status=end.status,
        outcome=end.outcome,
        reason=end.reason,
    )
