"""The commands that change terms, each alone and beside a running writer: what they do, print, and refuse."""

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from command_line import CommandLine, writer_of

from tokenweir.ledger.verify import verify
from tokenweir.ledger.views.terms import terms_now


@pytest.fixture(params=["alone", "beside the writer"])
def weir(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[CommandLine]:
    data = tmp_path / "data"
    data.mkdir()
    with writer_of(data) if request.param != "alone" else nullcontext():
        yield CommandLine(data)


@pytest.fixture
def acme(weir: CommandLine) -> CommandLine:
    """An organisation, a team and a person."""
    weir("accounts", "create", "acme", "--name", "Acme Ltd", "--time-zone", "Asia/Shanghai")
    weir("accounts", "create", "research", "--parent", "acme")
    weir("accounts", "create", "ann", "--parent", "research")
    return weir


def test_accounts_are_made_changed_closed_and_listed(acme: CommandLine) -> None:
    listed = acme.json("accounts", "list")["accounts"]
    assert [(a["id"], a["parent"], a["depth"], a["time_zone"]) for a in listed] == [
        ("acme", "", 0, "Asia/Shanghai"),
        ("research", "acme", 1, "Asia/Shanghai"),
        ("ann", "research", 2, "Asia/Shanghai"),
    ]
    assert "changed" in acme("accounts", "set", "ann", "--parent", "acme", "--beyond-credit", "bill")
    moved = acme.json("accounts", "show", "ann")
    assert (moved["parent"], moved["depth"], moved["beyond_credit"]) == ("acme", 1, "bill")
    assert acme.json("accounts", "set", "ann", "--parent", "none", "--name", "Ann")["depth"] == 0
    assert "with the one below it" in acme("accounts", "close", "acme")
    assert terms_now(acme.data).is_closed("research")
    assert "closed 20" in acme("accounts", "list")
    acme("accounts", "set", "acme", "--reopen")
    assert not terms_now(acme.data).is_closed("research")
    assert acme("accounts", "show", "research").startswith(
        "research, under acme\n    time zone: Asia/Shanghai"
    )


def test_wrong_words_about_accounts(acme: CommandLine) -> None:
    assert acme.wrong("accounts", "create", "acme") == (
        "there is an account acme already; `weir accounts set acme` changes it"
    )
    assert "did you mean acme?" in acme.wrong("accounts", "create", "bob", "--parent", "acne")
    assert "stands under it" in acme.wrong("accounts", "set", "acme", "--parent", "ann")
    assert "no time zone" in acme.wrong("accounts", "create", "bob", "--time-zone", "Shanghai")
    assert "cannot be the id" in acme.wrong("accounts", "create", "a b")
    assert "refuse, bill" in acme.wrong("accounts", "create", "bob", "--beyond-credit", "perhaps")
    assert "nothing was said" in acme.wrong("accounts", "set", "acme")
    assert "`weir accounts create bob`" in acme.wrong("accounts", "close", "bob")
    assert [a["id"] for a in acme.json("accounts", "list")["accounts"]] == ["acme", "research", "ann"]


def test_a_key_is_held_to_models_dialects_and_time(acme: CommandLine) -> None:
    made = acme.json(
        "keys", "create", "--name", "laptop", "--account", "ann", "--models", "kimi-*, glm-5", "--dialects", "chat,messages",
        "--expires", "90d", "--role", "member", "--run", "nightly", "--limit", "¥5/day",
    )  # fmt: skip
    record = terms_now(acme.data).keys[made["id"]]
    assert record.hash == hashlib.sha256(made["key"].encode()).digest()
    (listed,) = acme.json("keys", "list")["keys"]
    assert (listed["models"], listed["dialects"]) == (["kimi-*", "glm-5"], ["chat", "messages"])
    assert (listed["role"], listed["run"], listed["limits"]) == ("member", "nightly", ["5 CNY/day"])
    assert record.expires_us is not None
    assert record.expires_us - record.created_us == pytest.approx(90 * 86_400_000_000, abs=5_000_000)
    shown = acme("keys", "list")
    assert "models kimi-* glm-5, dialects chat messages, until " in shown
    assert made["key"] not in shown
    acme(
        "keys",
        "set",
        "laptop",
        "--models",
        "none",
        "--dialects",
        "none",
        "--expires",
        "never",
        "--role",
        "none",
    )
    (listed,) = acme.json("keys", "list")["keys"]
    assert (listed["models"], listed["dialects"], listed["expires"], listed["role"]) == ([], [], None, "")
    assert (listed["run"], terms_now(acme.data).keys[made["id"]].hash) == ("nightly", record.hash)


def test_a_rotated_key_has_two_secrets_for_a_while(acme: CommandLine) -> None:
    made = acme.json("keys", "create", "--name", "laptop", "--account", "ann")
    fresh = acme.json("keys", "rotate", "laptop", "--overlap", "2h")
    assert fresh["key"] != made["key"]
    record = terms_now(acme.data).keys[made["id"]]
    assert record.hash == hashlib.sha256(fresh["key"].encode()).digest()
    assert record.old_hash == hashlib.sha256(made["key"].encode()).digest()
    (listed,) = acme.json("keys", "list")["keys"]
    assert listed["old_until"] == fresh["old_until"]
    lines = acme("keys", "rotate", "laptop", "--overlap", "0").splitlines()
    assert lines[0].startswith("sk-weir-")
    assert lines[1] == f"Shown this once. The secret before ({fresh['key'][:12]}…) is void from now on."
    assert "is revoked" in acme("keys", "revoke", "laptop")
    assert acme.json("keys", "list")["keys"] == []
    assert "no live key" in acme.wrong("keys", "rotate", "laptop")


def test_wrong_words_about_keys(acme: CommandLine) -> None:
    acme("keys", "create", "--name", "laptop")
    assert "did you mean 'chat'?" in acme.wrong("keys", "set", "laptop", "--dialects", "cat")
    assert "no role" in acme.wrong("keys", "create", "--name", "x", "--role", "king")
    assert "is past" in acme.wrong("keys", "create", "--name", "x", "--expires", "2020-01-01")
    assert "nothing was said" in acme.wrong("keys", "set", "laptop")
    assert "printable" in acme.wrong("keys", "set", "laptop", "--name", "a\nb")
    assert "no span of time" in acme.wrong("keys", "rotate", "laptop", "--overlap", "soon")


def test_limits_are_set_lifted_and_listed(acme: CommandLine) -> None:
    acme("keys", "create", "--name", "laptop", "--account", "ann")
    assert acme("limits", "set", "¥500/month", "--account", "acme") == "account acme: 500 CNY/month.\n"
    acme("limits", "set", "2M tokens/day", "--account", "ann", "--model", "kimi-*", "--soft")
    acme("limits", "set", "4 calls at once", "--key", "laptop")
    acme("limits", "set", "$5", "--run", "nightly")
    assert "in place of 500 CNY/month" in acme("limits", "set", "¥600/month", "--account", "acme")
    listed = acme.json("limits", "list")["limits"]
    key = next(iter(terms_now(acme.data).keys))
    assert [(line["scope"], line["text"], line["model"], line["left"]) for line in listed] == [
        ("account/acme", "600 CNY/month", "", "600"),
        ("account/ann", "2000000 tokens/day soft", "kimi-*", "2000000"),
        (f"key/{key}", "4 calls at once", "", "4"),
        ("run/nightly", "5 USD", "", "5"),
    ]
    assert acme.json("limits", "list", "--run", "nightly")["limits"] == listed[3:]
    table = acme("limits", "list", "--account", "ann").splitlines()
    assert table[1].split() == [
        "account", "ann", "2000000", "tokens/day", "soft", "kimi-*", "░░░░░░░░░░", "0", "%", "0", "0", "2000000",
        listed[1]["renews"][:10], "16:00",
    ]  # fmt: skip
    assert "is lifted" in acme("limits", "remove", "1 tokens/day", "--account", "ann", "--model", "kimi-*")
    assert acme.wrong("limits", "remove", "¥1/day", "--account", "acme") == (
        "account acme has no such limit; it has 600 CNY/month"
    )
    assert len(acme.json("limits", "list")["limits"]) == 3


def test_wrong_words_about_limits(acme: CommandLine) -> None:
    assert "is not a limit; write" in acme.wrong("limits", "set", "lots", "--account", "acme")
    assert "--account ID, --key KEY or --run RUN" in acme.wrong("limits", "set", "¥5")
    assert "give one of --account and --run" in acme.wrong(
        "limits", "set", "¥5", "--account", "acme", "--run", "r"
    )
    assert "did you mean acme?" in acme.wrong("limits", "set", "¥5", "--account", "acmee")
    assert "no live key" in acme.wrong("limits", "set", "¥5", "--key", "laptop")


def test_credit_is_added_ended_and_shown(acme: CommandLine) -> None:
    told = acme(
        "credit", "add", "acme", "¥1000", "--expires", "2090-12-31", "--note", "invoice 17", "--id", "first"
    )
    assert told.splitlines() == [
        "acme has 1000 CNY more, good until 2090-12-30 16:00 UTC. Id first.",
        "From now on its calls are paid from this; calls beyond it are refused.",
    ]
    assert acme("credit", "add", "acme", "¥0.5").count("\n") == 1
    shown = acme.json("credit", "show", "acme")
    assert (shown["balance"], shown["available"], shown["beyond_credit"]) == ("1000.5", "1000.5", "refuse")
    assert [(credit["amount"], credit["left"]) for credit in shown["credits"]] == [
        ("1000", "1000"),
        ("0.5", "0.5"),
    ]
    assert acme.json("credit", "list")["accounts"] == [shown]
    assert "balance: 1000.5 CNY; calls beyond it are refused" in acme("credit", "show", "acme")
    acme("credit", "end", "acme", "first")
    assert acme.json("credit", "show", "acme")["balance"] == "0.5"
    assert "acme" in acme("credit", "list")
    assert acme("credit", "show", "ann") == "ann has neither credit nor a plan of its own.\n"
    assert "its calls are paid by acme" in acme("accounts", "show", "ann")


def test_wrong_words_about_credit(acme: CommandLine) -> None:
    acme("credit", "add", "acme", "¥1000", "--id", "first")
    assert "'first' of acme already" in acme.wrong("credit", "add", "acme", "¥1", "--id", "first")
    assert "two currencies are never added" in acme.wrong("credit", "add", "acme", "$10")
    assert "more than 0" in acme.wrong("credit", "add", "acme", "¥0")
    assert "no amount of money" in acme.wrong("credit", "add", "acme", "5 tokens")
    assert "did you mean first?" in acme.wrong("credit", "end", "acme", "furst")


def test_plans_are_given_and_taken_away(acme: CommandLine) -> None:
    told = acme(
        "plans", "set", "research", "--name", "team", "--fee", "¥99", "--include", "10M tokens", "--overage", "20%",
        "--from", "2026-01",
    )  # fmt: skip
    assert told == (
        "research has the plan team from 2026-01 on: 99 CNY a month with 10000000 tokens, beyond it +20 %.\n"
        "Beyond that its calls are paid from its credit, if it has any, and then refused; `weir accounts set research --beyond-credit bill` "
        "puts them on its bill.\n"
    )
    (plan,) = acme.json("plans", "list")["plans"]
    assert (plan["fee"], plan["allowance"], plan["allowance_unit"], plan["overage_percent"]) == (
        "99",
        "10000000",
        "tokens",
        "20",
    )
    assert plan["since"] == "2025-12-31T16:00:00.000Z"
    assert acme("plans", "list").splitlines()[1].split()[-1] == "2026-01"
    shown = acme.json("credit", "show", "research")
    assert (shown["plan"], shown["allowance"]["left"]) == ("team", "10000000")
    acme("plans", "set", "ann", "--name", "own", "--include", "¥120")
    assert acme.json("credit", "show", "ann")["balance"] == "120"
    acme("plans", "remove", "ann")
    assert [plan["account"] for plan in acme.json("plans", "list")["plans"]] == ["research"]
    assert "has no plan" in acme.wrong("plans", "remove", "ann")
    assert "--fee" in acme.wrong("plans", "set", "ann", "--name", "x", "--include", "1 tokens")
    assert "one currency" in acme.wrong(
        "plans", "set", "ann", "--name", "x", "--fee", "$9", "--include", "¥120"
    )
    assert "write 25%" in acme.wrong("plans", "set", "ann", "--name", "x", "--fee", "$9", "--overage", "0.2")


def test_the_price_book_says_who_is_charged_what(acme: CommandLine) -> None:
    acme("charges", "set", "--markup", "20%", "--from", "2026-01-01")
    told = acme(
        "charges", "set", "--account", "acme", "--model", "kimi-*", "--input", "4", "--output", "16", "--cache-read", "0.5",
        "--currency", "CNY", "--from", "2026-02-01",
    )  # fmt: skip
    assert told == (
        "acme is charged 4 in, 0.5 cached, 16 out CNY per million for kimi-* from 2026-01-31T16:00:00Z on.\n"
    )
    acme("charges", "set", "--account", "acme", "--model", "kimi-*", "--markup=-10%")
    listed = acme.json("charges", "list")["charges"]
    assert [(line["account"], line["markup_percent"], line["rates"], line["state"]) for line in listed] == [
        ("", "20", None, "in force"),
        ("acme", None, {"input": "4", "cache_read": "0.5", "output": "16"}, "past"),
        ("acme", "-10", None, "in force"),
    ]
    nearest_first = acme.json("charges", "list", "--account", "ann")["charges"]
    assert [line["account"] for line in nearest_first] == ["acme", "acme", ""]
    assert "2 rules, of different dates" in acme.wrong(
        "charges", "remove", "--account", "acme", "--model", "kimi-*"
    )
    since = listed[1]["since"]
    acme("charges", "remove", "--account", "acme", "--model", "kimi-*", "--from", since)
    acme("charges", "remove")
    (left,) = acme.json("charges", "list")["charges"]
    assert left["markup_percent"] == "-10"
    assert "no rule for everybody and *" in acme.wrong("charges", "remove")
    for words in (
        ["--markup", "5%", "--input", "4"],
        [],
        ["--input", "4"],
        ["--output", "x", "--input", "4", "--currency", "CNY"],
    ):
        assert "--input 4 --output 16 --currency CNY" in acme.wrong("charges", "set", *words)


def test_rates_are_set_and_imported(weir: CommandLine, tmp_path: Path) -> None:
    assert weir("rates", "set", "USD", "cny", "7.1", "--day", "2026-11-25", "--source", "our bank") == (
        "1 USD = 7.1 CNY from 2026-11-25 (our bank) on.\n"
    )
    file = tmp_path / "rates.csv"
    file.write_text("base,quote,day,rate,source\nUSD,CNY,2026-11-01,7.05,bank\nEUR,CNY,2026-11-01,8.2\n")
    assert weir.json("rates", "import", str(file)) == {"read": 2, "set": 2}
    assert weir.json("rates", "import", str(file)) == {"read": 2, "set": 0}
    latest = weir.json("rates", "list")["rates"]
    assert [(rate["base"], rate["day"], rate["rate"]) for rate in latest] == [
        ("EUR", "2026-11-01", "8.2"),
        ("USD", "2026-11-25", "7.1"),
    ]
    assert len(weir.json("rates", "list", "--all")["rates"]) == 3
    file.write_text("USD,CNY,2026-12-01,7.2\nUSD,CNY,2026-12-02,x\n")
    assert weir.wrong("rates", "import", str(file)).startswith(f"{file}, line 2: 'x' is not a plain decimal")
    file.write_text("USD,CNY,2026-12-01,7.2\nUSD,USD,2026-12-02,1\n")
    assert "between two currencies" in weir.wrong("rates", "import", str(file))
    assert len(weir.json("rates", "list", "--all")["rates"]) == 3  # all or none
    assert "cannot be read" in weir.wrong("rates", "import", str(tmp_path / "nowhere.csv"))
    file.write_bytes(b"\xff\xfe")
    assert "not text in UTF-8" in weir.wrong("rates", "import", str(file))


def test_standing_costs_are_noted_and_ended(weir: CommandLine) -> None:
    weir(
        "standing",
        "set",
        "plan",
        "--upstream",
        "moonshot",
        "--cost",
        "¥199",
        "--per",
        "month",
        "--from",
        "2026-11-01",
    )
    told = weir(
        "standing", "set", "gpus", "--upstream", "vllm", "--cost", "$2.5", "--per", "hour", "--units", "8",
        "--spread-by", "time", "--from", "2026-11-01",
    )  # fmt: skip
    assert told == "vllm costs 2.5 USD an hour each of 8, by time, from 2026-11-01T00:00Z on.\n"
    ended = weir.json("standing", "set", "plan", "--until", "2026-12-31")
    assert (ended["cost"], ended["until"]) == ("199", "2026-12-31T00:00:00.000Z")
    listed = weir.json("standing", "list")["standing"]
    assert [(cost["id"], cost["units"], cost["spread_by"]) for cost in listed] == [
        ("gpus", 8, "time"),
        ("plan", 1, "tokens"),
    ]
    assert "199 CNY a month, by tokens" in weir("standing", "list")
    assert "say its --upstream, --cost, --per too" in weir.wrong("standing", "set", "other")
    assert "month, hour" in weir.wrong("standing", "set", "plan", "--per", "year")
    assert "end after it begins" in weir.wrong("standing", "set", "plan", "--until", "2026-10-01")


def test_the_audit_has_every_change_and_no_secret(acme: CommandLine) -> None:
    made = acme.json("keys", "create", "--name", "laptop", "--account", "ann")
    acme("limits", "set", "¥5/day", "--account", "ann")
    acme.wrong("limits", "set", "¥5/day", "--account", "nobody")
    table = acme("audit")
    told = [line.split("command line  ")[1].rstrip() for line in table.splitlines()[1:]]
    assert told == [
        'account acme, "Acme Ltd", time zone Asia/Shanghai',
        "account research, under acme",
        "account ann, under research",
        f"key {made['id']} (laptop) of ann, {made['key'][:12]}…",
        "limit 5 CNY/day on account/ann",
    ]
    assert made["key"][13:] not in table
    assert acme("audit", "--since", "2090-01-01").splitlines()[1:] == ["No changes."]


def test_after_all_of_it_the_ledger_verifies(acme: CommandLine) -> None:
    acme("credit", "add", "acme", "¥1000")
    acme("plans", "set", "research", "--name", "team", "--fee", "¥99", "--include", "10M tokens")
    acme("charges", "set", "--markup", "20%")
    acme("accounts", "set", "acme", "--time-zone", "UTC")
    assert verify(acme.data).problems == ()


def test_lists_of_nothing_say_how_to_begin(weir: CommandLine) -> None:
    weir("rates", "set", "USD", "CNY", "7.1")  # so that there is a ledger
    for group, word in (
        ("accounts", "create"), ("limits", "set"), ("credit", "add"), ("plans", "set"), ("charges", "set"), ("standing", "set"),
    ):  # fmt: skip
        assert f"`weir {group} {word}" in weir(group, "list")
