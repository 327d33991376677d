"""Deployments as they are now: whether calls go there first, what was learned of them in the last hour, what they ask for."""

from collections.abc import Mapping

from tokenweir.console.outside import Served
from tokenweir.console.page import Visit
from tokenweir.console.periods import HOUR_US
from tokenweir.console.price_words import price_now
from tokenweir.console.table import Badge, Column, Link, Table, without_empty
from tokenweir.ledger.views.upstream_health import Lately, lately
from tokenweir.routing.decide import COOLING_US

_COLUMNS = (
    Column("deployment", "link"),
    Column("breaker", "badge"),
    Column("attempts", "number"),
    Column("failed", "number"),
    Column("tokens_per_s", "number"),
    Column("ttft_p50", "ms"),
    Column("price"),
    Column("failure", "long"),
    Column("price_else", "long"),
)
#: So many are shown, those that were called the most first.
MOST = 200
_COOLING = "weir_cooling|deployment="


def cooling(counters: Mapping[str, float]) -> dict[str, int]:
    """Deployments that failed a moment ago, and how many workers try them last."""
    return {
        name.removeprefix(_COOLING): int(n) for name, n in counters.items() if name.startswith(_COOLING) and n
    }


def deployments_table(visit: Visit, served: Served, counters: Mapping[str, float]) -> Table:
    """One row for each that is served."""
    now_us = visit.asked.now_us
    found, tried_last = lately(visit.db, now_us - HOUR_US, "deployment"), cooling(counters)
    prices = {d.name: (d.upstream, d.prices) for model in served.models for d in model.deployments}
    names = sorted(prices, key=lambda name: (-found.get(name, Lately()).attempts, name))
    rows = []
    for name in names[:MOST]:
        row, (upstream, known) = found.get(name, Lately()), prices[name]
        price = price_now(known, now_us, visit.t, visit.format)
        asked = f"{price.input} / {price.cache_read} / {price.output} {price.currency}"
        rows.append(
            (
                Link(name, visit.to("/calls", range="24h", upstream=upstream)),
                _breaker(visit, row, tried_last.get(name, 0)),
                row.attempts,
                row.failed,
                None if row.tokens_per_s is None else round(row.tokens_per_s),
                _ms(row.ttft_at(0.5)),
                visit.t("prices.unpriced") if price.currency is None else asked,
                _failure(visit, row),
                None if price.currency is None else price.remarks,
            )
        )
    table = Table(name="deployments", words="upstreams", columns=_COLUMNS, rows=rows)
    return without_empty(table, ("failure", "price_else"))


def _failure(visit: Visit, row: Lately) -> str | None:
    """When it failed last, and what it said."""
    return f"{visit.format.when(row.failed_us)} {row.failure}".strip() if row.failed_us else None


def _breaker(visit: Visit, row: Lately, workers: int) -> Badge:
    """Open for as long as workers try it last, since its newest failure; each of them knows its own."""
    if not workers:
        return Badge(visit.t("upstreams.breaker_closed"), "good")
    until = visit.format.when(row.failed_us + COOLING_US)[-8:] if row.failed_us else "–"
    return Badge(visit.t("upstreams.breaker_open", until=until, workers=workers), "bad")


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000
