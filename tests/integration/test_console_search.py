"""The search for calls: by what a call cost with all its attempts, in the currency that is chosen, page by page through a long ledger."""

import html
import re
from pathlib import Path

import pytest
from console_asked import signed_in
from console_fixtures import browser, clock, data, shared
from console_host import Browser

from tokenweir.console import page_calls
from tokenweir.ledger.views import calls, open_reader

__all__ = ["browser", "clock", "data", "shared"]  # fixtures
WHOLE = "from=2026-01-01&to=2026-12-31"
#: A link to a call in the list; its last digits.
CALL = re.compile(r'href="/console/calls/[0-9a-f-]+([0-9a-f]{12})"')


def found(browser: Browser, query: str) -> tuple[list[str], str]:
    """Calls of a page, and the link that goes on, if there is one."""
    answer = browser.get(f"/calls?{WHOLE}&{query}")
    assert answer.status == 200
    further = re.search(r'href="(/console[^"]+)" rel="next"', answer.text)
    return CALL.findall(answer.text), html.unescape(further[1]) if further else ""


@pytest.mark.parametrize("currency", ["CNY", "USD"])
def test_calls_are_searched_by_cost_in_the_currency_that_is_chosen(
    browser: Browser, shared: Path, currency: str
) -> None:
    signed_in(browser)
    db = open_reader(shared)
    rows = calls(db, limit=1_000)
    db.close()
    amounts = sorted(row.cost_pico[currency] for row in rows if currency in row.cost_pico)
    least = amounts[-10]
    dear = [row.call[-12:] for row in rows if row.cost_pico.get(currency, 0) >= least]
    assert 10 <= len(dear) < 50
    asked = f"{least // 10**12}.{least % 10**12:012d}"
    assert found(browser, f"cost={asked}&currency={currency}")[0] == dear
    assert found(browser, f"cost={asked}+{currency.lower()}")[0] == dear


def test_a_search_for_what_is_rare_goes_on_from_where_a_page_has_stopped(
    browser: Browser, shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed_in(browser)
    db = open_reader(shared)
    slowest = sorted(row.duration_us or 0 for row in calls(db, limit=1_000))[-12]
    db.close()
    query = f"ms={slowest // 1000 + 1}"
    whole, further = found(browser, query)
    assert whole
    assert further == ""
    monkeypatch.setattr(page_calls, "MOST_SCANNED", 300)
    parts, further = found(browser, query)
    pages = 1
    assert further
    while further:
        after = further.rpartition("after=")[2]
        more, further = found(browser, f"{query}&after={after}")
        parts += more
        pages += 1
    assert parts == whole
    assert pages > 2
    text = browser.get(f"/calls?{WHOLE}&{query}").text
    assert re.search(r"This page has looked through the calls back to 2026-\d\d-\d\d \d\d:\d\d\.", text)
    assert len(CALL.findall(browser.get(f"/calls?{WHOLE}&{query}&format=csv").text)) == 0


@pytest.mark.parametrize(
    "wrong", ["cost=-1", "cost=1e9", "cost=5&currency=%C3%BC", "cost=5+zlotys", "cost=99999999999999999999"]
)
def test_a_cost_that_is_none_is_refused_and_a_huge_one_finds_nothing(browser: Browser, wrong: str) -> None:
    answer = signed_in(browser).get(f"/calls?{wrong}")
    assert answer.status == 200
    assert CALL.findall(answer.text) == []
    assert ("Something in it is missing or wrong" in answer.text) == ("9999" not in wrong)


def test_a_period_that_is_long_past_has_its_calls_and_the_newest_have_theirs(
    browser: Browser, shared: Path
) -> None:
    signed_in(browser)
    since_us, until_us = 1_793_577_600_000_000, 1_793_750_400_000_000  # 2 and 3 November, UTC
    db = open_reader(shared)
    newest, past = calls(db), calls(db, since_us=since_us, until_us=until_us)
    db.close()
    assert found(browser, "")[0] == [row.call[-12:] for row in newest]
    listed = CALL.findall(browser.get("/calls?from=2026-11-02&to=2026-11-03").text)
    assert listed == [row.call[-12:] for row in past]
    assert len(listed) > 20
