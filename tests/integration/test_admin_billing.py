"""Invoices, rerates, spreads and bills through the admin API: the same figures as on the command line, under the key's name."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from admin_inside import NOTHING_KNOWN, desk_of, inside
from billed_ledger import CNY, DAY_US, DEARER, NOVEMBER_US, USD, Books
from test_reading_commands import weir

from tokenweir.admin.desk import Desk
from tokenweir.admin.lookups import Lookups
from tokenweir.admin.reconciling import MOST_UNPACKED_BYTES
from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import Bracket, Price
from tokenweir.core.clock import FakeClock
from tokenweir.core.money import format_pico
from tokenweir.core.usage import Usage
from tokenweir.ledger.terms import (
    KeyRecord,
    NoteCorrection,
    SetCharge,
    SetKey,
    SetStandingCost,
    StandingCost,
)
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views.terms import changes

DECEMBER_US = NOVEMBER_US + 30 * DAY_US
USED = Usage(input=1_000, output=100)
CORRECT = Price("vendor, corrected", "CNY", (Bracket(0, DEARER.rates),))
RESOLD = Price("price book", "USD", (Bracket(0, USD.rates),))
DEARER_NOW = Lookups(lambda _: lambda *_: (CORRECT,), lambda upstream: (upstream,))
PAID_PICO = 1_000 * CNY.rates.input + 100 * CNY.rates.output
CORRECTED_PICO = 1_000 * DEARER.rates.input + 100 * DEARER.rates.output
NOVEMBER = {"account": "org", "month": "2026-11"}
Ask = Callable[..., tuple[int, Any]]


def with_role(role: str, account: str = "org") -> SetKey:
    digest = hashlib.sha256(role.encode()).digest()
    return SetKey(KeyRecord(f"key_{role}", role, account, digest, role, 0, role=role))


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """Two calls of `team` in November, one of them charged in dollars, and one of `other`; keys called after their roles."""
    with Books(tmp_path) as books:
        for id, parent in (("org", ""), ("team", "org"), ("other", "")):
            books.account(id, parent)
        books.change(*map(with_role, ("owner", "admin", "auditor")), with_role("member", "team"))
        books.call("team", USED)
        books.change(SetCharge("org", ChargeRule("resold", price=RESOLD)))
        books.call("team", USED, charge=USD, model="resold")
        books.call("other", USED)
    yield tmp_path
    assert verify(tmp_path).ok


def desk(data: Path, lookups: Lookups = NOTHING_KNOWN, now_us: int = DECEMBER_US) -> Desk:
    return desk_of(data, FakeClock(now_us), lookups)


def told(data: Path, *words: str) -> list[Any]:
    """What a command prints as JSON, line by line."""
    done = weir(*words, "--json", "--data", str(data), cwd=data)
    assert done.stderr == ""
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_an_invoice_issued_here_is_the_one_that_the_command_line_shows(data: Path) -> None:
    ask = inside(desk(data))
    status, preview = ask("auditor", "GET", "/invoices/preview", **NOVEMBER)
    assert (status, preview["issued"]) == (200, None)
    assert [preview] == told(data, "invoice", "preview", "org", "2026-11")
    status, issued = ask("admin", "POST", "/invoices", NOVEMBER)
    assert status == 201
    assert issued == {**preview, "issued": "2026-12-01T00:00:00.000Z"}
    assert ask("auditor", "GET", f"/invoices/{issued['id']}") == (200, issued)
    assert told(data, "invoice", "show", issued["id"]) == [issued]
    (listed,) = told(data, "invoice", "list")[0]["invoices"]
    assert (listed["id"], listed["by"]) == (issued["id"], "key_admin")
    assert [total["due"] for total in issued["totals"]] == ["0.0056", "0.0009100013"]
    for line in issued["lines"]:
        path, entries, after = f"/invoices/{issued['id']}/lines/{line['line']}/calls", [], "0"
        while after is not None:
            _, page = ask("owner", "GET", path, limit=1, after=after)
            entries, after = entries + page["items"], page["next"]
        assert entries == told(data, "invoice", "explain", issued["id"], "--line", str(line["line"]))
        assert len(entries) == line["attempts"] == 1


def test_what_cannot_be_issued_is_refused_with_a_reason(data: Path) -> None:
    early = inside(desk(data, now_us=DECEMBER_US - 1))
    for body, word in ((NOVEMBER, "not over"), ({"account": "none", "month": "2026-11"}, "no account")):
        status, problem = early("owner", "POST", "/invoices", body)
        assert (status, problem["code"]) == (422, "refused")
        assert word in problem["detail"]
    assert early("owner", "POST", "/invoices", {"account": "org", "month": "2026-13"})[0] == 422
    assert early("owner", "GET", "/invoices")[1]["items"] == []


def test_a_customer_sees_its_own_invoices_and_not_where_prices_come_from(data: Path) -> None:
    ask = inside(desk(data))
    ids = {
        account: ask("owner", "POST", "/invoices", {"account": account, "month": "2026-11"})[1]["id"]
        for account in ("team", "other")
    }
    whole, own = (ask(who, "GET", f"/invoices/{ids['team']}")[1] for who in ("owner", "member"))
    assert {line["price"] for line in whole["lines"]} == {"vendor", "price book"}
    assert {line["price"] for line in own["lines"]} == {""}
    assert [line["amount"] for line in own["lines"]] == [line["amount"] for line in whole["lines"]]
    assert "0.0056" not in [line["amount"] for line in own["lines"] if line["currency"] == "USD"]
    assert [one["id"] for one in ask("member", "GET", "/invoices")[1]["items"]] == [ids["team"]]
    for path in (f"/invoices/{ids['other']}", f"/invoices/{ids['other']}/lines/1/calls"):
        assert ask("member", "GET", path)[0] == 404
        assert ask("owner", "GET", path)[0] == 200
    assert ask("member", "GET", "/invoices/preview", account="org", month="2026-11")[0] == 404
    status, entries = ask("member", "GET", f"/invoices/{ids['team']}/lines/1/calls")
    assert status == 200
    assert "price" not in entries["items"][0]


def test_a_rerate_is_tried_then_done_once_and_the_next_invoice_has_it(data: Path) -> None:
    ask = inside(desk(data, DEARER_NOW))
    _, first = ask("owner", "POST", "/invoices", NOVEMBER)
    asked = {"account": "org", "until": "2026-12-01T00:00:00Z"}
    status, tried = ask("auditor", "POST", "/rerate", {**asked, "dry_run": True})
    assert (status, tried["differ"], tried["dry_run"]) == (200, 2, True)
    assert ask("auditor", "POST", "/rerate", asked)[0] == 403
    assert ask("owner", "POST", "/rerate", {**asked, "account": "none"})[1]["code"] == "refused"
    status, done = ask("owner", "POST", "/rerate", asked)
    assert (status, done) == (200, {**tried, "dry_run": False})
    assert ask("owner", "POST", "/rerate", asked)[1]["differ"] == 0
    (note,) = [one for one in changes(data) if isinstance(one.change, NoteCorrection)]
    assert (note.actor, note.change.id) == ("key_owner", done["correction"])
    assert note.change.what == (
        "by the prices of settings and catalog, until 2026-12-01T00:00:00.000Z, account org"
    )
    later = inside(desk(data, now_us=DECEMBER_US + 31 * DAY_US))
    _, second = later("owner", "POST", "/invoices", {"account": "org", "month": "2026-12"})
    due = {total["currency"]: total["corrections"] for total in second["totals"]}
    assert due["CNY"] == format_pico(CORRECTED_PICO - PAID_PICO)
    amounts = [Decimal(line["amount"]) for line in second["corrections"] if line["currency"] == "CNY"]
    assert sum(amounts) * 10**12 == CORRECTED_PICO - PAID_PICO
    assert first == later("owner", "GET", f"/invoices/{first['id']}")[1]


def test_a_rerate_by_prices_that_are_sent_with_it(data: Path) -> None:
    ask = inside(desk(data))
    price = {"currency": "CNY", "brackets": [{"input": "8", "output": "32"}]}
    sent = {"deployment": "up/m", "price": price}
    status, done = ask("owner", "POST", "/rerate", {"account": "team", "prices": [sent]})
    assert (status, done["differ"]) == (200, 1)
    assert (done["cost_before"], done["cost_after"]) == ({"CNY": "0.0056"}, {"CNY": "0.0112"})
    late = {**sent, "valid_from": "2027-01-01T00:00:00Z"}
    assert ask("owner", "POST", "/rerate", {"prices": [late]})[1]["differ"] == 0
    nowhere = {"prices": [{**sent, "price": {**price, "time_zone": "Asia/Nowhere"}}]}
    assert ask("owner", "POST", "/rerate", nowhere)[1]["code"] == "refused"


def test_a_standing_cost_is_spread_under_the_name_of_the_key(data: Path) -> None:
    with Books(data) as books:
        books.change(SetStandingCost(StandingCost("gpus", "up", "CNY", 10**12, "month", from_us=NOVEMBER_US)))
    ask, path = inside(desk(data)), "/standing-costs/gpus/spread"
    status, tried = ask("auditor", "POST", path, {"month": "2026-11", "dry_run": True})
    assert (status, tried["costs"], tried["written"]) == (200, {"gpus": "1"}, 3)
    assert ask("auditor", "POST", path, {"month": "2026-11"})[0] == 403
    assert ask("owner", "POST", path, {"month": "2026-12"})[1]["code"] == "refused"
    assert ask("owner", "POST", "/standing-costs/none/spread", {"month": "2026-11"})[0] == 404
    status, done = ask("admin", "POST", path, {"month": "2026-11"})
    assert (status, done) == (200, {**tried, "dry_run": False})
    assert ask("admin", "POST", path, {"month": "2026-11"})[1]["written"] == 0
    (note,) = [one for one in changes(data) if isinstance(one.change, NoteCorrection)]
    assert note.actor == "key_admin"


def test_long_work_is_done_one_at_a_time_and_other_changes_go_on(data: Path) -> None:
    busy = desk(data)
    ask = inside(busy)
    with busy.long_work:
        for path, body in (("/rerate", {}), ("/invoices", NOVEMBER)):
            status, problem = ask("owner", "POST", path, body)
            assert (status, problem["code"]) == (409, "busy")
        assert ask("owner", "PUT", "/accounts/new", {})[0] == 200
        assert ask("owner", "GET", "/invoices/preview", **NOVEMBER)[0] == 200
    assert ask("owner", "POST", "/rerate", {})[0] == 200


HEADER = "账单号,账期(自然日),模型编码（推理专用）,用量,用量单位,币种,总消费金额（结算金额加总）,价格类型\n"


def bill(*, planted_pico: int = 0) -> bytes:
    """What the vendor bills for the three calls."""
    rows = (
        ("m", 2_000, 2_000 * CNY.rates.input + planted_pico, "输入"),
        ("m", 200, 200 * CNY.rates.output, "输出"),
        ("resold", 1_000, 1_000 * CNY.rates.input, "输入"),
        ("resold", 100, 100 * CNY.rates.output, "输出"),
    )
    lines = (
        f"b,2026-11-01,{model},{tokens},tokens,CNY,{format_pico(pico)},{kind}\n"
        for model, tokens, pico, kind in rows
    )
    return (HEADER + "".join(lines)).encode()


def test_a_bill_is_compared_and_a_planted_difference_found(data: Path) -> None:
    ask = inside(desk(data))
    asked = {"upstream": "up", "provider": "zhipuai"}
    status, found = ask("auditor", "POST", "/reconcile", bill(), **asked)
    assert (status, found["agrees"], found["sections"][0]["entries"]) == (200, True, 3)
    planted = bill(planted_pico=5_000_000)
    status, found = ask("auditor", "POST", "/reconcile", planted, **asked)
    assert (status, found["agrees"]) == (200, False)
    (cell,) = [cell for cell in found["sections"][0]["cells"] if cell["outcome"] == "different"]
    assert cell["difference"]["money"] == {"CNY": "0.000005"}
    (data / "bill.csv").write_bytes(planted)
    words = ("reconcile", "bill.csv", "--upstream", "up", "--provider", "zhipuai")
    (shown,) = told(data, *words)
    for section in (*shown["sections"], *found["sections"]):
        for one in section["cells"]:
            one["rows"] = [line for _, line in one["rows"]]  # what the file is called is the sender's
    assert found == shown
    assert ask("auditor", "POST", "/reconcile", planted, **asked, tolerance="0.000005")[1]["agrees"]
    assert ask("auditor", "POST", "/reconcile", planted, **asked, since="2026-11-02")[1]["agrees"]


def test_what_is_no_bill_is_told_so(data: Path) -> None:
    ask, asked = inside(desk(data)), {"upstream": "up", "provider": "zhipuai"}
    swollen = io.BytesIO()
    with zipfile.ZipFile(swollen, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bill.csv", b"\n" * (MOST_UNPACKED_BYTES + 1))
    for body, more, code in (
        (swollen.getvalue(), asked, "malformed"),
        (b"no bill", asked, "malformed"),
        (b"", asked, "malformed"),
        (HEADER.encode(), asked, "refused"),
        (bill(), {"upstream": "none"}, "refused"),
        (bill(), {**asked, "provider": "nobody"}, "refused"),
        (bill(), {**asked, "key": "none"}, "refused"),
        (bill(), {**asked, "since": "yesterday"}, "wrong_form"),
        (bill(), {**asked, "tolerance": "-1"}, "wrong_form"),
        (bill(), {}, "wrong_form"),
    ):
        status, problem = ask("owner", "POST", "/reconcile", body, **more)
        assert (problem.get("code"), problem.get("status")) == (code, status), (body, more)
        assert problem["detail"].endswith(".")
