"""One call: its attempts, the usage and who says so, and the arithmetic of its cost, which adds up to its last digit."""

from collections.abc import Sequence

import msgspec

from tokenweir.admin.problems import Problem, not_found
from tokenweir.admin.rights import reads_all
from tokenweir.catalog.price import AppliedPrice, SpreadCost
from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.page_calls import outcome_badge, paid
from tokenweir.console.table import Column, Table, without_empty
from tokenweir.core.ids import parse_uuid
from tokenweir.core.money import format_per_mtok
from tokenweir.core.sentence import say
from tokenweir.ledger.entries import ENDS, Entry, Kind
from tokenweir.ledger.views import CallDetail, PricedEntry, Product, call_detail
from tokenweir.routing.decide import AS_CONFIGURED, DRAINED, FAILED, ITSELF, UNABLE, read_route

_COLUMNS = (
    Column("at", "time"),
    Column("kind"),
    Column("upstream"),
    Column("input", "number"),
    Column("cache_read", "number"),
    Column("cache_write", "number"),
    Column("output", "number"),
    Column("reasoning", "number"),
    Column("usage_from"),
    Column("cost", "money"),
    Column("reason", "long"),
)
_ATTEMPTS = (
    Column("number", "number"),
    Column("deployment"),
    Column("route", "long"),
    Column("outcome", "badge"),
    Column("status", "number"),
    Column("ttft", "ms"),
    Column("reason", "long"),
)
#: The words of `routing.decide`, by the console's keys.
_WHY = {
    FAILED: "call.route_failed",
    DRAINED: "call.route_drained",
    UNABLE: "call.route_unable",
    ITSELF: "call.route_itself",
    AS_CONFIGURED: "call.route_configured",
}


class Line(msgspec.Struct, frozen=True):
    """`tokens` × `per_million` / M = `pico`."""

    token_class: str
    tokens: int
    per_million: str
    pico: int


class Sum(msgspec.Struct, frozen=True):
    """An amount with where its price comes from; its lines add up to it, where it goes by tokens."""

    what: str  # "cost" or "charge"
    upstream: str
    pico: int
    currency: str
    price: str
    note: str
    lines: tuple[Line, ...]
    spread: bool


def show(visit: Visit) -> Outcome:
    """The call that the path names."""
    detail = _found(visit)
    if isinstance(detail, Problem):
        return detail
    sums = sums_of(detail, tells_cost=reads_all(visit.asked.actor))
    rows = [_row(visit, item.entry) for item in detail.entries]
    table = Table(name="entries", words="call", columns=_COLUMNS, rows=rows, sorts=False)
    opened = detail.entries[0].entry
    return shown(
        "call.html",
        tables=(_attempts(visit, detail), table),
        id=visit.path["id"],
        row=detail.row,
        opened=opened,
        badge=None if detail.row is None else outcome_badge(detail.row.outcome),
        total=None if detail.row is None else paid(visit, detail.row),
        sums=sums,
        corrections=tuple(detail.corrections.values()),
        key=visit.asked.terms.keys.get(opened.key),
    )


def cost(visit: Visit) -> Outcome:
    """The same in a line, for the page that tries models."""
    detail = _found(visit)
    if isinstance(detail, Problem):
        return detail
    row = detail.row
    return shown(
        "call_cost.html", row=row, total=None if row is None else paid(visit, row), id=visit.path["id"]
    )


def _found(visit: Visit) -> CallDetail | Problem:
    id = visit.path["id"]
    try:
        detail = call_detail(visit.db, parse_uuid(id))
    except ValueError:
        detail = None
    if detail is None or not visit.asked.sees(detail.entries[0].entry.account):
        return not_found(say("call {id!r}", id=id[:100]))
    return detail


def sums_of(detail: CallDetail, *, tells_cost: bool) -> list[Sum]:
    """The sums that make a call's cost, and its charge where that is another: of each attempt the last entry that says so."""
    kept: dict[object, PricedEntry] = {}
    for item in detail.entries:
        entry = item.entry
        if entry.kind in (Kind.ATTEMPT, Kind.REPRICED_ATTEMPT):
            kept[entry.attempt or entry.ordinal] = item
        elif entry.kind in ENDS:
            kept["end"] = item
    sums = []
    for item in kept.values():
        entry = item.entry
        if entry.cost_pico is not None and (tells_cost or not entry.charge_price):
            sums.append(_sum("cost", entry, entry.cost_pico, entry.currency, item.price, item.products))
        if entry.charge_price and entry.charge_pico is not None:
            price = item.charge if tells_cost else None  # a mark-up names the cost's price, and itself
            lines = item.charges if tells_cost else ()
            sums.append(_sum("charge", entry, entry.charge_pico, entry.charge_currency, price, lines))
    return sums


def _sum(
    what: str,
    entry: Entry,
    pico: int,
    currency: str,
    price: AppliedPrice | SpreadCost | None,
    lines: Sequence[Product],
) -> Sum:
    return Sum(
        what,
        entry.upstream,
        pico,
        currency,
        "" if price is None else price.ref,
        "" if price is None else price.note,
        tuple(Line(p.token_class, p.tokens, format_per_mtok(p.rate_pico), p.pico) for p in lines),
        isinstance(price, SpreadCost),
    )


def _row(visit: Visit, entry: Entry) -> tuple[object, ...]:
    usage = entry.usage
    told = entry.kind not in (Kind.OPENED, Kind.REFUSED)
    counts = (
        usage.input,
        usage.cache_read,
        usage.cache_write_5m + usage.cache_write_1h,
        usage.output,
        usage.reasoning,
    )
    cost = entry.cost_pico if reads_all(visit.asked.actor) or not entry.charge_price else None
    return (
        entry.at_us,
        visit.t(f"call.kind_{entry.kind.value}"),
        entry.upstream or None,
        *(counts if told else (None,) * 5),
        visit.t(f"call.from_{usage.provenance.value}") if told else None,
        {entry.currency: cost} if cost is not None and entry.currency else None,
        entry.reason or None,
    )


def _attempts(visit: Visit, detail: CallDetail) -> Table:
    """Where it was tried, why there, and what came of it; without the reasons, where there was no choice."""
    kept: dict[object, Entry] = {}
    for item in detail.entries:
        entry = item.entry
        if entry.kind in (Kind.ATTEMPT, Kind.SETTLED, Kind.LATE) and entry.attempt:
            kept[entry.attempt] = entry
    rows = [
        (
            number,
            entry.deployment,
            _route(visit, entry.route) or None,
            outcome_badge(entry.outcome),
            entry.status or None,
            None if entry.ttft_us is None else entry.ttft_us / 1_000,
            entry.reason or None,
        )
        for number, entry in enumerate(kept.values(), 1)
    ]
    table = Table(name="attempts", words="call", columns=_ATTEMPTS, rows=rows, sorts=False)
    return without_empty(table, ("route", "reason"))


def _route(visit: Visit, text: str) -> str:
    """Why an attempt was made where it was, in the viewer's language; as it is where it is no sentence of this version."""
    route = read_route(text)
    if route is None:
        return text
    reasons = [visit.t(_WHY[why], name=name) for name, why in route.reasons]
    return visit.t(
        "call.route_at", place=route.place, of=route.of, why=visit.t("call.route_and").join(reasons)
    )
