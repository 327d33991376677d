"""`weir reconcile` over a real ledger file: a bill made from it, and four differences planted in it."""

import csv
import io
import json
import zipfile
from pathlib import Path

import msgspec
import pytest
from known_ledger import RATES, START_US, Book, call_id
from test_reading_commands import weir

from tokenweir.catalog.price import AppliedPrice
from tokenweir.cli.exits import BILL, CATALOG, FAILED, LEDGER, OK, USAGE
from tokenweir.core.money import format_pico, parse_amount
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Entry, Kind, Outcome

HOUR_US = 3_600_000_000
MODELS = ("glm-4.6", "glm-4.5-air")
#: Kinds of Zhipu's bill, the classes that they are for, and their rates.
KINDS = {
    "输入": (("input",), RATES.input),
    "缓存命中": (("cache_read",), RATES.cache_read or 0),
    "输出": (("output", "reasoning"), RATES.output),
}
HEADER = "账单号,账期(自然日),模型编码（推理专用）,用量,用量单位,币种,总消费金额（结算金额加总）,价格类型"


def entry(number: int) -> Entry:
    """One of 48 calls: one an hour from 2026-11-23T00:00Z on, so three days of Beijing."""
    usage = Usage(input=100 + number, cache_read=7 * number + 1, output=20 + number, reasoning=number + 1)
    cost = (100 + number) * RATES.input + (7 * number + 1) * (RATES.cache_read or 0)
    return Entry(
        kind=Kind.SETTLED,
        at_us=START_US + number * HOUR_US,
        call=call_id(number),
        upstream="zhipuai",
        deployment=f"zhipuai/{MODELS[number % 2]}",
        usage=usage,
        price="p1",
        cost_pico=cost + (usage.output + usage.reasoning) * RATES.output,
        currency="CNY",
        outcome=Outcome.OK,
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A ledger with calls to two upstreams, one of them corrected after it was closed."""
    book = Book(tmp_path)
    applied = AppliedPrice(ref="book", currency="CNY", rates=RATES)
    book.connection.execute(
        "INSERT INTO prices (id, applied) VALUES ('p1', ?)", (msgspec.json.encode(applied).decode(),)
    )
    for number in range(48):
        true = entry(number)
        if number == 5:
            wrong = Usage(input=1)
            book.write(msgspec.structs.replace(true, usage=wrong, cost_pico=RATES.input))
            true = msgspec.structs.replace(true, kind=Kind.LATE)
        book.write(true)
    book.write(msgspec.structs.replace(entry(1), call=call_id(99), upstream="other", deployment="other/m"))
    for upstream in ("zhipuai", "other"):
        book.hour(START_US // HOUR_US, upstream=upstream)
    return tmp_path


def bill_rows() -> list[list[str]]:
    """What Zhipu would bill for these calls, by the days of Beijing."""
    sums: dict[tuple[str, str, str], int] = {}
    for number in range(48):
        day = f"2026-11-{23 + (number + 8) // 24}"
        for kind, (classes, _) in KINDS.items():
            key = (day, MODELS[number % 2], kind)
            tokens = sum(getattr(entry(number).usage, name) for name in classes)
            sums[key] = sums.get(key, 0) + tokens
    return [
        ["b", day, model, str(tokens), "tokens", "CNY", format_pico(tokens * KINDS[kind][1]), kind]
        for (day, model, kind), tokens in sums.items()
    ]


def write_bill(directory: Path, rows: list[list[str]], encoding: str = "gb18030") -> Path:
    path = directory / "bill.csv"
    path.write_text("\n".join([HEADER, *map(",".join, rows)]) + "\n", encoding=encoding)
    return path


def answer(data: Path, *words: str) -> tuple[int, dict[str, object]]:
    done = weir("reconcile", *words, "--upstream", "zhipuai", "--json", "--data", str(data), cwd=data)
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def test_a_bill_made_from_the_ledger_matches_to_the_last_pico(data: Path) -> None:
    code, found = answer(data, str(write_bill(data, bill_rows())))
    assert (code, found["agrees"], found["format"]) == (OK, True, "zhipu")
    (section,) = found["sections"]
    assert (section["zone"], section["entries"]) == ("Asia/Shanghai", 48)
    matched = section["groups"]["matched"]
    assert matched["cells"] == 18
    total = sum(entry(number).cost_pico or 0 for number in range(48))
    assert matched["ours"] == matched["theirs"]
    assert matched["ours"]["money"] == {"CNY": format_pico(total)}


def planted() -> list[list[str]]:
    """The bill with a row dropped, one doubled, an amount changed, and a model that nobody asked for."""
    rows = bill_rows()
    dropped, doubled, changed = rows[0], rows[4], rows[8]
    changed[6] = format_pico(parse_amount(changed[6]) + 3_000_000)
    rows = [row for row in rows if row is not dropped]
    return [*rows, doubled, ["b", "2026-11-24", "glm-9", "1000", "tokens", "CNY", "0.5", "输入"]]


def test_four_planted_differences_are_each_found_with_their_sums(data: Path) -> None:
    rows = bill_rows()
    code, found = answer(data, str(write_bill(data, planted())))
    assert (code, found["agrees"]) == (FAILED, False)
    (section,) = found["sections"]
    groups = section["groups"]
    assert {name: group["cells"] for name, group in groups.items()} == {
        "matched": 15,
        "different": 2,
        "ours only": 1,
        "theirs only": 1,
    }
    assert groups["ours only"]["ours"]["money"] == {"CNY": rows[0][6]}
    assert groups["ours only"]["theirs"]["money"] == {}
    assert groups["theirs only"]["theirs"]["money"] == {"CNY": "0.5"}
    cells = {cell["outcome"]: cell for cell in section["cells"]}
    assert (cells["ours only"]["period"], cells["ours only"]["model"]) == (rows[0][1], rows[0][2])
    assert cells["theirs only"]["model"] == "glm-9"
    doubled, changed = sorted(
        (cell for cell in section["cells"] if cell["outcome"] == "different"), key=lambda c: -len(c["rows"])
    )
    assert doubled["difference"]["money"] == {"CNY": rows[4][6]}
    assert list(doubled["difference"]["tokens"].values()) == [int(rows[4][3])]
    assert changed["difference"]["money"] == {"CNY": "0.000003"}
    assert list(changed["difference"]["tokens"].values()) == [0]


def test_a_span_takes_whole_days_of_the_bill_and_a_tolerance_hides_small_money(data: Path) -> None:
    path = write_bill(data, planted())
    code, found = answer(data, str(path), "--since", "2026-11-25", "--tolerance", "0.000003")
    (section,) = found["sections"]
    assert (code, section["groups"]["matched"]["cells"]) == (OK, 6)
    assert section["since"] == "2026-11-24T16:00:00.000Z"
    assert section["outside"] == section["lines"] + 7


def test_people_get_sums_and_every_difference(data: Path) -> None:
    path, out = write_bill(data, planted()), data / "out.csv"
    words = ("reconcile", str(path), "--upstream", "zhipuai", "--csv", str(out), "--data", str(data))
    done = weir(*words, cwd=data)
    assert done.returncode == FAILED
    assert "Zhipu, details of cost, beside the ledger's calls to zhipuai" in done.stdout
    assert "by day in Asia/Shanghai; rows of the bill: 19, entries of ours: 48" in done.stdout
    assert "theirs only  2026-11-24  glm-9" in done.stdout
    rows = list(csv.DictReader(io.StringIO(out.read_text())))
    assert {row["outcome"] for row in rows} == {"matched", "different", "ours only", "theirs only"}
    (foreign,) = [row for row in rows if row["model"] == "glm-9" and row["measure"] == "CNY"]
    assert (foreign["ours"], foreign["theirs"], foreign["difference"]) == ("0", "0.5", "0.5")


def test_a_zip_is_compared_table_by_table(data: Path) -> None:
    archive = data / "bill.zip"
    month = format_pico(sum(entry(number).cost_pico or 0 for number in range(48)))
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("details.csv", "\n".join([HEADER, *map(",".join, bill_rows())]))
        file.writestr("months.csv", f"账期(月),总消费金额\n2026-11,{month}\n")
    code, found = answer(data, str(archive), "--provider", "zhipuai")
    assert (code, [section["section"] for section in found["sections"]]) == (OK, ["details", "months"])
    assert found["sections"][1]["groups"]["matched"]["ours"]["money"] == {"CNY": month}


def test_a_format_of_ones_own(data: Path) -> None:
    (data / "mine.toml").write_text(
        """
        title = "Mine"
        [[table]]
        name = "whole"
        confirmed = false
        time = { names = ["month"], forms = ["%Y-%m"], grain = "month" }
        amount = { names = ["sum"], decimals = 2 }
        currency = { default = "CNY" }
        [[table.item]]
        """
    )
    (data / "mine.csv").write_text("month,sum\n2026-11,0.08\n")
    words = ("reconcile", "mine.csv", "--upstream", "zhipuai", "--format", "mine.toml", "--data", str(data))
    done = weir(*words, cwd=data)
    assert done.returncode == OK, done.stdout
    assert "amounts are rounded to 0.01: each row may be off by half of that" in done.stdout
    (data / "mine.toml").write_text("title = 1")
    assert weir(*words, cwd=data).returncode == CATALOG


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("bill.csv", "--upstream", "zhipu"), USAGE, "no call of upstream 'zhipu'; did you mean 'zhipuai'?"),
        (("bill.csv", "--upstream", "zhipuai", "--provider", "zipu"), USAGE, "no format of bills for 'zipu'"),
        (
            ("bill.csv", "--upstream", "zhipuai", "--tolerance", "much"),
            USAGE,
            "'much' is not a plain decimal",
        ),
        (("bill.csv", "--upstream", "zhipuai", "--since", "soon"), USAGE, "'soon' is no moment"),
        (
            ("bill.csv", "--upstream", "zhipuai", "--provider", "zhipu", "--format", "x"),
            USAGE,
            "exclude each other",
        ),
        (("bill.csv", "--upstream", "zhipuai", "--key", "k"), USAGE, "the bill has no row of the key 'k'"),
        (("empty.csv", "--upstream", "zhipuai"), USAGE, "the bill has no rows; name its span"),
        (("secret.csv", "--upstream", "zhipuai"), BILL, "header is that of no known bill: 'KEY=…'"),
        (("none.csv", "--upstream", "zhipuai"), BILL, "none.csv cannot be read: No such file"),
        (("bill.csv", "--upstream", "zhipuai", "--provider", "openai"), BILL, "that of no known bill"),
    ],
)
def test_wrong_words_end_with_a_sentence(data: Path, words: tuple[str, ...], code: int, message: str) -> None:
    write_bill(data, bill_rows())
    (data / "empty.csv").write_text(HEADER + "\n")
    (data / "secret.csv").write_text("KEY=sk-abcdef\n")
    done = weir("reconcile", *words, "--data", str(data), cwd=data)
    assert (done.returncode, done.stdout) == (code, "")
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_bill_is_compared_over_the_span_that_is_named(data: Path) -> None:
    (data / "empty.csv").write_text(HEADER + "\n")
    words = ("--since", "2026-11-24", "--until", "2026-11-25")
    code, found = answer(data, str(data / "empty.csv"), *words)
    groups = found["sections"][0]["groups"]
    assert (code, {name for name, group in groups.items() if group["cells"]}) == (FAILED, {"ours only"})


def test_no_ledger_is_told_as_elsewhere(tmp_path: Path) -> None:
    path = write_bill(tmp_path, bill_rows())
    done = weir("reconcile", str(path), "--upstream", "x", "--data", str(tmp_path), cwd=tmp_path)
    assert done.returncode == LEDGER
