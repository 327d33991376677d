"""Numbers as a printed invoice shows them, and cells that no spreadsheet takes for a formula."""

import csv
import io

import pytest

from tokenweir.billing.answer import CSV_COLUMNS, InvoiceAnswer, LineAnswer, TotalAnswer, invoice_csv, percent
from tokenweir.billing.page import count, decimals, grouped, invoice_page, padding
from tokenweir.billing.words import LANGUAGES, WORDS, month_words

LINE = LineAnswer(1, "a", "=cmd()", 2, "<script>", "input", -1_234_567, "4", "CNY", "-4.938268")
ANSWER = InvoiceAnswer(
    id="2026-11-0001", number=1, account="a", name="", month="2026-11", time_zone="UTC", until="2026-12-01T00:00:00.000Z",
    upto_entry=7, issued="2026-12-03T10:00:00.000Z", accounts=("a",), lines=(), corrections=(LINE,), without_money=(),
    fees=(), surcharges=(), paid=(), totals=(TotalAnswer("CNY", "0", "-4.938268", "0", "0", "0", "0", "-4.938268"),),
    converted=None,
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "shown"),
    [("0", "0"), ("1234567.5", "1,234,567.5"), ("-0.000000000001", "−0.000000000001"), ("-1000", "−1,000")],
)
def test_thousands_stand_apart_and_digits_are_all_there(text: str, shown: str) -> None:
    assert grouped(text) == shown


def test_points_stand_below_each_other() -> None:
    assert decimals(["1", "2.25", None, "0.5"]) == 2
    assert [padding(text, 2) for text in ("1", "2.25", "0.5")] == [".00", "", "0"]
    assert padding("1", 0) == ""
    assert (count(-1_234), percent(1_250), percent(500)) == ("−1,234", "12.5", "5")


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_page_in_each_language_needs_nothing_else_and_escapes(lang: str) -> None:
    page = invoice_page(ANSWER, lang)
    assert "&lt;script&gt;" in page and "<script" not in page
    assert "src=" not in page and "href=" not in page and "url(" not in page
    assert "−1,234,567" in page and "−4.938268" in page
    assert month_words("2026-11", lang) in page


def test_every_language_has_every_word() -> None:
    shapes = [
        {name: text.keys() if isinstance(text, dict) else () for name, text in words.items()}
        for words in WORDS.values()
    ]
    assert all(shape == shapes[0] for shape in shapes)


def test_csv_has_one_width_and_no_formulas() -> None:
    rows = list(csv.reader(io.StringIO(invoice_csv(ANSWER))))
    assert {len(row) for row in rows} == {len(CSV_COLUMNS)}
    assert rows[1] == [
        "correction",
        "1",
        "a",
        "'=cmd()",
        "2",
        "<script>",
        "input",
        "-1234567",
        "4",
        "CNY",
        "-4.938268",
    ]
    assert rows[-1][5:] == ["due", "", "", "", "CNY", "-4.938268"]
