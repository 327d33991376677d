"""mini-swe-agent by `weir run`, everywhere: its own program, loop and shell, with a model that speaks to the gateway without LiteLLM.

Its program as its makers ship it, LiteLLM and all, is run by `./dev test --clients`.
"""

import json
import subprocess
from collections.abc import Iterator
from decimal import Decimal

import pytest
from clients.scripted_model import COMMANDS, ScriptedModel
from run_desk import CHECK, Desk

INPUT_PRICE = Decimal("0.000004")
#: mini-swe-agent's model for OpenRouter speaks Chat Completions by `requests` alone; it is pointed at the gateway.
GATE_MODEL = """
import os
from minisweagent.models.openrouter_model import OpenRouterModel

class GateModel(OpenRouterModel):
    def __init__(self, **settings):
        super().__init__(**settings)
        self._api_url = os.environ["GATE_URL"] + "/v1/chat/completions"
        self._api_key = os.environ["GATE_KEY"]
"""
ADAPTER = f"""
name = "mini-here"
title = "mini-swe-agent"
dialect = "chat"
program = "mini"
arguments = ["-y", "-t", "{{task}}", "--exit-immediately", "-m", "{{model}}", "--model-class", "gate_model.GateModel"]
version = ["--help"]

[environment]
GATE_URL = "{{base_url}}"
GATE_KEY = "{{key}}"
PYTHONPATH = "{{home}}"
MSWEA_CONFIGURED = "true"
MSWEA_COST_TRACKING = "ignore_errors"

[[files]]
path = "gate_model.py"
text = '''{GATE_MODEL}'''
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    model = ScriptedModel(("ls", *COMMANDS))
    desk = Desk(tmp_path_factory.mktemp("desk"), model.url, "http://127.0.0.1:1")
    (desk.home.directory / "mini.toml").write_text(ADAPTER)
    port = int((desk.home.directory / "weir.toml").read_text().split("port = ")[1].split("\n")[0])
    with desk.home.up(port):
        yield desk
    model.close()


def run(desk: Desk, budget: Decimal) -> dict:
    words = (
        "--adapter",
        str(desk.home.directory / "mini.toml"),
        "--model",
        "scripted",
        "--verify",
        CHECK,
        "--json",
    )
    command = desk.home.command("run", "mini-here", "mend add()", "--budget", f"{budget:f} CNY", *words)
    done = subprocess.run(
        command,
        cwd=desk.project,
        env=desk.home.environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    return dict(json.loads(done.stdout))


def test_it_solves_its_task_and_ends_with_its_budget(desk: Desk) -> None:
    solved = run(desk, Decimal(5))
    assert (solved["verdict"], solved["ending"], solved["version"]) == ("solved", "finished", "2.4.6"), solved
    shown = json.loads(desk.home.good("runs", "show", solved["id"], "--json"))
    tools = [tool for step in shown["steps"] for tool in step["tools"]]
    assert [tool["commands"] for tool in tools] == [["ls"], ["python3"], ["python3"], ["echo"]]
    assert {step["purpose"] for step in shown["steps"]} == {"main"}
    assert [tool["result_bytes"] is not None for tool in tools] == [True, True, True, False]
    desk.assert_closed(solved)

    lines = map(json.loads, desk.home.good("ledger", "export", "--format", "jsonl").splitlines())
    first = next(e["bound_input"] for e in lines if e["run"] == solved["id"] and e["kind"] == "opened")
    budget = first * INPUT_PRICE * Decimal("1.01") + Decimal(
        "0.002"
    )  # one call fits; what it costs leaves no room for another
    stopped = run(desk, budget)
    assert (stopped["verdict"], stopped["ending"]) == ("out of budget", "out of budget"), stopped
    assert stopped["calls"] == 1 and 0 < Decimal(stopped["cost"]["CNY"]) <= budget
    assert 1 <= stopped["refused"] <= 2 and stopped["left_processes"] == 0
    desk.assert_closed(stopped)
