"""Real agents by `weir run`: each solves the scripted task in its sandbox, and ends when its budget does.

`./dev test --clients -s tests/integration/clients/test_agent_runs.py` prints the table of docs/agents.md.
"""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from scripted_model import BROKEN, COMMANDS, TEST, ScriptedModel
from weir_process import Home, free_port

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parents[2] / ".clients"
AGENTS = ("kimi", "claude", "codex", "qwen", "opencode", "mini")
TASK = "add() in sums.py is wrong: mend it, and run its test."
CHECK = "python3 -m unittest -q test_sums"
INPUT_PRICE = Decimal("0.000004")


def usage(asked: bytes) -> dict:
    """Tokens as a model counts them: some four bytes each."""
    prompt = len(asked) // 4
    return {
        "prompt_tokens": prompt,
        "completion_tokens": 40,
        "total_tokens": prompt + 40,
        "prompt_tokens_details": {"cached_tokens": prompt // 2},
    }


class Desk:
    """A project in a user's home, and a gateway before the scripted model."""

    def __init__(self, directory: Path, url: str, port: int) -> None:
        (directory / "weir.toml").write_text(
            f'[server]\nport = {port}\n[local]\nenabled = false\n[[upstream]]\nname = "script"\nurl = "{url}"\n'
            '[[model]]\nname = "scripted"\ndeployments = ["script/scripted"]\n'
            'price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }\n'
        )
        places = (INSTALLED / "bin", INSTALLED / "node_modules" / ".bin", "/usr/bin", "/bin")
        path = ":".join(map(str, places))
        self.home = Home(directory, PATH=path, WEIR_CONFIG=str(directory / "weir.toml"))
        self.project = directory / "project"
        self.project.mkdir()
        (self.project / "sums.py").write_text(BROKEN)
        (self.project / "test_sums.py").write_text(TEST)
        subprocess.run(["git", "init", "-q", str(self.project)], check=True)

    def run(self, agent: str, budget: Decimal) -> dict:
        words = (
            "--model",
            "scripted",
            "--budget",
            f"{budget:f} CNY",
            "--time",
            "200s",
            "--verify",
            CHECK,
            "--json",
        )
        done = subprocess.run(
            self.home.command("run", agent, TASK, *words), cwd=self.project, env=self.home.environ, check=False,
            capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        assert done.stdout, done.stderr
        return json.loads(done.stdout)

    def opened(self, run: str) -> list[int]:
        """What each call of a run had set aside, in tokens of input."""
        lines = self.home.good("ledger", "export", "--format", "jsonl").splitlines()
        found = [e for e in map(json.loads, lines) if e["run"] == run and e["kind"] == "opened"]
        return [entry["bound_input"] for entry in found]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    if os.environ.get("WEIR_CLIENTS") != "all":
        pytest.skip("agents: `./dev test --clients` installs and runs them")
    model, port = ScriptedModel(("ls", *COMMANDS), usage), free_port()
    desk = Desk(tmp_path_factory.mktemp("desk"), model.url, port)
    with desk.home.up(port):
        yield desk
    model.close()


def processes_of(run: str) -> list[str]:
    """Those that were started with a run's mark in their environment."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if f"WEIR_RUN={run}".encode() in (entry / "environ").read_bytes():
                found.append(entry.name)
        except OSError:
            pass
    return found


@pytest.mark.parametrize("agent", AGENTS)
def test_an_agent_solves_its_task_and_ends_with_its_budget(agent: str, desk: Desk) -> None:
    solved = desk.run(agent, Decimal(50))
    assert (solved["verdict"], solved["ending"], solved["files_changed"]) == ("solved", "finished", 1), solved
    # The first call of the talk fits (titles are asked for with less), and what it cost leaves no room for the second.
    opened = desk.opened(solved["id"])
    first = next(tokens for tokens in opened if tokens > max(opened) / 2)
    budget = first * INPUT_PRICE * Decimal("1.01") + Decimal("0.002")
    stopped = desk.run(agent, budget)
    assert (stopped["verdict"], stopped["ending"]) == ("out of budget", "out of budget"), stopped
    spent = Decimal(stopped["cost"].get("CNY", "0"))
    assert stopped["calls"] >= 1 and 0 < spent <= budget
    further = stopped["refused"] - 1
    assert 0 <= further <= 1 and stopped["open"] == 0
    assert processes_of(solved["id"]) == processes_of(stopped["id"]) == []
    shown = json.loads(desk.home.good("runs", "show", solved["id"], "--json"))
    steps = shown["steps"]
    tools = [tool for step in steps for tool in step["tools"]]
    assert len(tools) == solved["tool_calls"] >= 3 and all(step["why"] for step in steps)
    assert sum(tool["result_bytes"] is not None for tool in tools) >= 3, tools
    purposes = ", ".join(f"{n} {name}" for name, n in Counter(step["purpose"] for step in steps).items())
    own = f", says {solved['own_cost']}" if solved["own_cost"] else ""
    print(
        f"\n| {agent} | {solved['version']} | {solved['verdict']} | {solved['calls']} | {solved['cost']['CNY']} CNY{own} | "
        f"{purposes} | {len(tools)} | {stopped['calls']} | {spent:f} of {budget:f} CNY | {further} |"
    )
