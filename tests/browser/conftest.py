"""A browser for all tests of this directory. Where there is none they are skipped, and say so; in CI they fail."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from chromium import PROGRAM, chromium
from console_asked import first_invoice
from console_host import application, serving
from console_seed import NOW_US
from seeded_console import SETTINGS, seed

from tokenweir.console.page import Page
from tokenweir.core.clock import FakeClock
from tokenweir.ledger.views import calls, open_reader


# Not for longer than a module: while Playwright runs, its event loop counts as this thread's, and no other can be run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not PROGRAM.exists():
        reason = f"there is no {PROGRAM}; `./dev test` installs Debian's chromium where it runs as root"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    with chromium() as running:
        yield running


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The seeded ledger."""
    directory = tmp_path_factory.mktemp("seeded")
    seed(directory)
    return directory


@pytest.fixture(scope="session")
def address(data: Path) -> Iterator[str]:
    """Where the console is served from it, on a clock that stands still."""
    with serving(application(data, FakeClock(NOW_US), SETTINGS)) as served:
        yield served


@pytest.fixture(scope="session")
def paths(data: Path) -> dict[str, str]:
    return paths_of(data)


def paths_of(data: Path) -> dict[str, str]:
    """An address of every page, by the page's name."""
    from tokenweir.console.pages import PAGES

    return {page.name: _filled(page, data) for page in PAGES}


def _filled(page: Page, data: Path) -> str:
    if page.path.startswith("/calls/"):
        db = open_reader(data)
        try:
            found = next(row for row in calls(db, limit=50) if row.attempts == 2 and row.cost_pico)
        finally:
            db.close()
        return page.path.replace("{id}", found.call)
    known = {
        "/keys/{id}": "/keys/key-ann",
        "/accounts/{id}": "/accounts/research",
        "/runs/{id}": "/runs/run-001-kimi",
        "/invoices/{id}": f"/invoices/{first_invoice(data)}",
    }
    path = known.get(page.path, page.path).rstrip("/")
    assert not re.search(r"\{", path), f"say here what {page.path} is tested with"
    return path
