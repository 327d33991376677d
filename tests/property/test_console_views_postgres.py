"""What the console shows of a ledger in PostgreSQL is what it shows of the same one in SQLite."""

import tempfile
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from plain_ledger import PLANS, SPAN_US, START_US, Planned, write_ledger
from postgres_server import Server

from tokenweir.ledger.store import read_terms
from tokenweir.ledger.views import open_reader
from tokenweir.ledger.views.figures import figures_by_model
from tokenweir.ledger.views.overview import Overview, overview
from tokenweir.ledger.views.run_list import RunSums, entries_between, run_calls, runs
from tokenweir.ledger.views.spans import span_of

ZONE = ZoneInfo("America/New_York")
WHOLE = span_of(START_US, START_US + SPAN_US + 86_400_000_000, ZONE)
SCOPES = (None, frozenset({"blue", "bob"}))


def seen(data: Path) -> list[object]:
    """All that the views tell."""
    found: list[object] = []
    with closing(open_reader(data)) as db:
        terms = read_terms(db)
        for accounts in SCOPES:
            told: Overview = overview(db, terms, WHOLE, ZONE, accounts=accounts)
            listed: list[RunSums] = runs(db, WHOLE, accounts)
            found += [told, figures_by_model(db, [WHOLE], accounts), listed]
        found += [run_calls(db, "run-1"), entries_between(db, START_US, START_US + SPAN_US // 2)]
    return found


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(plans=PLANS)
def test_the_views_are_the_same_in_both(postgres: Server, plans: list[Planned]) -> None:
    with tempfile.TemporaryDirectory() as place:
        here, there = Path(place) / "here", postgres.hold_ledger(Path(place) / "there")
        here.mkdir()
        for data in (here, there):
            write_ledger(data, plans)
        assert seen(there) == seen(here)
