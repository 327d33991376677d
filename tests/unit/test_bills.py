"""A made bill in each provider's format, read; and files that are no bill."""

import io
import zipfile
from pathlib import Path

import pytest

from tokenweir.billing.bill import Bill, BillLine
from tokenweir.billing.bill_reader import read_bill
from tokenweir.catalog.bill_formats import read_bill_format, shipped_bill_formats
from tokenweir.core.errors import BillError
from tokenweir.core.money import format_pico, parse_amount

BILLS = Path(__file__).parent / "bills"
FORMATS = tuple(shipped_bill_formats().values())

IN, OUT = "input+cache_write_5m+cache_write_1h", "output+reasoning"
PROMPT = "input+cache_read+cache_write_5m+cache_write_1h"
WRITES = "cache_write_5m+cache_write_1h"

#: File: provider, table, zone, and its lines as day, model, item, tokens, amount.
EXPECTED = {
    "deepseek-amount": (
        "deepseek",
        "amount",
        "UTC+08:00",
        [
            ("2026-11-23", "deepseek-v4-flash", IN, {IN: 7064}, None),
            ("2026-11-23", "deepseek-v4-flash", "cache_read", {"cache_read": 1280}, None),
            ("2026-11-23", "deepseek-v4-flash", OUT, {OUT: 1890}, None),
        ],
    ),
    "deepseek-cost": (
        "deepseek",
        "cost",
        "UTC",
        [
            ("2026-11-23", "deepseek-v4-pro", "", {}, "1.2345 CNY"),
            ("2026-11-23", "deepseek-v4-pro", "", {}, "0.0052 CNY"),
        ],
    ),
    "openrouter-generations": (
        "openrouter",
        "generations",
        "UTC",
        [
            ("2026-11-23", "moonshotai/kimi-k2-20260910", "", {PROMPT: 10389, OUT: 137}, "0.0123 USD"),
            ("2026-11-23", "moonshotai/kimi-k2-20260910", "", {PROMPT: 5, OUT: 0}, "0.0000001 USD"),
        ],
    ),
    "openrouter-days": (
        "openrouter",
        "days",
        "UTC",
        [("2026-11-23", "z-ai/glm-4.6", "", {PROMPT: 70965665, OUT: 3009973}, "430.07 USD")],
    ),
    "openai-usage": (
        "openai",
        "usage",
        "UTC",
        [
            (
                "2026-11-23",
                "gpt-5-mini-2025-08-07",
                "",
                {"input": 53440, "cache_read": 5760, OUT: 10646},
                None,
            )
        ],
    ),
    "openai-cost": (
        "openai",
        "cost",
        "UTC",
        [
            ("2026-11-23", "gpt-5-mini-2025-08-07", "cache_read", {}, "0.00383598 USD"),
            ("2026-11-23", "Web search tool calls", "other", {}, "0.25 USD"),
        ],
    ),
    "anthropic-usage": (
        "anthropic",
        "usage",
        "UTC",
        [
            (
                "2026-11-23",
                "claude-haiku-4-5-20251001",
                "",
                {
                    "input": 189,
                    "cache_read": 61624,
                    "cache_write_5m": 61624,
                    "cache_write_1h": 10,
                    OUT: 675,
                },
                None,
            )
        ],
    ),
    "anthropic-cost": (
        "anthropic",
        "cost",
        "UTC",
        [
            ("2026-11-23", "Claude Haiku 4.5", "input", {}, "0.19 USD"),
            ("2026-11-23", "Claude Haiku 4.5", OUT, {}, "0.03 USD"),
        ],
    ),
    "minimax": (
        "minimax",
        "hours",
        "Asia/Shanghai",
        [
            (
                "2026-11-23",
                "MiniMax-M3-512k",
                "input+output+reasoning",
                {"input": 100, OUT: 50},
                "0.0123 CNY",
            ),
            ("2026-11-23", "MiniMax-M3-512k", "cache_read", {"cache_read": 500}, "0.0004 CNY"),
        ],
    ),
    "minimax-english": (
        "minimax",
        "hours (English)",
        "UTC",
        [("2026-11-23", "MiniMax-M2.7", WRITES, {WRITES: 200}, "0.01 USD")],
    ),
    "dashscope": (
        "dashscope",
        "items",
        "Asia/Shanghai",
        [
            ("2026-11-23", "qwen-max", IN, {IN: 1_234_500}, "2.9628 CNY"),
            ("2026-11-23", "qwen-max", OUT, {OUT: 250}, "0.0024 CNY"),
            ("2026-11-23", "wan2.6-t2v", "video_duration", {}, "6.4 CNY"),
        ],
    ),
    "zhipu-details": (
        "zhipu",
        "details",
        "Asia/Shanghai",
        [
            ("2026-11-23", "glm-4.6", IN, {IN: 12000}, "0.048 CNY"),
            ("2026-11-23", "glm-4.6", "cache_read", {"cache_read": 5000}, "0.004 CNY"),
            ("2026-11-23", "glm-4.6", OUT, {OUT: 2000}, "0.032 CNY"),
        ],
    ),
    "zhipu-months": ("zhipu", "months", "Asia/Shanghai", [("2026-11", "", "", {}, "1090 CNY")]),
    "moonshot-summary": (
        "moonshot",
        "summary",
        "Asia/Shanghai",
        [("2026-11-01 – 2026-11-30", "", "", {}, "100 CNY")],
    ),
}


def flat(line: BillLine) -> tuple[object, ...]:
    money = None if line.amount_pico is None else f"{format_pico(line.amount_pico)} {line.currency}"
    return (line.period.label, line.model, line.item, line.tokens, money)


def made(name: str) -> bytes:
    return (BILLS / f"{name}.csv").read_bytes()


def only(bill: Bill) -> list[BillLine]:
    assert len(bill.sections) == 1
    return list(bill.sections[0].lines)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_bill_is_known_by_its_header_and_read_whole(name: str) -> None:
    provider, table, zone, lines = EXPECTED[name]
    bill = read_bill(f"{name}.csv", made(name), FORMATS)
    assert (bill.format, bill.sections[0].name, str(bill.sections[0].zone)) == (provider, table, zone)
    assert bill.confirmed
    assert [flat(line) for line in only(bill)] == lines


@pytest.mark.parametrize("name", ["minimax", "dashscope", "zhipu-details", "moonshot-summary"])
def test_other_encodings_and_separators_give_the_same(name: str) -> None:
    text = made(name).decode()
    plain = [flat(line) for line in only(read_bill("a.csv", made(name), FORMATS))]
    for data in (
        text.encode("gb18030"),
        text.encode("utf-8-sig"),
        text.encode("utf-16"),
        text.replace("\n", "\r\n").encode(),
        b"\n\n" + text.encode(),
    ):
        assert [flat(line) for line in only(read_bill("a.csv", data, FORMATS))] == plain


def test_tabs_and_semicolons_part_cells_too() -> None:
    text = made("anthropic-usage").decode()
    plain = [flat(line) for line in only(read_bill("a.csv", text.encode(), FORMATS))]
    for delimiter in "\t;":
        data = text.replace(",", delimiter).encode()
        assert [flat(line) for line in only(read_bill("a.csv", data, FORMATS))] == plain


def test_a_table_after_a_description_is_used_only_where_its_provider_is_meant() -> None:
    with pytest.raises(BillError, match="its header is that of no known bill"):
        read_bill("a.csv", made("moonshot-days"), FORMATS)
    bill = read_bill("a.csv", made("moonshot-days"), FORMATS, ["moonshot"])
    assert not bill.confirmed
    assert [flat(line) for line in only(bill)] == [
        ("2026-11-23", "kimi-k2-0905-preview", "", {IN: 1000, "cache_read": 200, OUT: 50}, "0.0052 CNY")
    ]


def test_a_cost_that_was_not_grouped_is_compared_without_model_and_kind() -> None:
    data = made("openai-cost").decode()
    data = data.replace('"gpt-5-mini-2025-08-07, cached input"', "").replace("Web search tool calls", "")
    section = read_bill("cost.csv", data.encode(), FORMATS).sections[0]
    assert (section.by_model, section.items) == (False, {})
    assert {line.item for line in section.lines} == {""}


def test_the_precision_is_that_of_the_row_that_shows_most() -> None:
    cost = read_bill("a.csv", made("anthropic-cost"), FORMATS).sections[0]
    assert cost.decimals == 2
    assert {line.slack_pico for line in cost.lines} == {parse_amount("0.005")}
    exact = read_bill("a.csv", made("openai-cost"), FORMATS).sections[0]
    assert (exact.decimals, {line.slack_pico for line in exact.lines}) == (12, {0})


def test_rows_are_named_by_the_line_they_begin_on() -> None:
    text = made("deepseek-amount").decode().replace('"Team, one"', '"Team,\none"')
    assert [line.row for line in only(read_bill("a.csv", text.encode(), FORMATS))] == [2, 4, 6]


def zipped(**files: bytes) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in files.items():
            archive.writestr(name.replace("_", "-").replace("-csv", ".csv").replace("-txt", ".txt"), body)
    return data.getvalue()


def test_a_zip_has_a_section_for_each_of_its_tables() -> None:
    amount, cost = made("deepseek-amount"), made("deepseek-cost")
    data = zipped(amount_1_csv=amount, amount_2_csv=amount, cost_csv=cost, notes_txt=b"hello")
    bill = read_bill("usage.zip", data, FORMATS)
    assert [(section.name, len(section.lines)) for section in bill.sections] == [("amount", 6), ("cost", 2)]
    assert {line.file for line in bill.sections[0].lines} == {"amount-1.csv", "amount-2.csv"}
    assert bill.unread == ("notes.txt",)
    with pytest.raises(BillError, match="its files are of several providers: anthropic, deepseek"):
        read_bill("a.zip", zipped(a_csv=amount, b_csv=made("anthropic-cost")), FORMATS)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",0.19,0.19", ",nineteen,0.19", "row 2, column 'cost_usd': found 'nineteen', expected an amount"),
        ("2026-11-23,Claude", "yesterday,Claude", "row 2, column 'usage_date_utc': found 'yesterday'"),
        (
            "2026-11-23,Claude",
            "1926-11-23,Claude",
            "row 2, column 'usage_date_utc': found '1926-11-23', expected a time",
        ),
        ("0.19,0.19", "1,234.50,0.19", "row 2: found '13 cells', expected 12 cells as in the header"),
    ],
)
def test_a_cell_that_cannot_be_read_is_named(old: str, new: str, message: str) -> None:
    text = made("anthropic-cost").decode()
    with pytest.raises(BillError) as caught:
        read_bill("bill.csv", text.replace(old, new, 1).encode(), FORMATS)
    assert f"bill.csv, {message}" in str(caught.value)


def test_many_faults_are_named_up_to_ten() -> None:
    header, row, _ = made("anthropic-cost").decode().splitlines()
    body = "\n".join([header, *[row.replace("0.19", "x")] * 15])
    with pytest.raises(BillError, match="and 5 more") as caught:
        read_bill("bill.csv", body.encode(), FORMATS)
    assert str(caught.value).count("found 'x'") == 10


def test_a_mark_and_a_column_must_name_one_currency() -> None:
    text = made("zhipu-details").decode().replace("人民币,¥0.004", "人民币,$0.004")
    with pytest.raises(BillError, match="row 4, column '币种': found '人民币', expected USD"):
        read_bill("a.csv", text.encode(), FORMATS)
    text = made("zhipu-details").decode().replace("人民币,", "点,")
    with pytest.raises(BillError, match="found '点', expected a currency"):
        read_bill("a.csv", text.encode(), FORMATS)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "its header is that of no known bill: ''"),
        (b"a,b\n1,2\n", r"its header is that of no known bill: 'a,b'. Known are: Anthropic"),
        (b"\xff\xff\xff", "it is not text in utf-8 or gb18030"),
        (b"\xd0\xcf\x11\xe0 old", "it is an Excel workbook"),
        (zipped(**{"xl/workbook.xml": b"<x/>"}), "it is an Excel workbook"),
        (zipped(a_pdf=b"x"), "a ZIP of a bill holds CSV files"),
        (b"PK\x03\x04 broken", "the ZIP cannot be unpacked"),
        (b"usage_date_utc\x00,model\n", "no"),
    ],
)
def test_what_is_no_bill_is_refused_with_a_sentence(data: bytes, message: str) -> None:
    with pytest.raises(BillError, match=message):
        read_bill("bill.csv", data, FORMATS)


def test_a_zip_that_unpacks_to_too_much_is_refused() -> None:
    with pytest.raises(BillError, match="unpacks to more than"):
        read_bill("a.zip", zipped(a_csv=b"0" * 2000), FORMATS, most_bytes=1000)
    with pytest.raises(BillError, match="larger than"):
        read_bill("a.csv", b"0" * 2000, FORMATS, most_bytes=1000)


def test_a_header_of_two_providers_asks_which() -> None:
    other = read_bill_format((Path(BILLS) / "twin.toml").read_bytes(), "twin")
    with pytest.raises(BillError, match="could be a bill of anthropic or twin; name it with --provider"):
        read_bill("a.csv", made("anthropic-cost"), (*FORMATS, other))
    assert read_bill("a.csv", made("anthropic-cost"), (*FORMATS, other), ["twin"]).format == "twin"


def test_a_format_of_ones_own_is_all_that_is_needed() -> None:
    mine = read_bill_format(
        b"""
        title = "Mine"
        [[table]]
        name = "spans"
        confirmed = false
        time = { names = ["from"], forms = ["unix"], grain = "span", until = { names = ["to"] } }
        request = { names = ["id"] }
        key = { names = ["who"] }
        amount = { names = ["cents"], unit = "0.01", plus = ["gift"] }
        currency = { names = ["cur"] }
        only = [{ names = ["what"], values = ["llm*"] }]
        [[table.item]]
        counts = [{ names = ["ktok"], unit = 1000, classes = ["input", "output"] }]
        """,
        "mine",
    )
    text = "from,to,id,who,cents,gift,cur,what,ktok\n1795392000,1795395599,r1,me,250,50,eur,LLM x,1.5\n"
    text += "1795392000,1795395599,r2,me,1,,eur,disk,1\n"
    section = read_bill("a.csv", text.encode(), (mine,), ["mine"]).sections[0]
    (line,) = section.lines
    assert (line.request, line.key, line.currency, line.tokens) == ("r1", "me", "EUR", {"input+output": 1500})
    assert line.amount_pico == 3 * 10**12
    assert line.period.end_us - line.period.start_us == 3_600_000_000
    assert section.left_out == 1
