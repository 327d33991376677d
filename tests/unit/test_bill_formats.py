"""The formats of bills that ship, and what is wrong with one of a user."""

import re
from pathlib import Path

import pytest

from tokenweir.catalog.bill_formats import (
    folded,
    label_of,
    read_bill_format,
    same_model,
    shipped_bill_formats,
)
from tokenweir.catalog.providers import shipped
from tokenweir.core.errors import CatalogError
from tokenweir.core.usage import TOKEN_CLASSES

GOOD = """
title = "Mine"
[[table]]
name = "days"
confirmed = false
time = { names = ["day"], forms = ["%Y-%m-%d"], grain = "day" }
model = { names = ["model"] }
kind = { names = ["kind"] }
amount = { names = ["cost"] }
currency = { default = "USD" }
[[table.item]]
kinds = ["in"]
counts = [{ names = ["tokens"], classes = ["input"] }]
"""


def test_the_eight_that_ship_are_for_providers_of_the_catalog() -> None:
    formats = shipped_bill_formats()
    promised = "anthropic dashscope deepseek minimax moonshot openai openrouter zhipu"
    assert list(formats) == promised.split()
    hosts = {host.id for host in shipped().hosts}
    for form in formats.values():
        assert form.upstreams, form.id
        assert set(form.upstreams) <= hosts, form.id


def test_what_is_not_confirmed_says_so() -> None:
    tables = [(form.id, table) for form in shipped_bill_formats().values() for table in form.table]
    assert [(id, table.name) for id, table in tables if not table.confirmed] == [("moonshot", "days")]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Mine"', "title = 1", "Expected `str`"),
        ('title = "Mine"', "title = ", "cannot be read"),
        ("confirmed = false", "confirmd = false", "confirmd"),
        ('grain = "day"', 'grain = "week"', "grain"),
        ('grain = "day"', 'grain = "day", zone = "Asia/Beijing"', "no time zone 'Asia/Beijing'"),
        ('grain = "day"', 'grain = "span"', "needs time.until"),
        ('forms = ["%Y-%m-%d"]', "forms = []", "time.forms is empty"),
        ('model = { names = ["model"] }', "model = { names = [] }", "a column has no names"),
        ('names = ["model"]', 'names = ["model"], pattern = "("', "is no regular expression"),
        ('names = ["model"]', 'names = ["model"], pattern = "a"', "exactly one group"),
        ('kind = { names = ["kind"] }\n', "", "need a column `kind`"),
        ('default = "USD"', "", "an amount needs a currency"),
        ('default = "USD"', 'default = "dollars"', "not a currency code"),
        ('names = ["cost"]', 'names = ["cost"], unit = "cent"', "not a plain decimal"),
        ('names = ["cost"]', 'names = ["cost"], unit = "0"', "must be above zero"),
        ('names = ["cost"]', 'names = ["cost"], decimals = 13', "from 0 to 12"),
        ('classes = ["input"]', 'classes = ["prompt"]', "no class of tokens"),
        ('classes = ["input"]', 'classes = ["input", "input"]', "stands twice"),
        ('classes = ["input"]', "classes = []", "needs classes"),
        ('kinds = ["in"]', 'kinds = ["in"]\nclasses = ["output"]', "that its money is not for"),
        ("[[table.item]]", '[models]\nstrip = ["["]\n[[table.item]]', "is no regular expression"),
        ("[[table]]", 'encodings = ["latin-1"]\n[[table]]', "is none of utf-8"),
    ],
)
def test_a_wrong_format_is_refused_with_what_is_wrong(old: str, new: str, message: str) -> None:
    assert read_bill_format(GOOD.encode(), "mine").id == "mine"
    assert old in GOOD
    body = GOOD.replace(old, new, 1)
    if new.startswith("[models]"):  # a table of the file cannot stand within another
        body = new.split("\n[[")[0] + "\n" + GOOD.replace('title = "Mine"', "")
        body = 'title = "Mine"\n' + body
    with pytest.raises(CatalogError, match=r"the format of bills 'mine'") as caught:
        read_bill_format(body.encode(), "mine")
    assert message in str(caught.value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(CatalogError, match="cannot be read"):
        read_bill_format(b"\xff\xfe\x00", "mine")


@pytest.mark.parametrize(
    ("provider", "theirs", "ours"),
    [
        ("anthropic", "Claude Haiku 4.5", "claude-haiku-4-5-20251001"),
        ("anthropic", "Claude Sonnet 4", "claude-sonnet-4-20250514"),
        ("anthropic", "Claude Haiku 3.5", "claude-3-5-haiku-20241022"),
        ("openai", "gpt-4o-2024-08-06", "gpt-4o"),
        ("openrouter", "moonshotai/kimi-k2-20260910", "moonshotai/kimi-k2:free"),
        ("minimax", "MiniMax-M3-512k", "MiniMax-M3"),
        ("deepseek", "deepseek-v4-flash", "deepseek-chat"),
        ("zhipu", "GLM-4.6", "glm-4.6"),
    ],
)
def test_a_model_has_one_name_on_both_sides(provider: str, theirs: str, ours: str) -> None:
    names = shipped_bill_formats()[provider].models
    assert same_model(names, theirs) == same_model(names, ours)
    assert same_model(names, theirs) != same_model(names, "another")


def test_headers_are_compared_without_width_case_and_spaces() -> None:
    assert folded("\ufeff 应付金额（含税） ") == folded("应付金额(含税)")
    assert folded("Prompt  Tokens") == folded("prompt tokens")


def test_every_class_together_has_no_label() -> None:
    assert label_of(TOKEN_CLASSES) == ""
    assert label_of(("output", "reasoning")) == "output+reasoning"


def test_the_format_in_the_docs_is_one_and_every_one_that_ships_is_told_there() -> None:
    page = (Path(__file__).parents[2] / "docs" / "billing.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```ini\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(read_bill_format(example.encode(), "example").table[0].item) == 3
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(shipped_bill_formats())
