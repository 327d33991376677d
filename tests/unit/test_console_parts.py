"""The console's pure parts: who waits after failures, what is believed of proxies, words, numbers, spans, tables and CSV."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import nodes

from tokenweir.console import words as console_words
from tokenweir.console.door import safe_path
from tokenweir.console.lockout import MOST_FAILURES, MOST_REMEMBERED, WINDOW_US, Lockout
from tokenweir.console.numbers import Format
from tokenweir.console.page import Said
from tokenweir.console.periods import period_of
from tokenweir.console.render import _environment
from tokenweir.console.security import client_address, is_behind_tls
from tokenweir.console.table import Badge, Bar, Chart, Column, Link, Series, Table, as_csv
from tokenweir.core.money import PICO, format_pico

SHANGHAI = ZoneInfo("Asia/Shanghai")
ENGLISH = Format("en", SHANGHAI)
PACKAGE = Path(console_words.__file__).parent


# --- who may try


def test_who_fails_too_often_waits_and_may_try_again_later() -> None:
    lockout = Lockout()
    for _ in range(MOST_FAILURES["name"]):
        assert lockout.wait_us(7, name="ann", address="a") == 0
        lockout.failed(7, name="ann", address="a")
    assert lockout.wait_us(7, name="ann", address="b") == WINDOW_US
    assert lockout.wait_us(7, name="bo", address="a") == 0
    assert lockout.wait_us(7 + WINDOW_US, name="ann", address="a") == 0
    lockout.failed(7 + WINDOW_US, name="ann", address="a")
    assert lockout.wait_us(7 + WINDOW_US, name="ann", address="a") == 0  # it begins anew


def test_an_address_waits_after_more_names_than_one() -> None:
    lockout = Lockout()
    for number in range(MOST_FAILURES["address"]):
        lockout.failed(0, name=f"name {number}", address="a")
    assert lockout.wait_us(1, name="another", address="a") == WINDOW_US - 1
    lockout.forgive(name="another", address="a")
    assert lockout.wait_us(1, name="another", address="a") == 0


@given(st.lists(st.tuples(st.text(max_size=3), st.text(max_size=2)), max_size=60))
def test_what_is_remembered_is_bounded_and_forgiving_undoes_a_failure(tried: list[tuple[str, str]]) -> None:
    lockout = Lockout()
    for name, address in tried:
        before = lockout.wait_us(0, address=address)
        lockout.failed(0, name=name, address=address)
        lockout.forgive(name=name, address=address)
        assert lockout.wait_us(0, address=address) == before
    for number in range(MOST_REMEMBERED + 10):
        lockout.failed(number, address=str(number))
    assert len(lockout._failed) == MOST_REMEMBERED


# --- what is believed


TRUSTED = ("127.0.0.1", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.1", "", "192.0.2.1"),
        ("192.0.2.1", "198.51.100.1", "192.0.2.1"),  # nobody's proxy
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        (
            "127.0.0.1",
            "203.0.113.9, 198.51.100.1",
            "198.51.100.1",
        ),  # what came first is the client's own claim
        ("127.0.0.1", "198.51.100.1, 10.1.2.3", "198.51.100.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_a_client_is_where_the_last_believed_proxy_says(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == address


def test_tls_is_believed_of_proxies_alone() -> None:
    assert is_behind_tls("127.0.0.1", "https", TRUSTED)
    assert is_behind_tls("10.9.9.9", "http, https", TRUSTED)
    assert not is_behind_tls("127.0.0.1", "http", TRUSTED)
    assert not is_behind_tls("192.0.2.1", "https", TRUSTED)


@pytest.mark.parametrize(
    "path",
    ["//evil.example/console", "https://evil.example/console", "/v1/models", "/consoles", "/console/sign-in", "", "/\\evil",
     "/console\r\nset-cookie: a=b", "http:console", "/console" + "x" * 3000, "///console"],
)  # fmt: skip
def test_nobody_is_sent_elsewhere(path: str) -> None:
    assert safe_path(path) == "/console"


def test_own_paths_are_gone_on_to() -> None:
    assert safe_path("/console/calls?model=kimi-k2") == "/console/calls?model=kimi-k2"


# --- words


def _texts(language: str) -> dict[str, str]:
    return dict(console_words.dictionary(language))


def test_both_languages_have_the_same_words_and_blanks() -> None:
    english, chinese = _texts("en"), _texts("zh")
    assert english.keys() == chinese.keys()
    blanks = re.compile(r"\{\w*\}")
    assert [
        key for key in english if sorted(blanks.findall(english[key])) != sorted(blanks.findall(chinese[key]))
    ] == []
    assert [key for key, text in chinese.items() if not text.strip()] == []


def test_chinese_words_are_chinese() -> None:
    same = {key for key, text in _texts("zh").items() if not re.search(r"[\u4e00-\u9fff]", text)}
    # Names, and signs that need no words.
    signs = {key for key in same if not re.search(r"[A-Za-z]", re.sub(r"\{\w*\}", "", _texts("zh")[key]))}
    named = {"common.tag", "common.csv", "common.png", "common.json", "common.version", "call.id"} | signs
    assert same <= named, sorted(same - named)


TEMPLATES = sorted((PACKAGE / "templates").glob("*.html"))
_TAG = re.compile(r"<[^>]*>", re.DOTALL)
_SPOKEN = re.compile(r'(?:title|alt|aria-label|placeholder)="([^"]*[A-Za-z]{4,}[^"]*)"')
#: The project's name, and examples of what people type, which are no words.
_NAMES = {"Tokenweir", "weir keys create --name me --role owner", "Asia/Shanghai", "default", "team-a", "kimi-* deepseek-*",
          "kimi-*", "¥100/month", "moonshot/kimi-*", "gpus", 'id="live-\x00" data-live'}  # fmt: skip


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_no_text_stands_in_a_template(template: Path) -> None:
    source = re.sub(r"\{#.*?#\}", "", template.read_text(encoding="utf-8"), flags=re.DOTALL)
    marked = re.sub(r"\{%.*?%\}|\{\{.*?\}\}", "\x00", source, flags=re.DOTALL)
    texts = [" ".join(text.split()).strip("\x00 ·") for text in _TAG.sub("\x01", marked).split("\x01")]
    untranslated = [
        text for text in texts if re.search(r"[A-Za-z]{3,}", text.replace("\x00", " ")) and text not in _NAMES
    ]
    assert untranslated == []
    assert [text for text in _SPOKEN.findall(marked) if text not in _NAMES] == []


def _used(template: Path) -> set[str]:
    """Keys that stand whole in calls of `t`."""
    tree = _environment().parse(template.read_text(encoding="utf-8"))
    calls = (
        call
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name == "t"
    )
    return {call.args[0].value for call in calls if call.args and isinstance(call.args[0], nodes.Const)}


def test_every_word_that_is_asked_for_is_there() -> None:
    used = set().union(*map(_used, TEMPLATES))
    for path in PACKAGE.glob("*.py"):
        used |= set(re.findall(r'\bt\("([a-z_]+\.\w+)"', path.read_text(encoding="utf-8")))
    assert len(used) > 100
    assert used - _texts("en").keys() == set()


def test_words_are_files_of_texts() -> None:
    for path in PACKAGE.glob("words/*/*.toml"):
        assert all(
            isinstance(text, str) for text in tomllib.loads(path.read_text(encoding="utf-8")).values()
        ), path


@pytest.mark.parametrize(
    ("header", "language"),
    [("", "en"), ("zh-CN,zh;q=0.9,en;q=0.8", "zh"), ("en-GB,zh;q=0.9", "en"), ("fr, zh;q=0.1, en;q=0", "zh"),
     ("de", "en"), ("zh;q=x", "en"), ("en;q=0.2,zh;q=0.3", "zh"), (",;=" * 99, "en")],
)  # fmt: skip
def test_a_browser_says_its_language(header: str, language: str) -> None:
    assert console_words.preferred(header) == language


# --- numbers and spans


@pytest.mark.parametrize(
    ("pico", "text"),
    [(0, "0.00"), (PICO, "1.00"), (1_234_500 * PICO // 1000, "1,234.50"), (1_230_000_000, "0.00123"), (7, "0.000000000007"),
     (-5 * PICO // 2, "−2.50"), (999_999 * PICO // 1_000_000, "1.000"), (5_000_000_000, "0.00500"), (PICO // 10, "0.100"),
     (1_005 * PICO // 1000, "1.00"), (1_015 * PICO // 1000, "1.02")],
)  # fmt: skip
def test_amounts_are_rounded_for_the_eye(pico: int, text: str) -> None:
    assert ENGLISH.amount(pico) == text


@given(st.integers(-(10**24), 10**24))
def test_an_exact_amount_loses_nothing_and_a_rounded_one_is_near(pico: int) -> None:
    assert ENGLISH.exact(pico).replace(",", "") == format_pico(pico)
    whole, _, fraction = ENGLISH.amount(pico).replace(",", "").replace("−", "-").partition(".")
    assert 2 <= len(fraction) <= 12
    rounded = int(whole + fraction) * 10 ** (12 - len(fraction))
    assert abs(rounded - pico) * 2 <= 10 ** (12 - len(fraction))


def test_large_numbers_are_named_as_each_language_counts() -> None:
    chinese = Format("zh", SHANGHAI)
    assert [ENGLISH.compact(n) for n in (999, 12_345, 1_234_567, None)] == ["999", "12.3 K", "1.23 M", "–"]
    assert [chinese.compact(n) for n in (9_999, 12_345, 123_456_789)] == ["9,999", "1.23 万", "1.23 亿"]
    assert (
        ENGLISH.grouped("12000000 tokens/month, 5 CNY, 2026, x12345")
        == "12,000,000 tokens/month, 5 CNY, 2026, x12345"
    )
    assert [ENGLISH.ms(ms) for ms in (7.25, 340.4, 1_250, 200_000)] == [
        "7.2 ms",
        "340 ms",
        "1.25 s",
        "3 min 20 s",
    ]


NOW_US = int(datetime(2026, 11, 25, 20, 0, tzinfo=UTC).timestamp()) * 1_000_000  # the 26th in Shanghai


def test_spans_are_days_of_who_looks() -> None:
    week = period_of({"range": "7d"}, NOW_US, SHANGHAI)
    assert ENGLISH.when(week.since_us) == "2026-11-20 00:00:00"
    assert ENGLISH.when(week.until_us) == "2026-11-27 00:00:00"
    assert (week.before.since_us, week.before.until_us) == (week.since_us - 7 * 86_400_000_000, week.since_us)
    named = period_of({"from": "2026-11-01", "to": "2026-11-02"}, NOW_US, SHANGHAI)
    assert ENGLISH.when(named.until_us) == "2026-11-03 00:00:00"
    assert period_of({"from": "2026-11-09", "to": "2026-11-02"}, NOW_US, SHANGHAI).since_us < named.until_us
    for nonsense in ({"range": "x"}, {"from": "yesterday"}, {"to": "0001-01-01"}):
        assert period_of(nonsense, NOW_US, SHANGHAI) == week


# --- tables


TABLE = Table(
    name="t",
    words="calls",
    columns=(
        Column("at", "time"),
        Column("name", "link"),
        Column("cost", "money"),
        Column("used", "bar"),
        Column("state", "badge"),
    ),
    rows=[
        (
            0,
            Link("=evil()", "/x"),
            {"USD": 5 * PICO, "CNY": 1},
            Bar(PICO, 0, 2 * PICO, "CNY"),
            Badge("ok", "good"),
        ),
        (None, Link("b, c", "/y"), {"CNY": PICO}, Bar(3, 1, 10, "calls"), None),
        (1, Link("A", "/z"), None, None, Badge("bad")),
    ],
)


def test_csv_has_exact_amounts_a_column_for_each_currency_and_no_formulas() -> None:
    heads = [column.id for column in TABLE.columns]
    lines = as_csv(TABLE, heads, ENGLISH).split("\r\n")
    assert lines == [
        "at,name,cost CNY,cost USD,used spent,used reserved,used limit,state",
        "1970-01-01T08:00:00.000+08:00,'=evil(),0.000000000001,5,1,0,2,ok",
        ',"b, c",1,,3,1,10,',
        "1970-01-01T08:00:00.000+08:00,A,,,,,,bad",
        "",
    ]


def test_rows_are_sorted_by_any_column_and_what_is_not_known_stands_last() -> None:
    def names(wanted: str) -> list[str]:
        return [row[1].text for row in TABLE.sorted_by(wanted).rows]

    assert names("name") == ["=evil()", "A", "b, c"]
    assert names("-name") == ["b, c", "A", "=evil()"]
    assert names("-at") == ["A", "=evil()", "b, c"]
    assert names("used") == ["b, c", "=evil()", "A"]
    assert names("nothing") == names("") == ["=evil()", "b, c", "A"]


def test_a_chart_is_a_table_too() -> None:
    chart = Chart(
        name="c", title="nav.calls", kind="bar", labels=["mon", "tue"], series=[Series("in", [1, None])]
    )
    assert chart.table.rows == [("mon", 1), ("tue", None)]
    assert not chart.is_empty
    assert Chart(name="c", title="nav.calls", kind="bar", labels=["mon"], series=[Series("in", [0])]).is_empty


def test_bars_show_that_something_is_spent() -> None:
    assert [Bar(spent, 0, 1000, "calls").percent(spent) for spent in (0, 1, 500, 999, 5000)] == [
        0,
        1,
        50,
        100,
        100,
    ]
    assert Bar(3, 3, 5, "calls").left == 0
    assert Bar(0, 0, 0, "calls").percent(1) == 100


def test_what_is_not_said_is_empty() -> None:
    assert Said({"a": "b"})["c"] == ""
