"""Laws of bills: any bytes are read or refused with a sentence, and what is planted in a bill is found to the last pico."""

import csv
import io
import zipfile

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.billing.bill import Bill, Period
from tokenweir.billing.bill_reader import read_bill
from tokenweir.billing.periods import day_of, local
from tokenweir.billing.reconcile import OurLine, Outcome, Result, reconcile
from tokenweir.catalog.bill_formats import read_bill_format, same_model, shipped_bill_formats
from tokenweir.core.errors import BillError
from tokenweir.core.money import format_pico
from tokenweir.core.usage import TOKEN_CLASSES

FORMATS = tuple(shipped_bill_formats().values())
IDS = tuple(form.id for form in FORMATS)
#: A bill by day, model and class, with tokens and unrounded money of each.
FORM = read_bill_format(
    b"""
    title = "Made here"
    [models]
    strip = ["-[0-9]{8}$"]
    [[table]]
    name = "days"
    confirmed = true
    time = { names = ["day"], forms = ["%Y-%m-%d"], grain = "day", zone = "Asia/Shanghai" }
    model = { names = ["model"] }
    kind = { names = ["class"] }
    amount = { names = ["amount"], decimals = 12 }
    currency = { names = ["currency"] }
    """
    + b"".join(
        f"""
    [[table.item]]
    kinds = ["{name}"]
    counts = [{{ names = ["tokens"], classes = ["{name}"] }}]
    """.encode()
        for name in TOKEN_CLASSES
    ),
    "made",
)
ZONE = FORM.table[0].time.zone
START_US = 1_795_392_000_000_000  # 2026-11-23T00:00:00Z
DAY_US = 86_400_000_000


def period_at(at_us: int) -> Period:
    from zoneinfo import ZoneInfo

    return day_of(local(at_us, ZoneInfo(ZONE)))


our_lines = st.lists(
    st.builds(
        OurLine,
        period=st.integers(0, 3 * DAY_US).map(lambda after: period_at(START_US + after)),
        model=st.sampled_from(["kimi-k2", "GLM-4.6", "deepseek-v4-20260816"]),
        token_class=st.sampled_from(TOKEN_CLASSES),
        tokens=st.integers(1, 10**7),
        cost_pico=st.integers(1, 10**16),
        currency=st.sampled_from(["CNY", "USD"]),
    ),
    min_size=1,
    max_size=25,
)


def rows_of(lines: list[OurLine]) -> list[list[str]]:
    """A bill as its provider would make it of these calls: one row a day, model, class and currency."""
    sums: dict[tuple[str, str, str, str], tuple[int, int]] = {}
    for line in lines:
        key = (line.period.label, line.model.lower(), line.token_class, line.currency)
        tokens, pico = sums.get(key, (0, 0))
        sums[key] = (tokens + line.tokens, pico + (line.cost_pico or 0))
    return [[*key, str(tokens), format_pico(pico)] for key, (tokens, pico) in sums.items()]


def bill_of(rows: list[list[str]], encoding: str = "utf-8") -> Bill:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["day", "model", "class", "currency", "tokens", "amount"])
    writer.writerows(rows)
    return read_bill("bill.csv", text.getvalue().encode(encoding), (FORM,))


def compared(rows: list[list[str]], ours: list[OurLine], encoding: str = "utf-8") -> Result:
    section = bill_of(rows, encoding).sections[0]
    return reconcile(section, section.lines, ours, lambda name: same_model(FORM.models, name))


def totals(result: Result, side: str) -> dict[str, int]:
    """Money of every group, by currency."""
    found: dict[str, int] = {}
    for group in result.groups.values():
        for currency, pico in getattr(group, side).money.items():
            found[currency] = found.get(currency, 0) + pico
    return {currency: pico for currency, pico in found.items() if pico}


def money_of(rows: list[list[str]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for _, _, _, currency, _, amount in rows:
        whole, _, fraction = amount.partition(".")
        found[currency] = found.get(currency, 0) + int(whole + fraction.ljust(12, "0"))
    return found


@given(data=st.binary(max_size=400))
def test_any_bytes_are_a_bill_or_refused(data: bytes) -> None:
    try:
        read_bill("any.csv", data, FORMATS, IDS)
    except BillError as error:
        assert str(error)


headers = st.sampled_from([table for form in FORMATS for table in form.table]).map(
    lambda table: ",".join(dict.fromkeys(column.names[0] for column in table.columns()))
)


@given(
    header=headers,
    body=st.one_of(
        st.text(max_size=300), st.lists(st.sampled_from('0123456789.,-"\n元¥eE ;:T/'), max_size=200)
    ),
    packed=st.booleans(),
)
def test_anything_under_a_known_header_is_read_or_named(
    header: str, body: str | list[str], packed: bool
) -> None:
    data = f"{header}\n{''.join(body)}".encode(errors="replace")
    if packed:
        archive = io.BytesIO()
        with zipfile.ZipFile(archive, "w") as file:
            file.writestr("a.csv", data)
        data = archive.getvalue()
    try:
        bill = read_bill("any.csv", data, FORMATS, IDS)
    except BillError as error:
        assert ".csv" in str(error)
    else:
        assert all(line.row > 1 for section in bill.sections for line in section.lines)


@given(lines=our_lines, encoding=st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]))
def test_a_bill_made_of_our_lines_matches_whole(lines: list[OurLine], encoding: str) -> None:
    rows = rows_of(lines)
    result = compared(rows, lines, encoding)
    assert result.agrees
    assert totals(result, "ours") == totals(result, "theirs") == money_of(rows)


@given(lines=our_lines, data=st.data())
def test_a_dropped_row_is_found(lines: list[OurLine], data: st.DataObject) -> None:
    rows = rows_of(lines)
    dropped = rows.pop(data.draw(st.integers(0, len(rows) - 1)))
    if not rows:
        rows = [["2026-11-23", "kimi-k2", "input", "CNY", "0", "0"]]
    result = compared(rows, lines)
    wrong = [*result.groups[Outcome.OURS_ONLY].cells, *result.groups[Outcome.DIFFERENT].cells]
    (cell,) = wrong  # different where the same day, model and class has another currency
    assert (cell.period.label, cell.item) == (dropped[0], dropped[2])
    (lost,) = [f for f in cell.figures() if f.is_money and f.theirs_more]
    assert -lost.theirs_more == money_of([dropped])[dropped[3]]
    assert [-f.theirs_more for f in cell.figures() if not f.is_money] == [int(dropped[4])]


@given(lines=our_lines, data=st.data())
def test_a_doubled_row_is_found(lines: list[OurLine], data: st.DataObject) -> None:
    rows = rows_of(lines)
    doubled = data.draw(st.sampled_from(rows))
    rows.insert(data.draw(st.integers(0, len(rows))), doubled)
    result = compared(rows, lines)
    (cell,) = result.groups[Outcome.DIFFERENT].cells
    assert not result.groups[Outcome.OURS_ONLY].cells and not result.groups[Outcome.THEIRS_ONLY].cells
    assert [f.theirs_more for f in cell.figures() if not f.is_money] == [int(doubled[4])]
    assert {f.measure: f.theirs_more for f in cell.figures() if f.is_money and f.theirs_more} == money_of(
        [doubled]
    )
    assert {rows[line - 2] is doubled or rows[line - 2][:3] == doubled[:3] for _, line in cell.rows} == {True}


@given(lines=our_lines, data=st.data(), pico=st.integers(1, 10**15))
def test_a_changed_amount_is_found_to_the_last_pico(
    lines: list[OurLine], data: st.DataObject, pico: int
) -> None:
    rows = rows_of(lines)
    changed = data.draw(st.sampled_from(rows))
    before = money_of([changed])[changed[3]]
    changed[5] = format_pico(before + pico)
    result = compared(rows, lines)
    (cell,) = result.groups[Outcome.DIFFERENT].cells
    assert [f.theirs_more for f in cell.figures() if f.theirs_more] == [pico]
    section = bill_of(rows).sections[0]
    names = FORM.models
    assert reconcile(section, section.lines, lines, lambda name: same_model(names, name), pico).agrees


@given(lines=our_lines, tokens=st.integers(1, 10**6), pico=st.integers(1, 10**15))
def test_a_foreign_model_is_found(lines: list[OurLine], tokens: int, pico: int) -> None:
    foreign = ["2026-11-23", "somebody-else", "output", "USD", str(tokens), format_pico(pico)]
    result = compared([*rows_of(lines), foreign], lines)
    group = result.groups[Outcome.THEIRS_ONLY]
    (cell,) = group.cells
    assert (cell.model, group.theirs.tokens, group.theirs.money) == (
        "somebody-else",
        {"output": tokens},
        {"USD": pico},
    )
    assert not result.groups[Outcome.DIFFERENT].cells and not result.groups[Outcome.OURS_ONLY].cells


@given(lines=our_lines, decimals=st.integers(2, 8))
def test_a_bill_that_rounds_matches_and_one_unit_more_does_not(lines: list[OurLine], decimals: int) -> None:
    table = FORM.table[0]
    assert table.amount is not None
    amount = msgspec.structs.replace(table.amount, decimals=decimals)
    form = msgspec.structs.replace(FORM, table=(msgspec.structs.replace(table, amount=amount),))
    unit = 10 ** (12 - decimals)
    rows = rows_of(lines)
    exact = [money_of([row])[row[3]] for row in rows]
    for more in (0, 1):
        for row, pico in zip(rows, exact, strict=True):
            row[5] = format_pico(((pico + unit // 2) // unit + more) * unit)
        text = "day,model,class,currency,tokens,amount\n" + "\n".join(map(",".join, rows))
        section = read_bill("bill.csv", text.encode(), (form,)).sections[0]
        result = reconcile(section, section.lines, lines, lambda name: same_model(form.models, name))
        ties = any((pico + unit // 2) % unit == 0 for pico in exact)
        assert result.agrees is (more == 0) or ties
