"""Rerates and bills before a real gateway: the settings are read anew, and a bill may be longer than other bodies."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from admin_client import Admin, owner_of
from http_parts import Door, RawUpstream, raw_upstream
from test_reading_commands import weir

from tokenweir.ledger.verify import verify

MODEL = '[[model]]\nname = "m"\ndeployments = ["raw/m"]\nprice = {{ input = {}, output = 16.0, currency = "CNY" }}\n'
HEADER = "账单号,账期(自然日),模型编码（推理专用）,用量,用量单位,币种,总消费金额（结算金额加总）,价格类型\n"
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    upstream = RawUpstream()
    directory = tmp_path_factory.mktemp("billing")
    made = Door(directory, raw_upstream(upstream.port), models=MODEL.format("4.0"))
    assert made.ask(made.chat()).status == 200
    yield made
    assert made.stop() == 0
    assert "Traceback" not in made.log.read_text()
    assert verify(made.data).ok
    upstream.close()


def test_a_rerate_goes_by_the_settings_as_they_are_now(door: Door) -> None:
    owner = owner_of(door)
    assert owner.good("POST", "/rerate", {"dry_run": True})["differ"] == 0
    door.models = MODEL.format("5.0")
    door.write_config()
    done = owner.good("POST", "/rerate", {"model": "m"})
    assert (done["cost_before"], done["cost_after"]) == ({"CNY": "0.000044"}, {"CNY": "0.000047"})
    assert json.loads(door.weir("rerate", "--json", "--config", str(door.config)))["differ"] == 0
    (noted,) = [one for one in owner.items("/audit") if done["correction"] in json.dumps(one)]
    assert noted["actor"] == owner.good("GET", "/me")["id"]
    door.config.write_text("[server")
    status, problem = owner.ask("POST", "/rerate", {"model": "m"})
    assert (status, problem["code"]) == (503, "unavailable")
    assert str(door.config) not in problem["detail"]
    door.write_config()


def test_a_bill_is_compared_as_on_the_command_line(door: Door, tmp_path: Path) -> None:
    owner, day = owner_of(door), datetime.now(UTC).date()
    rows = f"b,{day},m,3,tokens,CNY,0.5,输入\n" + "," * 7 + "\n"
    bill = (HEADER + rows + (" " * 10_000 + "\n") * 200).encode()
    path = "/reconcile?upstream=raw&provider=zhipuai&since=2020-01-01&until=2199-01-01"
    answer = owner.send("POST", path, bill)
    assert answer.status == 200, answer
    (tmp_path / "bill.csv").write_bytes(bill)
    words = (
        "bill.csv",
        "--upstream",
        "raw",
        "--provider",
        "zhipuai",
        "--since",
        "2020-01-01",
        "--until",
        "2199-01-01",
    )
    shown = json.loads(weir("reconcile", *words, "--json", "--data", str(door.data), cwd=tmp_path).stdout)
    found = json.loads(answer.body)
    assert (found["agrees"], shown["agrees"]) == (False, False)
    assert [s["groups"] for s in found["sections"]] == [s["groups"] for s in shown["sections"]]


def test_only_a_known_key_may_send_a_long_bill_and_none_a_longer_one(door: Door) -> None:
    owner, path = owner_of(door), "/reconcile?upstream=raw"
    assert Admin(door, "sk-weir-none").send("POST", path, b"x" * 2 * MIB).status == 401
    assert owner.send("POST", path, b"x" * 2 * MIB).status == 400
    assert owner.send("POST", "/rerate", b"x" * 2 * MIB).status == 413
    assert owner.send("POST", path, b"x" * (16 * MIB + 1)).status == 413
