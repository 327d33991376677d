"""Standing costs of a month, laid on the calls of their upstream by further entries."""

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from tokenweir.billing.correcting import Difference, Move, difference, write
from tokenweir.billing.months import month_at, month_bounds, months
from tokenweir.billing.price_book import PriceBook
from tokenweir.billing.spreading import ZONE, Period, period_of, shares
from tokenweir.catalog.charges import format_percent, marked_up, marked_up_pico
from tokenweir.catalog.price import AppliedPrice, SpreadCost
from tokenweir.catalog.pricing import price_id
from tokenweir.core.clock import Clock
from tokenweir.core.sentence import say
from tokenweir.core.usage import Provenance
from tokenweir.ledger.database import Connection
from tokenweir.ledger.entries import Entry
from tokenweir.ledger.known_terms import standing_price
from tokenweir.ledger.messages import Charge, Reprice
from tokenweir.ledger.store import read_changes
from tokenweir.ledger.terms import Audited, NoteCorrection, StandingCost, Terms
from tokenweir.ledger.views import last_seq, open_reader
from tokenweir.ledger.views.standing import Asked, Standing, standing


class Spread(msgspec.Struct, frozen=True):
    """What was, or would be, spread over the calls of one upstream in one month. `idle` are costs that no call was there for.

    `correction` is empty where nothing is left to do.
    """

    upstream: str
    month: str
    currency: str
    costs: dict[str, int]  # pico by the id of the standing cost
    idle: dict[str, int]
    attempts: int  # that bear a share
    correction: str
    difference: Difference


class _Plan(msgspec.Struct, frozen=True):
    """Everything that is needed to say what each attempt bears."""

    asked: Asked
    upto: int
    periods: tuple[Period, ...]
    cost: SpreadCost
    parts: tuple[int, ...] | Sequence[int]  # pico of each attempt, in order
    bears: bytearray  # 1 for each that has a share
    book: PriceBook
    correction: str
    charges: dict[int, SpreadCost]  # by mark-up in basis points


def due_months(terms: Terms, first_us: int, now_us: int) -> tuple[tuple[str, str], ...]:
    """Each upstream and month that is over, with a standing cost in force in it; from the month of `first_us` on."""
    found = set()
    for cost in terms.standing_costs.values():
        end_us = now_us if cost.until_us is None else min(now_us, cost.until_us)
        for month in months(month_at(max(first_us, cost.from_us), ZONE), month_at(end_us, ZONE)):
            if month_bounds(month, ZONE)[1] <= now_us and period_of(cost, month) is not None:
                found.add((cost.upstream, month))
    return tuple(sorted(found))


def spread(data_dir: Path, id: str, month: str, clock: Clock, actor: str, *, dry_run: bool) -> Spread:
    """Spread a standing cost over a month's calls, with the others of its upstream. Raises ValueError, LedgerError."""
    connection = open_reader(data_dir)
    try:
        cost = _terms(list(read_changes(connection))).standing_costs.get(id)
        if cost is None:
            raise ValueError(say("there is no standing cost {id!r}", id=id))
        if period_of(cost, month) is None:
            raise ValueError(say("the standing cost {id} is not in force in {month}", id=id, month=month))
    finally:
        connection.close()
    return spread_upstream(data_dir, cost.upstream, month, clock, actor, dry_run=dry_run)


def spread_upstream(
    data_dir: Path, upstream: str, month: str, clock: Clock, actor: str, *, dry_run: bool
) -> Spread:
    """Spread every standing cost of an upstream over a month's calls. Done twice, the second finds nothing.

    Cut off halfway, the same again goes on; where calls came meanwhile it spreads anew over all of them.
    Raises ValueError, LedgerError.
    """
    if month_bounds(month, ZONE)[1] > clock.now_us():
        raise ValueError(say("{month} is not over (in UTC); its calls are not all known yet", month=month))
    connection = open_reader(data_dir)
    try:
        changes = list(read_changes(connection))
        periods = _periods(_terms(changes), upstream, month)
        plan, idle = _plan(connection, changes, periods, upstream, month)
        found = difference(_moves(connection, plan))
        if found.entries and not dry_run:
            what = f"{plan.cost.ref}: {plan.cost.note}"
            noted = any(_noted(audited, plan.correction) for audited in changes)
            note = None if noted else NoteCorrection(plan.correction, "spread", what, found.entries)
            write(data_dir, lambda: _moves(connection, plan), note, clock, actor)
        return Spread(
            upstream=upstream,
            month=month,
            currency=plan.cost.currency,
            costs={p.cost.id: p.total_pico for p in periods if p.cost.id not in idle},
            idle=idle,
            attempts=sum(plan.bears),
            correction=plan.correction if found.entries else "",
            difference=found,
        )
    finally:
        connection.close()


def _terms(changes: Sequence[Audited]) -> Terms:
    terms = Terms()
    for audited in changes:
        terms.apply(audited.change)
    return terms


def _periods(terms: Terms, upstream: str, month: str) -> tuple[Period, ...]:
    costs = sorted(
        (c for c in terms.standing_costs.values() if c.upstream == upstream), key=lambda cost: cost.id
    )
    periods = tuple(period for cost in costs if (period := period_of(cost, month)) is not None)
    currencies = {period.cost.currency for period in periods}
    if not periods:
        raise ValueError(say("{upstream} has no standing cost in {month}", upstream=upstream, month=month))
    if len(currencies) > 1:
        names = ", ".join(period.cost.id for period in periods)
        raise ValueError(
            say(
                "{names} are all of {upstream} but in {currencies}; use one currency",
                names=names,
                upstream=upstream,
                currencies=", ".join(sorted(currencies)),
            )
        )
    return periods


def _plan(
    connection: Connection,
    changes: Sequence[Audited],
    periods: tuple[Period, ...],
    upstream: str,
    month: str,
) -> tuple[_Plan, dict[str, int]]:
    start_us, end_us = month_bounds(month, ZONE)
    asked, upto = Asked(start_us, end_us, upstream), last_seq(connection)
    book = PriceBook(changes)
    weights = [array("Q") for _ in periods]
    content = hashlib.blake2b(msgspec.json.encode([_content(period) for period in periods]), digest_size=8)
    for one in standing(connection, asked, upto):
        own = [period.weight(one.entry) for period in periods]
        for known, weight in zip(weights, own, strict=True):
            known.append(weight)
        content.update(repr((one.used_seq, own, _markup(book, one))).encode())
    borne = [(p, w) for p, w in zip(periods, weights, strict=True) if any(w)]
    idle = {p.cost.id: p.total_pico for p, w in zip(periods, weights, strict=True) if not any(w)}
    parts: list[int] = [0] * len(weights[0])
    bears = bytearray(len(parts))
    for period, own_weights in borne:
        for index, (part, weight) in enumerate(
            zip(shares(period.total_pico, own_weights), own_weights, strict=True)
        ):
            parts[index] += part
            bears[index] |= weight > 0
    correction = _correction(changes, upstream, month, content.hexdigest())
    names = "+".join(period.cost.id for period, _ in borne) or "+".join(p.cost.id for p in periods)
    by = ", ".join(f"by {period.cost.spread_by}" for period, _ in borne[:1]) or "idle"
    cost = SpreadCost(
        f"standing cost {names} {month}",
        periods[0].cost.currency,
        sum(period.total_pico for period, _ in borne),
        f"{by}, {correction}",
    )
    plan = _Plan(asked, upto, periods, cost, parts, bears, book, correction, {})
    plan.charges.update(_charges(connection, plan))
    return plan, idle


def _content(period: Period) -> tuple[StandingCost, int]:
    return period.cost, period.total_pico


def _correction(changes: Sequence[Audited], upstream: str, month: str, digest: str) -> str:
    """The last spread of an upstream's month if it was the same one, which may have been cut off; else the next."""
    prefix = f"spread-{upstream}-{month}-"
    before = [
        audited.change.id
        for audited in changes
        if isinstance(audited.change, NoteCorrection) and audited.change.id.startswith(prefix)
    ]
    if before and before[-1].endswith(f"-{digest}"):
        return before[-1]
    return f"{prefix}{len(before) + 1}-{digest}"


def _noted(audited: Audited, id: str) -> bool:
    return isinstance(audited.change, NoteCorrection) and audited.change.id == id


def _charges(connection: Connection, plan: _Plan) -> dict[int, SpreadCost]:
    """What is charged in all where a mark-up stands on what was spread, by the mark-up."""
    sums: dict[int, int] = {}
    for one, part, bears in _borne(connection, plan):
        markup_bp = _markup(plan.book, one)
        if bears and markup_bp is not None:
            sums[markup_bp] = sums.get(markup_bp, 0) + marked_up_pico(part, markup_bp)
    return {
        markup_bp: msgspec.structs.replace(
            plan.cost, ref=f"{plan.cost.ref}, {format_percent(markup_bp)}", total_pico=total
        )
        for markup_bp, total in sums.items()
    }


def _borne(connection: Connection, plan: _Plan) -> Iterator[tuple[Standing, int, bool]]:
    found = standing(connection, plan.asked, plan.upto)
    for one, part, bears in zip(found, plan.parts, plan.bears, strict=True):
        yield one, part, bool(bears)


def _markup(book: PriceBook, one: Standing) -> int | None:
    """The mark-up that the call is charged at; None: it is charged by a price of its own, or pays its cost."""
    entry = one.entry
    rule = book.rule(entry.account, entry.model, one.opened_us, one.opened_seq)
    return None if rule is None or rule.price is not None else rule.markup_bp


def _moves(connection: Connection, plan: _Plan) -> Iterator[Move]:
    """Attempts that do not stand as they should; those that bear nothing cost nothing by themselves."""
    for one, part, bears in _borne(connection, plan):
        price, charged, pico = _borne_by(plan, one, part, bears)
        entry = one.entry
        charge = Charge(entry.charge_price, entry.charge_pico, entry.charge_currency)
        named: tuple[AppliedPrice | SpreadCost, ...] = (price,)
        if charged is not None:
            own, amount = charged
            charge, named = Charge(price_id(own)[0], amount, own.currency), (price, own)
        to = Reprice(
            0,
            entry.call,
            entry.attempt,
            entry.usage,
            plan.correction,
            price_id(price)[0],
            pico,
            price.currency,
            charge,
        )
        if not _stands(entry, to):
            yield Move(entry, to, named)


def _borne_by(
    plan: _Plan, one: Standing, part: int, bears: bool
) -> tuple[AppliedPrice | SpreadCost, tuple[AppliedPrice | SpreadCost, int | None] | None, int | None]:
    """The price of an attempt, its charge where that follows the cost, and its cost."""
    markup_bp = _markup(plan.book, one)
    if bears:
        charge = None if markup_bp is None else (plan.charges[markup_bp], marked_up_pico(part, markup_bp))
        return plan.cost, charge, part
    free = standing_price(_cost_at(plan, one.entry))
    nothing = None if one.entry.usage.provenance is Provenance.UNKNOWN else 0
    return free, None if markup_bp is None else (marked_up(free, markup_bp), nothing), nothing


def _cost_at(plan: _Plan, entry: Entry) -> StandingCost:
    costs = [period.cost for period in plan.periods]
    return next((cost for cost in costs if cost.is_in_force(entry.at_us)), costs[0])


def _stands(entry: Entry, to: Reprice) -> bool:
    was = (entry.price, entry.cost_pico, entry.currency)
    charge = (entry.charge_price, entry.charge_pico, entry.charge_currency)
    return (*was, *charge) == (to.price, to.cost_pico, to.currency, *msgspec.structs.astuple(to.charge))
