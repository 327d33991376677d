"""Invoices, prices set right and providers' bills in the console: the same figures, checks and audit as through the admin API."""

import base64
import csv
import hashlib
import html
import io
import json
import re
from pathlib import Path

import pytest
from admin_inside import inside
from billed_ledger import DAY_US
from console_host import Answer, Browser, application
from test_admin_billing import CORRECTED_PICO, DECEMBER_US, HEADER, PAID_PICO, bill, data, desk

from tokenweir.console import long_work
from tokenweir.console.page_reconcile import MOST_BYTES
from tokenweir.console.preferences import MOST_BYTES as MOST_FORM_BYTES
from tokenweir.core.clock import FakeClock
from tokenweir.core.money import format_pico
from tokenweir.ledger.terms import IssueInvoice, NoteCorrection
from tokenweir.ledger.views.terms import changes

__all__ = ["data"]  # a fixture
NOVEMBER = {"account": "org", "month": "2026-11"}
#: The bill names no provider that the settings know.
BILL = {"upstream": "up", "provider": "zhipuai"}
SETTINGS = """\
[local]
enabled = false
[[upstream]]
name = "up"
url = "http://127.0.0.1:9/v1"
[[model]]
name = "m"
deployments = ["up/m"]
price = { input = 5, output = 20, currency = "CNY" }
"""


class Visits:
    """Somebody of each role, before one gateway."""

    def __init__(self, data: Path, now_us: int = DECEMBER_US + DAY_US, language: str = "en") -> None:
        self.app = application(data, FakeClock(now_us), SETTINGS)
        self.language = language

    def __call__(self, role: str) -> Browser:
        browser = Browser(self.app, **{"accept-language": self.language})
        assert browser.sign_in(role).status == 303
        return browser


@pytest.fixture
def visits(data: Path) -> Visits:
    return Visits(data)


def text_of(answer: Answer) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def followed(browser: Browser, answer: Answer) -> Answer:
    assert answer.status == 303, text_of(answer)
    return browser.ask("GET", answer.headers["location"])


def issued(data: Path) -> list[IssueInvoice]:
    return [one.change for one in changes(data) if isinstance(one.change, IssueInvoice)]


def test_an_invoice_is_looked_at_issued_opened_and_taken_along(data: Path, visits: Visits) -> None:
    owner = visits("owner")
    assert "No invoice has been issued yet" in text_of(owner.get("/invoices"))
    seen = owner.get("/invoices?account=org&month=2026-11")
    assert "2026-11-0001: org, 2026-11, as it would be issued now" in text_of(seen)
    assert issued(data) == []
    page = followed(owner, owner.form("/invoices", "issue", **NOVEMBER))
    (invoice,) = [one.invoice for one in issued(data)]
    assert (invoice.account, invoice.month) == ("org", "2026-11")
    assert "Issued. It is in the list, and in the audit." in text_of(page)
    for currency, pico in invoice.totals:
        assert f'title="{format_pico(pico)} {currency}"' in page.text
    api = inside(desk(data))("owner", "GET", f"/invoices/{invoice.id}")[1]
    kept = owner.get(f"/invoices/{invoice.id}?as=json")
    assert json.loads(kept.body) == api
    assert kept.headers["content-disposition"] == f'attachment; filename="{invoice.id}.json"'
    rows = list(csv.DictReader(io.StringIO(owner.get(f"/invoices/{invoice.id}?as=csv").text)))
    assert {row["amount"] for row in rows if row["what"] == "due"} == {one["due"] for one in api["totals"]}
    behind = owner.get(f"/invoices/{invoice.id}?line=1")
    (call,) = re.findall(r'href="/console(/calls/[0-9a-f-]{36})"', behind.text)
    assert owner.get(call).status == 200
    assert owner.get(f"/invoices/{invoice.id}?line=99").status == 404
    again = owner.form("/invoices", "issue", **NOVEMBER)
    assert again.status in (303, 422)  # nothing more is due: an invoice of nothing, or a refusal


def test_an_invoice_is_printed_under_a_policy_that_allows_its_own_style_alone(visits: Visits) -> None:
    owner = visits("owner")
    owner.form("/invoices", "issue", **NOVEMBER)
    answer = owner.get("/invoices/2026-11-0001?as=print")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    (allowed,) = re.findall(r"style-src 'sha256-([^']+)'", policy)
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert hashlib.sha256(style.encode()).digest() == base64.b64decode(allowed)
    assert "Amount due" in answer.text
    owner.headers["accept-language"] = "zh"
    assert "应付" in owner.get("/invoices/2026-11-0001?as=print").text


def test_a_month_that_is_not_over_is_refused_in_both_languages(data: Path) -> None:
    for language, told in (("en", "2026-12 is not over in UTC"), ("zh", "2026-12 尚未结束")):
        owner = Visits(data, language=language)("owner")
        answer = owner.form("/invoices", "issue", account="org", month="2026-12")
        assert answer.status == 422
        assert told in text_of(answer)
        assert 'name="month"' in answer.text
    assert issued(data) == []


def test_who_may_issue_and_who_sees_which_invoice(data: Path, visits: Visits) -> None:
    owner, auditor, member = visits("owner"), visits("auditor"), visits("member")
    for account in ("team", "other"):
        assert owner.form("/invoices", "issue", account=account, month="2026-11").status == 303
    for browser in (auditor, member):
        assert 'value="issue"' not in browser.get("/invoices?account=team&month=2026-11").text
        assert browser.form("/invoices", "issue", **NOVEMBER).status == 403
    assert "2026-11-0002" in auditor.get("/invoices").text
    assert "2026-11-0002" not in member.get("/invoices").text
    assert member.get("/invoices/2026-11-0001").status == 200
    assert member.get("/invoices/2026-11-0002").status == 404
    assert member.get("/invoices/2026-11-0002?as=json").status == 404
    for path in ("/rerate", "/reconcile"):
        assert member.get(path).status == 403
        assert auditor.get(path).status == 200
    assert len(issued(data)) == 2


ASKED = {"to": "2026-11-30", "account": "org", "price": "settings"}


def hidden(answer: Answer) -> dict[str, str]:
    """Of the form that does what was shown."""
    form = answer.text[answer.text.index('value="correct"') :]
    return dict(re.findall(r'name="(\w+)" value="([^"]*)"', form[: form.index("</form>")]))


def test_prices_are_set_right_after_a_look_at_what_would_change(data: Path, visits: Visits) -> None:
    owner = visits("owner")
    shown = followed(owner, owner.form("/rerate", "preview", **ASKED))
    assert "What would change" in text_of(shown)
    assert [one for one in changes(data) if isinstance(one.change, NoteCorrection)] == []
    rows = list(
        csv.DictReader(
            io.StringIO(
                owner.ask(
                    "GET", re.findall(r'href="([^"]+format=csv[^"]*)"', shown.text)[0].replace("&amp;", "&")
                ).text
            )
        )
    )
    (cost,) = [row for row in rows if row["Of"] == "Cost"]
    assert cost["Before CNY"] == format_pico(PAID_PICO)
    assert (cost["After CNY"], cost["Difference CNY"]) == ("0.007", format_pico(7_000_000_000 - PAID_PICO))
    done = followed(owner, owner.form("/rerate", "correct", **ASKED, expected=hidden(shown)["expected"]))
    assert "What was corrected" in text_of(done)
    (note,) = [one for one in changes(data) if isinstance(one.change, NoteCorrection)]
    assert note.actor == "key_owner"
    nothing = followed(owner, owner.form("/rerate", "preview", **ASKED))
    assert "Nothing differs" in text_of(nothing)
    assert CORRECTED_PICO != PAID_PICO


def test_nothing_is_corrected_that_was_not_looked_at_or_has_changed_since(data: Path, visits: Visits) -> None:
    owner = visits("owner")
    answer = owner.form("/rerate", "correct", **ASKED)
    assert (answer.status, "Look at what would change first." in text_of(answer)) == (422, True)
    shown = followed(owner, owner.form("/rerate", "preview", **ASKED))
    expected = hidden(shown)["expected"]
    other = {"price": "own", "deployment": "up/*", "currency": "CNY", "input": "8", "output": "32"}
    answer = owner.form("/rerate", "correct", **{**ASKED, **other}, expected=expected)
    assert (answer.status, "Prices have changed since" in text_of(answer)) == (422, True)
    assert [one for one in changes(data) if isinstance(one.change, NoteCorrection)] == []
    shown = followed(owner, owner.form("/rerate", "preview", **{**ASKED, **other}))
    assert 'title="0.0112 CNY"' in shown.text
    done = followed(
        owner, owner.form("/rerate", "correct", **{**ASKED, **other}, expected=hidden(shown)["expected"])
    )
    assert "Done." in text_of(done)


def test_an_auditor_looks_and_cannot_correct(visits: Visits) -> None:
    auditor = visits("auditor")
    shown = followed(auditor, auditor.form("/rerate", "preview", **ASKED))
    assert "Your role may look at this" in text_of(shown)
    assert 'value="correct"' not in shown.text
    assert auditor.form("/rerate", "correct", **ASKED, expected="x").status in (403, 422)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"to": "2026-13-01"}, "'2026-13-01' is no day such as"), ({"from": "soon"}, "this is no day"), ({"account": "none"}, "There is no account 'none'"),
        ({"price": "own", "currency": "CNY", "input": "x", "output": "1"}, "this is not written"), ({"price": "dear"}, "“price”"),
    ],
)  # fmt: skip
def test_a_choice_that_is_wrong_is_told_with_what_was_said(
    visits: Visits, fields: dict[str, str], told: str
) -> None:
    answer = visits("owner").form("/rerate", "preview", **fields)
    assert answer.status == 422
    assert told in text_of(answer)
    for name, value in fields.items():
        assert name == "price" or f'name="{name}"' in answer.text
        assert name not in ("from", "to", "input") or f'value="{value}"' in answer.text


def test_a_bill_is_compared_and_each_difference_leads_to_its_calls(visits: Visits) -> None:
    auditor = visits("auditor")
    agrees = followed(auditor, auditor.upload("/reconcile", "compare", bill(), **BILL))
    assert "Everything agrees." in text_of(agrees)
    answer = followed(auditor, auditor.upload("/reconcile", "compare", bill(planted_pico=5_000_000), **BILL))
    assert "Something is to be looked at" in text_of(answer)
    assert 'title="0.000005 CNY"' in answer.text
    (link,) = re.findall(r'<td><a href="/console(/calls\?[^"]+)">', answer.text)
    calls = auditor.get(html.unescape(link))
    assert "up/m" in link.replace("%2F", "/")
    assert len(re.findall(r'href="/console/calls/[0-9a-f-]{36}"', calls.text)) == 2
    with_matched = auditor.ask("GET", answer_location(answer, "all=1"))
    assert len(re.findall(r'<td><a href="/console(/calls\?[^"]+)">', with_matched.text)) > 1
    passed = followed(
        auditor,
        auditor.upload("/reconcile", "compare", bill(planted_pico=5_000_000), **BILL, tolerance="0.000005"),
    )
    assert "Everything agrees." in text_of(passed)
    none = followed(
        auditor, auditor.upload("/reconcile", "compare", bill(), **BILL, **{"from": "2026-11-02"})
    )
    assert "lie outside the span" in text_of(none)


def answer_location(answer: Answer, extra: str) -> str:
    (link,) = [
        html.unescape(one)
        for one in re.findall(r'href="(/console/reconcile[^"]+)"', answer.text)
        if extra in one
    ][:1]
    return link


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_no_bill_is_told_in_the_language_of_who_looks(data: Path, language: str) -> None:
    owner = Visits(data, language=language)("owner")
    told = {
        b"": ("Choose the file of the bill.", "请选择账单文件。"),
        b"no bill": ("its header is that of no known bill", "表头不属于任何已知账单"),
        b"\xd0\xcf\x11\xe0": ("it is an Excel workbook", "这是 Excel 工作簿"),
        HEADER.encode(): ("The bill has no rows", "账单中没有数据行"),
        (HEADER + "b,2026-11-01,m,many,tokens,CNY,1,输入\n").encode(): (
            "a whole number of tokens",
            "整数个词元",
        ),
    }
    for body, sentences in told.items():
        answer = owner.upload("/reconcile", "compare", body, **BILL)
        assert answer.status in (400, 422), body
        assert sentences[language == "zh"] in text_of(answer)


def test_a_form_with_a_file_is_as_safe_as_any_other(data: Path, visits: Visits) -> None:
    owner, stranger = visits("owner"), Browser(visits.app)
    assert owner.upload("/reconcile", "compare", b"x" * (MOST_BYTES + MOST_FORM_BYTES), **BILL).status == 413
    stranger.token = lambda _: "0" * 64  # type: ignore[method-assign]
    assert (
        stranger.upload("/reconcile", "compare", bill(), **BILL)
        .headers["location"]
        .startswith("/console/sign-in")
    )
    owner.token = lambda _: "0" * 64  # type: ignore[method-assign]
    assert owner.upload("/reconcile", "compare", bill(), **BILL).status == 403
    assert owner.upload("/keys", "create", b"", name="x").status == 403


def test_what_takes_long_goes_on_and_is_asked_after_by_its_owner(
    data: Path, visits: Visits, monkeypatch: pytest.MonkeyPatch
) -> None:
    auditor, other, owner = visits("auditor"), visits("admin"), visits("owner")
    monkeypatch.setattr(long_work, "WAIT_S", 0.0)
    answer = auditor.form("/rerate", "preview", **ASKED)
    if answer.status == 303:  # else it was done at once
        shown = auditor.ask("GET", answer.headers["location"])
        assert shown.status == 200
        assert "What would change" in text_of(shown) or "Under way since" in text_of(shown)
        assert other.ask("GET", answer.headers["location"]).status == 200  # an admin sees all jobs
        job = answer.headers["location"].rpartition("job=")[2]
        lost = auditor.get("/reconcile?job=" + job)  # that of another page
        assert "There is no result any more" in text_of(lost)
    gone = owner.get("/rerate?job=job_0000000000000000")
    assert gone.status == 200
    assert "There is no result any more; it is kept for an hour" in text_of(gone)
