"""Calls: found by time, account, key, run, model, outcome, cost and latency; newest first."""

from collections.abc import Mapping

from tokenweir.admin.problems import Problem, problem
from tokenweir.admin.rights import reads_all
from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.periods import HOUR_US, Period
from tokenweir.console.table import Badge, Column, Link, Table
from tokenweir.core.money import check_currency, parse_amount
from tokenweir.core.sentence import whole
from tokenweir.ledger.entries import Outcome as Ended
from tokenweir.ledger.limit_text import CURRENCIES as KNOWN
from tokenweir.ledger.views import MAX_PAGE, CallRow
from tokenweir.ledger.views import calls as find_calls
from tokenweir.ledger.views.reader import seq_before

ON_A_PAGE = 50
#: Entries of the ledger that one page looks through; a search for what is rare goes on from there by its link.
MOST_SCANNED = 200_000
#: How much later than a call's end its entry may have been written: the ledger's database may have been away.
LATEST_US = 7 * 24 * HOUR_US
_FILTERS = ("account", "key", "run", "model", "outcome", "upstream", "deployment", "cost", "ms")
COLUMNS = (
    Column("at", "time"),
    Column("call", "link"),
    Column("model"),
    Column("key", "link"),
    Column("outcome", "badge"),
    Column("prompt", "number"),
    Column("cached", "number"),
    Column("completion", "number"),
    Column("cost", "money"),
    Column("ttft", "ms"),
    Column("duration", "ms"),
    Column("upstream"),
    Column("account"),
)
#: What a cost can be searched by: those that providers price in, the first two before the others.
CURRENCIES = tuple(sorted(KNOWN, key=lambda code: (code not in ("CNY", "USD"), code)))
_TONES = {Ended.OK: "good", Ended.CANCELLED: "", Ended.REFUSED: "warn"}


def show(visit: Visit) -> Outcome:
    """The list."""
    period = visit.period()
    floor = 0 if visit.wants_csv else _floor(visit, period)
    rows = _found(visit, period, floor)
    if isinstance(rows, Problem):
        visit.problem, rows, floor = rows, [], 0
    table = table_of(visit, rows, "calls")
    more = len(rows) == ON_A_PAGE and not visit.wants_csv
    stopped = bool(floor) and not more
    return shown(
        "calls.html",
        tables=(
            Table(
                name="calls",
                words="calls",
                columns=COLUMNS,
                rows=table.rows,
                sorts=False,
                next=visit.link(after=rows[-1].seq) if more else "",
            ),
        ),
        period=period,
        outcomes=[outcome.value for outcome in Ended],
        is_filtered=any(visit.query.get(name) for name in _FILTERS),
        currencies=CURRENCIES,
        further=visit.link(after=floor + 1) if stopped else "",
        looked_back_us=_at(visit, floor) if stopped else None,
    )


def _floor(visit: Visit, period: Period) -> int:
    """The entry that this page looks back to; 0 where that is as far as the period goes."""
    top = seq_before(visit.db, period.until_us)
    if visit.query["after"].isdigit():
        top = min(top, int(visit.query["after"]))
    floor = top - MOST_SCANNED
    return floor if floor > seq_before(visit.db, period.since_us) else 0


def _top(visit: Visit, period: Period, before: int | None) -> int | None:
    """The entry that a page begins before; None: at the newest. What is much newer than the period is not looked through."""
    latest_us = period.until_us + LATEST_US
    if latest_us >= visit.asked.now_us:
        return before
    later = visit.db.execute(
        "SELECT seq FROM entries WHERE seq > ? AND kind = 'opened' ORDER BY seq LIMIT 1",
        (seq_before(visit.db, latest_us),),
    ).fetchone()
    return min((seq for seq in (before, later and later[0]) if seq is not None), default=None)


def _at(visit: Visit, seq: int) -> int:
    found = visit.db.execute(
        "SELECT at_us FROM entries WHERE seq >= ? ORDER BY seq LIMIT 1", (seq,)
    ).fetchone()
    return int(found[0])


def _found(visit: Visit, period: Period, floor: int) -> list[CallRow] | Problem:
    query = visit.query
    try:
        cost = _amount(query["cost"], query["currency"])
        slowest_us = int(float(query["ms"]) * 1000) if query.get("ms") else None
        before = _top(visit, period, int(query["after"]) if query["after"] else None)
    except ValueError as error:
        return problem("wrong_form", whole(error))
    accounts = visit.accounts
    if query.get("account"):
        below = visit.asked.terms.below(query["account"])
        accounts = below if accounts is None else below & accounts
    return find_calls(
        visit.db,
        limit=MAX_PAGE if visit.wants_csv else ON_A_PAGE,
        before_seq=before,
        accounts=accounts,
        since_us=period.since_us,
        until_us=period.until_us,
        after_seq=floor,
        min_cost=cost,
        as_paid=not reads_all(visit.asked.actor),
        min_duration_us=slowest_us,
        **{
            name: query.get(name, "") for name in ("key", "run", "model", "outcome", "upstream", "deployment")
        },
    )


def _amount(text: str, currency: str) -> tuple[int, str] | None:
    """`0.5` of the currency that was chosen, or `0.5 CNY`."""
    if not text:
        return None
    amount, _, own = text.partition(" ")
    return parse_amount(amount), check_currency((own.strip() or currency or CURRENCIES[0]).upper())


def table_of(visit: Visit, rows: list[CallRow], name: str) -> Table:
    """Calls as a table; what one cost is for those who may know it, others see what they are charged."""
    return Table(
        name=name, words="calls", columns=COLUMNS, rows=[_row(visit, row) for row in rows], sorts=False
    )


def _row(visit: Visit, row: CallRow) -> tuple[object, ...]:
    key = visit.asked.terms.keys.get(row.key)
    return (
        row.at_us,
        Link(row.call[-12:], visit.to(f"/calls/{row.call}")),
        row.model,
        Link(row.key if key is None else key.name, visit.to(f"/keys/{row.key}")),
        outcome_badge(row.outcome),
        row.usage.prompt,
        row.usage.cache_read,
        row.usage.completion,
        paid(visit, row),
        None if row.ttft_us is None else row.ttft_us / 1000,
        None if row.duration_us is None else row.duration_us / 1000,
        row.upstream or None,
        row.account,
    )


def outcome_badge(outcome: Ended | None) -> Badge | None:
    """How a call ended."""
    if outcome is None:
        return None
    return Badge(outcome.value, _TONES.get(outcome, "bad"), f"outcome.{outcome.value}")


def paid(visit: Visit, row: CallRow) -> Mapping[str, int] | None:
    """What a call cost by currency; None: nothing has a price, or who looks may not know it."""
    if reads_all(visit.asked.actor):
        return row.cost_pico or None
    return row.charge_pico or row.cost_pico or None
