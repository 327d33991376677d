"""The charts of models: which is used most, costs most, solves most, is quickest, cached best, cheapest; and which climbs."""

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from tokenweir.agents.records import Records, Run
from tokenweir.agents.verdict import Verdict
from tokenweir.console.compared import Compared, accounts_of, compared, money_of, priced_tokens, units
from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.table import Badge, Chart, Column, Link, Series, Table
from tokenweir.ledger.views.figures import Figures, figures_by_model, per_million
from tokenweir.ledger.views.ranking import MEASURES, Measure, Ranked, ranked
from tokenweir.ledger.views.spans import Span

#: Bars of the chart.
MOST_BARS = 12
COLUMNS = (
    Column("place", "number"),
    Column("trend", "badge", sortable=False),
    Column("model", "link"),
    Column("weights", "badge"),
    Column("tokens", "tokens"),
    Column("of_all", "share"),
    Column("calls", "number"),
    Column("cost", "money"),
    Column("per_million", "money"),
    Column("solved"),
    Column("speed", "number"),
    Column("ttft", "ms"),
    Column("cache_share", "share"),
    Column("failed", "share"),
)


class Entrant(msgspec.Struct):
    """A model in one span: what its calls used, and how the runs ended that were started with it."""

    figures: Figures
    money: Mapping[str, int]  # by currency, as who looks may know it
    price: Mapping[str, int]  # of a million tokens of every class together
    solved: int = 0
    runs: int = 0  # that ended


Ranking = Sequence[Ranked[Entrant]]


class By(msgspec.Struct, frozen=True):
    """What models can be ranked by: the value in a currency, in the chart's unit, and whether less is better."""

    of: Callable[[Entrant, str], float | None]
    unit: str = ""  # a word of ours; empty: the currency
    is_least_first: bool = False


def _figure(name: str, unit: str, digits: int, scale: int = 1) -> By:
    """One of the ledger's own measures, rounded for the eye."""
    measure = MEASURES[name]

    def of(entrant: Entrant, _currency: str) -> float | None:
        value = measure.of(entrant.figures)
        return None if value is None else round(value * scale, digits)

    return By(of, unit, measure.is_least_first)


def _money(amounts: Callable[[Entrant], Mapping[str, int]], *, is_least_first: bool = False) -> By:
    def of(entrant: Entrant, currency: str) -> float | None:
        pico = amounts(entrant).get(currency)
        return None if pico is None else units(pico)

    return By(of, "", is_least_first)


#: In the order of the choice.
BY: dict[str, By] = {
    "tokens": _figure("tokens", "unit.tokens", 0),
    "spend": _money(lambda entrant: entrant.money),
    "price": _money(lambda entrant: entrant.price, is_least_first=True),
    "solved": By(lambda entrant, _: entrant.solved if entrant.runs else None, "charts.runs"),
    "speed": _figure("speed", "charts.per_second", 1),
    "ttft": _figure("ttft", "charts.ms", 0),
    "cache": _figure("cache", "charts.percent", 1, 100),
    "calls": _figure("calls", "unit.calls", 0),
}


def show(visit: Visit) -> Outcome:
    """The ranking by what the query asks for."""
    asked, accounts = compared(visit, "30d"), accounts_of(visit)
    now, then = entrants(visit, asked, accounts)
    currencies = sorted({currency for entrant in now.values() for currency in entrant.money})
    currency = (
        visit.query["currency"] if visit.query["currency"] in currencies else next(iter(currencies), "")
    )
    by = visit.query["by"] if visit.query["by"] in BY else next(iter(BY))
    of = BY[by].of
    rows = ranked(now, then, Measure(lambda entrant: of(entrant, currency), BY[by].is_least_first))
    return shown(
        "charts.html", tables=(table_of(visit, rows),), charts=(chart_of(visit, rows, by, currency),), asked=asked, by=by,
        measures=tuple(BY), currency=currency, currencies=currencies if BY[by].unit == "" else (),
        others=(visit.format.day(asked.compared.since_us), visit.format.day(asked.compared.until_us - 1)),
    )  # fmt: skip


def entrants(
    visit: Visit, asked: Compared, accounts: set[str] | None
) -> tuple[dict[str, Entrant], dict[str, Entrant]]:
    """The models of both spans."""
    spans = (asked.span, asked.compared)
    runs = Records(visit.desk.data_dir).all()
    first, second = (
        _with_runs({model: _entrant(visit, row) for model, row in figures.items()}, runs, span, accounts)
        for figures, span in zip(figures_by_model(visit.db, spans, accounts), spans, strict=True)
    )
    return first, second


def _entrant(visit: Visit, figures: Figures) -> Entrant:
    money = money_of(visit, figures)
    return Entrant(figures, money, per_million(money, dict(priced_tokens(visit, figures))))


def _with_runs(
    found: dict[str, Entrant], runs: Iterable[Run], span: Span, accounts: set[str] | None
) -> dict[str, Entrant]:
    """Runs that ended in a span, counted for the model that they were started with."""
    for run in runs:
        entrant = found.get(run.start.model)
        if run.end is None or entrant is None or not (accounts is None or run.start.account in accounts):
            continue
        if span.since_us <= run.end.ended_us < span.until_us:
            entrant.runs += 1
            entrant.solved += run.end.verdict is Verdict.SOLVED
    return found


def table_of(visit: Visit, rows: Ranking) -> Table:
    """Everything that is known of each model."""
    tokens = sum(row.now.figures.tokens for row in rows)
    open_models = visit.outside.open_models()
    return Table(
        name="models",
        words="charts",
        columns=COLUMNS,
        rows=[_cells(visit, row, tokens, row.name.lower() in open_models) for row in rows],
    )


def _cells(visit: Visit, row: Ranked[Entrant], tokens: int, is_open: bool) -> tuple[object, ...]:
    entrant, figures = row.now, row.now.figures
    period = {name: visit.query[name] for name in ("range", "from", "to") if visit.query[name]} or {
        "range": "30d"
    }
    return (
        row.place,
        trend_of(visit, row),
        Link(row.name, visit.to("/calls", model=row.name, **period)),
        Badge("open", "good", "charts.open") if is_open else None,
        figures.tokens,
        figures.tokens / tokens if tokens else None,
        figures.calls,
        entrant.money or None,
        entrant.price or None,
        f"{entrant.solved} / {entrant.runs}" if entrant.runs else None,
        None if figures.output_per_s is None else round(figures.output_per_s),
        figures.ttft_ms(0.5),
        figures.cache_share,
        figures.failed / figures.calls if figures.calls else None,
    )


def trend_of(visit: Visit, row: Ranked[Entrant]) -> Badge:
    """How many places it has gained or lost."""
    if row.place_then is None:
        return Badge(visit.t("charts.new"))
    gained = row.place_then - row.place
    if not gained:
        return Badge("=")
    return Badge(f"▲ {gained}", "good") if gained > 0 else Badge(f"▼ {-gained}", "warn")


def chart_of(visit: Visit, rows: Ranking, by: str, currency: str) -> Chart:
    """The first models as bars."""
    measure = BY[by]
    bars = [(row.name, value) for row in rows if (value := measure.of(row.now, currency)) is not None]
    title = f"charts.by_{by}"
    return Chart(
        name="ranking", title=title, kind="hbar", labels=[model for model, _ in bars[:MOST_BARS]],
        series=[Series(visit.t(title), [value for _, value in bars[:MOST_BARS]])],
        unit=visit.t(measure.unit) if measure.unit else currency, label_column="model",
    )  # fmt: skip
