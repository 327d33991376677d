"""Whatever a run is called, a browser that follows its link gets to it: browsers rewrite some paths before they ask."""

from pathlib import Path
from typing import Any

from chromium import Visitor
from console_host import application, serving
from console_seed import NOW_US, SECRETS, SETTINGS
from test_run_pages import HOSTILE, HOUR_US, Written

from tokenweir.core.clock import FakeClock


def test_the_link_of_every_run_leads_to_it(browser: Any, tmp_path: Path) -> None:
    written = Written(tmp_path)
    for number, run in enumerate(HOSTILE):
        opened_us = NOW_US - HOUR_US + number * 1_000_000
        written.end(written.open(run, opened_us), opened_us, opened_us + 900_000)
    written.store.close()
    with serving(application(tmp_path, FakeClock(NOW_US), SETTINGS)) as address:
        visitor = Visitor(browser, address)
        visitor.sign_in(SECRETS["owner"])
        visitor.open("/runs?range=24h")
        links = visitor.page.eval_on_selector_all("td a", "links => links.map(a => [a.textContent, a.href])")
        assert sorted(name for name, _ in links) == sorted(HOSTILE)
        for name, link in links:
            visitor.page.goto(link)
            assert visitor.page.inner_text("h1 code") == name
        visitor.close()
