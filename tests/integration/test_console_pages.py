"""The console's pages over HTTP: what they show, as HTML and as CSV, in which language and time zone."""

import csv
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from console_asked import ended, filled, signed_in
from console_fixtures import browser, clock, data, shared
from console_host import Browser, application
from console_seed import MODELS, NOW_US, SETTINGS, key_id

from tokenweir.console.pages import PAGES
from tokenweir.core.clock import FakeClock
from tokenweir.ledger.entries import Kind, Outcome
from tokenweir.ledger.views import calls, entries, open_reader

__all__ = ["browser", "clock", "data", "shared"]  # fixtures
Look = Callable[[str], str]


@pytest.fixture
def look(browser: Browser) -> Look:
    signed_in(browser)

    def text(path: str) -> str:
        answer = browser.get(path)
        assert answer.status == 200, path
        return answer.text

    return text


def test_calls_are_found_by_what_is_asked(look: Look, shared: Path) -> None:
    def models(query: str) -> list[str]:
        return [row.split(",")[2] for row in look(f"/calls?range=30d&format=csv&{query}").splitlines()[1:]]

    everything = models("")
    assert len(everything) == ended(shared)
    assert set(models("model=kimi-k2")) == {"kimi-k2"}
    assert set(models("upstream=zhipu")) == {"glm-4.6"}
    assert 0 < len(models("outcome=timeout")) < len(models("account=product")) < len(everything)
    dear, slow = models("cost=0.06+CNY"), models("ms=30000")
    assert 0 < len(dear) < len(everything) / 4
    assert 0 < len(slow) < len(everything) / 4
    assert len(models("key=" + key_id("ann's agent"))) == len(models("account=ann"))
    assert models("from=2026-11-01&to=2026-11-01")
    assert "Something in it is missing or wrong" in look("/calls?cost=x")


def test_older_calls_are_a_page_away(look: Look, shared: Path) -> None:
    page = look("/calls?range=30d")
    seen: list[str] = []
    while True:
        seen += re.findall(r'<a href="/console/calls/([0-9a-f-]{36})"', page)
        following = re.search(r'href="/console(/calls\?[^"]+)" rel="next"', page)
        if following is None:
            break
        page = look(following[1].replace("&amp;", "&"))
    assert len(seen) == len(set(seen)) == ended(shared)


def test_the_arithmetic_of_a_call_adds_up_to_its_cost(look: Look, shared: Path, browser: Browser) -> None:
    db = open_reader(shared)
    found = next(row for row in calls(db, limit=10, model="kimi-k2") if row.attempts == 2)
    db.close()
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", look(f"/calls/{found.call}")))
    assert "1,234 input tokens × 4 CNY / M = 0.004936 CNY" in text
    assert "8,192 cache-read tokens × 1 CNY / M = 0.008192 CNY" in text
    assert "17 output tokens × 16 CNY / M = 0.000272 CNY" in text
    assert "256 reasoning tokens × 16 CNY / M = 0.004096 CNY" in text
    first, second = 4_936 + 8_192 + 272, 4_960 + 8_192 + 8_192 + 4_096
    assert "0.0134 CNY" in text
    assert f"0.0{second // 10} CNY" in text
    assert found.cost_pico == {"CNY": (first + second) * 1_000_000}
    assert "0.0388 CNY" in text
    assert "2 of 3: vllm/kimi-k2 is drained; zhipu/kimi-k2 failed a moment ago" in text
    browser.post("/preferences", language="zh", theme="dark", zone="UTC", here="/console")
    chinese = look(f"/calls/{found.call}")
    assert "3 个中的第 2 个：vllm/kimi-k2 已停用；zhipu/kimi-k2 刚刚失败" in chinese


def test_every_table_comes_as_csv_with_the_rows_of_the_page(browser: Browser, shared: Path) -> None:
    signed_in(browser)
    tables = 0
    for page in PAGES:
        path = filled(page.path, shared)
        text = browser.get(path).text
        for link in re.findall(r'href="/console([^"]*format=csv[^"]*)"', text):
            answer = browser.get(link.replace("&amp;", "&"))
            assert answer.headers["content-type"].startswith("text/csv"), link
            assert answer.body.startswith("\ufeff".encode())
            assert answer.headers["content-disposition"].startswith("attachment")
            tables += 1
    assert tables >= 14


def test_a_table_is_sorted_by_the_link_of_its_column(look: Look) -> None:
    names = re.findall(r'<td><a href="/console/keys/\w+">([^<]+)</a>', look("/keys?sort_keys=-name"))
    assert len(names) == 9
    assert names == sorted(names, reverse=True)


def test_pages_speak_the_language_of_the_browser_and_then_the_chosen_one(
    shared: Path, clock: FakeClock
) -> None:
    browser = signed_in(
        Browser(application(shared, clock, SETTINGS), **{"accept-language": "zh-CN,zh;q=0.9"})
    )
    assert 'lang="zh"' in browser.get("/keys").text
    answer = browser.post(
        "/preferences", language="en", theme="dark", zone="Europe/Berlin", here="/console/keys"
    )
    assert answer.headers["location"] == "/console/keys"
    page = browser.get("/keys").text
    assert '<html lang="en" data-theme="dark">' in page
    assert 'value="Europe/Berlin"' in page
    browser.post("/preferences", language="xx", theme="<b>", zone="Nowhere/No", here="//evil")
    assert '<html lang="en" data-theme="dark">' in browser.get("/keys").text


def test_times_are_those_of_who_looks(browser: Browser) -> None:
    signed_in(browser)
    assert "2026-10-26 09:30:00" in browser.get("/keys").text
    browser.cookies["weir_zone"] = "Asia/Shanghai"
    assert "2026-10-26 17:30:00" in browser.get("/keys").text


def test_upstreams_tell_how_they_do(look: Look) -> None:
    rows = [row.split(",") for row in look("/upstreams?format=csv").splitlines()[1:]]
    assert [row[0] for row in rows] == ["deepseek", "moonshot", "vllm", "zhipu"]
    assert [row[1] for row in rows] == [
        "serving",
        "serving",
        "no answer",
        "drained",
    ]  # it is an engine, of no machine
    assert sum(int(row[3]) for row in rows) > 20
    assert "new contract from December on" in look("/upstreams")


def test_deployments_tell_what_was_learned_in_the_last_hour(look: Look, shared: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(look("/upstreams?format=csv&table=deployments"))))
    assert sorted(row["Deployment"] for row in rows) == sorted(
        f"{upstream}/{model}" for model, (upstream, _) in MODELS.items()
    )
    db = open_reader(shared)
    ended = [e for _, e in entries(db, NOW_US - 3_600_000_000) if e.kind in (Kind.SETTLED, Kind.ATTEMPT)]
    db.close()
    assert len(ended) == sum(int(row["Attempts"]) for row in rows) > 0
    for row in rows:
        mine = [one for one in ended if one.deployment == row["Deployment"]]
        well = [one for one in mine if one.outcome is Outcome.OK]
        said, took_us = sum(e.usage.completion for e in well), sum(e.duration_us or 0 for e in well)
        assert row["Tokens/s"] == (str(round(said * 1e6 / took_us)) if well else "")
        assert row["Failed"] == str(sum(e.outcome not in (Outcome.OK, Outcome.CANCELLED) for e in mine))
        assert row["Breaker"] == "closed"
    prices = {row["Deployment"]: row["Price now"] for row in rows}
    assert prices["moonshot/kimi-k2"] == "4 / 4 / 16 CNY"


def test_nothing_of_a_name_becomes_html(data: Path, clock: FakeClock) -> None:
    evil = "<script>alert(1)</script>"
    browser = signed_in(Browser(application(data, clock, SETTINGS)))
    browser.form("/keys", "create", name=evil, account="product")
    for path in (
        "/keys",
        "/audit",
        f"/calls?model={evil}&key={evil}",
        f"/audit?subject={evil}",
        "/accounts/product",
    ):
        text = browser.get(path).text
        assert "<script>alert" not in text, path
    assert evil.replace("<", "&lt;").replace(">", "&gt;") in browser.get("/keys").text


def test_without_its_parts_the_console_says_what_to_install(
    shared: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tokenweir.console.assets.PARTS", ("argon2", "no_such_module_at_all"))
    answer = Browser(application(shared, clock)).get("/keys")
    assert answer.status == 503
    assert "no_such_module_at_all" in answer.text
    assert "pip install &#39;tokenweir[console]&#39;" in answer.text
