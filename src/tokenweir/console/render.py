"""From what a page answers to HTML, or to the CSV of one of its tables."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from tokenweir import __version__
from tokenweir.admin.rights import RIGHTS
from tokenweir.console import assets
from tokenweir.console.page import ROOT, Page, Shown, Visit
from tokenweir.console.pages import PAGES
from tokenweir.console.preferences import Preferences
from tokenweir.console.table import Column, Table, as_csv
from tokenweir.console.words import LANGUAGES, Words, has_word
from tokenweir.ledger.terms import COUNTED_UNITS

#: Of the navigation, in its order.
GROUPS = ("look", "money", "manage")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals.update(
        asset=assets.address,
        plotly_styles=assets.plotly_styles,
        languages=LANGUAGES,
        root=ROOT,
        version=__version__,
        head=_head,
        has_word=has_word,
        counted_units=COUNTED_UNITS,
    )
    return environment


def page_of(template: str, **context: object) -> str:
    """A page that nobody has to be signed in for."""
    return _environment().get_template(template).render(**context)


def html_of(visit: Visit, prefers: Preferences, shown: Shown) -> str:
    """A page for who is signed in."""
    tables = {
        name: table.sorted_by(visit.query.get(f"sort_{name}", "")) for name, table in shown.tables.items()
    }
    return (
        _environment()
        .get_template(shown.template)
        .render(
            visit=visit,
            prefers=prefers,
            t=visit.t,
            f=visit.format,
            navigation=_navigation(visit),
            tables=tables,
            charts=shown.charts,
            **shown.context,
        )
    )


def csv_of(visit: Visit, outcome: Shown) -> tuple[str, str]:
    """Name and CSV of the table that the query names, else of the first; ("", "") where there is none."""
    tables = {**outcome.tables, **{name: chart.table for name, chart in outcome.charts.items()}}
    name = visit.query.get("table", next(iter(tables), ""))
    if name not in tables:
        return "", ""
    table = tables[name].sorted_by(visit.query.get(f"sort_{name}", ""))
    heads = [_head(visit.t, table, column) for column in table.columns]
    return name, as_csv(table, heads, visit.format)


def _head(t: Words, table: Table, column: Column) -> str:
    own = f"{table.words}.col_{column.id}"
    return column.text or t(column.label or (own if has_word(own) else f"col.{column.id}"))


def _navigation(visit: Visit) -> list[tuple[str, list[Page]]]:
    """Groups with the pages that the role may see."""
    role = visit.asked.actor.role
    seen = [page for page in PAGES if page.group and role in RIGHTS[page.resource]["GET"]]
    return [(group, [page for page in seen if page.group == group]) for group in GROUPS]
