"""What calls cost and are charged, as commands show it: by account with all below, in one currency, and one call by itself."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from command_line import CommandLine
from made_terms import key
from written_ledger import CHARGED, COSTS, WrittenLedger

from tokenweir.catalog.price import AppliedPrice, Rates, SpreadCost
from tokenweir.cli.system import SystemClock
from tokenweir.core.ids import uuid_text
from tokenweir.core.money import PICO
from tokenweir.core.usage import Usage
from tokenweir.ledger import terms as t
from tokenweir.ledger.messages import DefinePrice, Reprice

DAY_US = 86_400_000_000
DOLLARS = AppliedPrice("settings", "USD", Rates(input=1_000_000, output=4_000_000))
#: Two days after 2026-11-23, 00:00 UTC.
NOON = 1_795_564_800_000_000 + DAY_US // 2


@pytest.fixture
def weir(tmp_path: Path) -> CommandLine:
    return CommandLine(tmp_path)


def book(data: Path, now_us: int = NOON) -> WrittenLedger:
    ledger = WrittenLedger(data, now_us)
    ledger.change(
        t.SetAccount(t.AccountRecord("acme")),
        t.SetAccount(t.AccountRecord("a", parent="acme")),
        t.SetAccount(t.AccountRecord("b", parent="a")),
        t.SetKey(key("k", "a")),
        t.SetKey(key("l", "b")),
    )
    return ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[WrittenLedger]:
    """A call of `a` in CNY with a charge, and one of `b` in USD a day later."""
    with closing(book(tmp_path)) as ledger:
        ledger.end(ledger.open(), Usage(input=1_000, output=100), charged=CHARGED)
        ledger.clock.advance(DAY_US)
        ledger.end(ledger.open("l", "b"), Usage(input=10, output=1), DOLLARS)
        yield ledger


def rate(day: str, pico: int, base: str = "USD", quote: str = "CNY") -> t.SetRate:
    return t.SetRate(t.ExchangeRate(base, quote, day, pico, "bank"))


def test_an_account_has_the_sums_of_all_below_it(weir: CommandLine, ledger: WrittenLedger) -> None:
    rows = weir.json("usage", "--by", "account", "--tree")["rows"]
    assert [(row["by"]["account"], row["parent"], row["depth"], row["calls"]) for row in rows] == [
        ("acme", "", 0, 2),
        ("a", "acme", 1, 2),
        ("b", "a", 2, 1),
    ]
    assert rows[0]["cost"] == {"CNY": "0.0056", "USD": "0.000014"}
    assert rows[0]["charge"] == {"CNY": "0.007"}
    assert rows[0]["margin"] == {"CNY": "0.0014"}
    table = weir("usage", "--by", "account", "--tree").splitlines()
    assert [line.split()[:2] for line in table] == [
        ["account", "calls"], ["acme", "2"], ["a", "2"], ["b", "1"], ["total", "2"]
    ]  # fmt: skip
    assert table[3].startswith("    b ")
    assert "a tree is of accounts" in weir.wrong("usage", "--by", "model", "--tree")


def test_usage_in_one_currency_goes_by_the_rate_of_each_day(weir: CommandLine, ledger: WrittenLedger) -> None:
    ledger.change(rate("2026-11-24", 7 * PICO), rate("2026-11-26", 8 * PICO), rate("2026-11-27", 9 * PICO))
    answer = weir.json("usage", "--by", "account", "--in", "cny")
    own, below = answer["rows"]
    assert own["converted"] == {
        "currency": "CNY", "cost": "0.0056", "charge": "0.007", "margin": "0.0014",
        "cost_apart": {}, "charge_apart": {}, "margin_apart": {},
    }  # fmt: skip
    assert below["converted"]["cost"] == "0.000112"  # 0.000014 USD at 8
    assert below["cost"] == {"USD": "0.000014"}
    assert answer["rates"] == [
        {"base": "USD", "quote": "CNY", "day": "2026-11-26", "rate": "8", "source": "bank", "inverse": False}
    ]
    lines = weir("usage", "--in", "CNY").splitlines()
    assert "0.005712 CNY" in lines[1]
    assert lines[-1] == "1 USD = 8 CNY from 2026-11-26 on (bank)"
    summed = weir.json("usage", "--by", "account", "--tree", "--in", "CNY")["rows"]
    assert [row["converted"]["cost"] for row in summed] == ["0.005712", "0.005712", "0.000112"]


def test_a_rate_the_other_way_round_serves_too(weir: CommandLine, ledger: WrittenLedger) -> None:
    ledger.change(rate("2026-11-24", PICO // 8, "CNY", "USD"))
    answer = weir.json("usage", "--by", "account", "--in", "CNY")
    assert answer["rows"][1]["converted"]["cost"] == "0.000112"
    assert answer["rates"][0]["inverse"] is True


def test_what_has_no_rate_stands_apart_and_is_in_no_sum(weir: CommandLine, ledger: WrittenLedger) -> None:
    ledger.change(rate("2026-11-27", 8 * PICO))  # of a later day
    answer = weir.json("usage", "--by", "account", "--in", "CNY")
    assert "rates" not in answer
    assert answer["rows"][1]["converted"]["cost"] == "0"
    assert answer["rows"][1]["converted"]["cost_apart"] == {"USD": "0.000014"}
    table = weir("usage", "--by", "account", "--in", "CNY").splitlines()
    assert "without a rate" in table[0]
    assert [line.split()[-2:] for line in table[2:4]] == [["0.000014", "USD"], ["0.000014", "USD"]]
    assert "0.0056 CNY" in table[3]
    assert "currency code" in weir.wrong("usage", "--in", "yuan")


def test_a_call_shows_what_was_set_aside_cut_charged_and_covered(weir: CommandLine, tmp_path: Path) -> None:
    with closing(book(tmp_path)) as ledger:
        ledger.change(
            t.SetLimit("account/acme", t.Limit("tokens", 1_050, "total")),
            t.SetPlan("acme", t.Plan("team", "CNY", allowance=1_020, allowance_unit="tokens")),
            t.SetAccount(t.AccountRecord("acme", beyond_credit="bill")),
        )
        call = ledger.open()
        ledger.end(call, Usage(input=1_000, output=40), charged=CHARGED)
    lines = weir("calls", uuid_text(call)).splitlines()
    assert lines[1:3] == [
        "    output cut from 100 to 50 tokens",
        "    set aside: 0.0048 CNY, for 1,000 tokens of input and 50 of output at most",
    ]
    assert lines[4:] == [
        "    input: 1,000 tokens × 4 CNY per million = 0.004 CNY",
        "    output: 40 tokens × 16 CNY per million = 0.00064 CNY",
        "    = 0.00464 CNY  (price: settings)",
        "    charged for it:",
        "      input: 1,000 tokens × 5 CNY per million = 0.005 CNY",
        "      output: 40 tokens × 20 CNY per million = 0.0008 CNY",
        "      = 0.0058 CNY  (price: settings, +25 %)",
        "    1,020 of 1,040 tokens are covered by an allowance",
        "cost of the call: 0.00464 CNY",
        "charged for it: 0.0058 CNY",
    ]
    opened, settled = weir.json("calls", uuid_text(call))["entries"]
    assert opened["reserved"] == {
        "input": 1000,
        "output": 50,
        "money": {"CNY": "0.0048"},
        "allowance_tokens": 0,
    }
    assert (settled["charge"], settled["charge_price"]) == ("0.0058", "settings, +25 %")
    assert [product["amount"] for product in settled["charge_products"]] == ["0.005", "0.0008"]
    assert (settled["covered_tokens"], settled["reserved"]) == (1020, None)


def test_a_correction_says_why_and_a_share_of_what(weir: CommandLine, tmp_path: Path) -> None:
    share = SpreadCost("coding-plan of moonshot", "CNY", 199 * PICO, "November by tokens")
    with closing(book(tmp_path)) as ledger:
        call = ledger.open()
        ledger.end(call, Usage(input=10))
        ledger.change(t.NoteCorrection("s1", "spread", "coding-plan over 2026-11", 1))
        ledger.journal.apply(DefinePrice(0, "shared", msgspec.json.encode(share)))
        ledger.journal.apply(Reprice(0, call, call, Usage(input=10), "s1", "shared", 3 * PICO, "CNY"))
        ledger.journal.commit()
    lines = weir("calls", uuid_text(call)).splitlines()
    assert lines[-3:] == [
        "    corrected (s1): coding-plan over 2026-11",
        "    = 3 CNY  (a share of 199 CNY: coding-plan of moonshot; November by tokens)",
        "cost of the call: 3 CNY",
    ]
    last = weir.json("calls", uuid_text(call))["entries"][-1]
    assert (last["correction"], last["cost"], last["products"]) == ("coding-plan over 2026-11", "3", [])


def test_accounts_show_this_month_and_how_much_of_their_limits_is_used(
    weir: CommandLine, tmp_path: Path
) -> None:
    with closing(book(tmp_path, SystemClock().now_us())) as ledger:
        ledger.change(
            t.SetLimit("account/acme", t.Limit("CNY", 2 * COSTS.rates.input * 1_000, "total")),
            t.AddCredit(t.Credit("c", "acme", "CNY", PICO, 0)),
        )
        ledger.end(ledger.open("l", "b", input=1_000, output=0), Usage(input=1_000))
        ledger.open("l", "b", input=500, output=0)
        shown = weir.json("accounts", "list")["accounts"]
        table = weir("accounts", "list").splitlines()
    assert [account["month"]["cost"] for account in shown] == [{"CNY": "0.004"}] * 3
    assert (shown[0]["limits"][0]["spent"], shown[0]["limits"][0]["reserved"]) == ("0.004", "0.002")
    assert (shown[0]["credit"]["balance"], shown[0]["credit"]["available"]) == ("0.996", "0.994")
    assert "0.008 CNY (75 %)" in table[1]
    assert table[3].startswith("    b ")
    assert "limit: 0.008 CNY (of acme)  █████▒▒░░░ 75 %" in weir("accounts", "show", "b")
