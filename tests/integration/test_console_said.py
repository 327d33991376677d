"""What the console says when something cannot be read or was refused: in the language of who looks, and with what to do."""

import html
import re
from pathlib import Path

import pytest
from console_asked import signed_in
from console_fixtures import browser, clock, data, shared
from console_host import Browser, application
from console_seed import SETTINGS

from tokenweir.core.clock import FakeClock

__all__ = ["browser", "clock", "data", "shared"]  # fixtures
CHINESE = {"accept-language": "zh-CN,zh;q=0.9"}


def notices(text: str) -> list[str]:
    """What stands above a page, as it is read."""
    found = re.findall(r'<p class="notice [a-z]+"[^>]*>(.*?)</p>', text, re.DOTALL)
    return [html.unescape(re.sub(r"<[^>]+>", "", one)) for one in found]


@pytest.fixture
def chinese(shared: Path, clock: FakeClock) -> Browser:
    return signed_in(Browser(application(shared, clock, SETTINGS), **CHINESE))


@pytest.mark.parametrize("page", ["", "/charts", "/spend", "/calls", "/runs"])
@pytest.mark.parametrize(
    "query", ["range=99x", "from=2026-13-99", "to=tomorrow", "from=2026-11-01&to=2026-11-31"]
)
def test_a_period_that_cannot_be_read_is_told_with_what_is_shown(
    browser: Browser, page: str, query: str
) -> None:
    answer = signed_in(browser).get(f"{page}?{query}")
    wrong = query.rpartition("&")[2]
    assert answer.status == 200
    (told,) = notices(answer.text)
    assert f"“{wrong}” names no time that can be read. Shown is 2026-" in told


def test_a_period_that_can_be_read_is_not_spoken_of(browser: Browser) -> None:
    signed_in(browser)
    for query in ("range=7d", "from=2026-11-01&to=2026-11-20", "range=24h&against=2026-10-01", ""):
        assert notices(browser.get(f"?{query}").text) == []
    (told,) = notices(browser.get("?range=7d&against=soon").text)
    assert "against=soon" in told


def test_both_are_told_in_chinese(chinese: Browser) -> None:
    (told,) = notices(chinese.get("/calls?range=99x").text)
    assert told.startswith("无法识别“range=99x”所指的时间，现显示 2026-")


def test_a_form_that_nobody_knows_shows_its_page_again_and_says_so(
    browser: Browser, chinese: Browser
) -> None:
    answer = signed_in(browser).form("/keys", "explode")
    assert answer.status == 400
    assert notices(answer.text) == [
        "Something in it is missing or wrong. There is no such form on this page. Load it anew."
    ]
    assert 'name="limits"' in answer.text
    assert "该页面没有这个表单。请重新加载页面。" in chinese.form("/keys", "").text


def test_what_an_operation_refuses_is_told_in_both_languages(data: Path, clock: FakeClock) -> None:
    app = application(data, clock, SETTINGS)
    english, chinese = signed_in(Browser(app)), signed_in(Browser(app, **CHINESE))
    for path, action, fields, told, sagt in (
        (
            "/accounts",
            "create",
            {"id": "a b"},
            "'a b' cannot be the id of an account: use up to 64",
            "“a b”不能用作账户的编号",
        ),
        (
            "/limits",
            "put",
            {"kind": "key", "id": "no", "text": "¥5/day"},
            "There is no key 'no'.",
            "没有密钥“no”。",
        ),
        (
            "/limits",
            "put",
            {"kind": "account", "id": "acme", "text": "5 zlotys"},
            "which is no currency known",
            "不是已知的货币",
        ),
        ("/limits", "lift", {"limit": "x"}, "Choose a limit.", "请选择一个限额。"),
        (
            "/credit",
            "add",
            {"account": "acme", "amount": "x", "currency": "CNY"},
            "“amount”: this is not written",
            "“金额”：格式不对。",
        ),
        ("/keys", "create", {"name": ""}, "Fill in “name”.", "请填写“名称”。"),
    ):
        for visitor, sentence in ((english, told), (chinese, sagt)):
            answer = visitor.form(path, action, **fields)
            assert answer.status == 422, (path, action)
            assert sentence in html.unescape(answer.text)


def test_changes_settings_and_prices_are_told_in_chinese(data: Path, clock: FakeClock) -> None:
    visitor = signed_in(Browser(application(data, clock, SETTINGS), **CHINESE))
    visitor.form("/accounts", "create", id="new", parent="acme", name="New")
    visitor.form("/prices", "charge", account="acme", model="*", markup="25")
    visitor.form(
        "/prices", "standing", id="gpus", upstream="vllm", amount="20", currency="CNY", per="hour", units="8"
    )
    audit = html.unescape(visitor.get("/audit").text)
    assert '账户 new，隶属 acme，"New"' in audit
    assert "vllm 的固定成本 gpus：8 个单位，每个每小时 20 CNY，按词元分摊" in audit
    assert "监听地址；0.0.0.0 表示全部。" in visitor.get("/settings").text
    assert "8 个单位，每个每小时 20 CNY，按词元分摊" in visitor.get("/prices").text
    english = signed_in(Browser(application(data, clock, SETTINGS)))
    assert "account new, under acme, &#34;New&#34;" in english.get("/audit").text
