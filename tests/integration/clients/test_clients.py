"""Real SDKs and real agents through the gateway, before a scripted model: each does its work and is metered.

`./dev test --clients` installs them (tests/integration/clients/requirements.txt and package.json) and skips none;
without it what is missing is skipped with its name.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from agents import AGENTS, Agent, Place
from scripted_model import BROKEN, COMMANDS, LAST_WORDS, SHORT_WORDS, TEST, THOUGHT, USAGE, ScriptedModel
from weir_process import Home, free_port

from tokenweir.engines import local

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parents[2] / ".clients"
PATIENCE_S = 120
CALL = ["functions.run_once:0", {"command": COMMANDS[0]}]
INPUT = USAGE["prompt_tokens"]
TALK = {"plain": SHORT_WORDS, "streamed": SHORT_WORDS, "usage": [INPUT, INPUT]}
PARSED = {"verdict": "as it is", "score": 7}
#: The rows of the page's table, and what is installed for each.
PACKAGES = {
    "Kimi Code": "@moonshot-ai/kimi-code",
    "Claude Code": "@anthropic-ai/claude-code",
    "Codex": "@openai/codex",
    "Qwen Code": "@qwen-code/qwen-code",
    "OpenCode": "opencode-ai",
    "mini-swe-agent": "mini-swe-agent",
    "openai": "openai",
    "anthropic": "anthropic",
    "langchain-openai": "langchain-openai",
    "langchain-anthropic": "langchain-anthropic",
    "litellm": "litellm",
    "pydantic-ai": "pydantic-ai-slim",
    "openai-agents": "openai-agents",
}
#: What each program of sdk_programs.py must print.
SDKS: dict[str, dict[str, object]] = {
    "openai_chat": {**TALK, "call": CALL, "after": LAST_WORDS, "parsed": PARSED},
    "openai_responses": {**TALK, "call": CALL, "after": LAST_WORDS, "parsed": PARSED},
    "anthropic_messages": {**TALK, "thinking": THOUGHT, "call": CALL, "after": LAST_WORDS, "counted": True},
    "langchain_openai": {**TALK, "call": CALL, "after": LAST_WORDS},
    "langchain_anthropic": {**TALK, "call": CALL, "after": LAST_WORDS},
    "litellm": {**TALK, "call": CALL},
    "pydantic_ai": {"ran": 2, "answers": [LAST_WORDS, LAST_WORDS]},
    "openai_agents": {"ran": 2, "answers": [LAST_WORDS, LAST_WORDS]},
}


@pytest.fixture(scope="module")
def model() -> Iterator[ScriptedModel]:
    model = ScriptedModel()
    yield model
    model.close()


def opened(directory: Path, upstream: str, **environ: str) -> Iterator["Door"]:
    """A gateway before this upstream."""
    port = free_port()
    (directory / "weir.toml").write_text(
        f'[server]\nport = {port}\n[ledger]\ndata = "{directory}/data"\n[local]\nenabled = false\n'
        f'[[upstream]]\nname = "script"\n{upstream}'
        '[[model]]\nname = "scripted"\ndeployments = ["script/scripted"]\n'
        'price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }\n'
    )
    home = Home(directory, **environ)
    with home.up(port):
        yield Door(home, f"http://127.0.0.1:{port}")


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, model: ScriptedModel) -> Iterator["Door"]:
    """A gateway before the model, which speaks Chat Completions."""
    yield from opened(tmp_path_factory.mktemp("behind"), f'kind = "openai"\nurl = "{model.url}"\n')


@pytest.fixture(scope="module", params=["chat", "messages", "responses"])
def door(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, behind: "Door"
) -> Iterator["Door"]:
    """The gateway that clients see. Where its upstream speaks no chat, that upstream is a gateway, too."""
    if request.param == "chat":
        yield behind
        return
    directory, key = tmp_path_factory.mktemp(request.param), behind.key("front")["key"]
    upstream = f'url = "{behind.base}/v1"\napi_key = "env:BEHIND_KEY"\ndialects = ["{request.param}"]\n'
    yield from opened(directory, upstream, BEHIND_KEY=key)


class Door:
    """The gateway, and keys of its own for each client."""

    def __init__(self, home: Home, base: str) -> None:
        self.home, self.base = home, base

    def key(self, name: str) -> dict[str, str]:
        """A new key: its `id` and its `key`."""
        made = self.home.good("keys", "create", "--name", name, "--limit", "¥50/day", "--json")
        return dict(json.loads(made))

    def usage(self, key: str) -> dict[str, object]:
        """The ledger's row of the key with this id."""
        rows = json.loads(self.home.good("usage", "--by", "key", "--json"))["rows"]
        return next(row for row in rows if row["by"]["key"] == key)


def installed(program: str) -> Path:
    """A program of the installed clients; skipped, with its name, unless it was asked to run them."""
    if os.environ.get("WEIR_CLIENTS") != "all":
        pytest.skip(f"{program}: `./dev test --clients` installs and runs it")
    places = (INSTALLED / "bin" / program, INSTALLED / "node_modules" / ".bin" / program)
    path = next((place for place in places if place.exists()), None)
    assert path is not None, f"{program} should have been installed in {INSTALLED}"
    return path


def run(command: list[str], environment: dict[str, str], directory: Path) -> subprocess.CompletedProcess[str]:
    places = (INSTALLED / "bin", INSTALLED / "node_modules" / ".bin", "/usr/bin", "/bin")
    return subprocess.run(
        command, cwd=directory, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        stdin=subprocess.DEVNULL,
        env={"PATH": ":".join(map(str, places)), "HOME": str(directory), "TERM": "dumb", **environment},
    )  # fmt: skip


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.program)
def test_the_page_sets_each_agent_up_as_it_is_run_here(agent: Agent, tmp_path: Path) -> None:
    place = Place("http://127.0.0.1:8787", "sk-weir-…", "kimi-k3", tmp_path)
    agent.prepare(place)
    page = (HERE.parents[2] / "docs" / "protocols.md").read_text()
    begin = re.search(rf"^{agent.name}(?:, [^\n]*)?:\n\n```\w+\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert begin is not None
    block = begin[1]
    for name, value in agent.environment(place).items():
        assert name in block and (value in block or name == "WEIR_KEY")
    written = tmp_path / "opencode.json"
    if written.exists():
        assert json.loads(block) == json.loads(written.read_text())


def test_the_page_names_the_versions_that_are_run() -> None:
    npm = json.loads((HERE / "package.json").read_text())["dependencies"]
    pip = dict(line.split("==") for line in (HERE / "requirements.txt").read_text().split())
    page = (HERE.parents[2] / "docs" / "protocols.md").read_text()
    told = dict(re.findall(r"^\| `?([\w -]+?)`? \| (\d[\w.]*) \|", page, re.MULTILINE))
    assert told == {name: (npm | pip)[package] for name, package in PACKAGES.items()}
    assert {agent.name for agent in AGENTS} <= set(told)


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_gets_what_its_users_expect(name: str, door: Door, tmp_path: Path) -> None:
    python = installed("python")
    key = door.key(name)
    environment = {"BASE_URL": door.base, "KEY": key["key"], "MODEL": "scripted"}
    done = run([str(python), str(HERE / "sdk_programs.py"), name], environment, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == SDKS[name]
    assert door.usage(key["id"])["estimated_calls"] == 0


@pytest.fixture(scope="module")
def abacus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A gateway with nothing set, before the model that ships."""
    if not local.installed():
        pytest.skip("the local engine: the extra `local` is not installed")
    home, port = Home(tmp_path_factory.mktemp("abacus")), free_port()
    with home.up(port, "--port", str(port)):
        yield Door(home, f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_asks_the_local_engine(name: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    python = installed("python")
    door = request.getfixturevalue("abacus")
    key = door.key(name)
    done = run(
        [str(python), str(HERE / "sdk_sums.py"), name], {"BASE_URL": door.base, "KEY": key["key"]}, tmp_path
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert json.loads(done.stdout.splitlines()[-1]) == ["37 + 58 = 95"] * 2
    usage = door.usage(key["id"])
    assert (usage["calls"], usage["estimated_calls"]) == (2, 0)


@pytest.mark.parametrize("agent", AGENTS, ids=lambda agent: agent.program)
def test_an_agent_solves_its_task_and_every_call_is_metered(
    agent: Agent, door: Door, model: ScriptedModel, tmp_path: Path
) -> None:
    program = installed(agent.program)
    work = tmp_path / "work"
    work.mkdir()
    (work / "sums.py").write_text(BROKEN)
    (work / "test_sums.py").write_text(TEST)
    subprocess.run(["git", "init", "-q", str(work)], check=True)
    before = len(model.requests)
    key = door.key(agent.program)
    place = Place(door.base, key["key"], "scripted", work)
    agent.prepare(place)
    environment = {**agent.environment(place), "HOME": str(tmp_path)}
    done = run([str(program), *agent.command(place)[1:]], environment, work)
    assert done.returncode == 0, (done.stdout[-2000:], done.stderr[-2000:])
    tested = subprocess.run([sys.executable, "-m", "unittest", "-q", "test_sums"], cwd=work, check=False)
    assert tested.returncode == 0, done.stdout[-3000:]
    usage = door.usage(key["id"])
    calls = len(model.requests) - before
    assert usage["calls"] == calls >= 3
    assert usage["tokens"] == {
        "input": 200 * calls, "cache_read": 1000 * calls, "cache_write": 0, "output": 30 * calls, "reasoning": 10 * calls,
    }  # fmt: skip
