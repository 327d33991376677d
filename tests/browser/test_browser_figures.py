"""Overview, charts, spend and runs in a real browser, over an organisation's ledger of some weeks."""

import csv
import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from chromium import PATIENCE_MS, Visitor
from console_host import application, serving
from playwright.sync_api import expect
from seeded_ledger import SECRETS, Seeding, seed_ledger

from tokenweir.console.numbers import Format
from tokenweir.core.clock import FakeClock
from tokenweir.ledger.store import read_terms
from tokenweir.ledger.views import open_reader
from tokenweir.ledger.views.figures import Figures, figures, figures_by_model
from tokenweir.ledger.views.overview import active
from tokenweir.ledger.views.run_list import runs
from tokenweir.ledger.views.run_tree import RunTree, run_tree
from tokenweir.ledger.views.spans import HOUR_US, Span, span_of

NOW_US = 1_795_599_000_000_000  # 2026-11-25T09:30Z
SHANGHAI = ZoneInfo("Asia/Shanghai")
#: The last seven days there, up to now.
WEEK = span_of(1_795_017_600_000_000, NOW_US + 1, SHANGHAI)
f = Format("en", SHANGHAI)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("figures")
    seed_ledger(directory, NOW_US, calls_a_day=60)
    return directory


@pytest.fixture(scope="module")
def address(data: Path) -> Iterator[str]:
    with serving(application(data, FakeClock(NOW_US))) as served:
        yield served


@pytest.fixture
def look(browser: Any, address: str) -> Iterator[Callable[..., Visitor]]:
    """Sign in: as whom, and in which language."""
    made: list[Visitor] = []

    def look(role: str = "owner", language: str = "en") -> Visitor:
        visitor = Visitor(browser, address, language)
        made.append(visitor)
        visitor.sign_in(SECRETS[role])
        return visitor

    yield look
    for visitor in made:
        assert visitor.complaints == []
        visitor.close()


def tiles(visitor: Visitor) -> dict[str, str]:
    """Label -> value and note of each tile, in one line."""
    found = {}
    for tile in visitor.page.locator(".tile").all():
        label, _, rest = tile.inner_text().partition("\n")
        found[label] = " ".join(rest.split())
    return found


def cells(visitor: Visitor, table: int = 0) -> list[list[str]]:
    rows = visitor.page.locator(".table-box table").nth(table).locator("tbody tr").all()
    return [[" ".join(cell.inner_text().split()) for cell in row.locator("td").all()] for row in rows]


def downloaded(visitor: Visitor, link: str) -> list[dict[str, str]]:
    with visitor.page.expect_download() as got:
        visitor.page.click(link)
    return list(csv.DictReader(io.StringIO(got.value.path().read_text("utf-8-sig"))))


def seen_by(data: Path, accounts: frozenset[str] | None = None, span: Span = WEEK) -> Figures:
    with closing(open_reader(data)) as db:
        return figures(db, [span], accounts)[0]


def test_the_overview_tells_what_the_ledger_adds_up_to(data: Path, look: Callable[..., Visitor]) -> None:
    visitor = look()
    visitor.open("?range=7d")
    seen, told = seen_by(data), tiles(visitor)
    assert told["Tokens"].startswith(f.compact(seen.tokens))
    assert told["Calls"].startswith(f.compact(seen.calls))
    assert told["Spend"].startswith(
        f"{f.amount(seen.cost_pico['CNY'])} CNY {f.amount(seen.cost_pico['USD'])} USD"
    )
    assert "tokens have no price" in told["Spend"]
    with closing(open_reader(data)) as db:
        people = active(db, read_terms(db), WEEK)
    assert (
        told["People who used a model"]
        == f"{f.share(people.penetration)} {people.people} of {people.of_people} people"
    )
    saved = " · ".join(f.money(pico, currency) for currency, pico in sorted(seen.saved_pico.items()))
    assert told["Input read from cache"] == f"{f.share(seen.cache_share)} saved {saved}"
    assert told["Time to first token"].startswith(f.ms(seen.ttft_ms(0.5)))
    assert visitor.page.locator("[data-chart] svg.main-svg").count() >= 7
    days = downloaded(visitor, "a[download]:has-text('All figures')")
    assert [row["Time"] for row in days] == [f"2026-11-{day}" for day in range(25, 18, -1)]
    assert sum(int(row["Input"]) for row in days) == seen.input
    assert sum(round(float(row["Cost CNY"]) * 10**12) for row in days) == pytest.approx(
        seen.cost_pico["CNY"], rel=1e-12
    )


def test_a_period_is_compared_with_one_that_is_chosen_and_its_link_shows_the_same(
    data: Path, look: Callable[..., Visitor]
) -> None:
    visitor = look()
    visitor.open("?range=7d")
    visitor.page.fill("[name=against]", "2026-10-19")
    visitor.page.click("text=Compare >> nth=-1")
    visitor.page.wait_for_url("**against=2026-10-19**")
    then = seen_by(
        data, span=span_of(1_792_339_200_000_000, 1_792_339_200_000_000 + WEEK.hours * HOUR_US, SHANGHAI)
    )
    by = seen_by(data).tokens / then.tokens - 1
    told = tiles(visitor)
    assert told["Tokens"].endswith(f"▲ {f.share(by)}" if by < 9.995 else "times as much")
    other = look()
    other.page.goto(visitor.page.url)
    assert tiles(other) == told


def test_an_account_is_looked_at_alone(data: Path, look: Callable[..., Visitor]) -> None:
    visitor = look()
    visitor.open("/spend?range=7d")
    visitor.page.click("table a:text-is('research')")
    research = frozenset({"research", "ann", "bo", "chen"})
    seen = seen_by(data, research)
    assert tiles(visitor)["Cost"].startswith(f"{f.amount(seen.cost_pico['CNY'])} CNY")
    visitor.page.click("nav >> text=Overview")
    visitor.open("?range=7d&account=research")
    assert tiles(visitor)["Calls"].startswith(f.compact(seen.calls))
    visitor.page.click("text=show all")
    assert tiles(visitor)["Calls"].startswith(f.compact(seen_by(data).calls))


def test_models_are_ranked_by_what_is_asked_for(data: Path, look: Callable[..., Visitor]) -> None:
    visitor = look()
    visitor.open("/charts?range=7d")
    with closing(open_reader(data)) as db:
        (by_model,) = figures_by_model(db, [WEEK])
    expected = sorted(by_model, key=lambda model: -by_model[model].tokens)
    assert [row[2] for row in cells(visitor)] == expected
    assert [row[2] for row in cells(visitor) if row[3] == "open weights"] == [
        model for model in expected if model in ("kimi-k2.5", "deepseek-v3.2", "glm-4.7", "qwen3-32b")
    ]
    visitor.page.click(".segments >> text=Speed")
    speed = [float(row[10]) for row in cells(visitor)]
    assert speed == sorted(speed, reverse=True)
    visitor.page.click(".segments >> text=Price per million")
    visitor.page.click(".segments >> text=USD")
    expect(visitor.page.locator("[data-chart]:not([data-drawn])")).to_have_count(0, timeout=PATIENCE_MS)
    assert {row[2] for row in cells(visitor)[:2]} == {"gpt-5.2", "claude-sonnet-4.5"}
    drawn = visitor.page.locator("[data-chart] .yaxislayer-above text").all_text_contents()
    assert sorted(drawn) == ["claude-sonnet-4.5", "gpt-5.2"]
    visitor.page.click(".segments >> text=Runs solved")
    assert cells(visitor)[0][2] == "kimi-k2.5"
    assert cells(visitor)[0][9] == "2 / 2"


def test_limits_are_bars_with_what_they_will_have_become(look: Callable[..., Visitor]) -> None:
    visitor = look()
    visitor.open("/spend?range=30d")
    limits = {row[0]: row for row in cells(visitor)}
    assert limits["account acme"][1] == "per month · soft"
    assert limits["account research"][1] == "per month · kimi*"
    assert limits["key dana's laptop"][4] == "has no end"
    spent, forecast = (float(limits["account acme"][place].split()[0]) for place in (2, 3))
    assert forecast == pytest.approx(spent * 30 / (24 + 17.5 / 24), rel=1e-3)
    rows = downloaded(visitor, "a[download][href*='table=limits']")
    assert {row["On"]: row["Forecast"] for row in rows}["account acme"].endswith(" CNY")
    visitor.page.click(".segments >> text=CNY")
    assert re.search(
        r"in all [\d,.]+ CNY, day by day by dated rates, the latest of 2026-01-01", tiles(visitor)["Cost"]
    )
    unpriced = cells(visitor, 2)
    assert [row[0] for row in unpriced] == ["qwen3-32b"]


def test_a_customer_sees_what_it_pays_and_not_what_that_costs(
    data: Path, look: Callable[..., Visitor]
) -> None:
    visitor = look("member")
    seen = seen_by(data, frozenset({"northwind"}))
    visitor.open("?range=7d")
    assert tiles(visitor)["Spend"].startswith(f"{f.amount(seen.paid_pico['CNY'])} CNY")
    visitor.open("/spend?range=7d")
    text = visitor.page.inner_text("main")
    assert "Margin" not in text
    assert "research" not in text
    assert f.amount(seen.cost_pico["CNY"]) not in text
    assert [row[0] for row in cells(visitor, 1)] == ["northwind (Northwind (customer))"]
    visitor.open("/runs")
    assert visitor.page.inner_text(".empty h2") == "No runs in this period"
    answer = visitor.page.goto(f"{visitor.address}/console/runs/run-001-kimi")
    assert answer is not None and answer.status == 404
    visitor.complaints.clear()  # the browser's own word for that


def test_a_run_is_a_tree_of_calls_and_tools_with_money_beside_each(
    data: Path, look: Callable[..., Visitor]
) -> None:
    visitor = look()
    visitor.open("/runs")
    with closing(open_reader(data)) as db:
        listed = [row.run for row in runs(db, Span(0, 2**30))]
        tree: RunTree = run_tree(db, "run-002-deepseek")
    assert [row[0] for row in cells(visitor)] == listed
    visitor.page.click("text=run-002-deepseek")
    visitor.page.wait_for_selector("table.timeline")
    rows = visitor.page.locator("table.timeline tbody tr")
    assert rows.count() == len(tree.steps) + sum(len(step.tools) for step in tree.steps)
    assert visitor.page.locator("table.timeline tr.tool").count() == 11
    agents = visitor.page.locator("table.timeline .depth-1:has-text('sub-agent')")
    assert agents.count() == 2
    total = sum(step.row.cost_pico["CNY"] for step in tree.steps)
    assert cells(visitor)[-1][5] == f"{f.amount(total)} CNY"
    assert tiles(visitor)["Cost"] == f"{f.amount(total)} CNY under ¥5"
    widths = [int(rect.get_attribute("width") or 0) for rect in visitor.page.locator("rect.call").all()]
    assert min(widths) >= 2
    steps = downloaded(visitor, "a[download]")
    assert [row["#"] for row in steps] == [str(step.number) for step in tree.steps]
    assert sum(round(float(row["Cost CNY"]) * 10**12) for row in steps) == pytest.approx(total, rel=1e-12)


def test_pages_go_on_by_themselves_while_calls_come(browser: Any, tmp_path: Path) -> None:
    """A run that is under way, and the overview beside it."""
    seed_ledger(tmp_path, NOW_US, calls_a_day=5)
    with serving(application(tmp_path, FakeClock(NOW_US))) as address:
        visitor = Visitor(browser, address)
        visitor.sign_in(SECRETS["owner"])
        visitor.open("/runs/run-001-kimi")
        visitor.page.wait_for_selector("[data-now]:not([hidden])")
        before = visitor.page.locator("table.timeline tbody tr").count()
        seeding = Seeding(tmp_path, NOW_US, 9)
        seeding.number = 1_000_000
        seeding.call(NOW_US - 60_000_000, "ann", "kimi-k2.5", "run-001-kimi", input=700, cached=70, output=90)
        seeding.journal.commit()
        visitor.page.wait_for_function(
            f"() => document.querySelectorAll('table.timeline tbody tr').length === {before + 1}"
        )
        visitor.open("?range=24h")
        told = tiles(visitor)["Calls"]
        visitor.page.wait_for_timeout(2_100)  # regions are read anew every two seconds at most
        seeding.call(NOW_US - 30_000_000, "bo", "kimi-k2.5", input=700, cached=70, output=90)
        seeding.journal.commit()
        seeding.store.close()
        visitor.page.wait_for_function(
            "() => [...document.querySelectorAll('.tile')].find(t => t.innerText.startsWith('Calls'))"
            f".innerText.split('\\n').slice(1).join(' ') !== {json.dumps(told)}"
        )
        expect(visitor.page.locator("[data-chart]:not([data-drawn])")).to_have_count(0, timeout=PATIENCE_MS)
        assert visitor.complaints == []
        visitor.close()


@pytest.mark.parametrize("path", ["?range=7d", "/charts", "/spend", "/runs", "/runs/run-001-kimi"])
def test_in_chinese_nothing_is_left_in_english(look: Callable[..., Visitor], path: str) -> None:
    visitor = look(language="zh")
    visitor.open(path)
    parts = ("h1", "h2", "caption", "th", "dt", ".hint", ".segments a", ".badge", ".button", ".empty")
    texts = [text for part in parts for text in visitor.page.locator(f"main {part}").all_text_contents()]
    assert len(texts) > 10
    names = ("#", "=", "CNY", "USD")  # alike in every language
    assert [text for text in texts if text.isascii() and text.strip() and text not in names] == []


def test_a_period_without_a_call_says_what_to_do(look: Callable[..., Visitor]) -> None:
    visitor = look()
    for path in ("/charts", "/runs"):
        visitor.open(f"{path}?from=2026-01-01&to=2026-01-02")
        assert visitor.page.locator(".empty .command").count() == 1
    visitor.open("?from=2026-01-01&to=2026-01-02")
    assert tiles(visitor)["Tokens"].startswith("0")
    assert "Nothing to draw yet." in visitor.page.inner_text("main")


@pytest.mark.parametrize(("language", "step", "unit"), [("en", "K", "tokens"), ("zh", "万", "词元")])
def test_axes_count_as_the_language_does_and_say_whose_time_it_is(
    look: Callable[..., Visitor], language: str, step: str, unit: str
) -> None:
    visitor = look(language=language)
    visitor.open("?range=24h")
    plot = visitor.page.locator("[data-chart=tokens]")
    ticks = [text.strip() for text in plot.locator(".ytick text").all_text_contents()]
    assert 3 <= len(ticks) <= 8
    assert ticks[0] == "0"
    assert all(re.fullmatch(rf"[\d.,]+ {step}", tick) for tick in ticks[1:]), ticks
    assert plot.locator(".g-ytitle").text_content() == unit
    assert plot.locator(".g-xtitle").text_content() == "Asia/Shanghai"
    hours = plot.locator(".xtick text").all_text_contents()
    assert hours[0] == "17:00"  # 09:30 UTC is half past five there
