"""Every page in a real browser: nothing to complain of, both languages, accessible to all, by keyboard alone, light and dark."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import Visitor
from console_seed import SECRETS

from tokenweir.console.pages import PAGES

#: Pages that are whole ones: the others are pieces that a script puts into one.
WHOLE = [page.name for page in PAGES if page.name != "call_cost"]
#: Of axe-core: what WCAG 2.2 asks for at its levels A and AA, and what is good practice.
RULES = {
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    # What passes is not told node by node: that takes longer than to find it.
    "resultTypes": ["violations"],
}
#: Half of what the rules take; where colours are those of a look that has been through it, it is left out.
WITHOUT_CONTRAST = {**RULES, "rules": {"color-contrast": {"enabled": False}}}
NAMES_OF_TEXTS = re.compile(r"\b(nav|col|common|problem|unit|role)\.[a-z_]+\b")


#: Who looks: language, and what their screen is like.
LOOKS: dict[str, tuple[str, dict[str, Any]]] = {
    "desk": ("en", {}),
    "phone in the dark": (
        "en",
        {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "has_touch": True},
    ),
    "in Chinese": ("zh", {}),
}


@pytest.fixture(scope="module", params=LOOKS)
def visitor(request: pytest.FixtureRequest, browser: Any, address: str) -> Iterator[Visitor]:
    language, screen = LOOKS[request.param]
    made = Visitor(browser, address, language, **screen)
    made.sign_in(SECRETS["owner"])
    yield made
    made.close()


def violations(page: Any, options: dict[str, Any] = RULES) -> list[str]:
    found = Axe().run(page, options=options).response["violations"]
    return [
        f"{rule['id']}: {node['html'][:160]} {node['failureSummary']}"
        for rule in found
        for node in rule["nodes"]
    ]


@pytest.mark.parametrize("name", WHOLE)
def test_a_page_is_without_fault(visitor: Visitor, paths: dict[str, str], name: str) -> None:
    visitor.complaints.clear()
    visitor.open(paths[name])
    page = visitor.page
    assert visitor.complaints == []
    assert page.locator("h1").count() == 1
    assert page.locator("nav [aria-current=page]").count() == 1
    assert not NAMES_OF_TEXTS.search(page.locator("main").inner_text())
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "it is wider than the window"
    in_desk_colours = page.evaluate("document.documentElement.lang") == "zh"
    assert violations(page, WITHOUT_CONTRAST if in_desk_colours else RULES) == []


def test_the_sign_in_page_is_without_fault(browser: Any, address: str) -> None:
    for language in ("en", "zh"):
        stranger = Visitor(browser, address, language)
        stranger.open("/sign-in?next=%2Fconsole%2Fkeys")
        assert violations(stranger.page) == []
        stranger.page.fill("input[name=password]", "wrong")
        stranger.page.press("input[name=password]", "Enter")
        stranger.page.wait_for_selector("[role=alert]")
        assert violations(stranger.page) == []
        stranger.page.fill("input[name=password]", SECRETS["owner"])
        stranger.page.press("input[name=password]", "Enter")
        stranger.page.wait_for_url("**/console/keys")
        stranger.close()


def test_the_menu_of_a_phone_opens_and_leads_on(browser: Any, address: str) -> None:
    phone = Visitor(browser, address, viewport={"width": 390, "height": 844})
    phone.sign_in(SECRETS["owner"])
    link = phone.page.locator("nav a", has_text="Limits")
    assert not link.is_visible()
    phone.page.click(".menu-button")
    assert phone.page.get_attribute(".menu-button", "aria-expanded") == "true"
    link.click()
    phone.page.wait_for_url("**/console/limits")
    phone.close()


def test_the_keyboard_alone_is_enough(browser: Any, address: str) -> None:
    visitor = Visitor(browser, address)
    visitor.sign_in(SECRETS["owner"])
    page = visitor.page
    visitor.open("/keys")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.append(
            page.evaluate("[document.activeElement.tagName, document.activeElement.name ?? ''].join(' ')")
        )
        if reached[-1] == "TEXTAREA limits":
            break
    assert "INPUT name" in reached
    assert reached[-1] == "TEXTAREA limits"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.focus("[name=name]")
    page.keyboard.type("by keyboard")
    page.keyboard.press("Enter")
    page.wait_for_selector(".command code")
    assert "sk-weir-" in page.inner_text(".command code")
    visitor.close()


def test_language_colours_and_zone_are_changed_by_hand(browser: Any, address: str) -> None:
    visitor = Visitor(browser, address)
    visitor.sign_in(SECRETS["owner"])
    page = visitor.page
    visitor.open("/calls?model=kimi-k2")
    assert page.input_value("[name=zone]") == "Asia/Shanghai"
    page.select_option("[name=theme]", "dark")
    page.wait_for_selector("html[data-theme=dark]")
    assert page.url.endswith("/calls?model=kimi-k2")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 20, 26)"
    page.select_option("[name=language]", "zh")
    page.wait_for_selector("html[lang=zh]")
    assert page.inner_text("h1") == "调用"
    page.fill("[name=zone]", "Europe/Berlin")
    page.press("[name=zone]", "Enter")
    page.wait_for_selector('body[data-zone="Europe/Berlin"]')
    visitor.close()


def test_a_chart_is_drawn_and_saved_as_a_picture_and_as_data(
    browser: Any, address: str, paths: dict[str, str]
) -> None:
    visitor = Visitor(browser, address)
    visitor.sign_in(SECRETS["owner"])
    page = visitor.page
    visitor.open(paths["upstreams"])
    assert page.locator("[data-chart] svg.main-svg").count() >= 1
    with page.expect_download() as picture:
        page.click("[data-png]")
    assert picture.value.suggested_filename.endswith(".png")
    assert picture.value.path().read_bytes().startswith(b"\x89PNG")
    with page.expect_download() as data:
        page.click("figure a[download]")
    rows = data.value.path().read_text("utf-8-sig").splitlines()
    assert len(rows) >= 4
    page.click("figure summary")
    assert page.locator("figure tbody tr").count() == len(rows) - 1
    assert visitor.complaints == []
    visitor.close()


def test_what_is_kept_for_good_is_loaded_once(browser: Any, address: str) -> None:
    visitor = Visitor(browser, address)
    visitor.sign_in(SECRETS["owner"])
    visitor.open("/upstreams")
    asked: list[str] = []
    visitor.page.on("request", lambda request: asked.append(request.url))
    kept = 'performance.getEntriesByType("resource").filter(e => e.name.includes("/static/")).map(e => e.transferSize)'
    visitor.open("/upstreams")
    assert set(visitor.page.evaluate(kept)) == {0}
    visitor.open("/keys")
    assert not any("plotly" in url for url in asked if "/keys" in url)
    visitor.close()
