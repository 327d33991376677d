"""The first page: what was used, what it cost, who used it and how well it went, beside an earlier time; or what to do first."""

from collections.abc import Callable, Sequence

from tokenweir.console.compared import (
    accounts_of,
    compared,
    grown,
    grown_money,
    label,
    money_of,
    saved_of,
    units,
)
from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.page_calls import table_of
from tokenweir.console.table import Chart, Column, Series, Table
from tokenweir.core.usage import TOKEN_CLASSES
from tokenweir.ledger.rollups import FAILURES
from tokenweir.ledger.views import calls as find_calls
from tokenweir.ledger.views.figures import Figures
from tokenweir.ledger.views.overview import Overview, overview

#: The model that the example asks: ours if it runs, since it needs no account.
PREFERRED = "abacus"
RECENT = 10
#: Currencies with a chart of their own.
MOST_CHARTS = 3

COLUMNS = (
    Column("part"),
    *(Column(name, "number") for name in TOKEN_CLASSES),
    Column("calls", "number"),
    Column("failed", "number"),
    Column("refused", "number"),
    Column("cost", "money"),
    Column("saved", "money"),
    Column("cache_share", "share"),
    Column("ttft", "ms"),
    Column("ttft_95", "ms"),
)


def show(visit: Visit) -> Outcome:
    """The figures of a period; without any call at all, a command that makes the first."""
    asked, accounts = compared(visit), accounts_of(visit)
    rows = find_calls(visit.db, limit=RECENT, accounts=accounts)
    recent = table_of(visit, rows, "recent")
    if not rows:
        return shown("first_call.html", example=example(visit))
    seen = overview(
        visit.db, visit.asked.terms, asked.span, visit.zone, accounts=accounts, compared=asked.compared
    )
    return shown(
        "overview.html",
        tables=(days_of(visit, seen), recent),
        charts=charts_of(visit, seen),
        asked=asked,
        tiles_shown=tiles_of(visit, seen),
        others=(visit.format.day(asked.compared.since_us), visit.format.day(asked.compared.until_us - 1)),
    )


def tiles_of(visit: Visit, seen: Overview) -> list[tuple[str, object, str, str]]:
    """Label, value, note and tone of each."""
    t, f, now, then = visit.t, visit.format, seen.now, seen.then
    active, active_then = seen.active, seen.active_then
    people = t("overview.of_people", used=f.n(active.people), all=f.n(active.of_people))
    saved = " · ".join(f.money(pico, currency) for currency, pico in sorted(saved_of(visit, now).items()))
    error_rate, error_rate_then = _errors(now), _errors(then)
    unpriced = t("overview.unpriced", n=f.compact(now.unpriced_tokens)) if now.unpriced_tokens else ""
    return [
        (t("overview.tokens"), f.compact(now.tokens), grown(visit, now.tokens, then.tokens), ""),
        (t("overview.calls"), f.compact(now.calls), grown(visit, now.calls, then.calls), ""),
        (t("overview.spend"), money_of(visit, now), unpriced or grown_money(visit, money_of(visit, now), money_of(visit, then)), "warn" if unpriced else ""),
        (t("overview.keys"), f.n(active.keys), grown(visit, active.keys, active_then.keys), ""),
        (t("overview.penetration"), f.share(active.penetration), people, ""),
        (t("overview.cache"), f.share(now.cache_share), t("overview.saved", money=saved) if saved else _was(visit, f.share(then.cache_share)), ""),
        (t("overview.ttft"), f.ms(now.ttft_ms(0.5)), t("overview.ttft_95", ms=f.ms(now.ttft_ms(0.95))), ""),
        (t("overview.errors"), f.share(error_rate), _was(visit, f.share(error_rate_then)), "bad" if (error_rate or 0) > 0.05 else ""),
    ]  # fmt: skip


def _was(visit: Visit, text: str) -> str:
    return "" if text == "–" else visit.t("overview.was", what=text)


def _errors(figures: Figures) -> float | None:
    """Of calls that ended, those that failed, but for what the client broke off itself."""
    failed = figures.failed - figures.failures.get("cancelled", 0)
    return failed / figures.calls if figures.calls else None


def charts_of(visit: Visit, seen: Overview) -> tuple[Chart, ...]:
    """Tokens, calls, money, time to first token and failures by hour, day or month."""
    labels = [label(visit, seen.grain, point.part.start_us) for point in seen.points]
    column = seen.grain

    def chart(name: str, kind: str, series: Sequence[Series], unit: str, title: str = "") -> Chart:
        return Chart(
            name=name, title=title or f"overview.chart_{name}", kind=kind, labels=labels, series=series, unit=unit,
            label_column=column,
        )  # fmt: skip

    def of(read: Callable[[Figures], int | float | None]) -> list[int | float | None]:
        return [read(point.figures) for point in seen.points]

    t = visit.t
    classes = [name for name in TOKEN_CLASSES if getattr(seen.now, name)]
    failures = [str(outcome) for outcome in FAILURES if seen.now.failures.get(str(outcome))]
    money = money_of(visit, seen.now)
    currencies = sorted(money)[:MOST_CHARTS]
    spent = [
        chart(
            f"spend_{currency.lower()}", "bar",
            [Series(t("overview.spend"), of(lambda row, c=currency: units(money_of(visit, row).get(c, 0))))],  # type: ignore[misc]
            currency, "overview.chart_spend",
        )
        for currency in currencies
    ]  # fmt: skip
    return (
        chart("tokens", "stack", [Series(t(f"class.{name}"), of(lambda row, n=name: getattr(row, n))) for name in classes], t("unit.tokens")),  # type: ignore[misc]
        *spent,
        chart("calls", "bar", [Series(t("overview.calls"), of(lambda row: row.calls))], t("unit.calls")),
        chart("ttft", "line", [Series(t(f"overview.p{q}"), of(lambda row, q=q: _rounded(row.ttft_ms(q / 100)))) for q in (50, 95)], "ms"),  # type: ignore[misc]
        chart("cache", "line", [Series(t("overview.cache"), of(lambda row: _percent(row.cache_share)))], "%"),
        chart("failures", "stack", [Series(t(f"outcome.{name}"), of(lambda row, n=name: row.failures.get(n, 0))) for name in failures], t("unit.calls")),  # type: ignore[misc]
    )  # fmt: skip


def _percent(share: float | None) -> float | None:
    return None if share is None else round(share * 100, 1)


def _rounded(ms: float | None) -> int | None:
    return None if ms is None else round(ms)


def days_of(visit: Visit, seen: Overview) -> Table:
    """All of it as a table, the newest first."""
    rows = [
        _cells(visit, label(visit, seen.grain, point.part.start_us), point.figures) for point in seen.points
    ]
    return Table(
        name="parts", words="overview", columns=COLUMNS, rows=rows[::-1], total=_cells(visit, visit.t("overview.whole"), seen.now)
    )  # fmt: skip


def _cells(visit: Visit, name: str, row: Figures) -> tuple[object, ...]:
    return (
        name, *(getattr(row, token_class) for token_class in TOKEN_CLASSES), row.calls, row.failed, row.refused,
        money_of(visit, row) or None, saved_of(visit, row) or None, row.cache_share, row.ttft_ms(0.5), row.ttft_ms(0.95),
    )  # fmt: skip


def example(visit: Visit) -> str:
    """A command that works once the key is put in; "" where nothing is served."""
    names = [model.name for model in visit.outside.served().models]
    if not names:
        return ""
    model = PREFERRED if PREFERRED in names else names[0]
    body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "What is 12 + 30?"}}]}}'
    return (
        f"curl {visit.outside.address()}/v1/chat/completions \\\n"
        f"  -H 'Authorization: Bearer {visit.t('overview.your_key')}' \\\n"
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d '{body}'"
    )
