"""Real calls through a running gateway, billed: to the last pico, down to the call, after prices were set right too."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from billed_ledger import DAY_US
from weir_process import DEADLINE_S, Home, free_port, simulated, wait_for

from tokenweir.billing.answer import invoice_answer
from tokenweir.billing.invoicing import issue
from tokenweir.billing.months import month_at, month_bounds
from tokenweir.billing.page import invoice_page
from tokenweir.billing.spread import spread
from tokenweir.catalog.charges import ChargeRule
from tokenweir.cli.system import SystemClock
from tokenweir.core.clock import FakeClock
from tokenweir.core.money import parse_amount
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.terms import AccountRecord, SetAccount, SetCharge, SetStandingCost, StandingCost
from tokenweir.ledger.views import calls, open_reader

NOW_US = SystemClock().now_us()
MONTH = month_at(NOW_US, "UTC")
NEXT = month_at(month_bounds(MONTH, "UTC")[1], "UTC")
PLAN = StandingCost("coding-plan", "plan", "CNY", 199 * 10**12, "month")
FLAT = StandingCost("flat", "plan", "CNY", 10**12 + 1, "month")


class Billed(Home):
    """A gateway before a simulated engine: a model with a price, one on a subscription, one without a price."""

    def __init__(self, directory: Path, address: str) -> None:
        super().__init__(directory)
        self.port, self.data, self.key = free_port(), directory / "data", ""
        self.address = address
        self.set_price("4.0")

    def set_price(self, input: str) -> None:
        (self.directory / "weir.toml").write_text(
            f'[server]\nport = {self.port}\n[local]\nenabled = false\n[ledger]\ndata = "{self.data}"\n'
            + "".join(
                f'[[upstream]]\nname = "{name}"\nkind = "openai"\nurl = "{self.address}"\n'
                for name in ("sim", "plan", "bare")
            )
            + f'[[model]]\nname = "m"\ndeployments = ["sim/ok"]\n'
            f'price = {{ input = {input}, output = 16.000001, currency = "CNY" }}\n'
            '[[model]]\nname = "subscribed"\ndeployments = ["plan/ok"]\n'
            '[[model]]\nname = "bare"\ndeployments = ["bare/ok"]\n'
        )

    def chat(self, model: str, words: int = 2, **more: object) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "word " * words}], **more}
        connection = HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)
        try:
            headers = {"Authorization": f"Bearer {self.key}"}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        finally:
            connection.close()

    def change(self, *changes) -> None:  # type: ignore[no-untyped-def]
        assert make_changes(self.data, changes, SystemClock()) == ""

    def paid(self) -> dict[str, int]:
        """What every call is charged, or cost where there is no charge: added up one by one."""
        connection = open_reader(self.data)
        sums: dict[str, int] = {}
        for row in calls(connection, limit=1_000):
            for currency, pico in (row.charge_pico or row.cost_pico).items():
                sums[currency] = sums.get(currency, 0) + pico
        connection.close()
        return sums


@pytest.fixture
def billed(tmp_path: Path) -> Iterator[Billed]:
    with simulated() as address:
        home = Billed(tmp_path, address)
        with home.up(home.port):
            home.change(
                SetAccount(AccountRecord("acme", name="Acme & Sons")),
                SetAccount(AccountRecord("team", "acme")),
                SetCharge("acme", ChargeRule("m", markup_bp=2_550)),
            )
            home.key = json.loads(
                home.good("keys", "create", "--name", "t", "--account", "team", "--limit", "¥5/day", "--json")
            )["key"]
            wait_for(lambda: home.chat("m") == 200, "the key's arrival")
            yield home


def after(month: str) -> FakeClock:
    return FakeClock(month_bounds(month, "UTC")[1] + DAY_US)


def test_an_invoice_is_the_sum_of_its_calls_and_stays_it_when_a_price_is_set_right(billed: Billed) -> None:
    for words in (1, 7, 40):
        assert billed.chat("m", words) == 200
        assert billed.chat("m", words, stream=True) == 200
    before = billed.paid()
    document = issue(billed.data, "acme", MONTH, after(MONTH), "test")
    invoice = json.loads(billed.good("invoice", "show", document.id, "--json"))
    (total,) = invoice["totals"]
    assert {total["currency"]: parse_amount(total["due"])} == before
    assert invoice["accounts"] == ["acme", "team"]
    for line in invoice["lines"]:
        told = billed.good("invoice", "explain", document.id, "--line", str(line["line"]), "--json")
        behind = [json.loads(entry) for entry in told.splitlines()]
        assert len({entry["call"] for entry in behind}) == len(behind) == line["attempts"]
        assert sum(entry["tokens"].get(line["token_class"], 0) for entry in behind) == line["tokens"]
        assert parse_amount(line["amount"]) * 10**6 == line["tokens"] * parse_amount(line["per_million"])
    assert billed.run("invoice", "explain", document.id, "--line", "99").returncode == 2
    billed.set_price("5.0")
    tried = json.loads(billed.good("rerate", "--dry-run", "--json"))
    done = json.loads(billed.good("rerate", "--json"))
    assert (
        (done["differ"], done["cost_after"])
        == (tried["differ"], tried["cost_after"])
        == (7, done["cost_after"])
    )
    assert json.loads(billed.good("rerate", "--json"))["differ"] == 0
    assert billed.chat("m", 3) == 200
    following = issue(billed.data, "acme", NEXT, after(NEXT), "test")
    now = billed.paid()
    (second,) = following.totals
    assert parse_amount(total["due"]) + second.due == now["CNY"]
    assert second.corrections == parse_amount(done["charge_after"]["CNY"]) - before["CNY"] > 0
    assert billed.good("ledger", "verify").endswith("everything agrees\n")
    listed = json.loads(billed.good("invoice", "list", "--json"))["invoices"]
    assert [one["id"] for one in listed] == [document.id, following.id]
    rows = billed.good("invoice", "show", following.id, "--csv").splitlines()
    assert f"total,,,,,due,,,,CNY,{invoice_answer(following).totals[0].due}" in rows


def test_a_subscription_needs_no_price_under_a_hard_limit_in_money_and_is_spread_later(
    billed: Billed,
) -> None:
    assert billed.chat("bare") == 403  # nobody knows what it costs
    assert billed.chat("subscribed") == 403
    billed.change(SetStandingCost(PLAN))
    wait_for(lambda: billed.chat("subscribed") == 200, "the standing cost's arrival")
    assert billed.chat("subscribed", 9, stream=True) == 200
    assert billed.chat("bare") == 403
    lines = [
        json.loads(line) for line in billed.good("calls", "--model", "subscribed", "--json").splitlines()
    ]
    served = [line for line in lines if line["outcome"] == "ok"]
    assert [line["cost"] for line in served] == [{"CNY": "0"}, {"CNY": "0"}]
    detail = json.loads(billed.good("calls", served[0]["call"], "--json"))
    assert detail["entries"][-1]["price"] == "standing cost coding-plan"
    done = spread(billed.data, "coding-plan", MONTH, after(MONTH), "test", dry_run=False)
    assert done.attempts == 2 and done.difference.cost_after == {"CNY": 199 * 10**12}
    spread_over = json.loads(billed.good("usage", "--by", "upstream", "--json"))["rows"]
    assert next(row for row in spread_over if row["by"]["upstream"] == "plan")["cost"] == {"CNY": "199"}
    assert billed.good("ledger", "verify").endswith("everything agrees\n")
    assert billed.run("standing", "spread", "coding-plan", MONTH).returncode == 2  # the month is not over


def test_the_page_has_every_line_and_escapes_what_it_is_given(billed: Billed) -> None:
    billed.chat("m", 500)
    written = billed.directory / "invoice.html"
    billed.good("invoice", "preview", "acme", MONTH, "--html", str(written))
    page = written.read_text()
    assert "Acme &amp; Sons" in page and "Preview" in page
    shown = json.loads(billed.good("invoice", "preview", "acme", MONTH, "--json"))
    for line in shown["lines"]:
        assert f"{line['tokens']:,}" in page
    chinese = issue(billed.data, "acme", MONTH, after(MONTH), "test")
    told = invoice_page(invoice_answer(chinese), "zh")
    assert 'lang="zh-Hans"' in told and "应付金额" in told and "http" not in told
    assert billed.run("invoice", "preview", "acme", MONTH, "--html", "x", "--lang", "fr").returncode == 2
    assert billed.run("invoice", "preview", "nobody", MONTH).returncode == 2
    assert billed.run("invoice", "preview", "acme", "2026-13").returncode == 2
    assert "is not over" in billed.run("invoice", "issue", "acme", NEXT).stderr
