"""What scripts lean on: this weir.toml, these commands, these shapes. They may be extended; they never break."""

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import openai
import pytest
from price_server import serving, shipped_listing
from weir_process import Home, free_port, simulated, wait_for

WEIR_TOML = """
[server]
port = 8787
[[upstream]]
name = "kimi"
kind = "openai"                        # an OpenAI-compatible address
url = "http://127.0.0.1:9001/v1"       # not needed where the catalog knows it
api_key = "env:MOONSHOT_API_KEY"
[[model]]
name = "kimi-k2"
deployments = ["kimi/kimi-k2-0905-preview"]      # upstream/model, tried in order until routing says better
price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }   # per million tokens
"""


class Contract:
    """The gateway of the file above, on ports that are free here."""

    def __init__(self, directory: Path, upstream: str) -> None:
        self.port = free_port()
        ports = {"8787": str(self.port), "9001": str(urlsplit(upstream).port)}
        text = WEIR_TOML
        for ours, theirs in ports.items():
            text = text.replace(ours, theirs)
        (directory / "weir.toml").write_text(text)
        self.home = Home(directory, MOONSHOT_API_KEY="sk-upstream", WEIR_LOCAL="false")
        self.data = ("--data", str(directory / "ledger"))

    def created(self, *words: str) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.home.good("keys", "create", *words, "--json", *self.data))
        return found

    def client(self, key: object) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"http://127.0.0.1:{self.port}/v1", api_key=str(key), max_retries=0)


@pytest.fixture
def contract(tmp_path: Path) -> Iterator[Contract]:
    with simulated() as upstream:
        contract = Contract(tmp_path, upstream)
        with contract.home.up(contract.port, *contract.data):
            yield contract


@pytest.fixture(scope="module")
def one_call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Contract]:
    """A gateway whose ledger has one call; for tests that only read."""
    with simulated() as upstream:
        contract = Contract(tmp_path_factory.mktemp("contract"), upstream)
        with contract.home.up(contract.port, *contract.data):
            contract.home.good("chat", "hello there", *contract.data)
            yield contract


def say(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(
        model="kimi-k2", messages=[{"role": "user", "content": "hello there"}], timeout=30
    )
    assert answer.choices[0].message.content


def test_keys_usage_calls_and_verify_have_the_promised_shapes(contract: Contract) -> None:
    created = contract.created("--name", "ci", "--limit", "¥5/day")
    assert list(created)[:2] == ["id", "key"]
    assert str(created["key"]).startswith("sk-weir-")
    client = contract.client(created["key"])
    wait_for(lambda: _accepted(client), "the key's arrival")
    for _ in range(3):
        say(client)

    answer = json.loads(contract.home.good("usage", "--by", "model", "--json", *contract.data))
    row = answer["rows"][0]
    promised = ("by", "calls", "tokens", "cost", "unpriced_calls", "estimated_calls")
    assert {name: row[name] for name in promised} == {
        "by": {"model": "kimi-k2"},
        "calls": 3,
        "tokens": {"input": 9, "cache_read": 0, "cache_write": 0, "output": 24, "reasoning": 0},
        "cost": {"CNY": "0.00042"},  # 9 × 4 + 24 × 16 millionths
        "unpriced_calls": 0,
        "estimated_calls": 0,
    }
    assert len(answer["rows"]) == 1

    lines = contract.home.good("calls", "--json", *contract.data).splitlines()
    calls = [json.loads(line) for line in lines]
    assert [call["model"] for call in calls] == ["kimi-k2"] * 3
    assert sum(Decimal(call["cost"]["CNY"]) for call in calls) == Decimal("0.00042")

    verified = json.loads(contract.home.good("ledger", "verify", "--json", *contract.data))
    assert (verified["ok"], verified["entries"]) == (True, 6)

    listed = json.loads(contract.home.good("keys", "list", "--json", *contract.data))["keys"]
    assert [(key["name"], key["limits"]) for key in listed] == [("first", []), ("ci", ["5 CNY/day"])]
    assert str(created["key"]) not in json.dumps(listed)


def _accepted(client: openai.OpenAI) -> bool:
    try:
        return bool(client.models.list().data)
    except openai.AuthenticationError:
        return False


@pytest.mark.parametrize(
    ("by", "since"),
    [
        ("model", "24h"),
        ("key", "7d"),
        ("account", "today"),
        ("run", "2020-01-01"),
        ("day", "2020-01-01T08:00Z"),
        ("upstream,day,model", "52w"),
    ],
)
def test_usage_adds_up_to_the_same_by_every_group(one_call: Contract, by: str, since: str) -> None:
    words = ("usage", "--by", by, "--since", since, "--json", *one_call.data)
    rows = json.loads(one_call.home.good(*words))["rows"]
    assert [(sorted(row["by"]), row["calls"], row["cost"]) for row in rows] == [
        (sorted(by.split(",")), 1, {"CNY": "0.00014"})
    ]


def test_a_call_can_be_opened_down_to_the_tokens_of_its_cost(one_call: Contract) -> None:
    line = json.loads(one_call.home.good("calls", "--json", *one_call.data))
    opened = json.loads(one_call.home.good("calls", line["call"], "--json", *one_call.data))
    assert {name: opened[name] for name in line} == line
    assert [entry["kind"] for entry in opened["entries"]] == ["opened", "settled"]
    products = opened["entries"][1]["products"]
    assert products == [
        {"token_class": "input", "tokens": 3, "per_million": "4", "amount": "0.000012"},
        {"token_class": "output", "tokens": 8, "per_million": "16", "amount": "0.000128"},
    ]
    assert sum(Decimal(product["amount"]) for product in products) == Decimal(opened["cost"]["CNY"])
    text = one_call.home.good("calls", line["call"], *one_call.data)
    assert "3 tokens × 4 CNY per million = 0.000012 CNY" in text


def test_calls_are_followed_until_an_interrupt(contract: Contract) -> None:
    home = contract.home
    process = subprocess.Popen(
        home.command("calls", "--follow", "--json", *contract.data), cwd=home.directory, env=home.environ,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines: list[str] = []

    def said() -> bool:
        home.good("chat", "hello there", *contract.data)
        return _has_line(process)

    wait_for(said, "a followed call")
    lines.append(process.stdout.readline())
    process.send_signal(2)
    _, errors = process.communicate(timeout=30)
    assert json.loads(lines[0])["model"] == "kimi-k2"
    assert (process.returncode, errors) == (130, "")


def _has_line(process: "subprocess.Popen[str]") -> bool:
    import select

    return bool(select.select([process.stdout], [], [], 0)[0])


def test_chat_takes_a_question_from_a_pipe_and_tells_its_cost(contract: Contract) -> None:
    done = contract.home.run("chat", *contract.data, text="hello there\n")
    assert done.returncode == 0
    assert "water flows" in done.stdout
    assert "3 in, 8 out (reported) · 0.00014 CNY" in done.stderr
    nothing = contract.home.run("chat", *contract.data)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert 'weir chat "…"' in nothing.stderr


def test_a_running_gateway_takes_new_prices_and_old_calls_keep_theirs(tmp_path: Path) -> None:
    host, model = "xiaomi", "mimo-v2.5-pro"
    with simulated() as upstream, serving() as prices:
        port = free_port()
        (tmp_path / "weir.toml").write_text(
            f'[server]\nport = {port}\n[local]\nenabled = false\n[ledger]\ndata = "d"\n'
            f'[prices]\nurl = "http://127.0.0.1:{prices.port}/api.json"\n'
            f'[[upstream]]\nname = "mi"\nkind = "{host}"\nurl = "{upstream}"\napi_key = "env:MI"\n'
        )
        home = Home(tmp_path, MI="sk-mi")
        with home.up(port):
            home.good("chat", "--model", model, "hello there")
            prices.body = shipped_listing(host, model, {"input": 1.0, "output": 2.0})
            updated = json.loads(home.good("prices", "update", "--json"))
            assert [(c["provider"], c["model"]) for c in updated["changed"]] == [(host, model)]
            assert updated["reloaded"]
            wait_for(lambda: "settings read again" in home.greeting(), "the reload")
            home.good("chat", "--model", model, "hello there")
        newer, older = (json.loads(line)["cost"] for line in home.good("calls", "--json").splitlines())
        assert older == {"USD": "0.000008265"}  # 3 × 0.435 + 8 × 0.87 millionths
        assert newer == {"USD": "0.000019"}  # 3 × 1 + 8 × 2
