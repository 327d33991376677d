"""Upstreams: who is served from, how they do, and which get no calls. Drained and restored here."""

from collections.abc import Mapping

from tokenweir.admin.problems import Problem
from tokenweir.console.deployments_now import cooling, deployments_table
from tokenweir.console.fields import said
from tokenweir.console.page import Outcome, Redirect, Visit, shown
from tokenweir.console.periods import HOUR_US
from tokenweir.console.table import Badge, Chart, Column, Link, Series, Table, without_empty
from tokenweir.engines.health import EngineLoad
from tokenweir.ledger.views.upstream_health import Lately, lately

_COLUMNS = (
    Column("upstream", "link"),
    Column("state", "badge"),
    Column("in_flight", "number"),
    Column("running", "number"),
    Column("waiting", "number"),
    Column("cache_used", "share"),
    Column("attempts", "number"),
    Column("errors", "share"),
    Column("ttft_p50", "ms"),
    Column("ttft_p95", "ms"),
    Column("cached", "share"),
    Column("last", "time"),
    Column("models", "number"),
    Column("kind"),
    Column("address"),
)
#: What engines alone tell.
_OF_ENGINES = ("running", "waiting", "cache_used")
#: How far back "lately" goes.
LATELY_US = 24 * HOUR_US
_IN_FLIGHT = "weir_upstream_in_flight|upstream="


def show(visit: Visit) -> Outcome:
    """All that are served, drained, or were called lately."""
    served, counters, engines = visit.outside.served(), visit.live.counters(), visit.outside.engines()
    found = lately(visit.db, visit.asked.now_us - LATELY_US)
    drained = visit.asked.terms.drained
    known = {upstream.name: upstream for upstream in served.upstreams}
    rows = []
    for name in sorted({*known, *drained, *found}):
        row, upstream, load = found.get(name, Lately()), known.get(name), engines.get(name) or EngineLoad()
        rows.append(
            (
                Link(name, visit.to("/calls", range="24h", upstream=name)),
                _state(visit, name, name in known, counters, engines.get(name, load) is None),
                int(counters.get(_IN_FLIGHT + name, 0)),
                load.running,
                load.waiting,
                load.cache_used,
                row.attempts,
                row.failed_share,
                _ms(row.ttft_at(0.5)),
                _ms(row.ttft_at(0.95)),
                row.cached_share,
                row.last_us or None,
                sum(d.upstream == name for m in served.models for d in m.deployments),
                None if upstream is None else upstream.kind,
                None if upstream is None else f"{upstream.address} ({visit.tell(upstream.why)})",
            )
        )
    table = without_empty(
        Table(name="upstreams", words="upstreams", columns=_COLUMNS, rows=rows), _OF_ENGINES
    )
    return shown(
        "upstreams.html",
        tables=(table, deployments_table(visit, served, counters)),
        charts=(_speed(visit, found),),
        drained=drained,
        cools=bool(cooling(counters)),
        names=[n for n in known if n not in drained],
    )


def _speed(visit: Visit, found: Mapping[str, Lately]) -> Chart:
    names = sorted(found)
    series = [
        Series(word, [_ms(found[name].ttft_at(part)) for name in names])
        for word, part in ((visit.t("upstreams.half"), 0.5), ("95 %", 0.95))
    ]
    return Chart(
        name="speed",
        title="upstreams.speed",
        kind="hbar",
        labels=names,
        series=series,
        unit="ms",
        label_column="upstream",
    )


def _state(visit: Visit, name: str, is_served: bool, counters: Mapping[str, float], is_silent: bool) -> Badge:
    if name in visit.asked.terms.drained:
        return Badge("drained", "warn", "upstreams.state_drained")
    if not is_served:
        return Badge("gone", "", "upstreams.state_gone")
    if is_silent:
        return Badge("no answer", "bad", "upstreams.state_silent")
    return (
        Badge("cooling", "bad", "upstreams.state_cooling")
        if any(deployment.startswith(f"{name}/") for deployment in cooling(counters))
        else Badge("serving", "good", "upstreams.state_serving")
    )


def _ms(us: int | None) -> float | None:
    return None if us is None else us / 1000


def drain(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """No new call goes there."""
    return _done(visit, visit.do("drain_upstream", name=fields.get("name", ""), body=said(fields, "note")))


def restore(visit: Visit, fields: Mapping[str, str]) -> Outcome:
    """Calls go there again."""
    return _done(visit, visit.do("restore_upstream", name=fields.get("name", "")))


def _done(visit: Visit, outcome: object) -> Outcome:
    return outcome if isinstance(outcome, Problem) else Redirect(visit.to("/upstreams", done="saved"))
