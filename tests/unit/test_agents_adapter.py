"""Adapters: what ships is whole, what a user writes is checked, and placeholders are filled without harm."""

import json
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.agents.adapter import Adapter, Place, launch, own_cost, read_adapter, version_in
from tokenweir.core.errors import AgentError

SHIPPED = {
    entry.name: entry.read_bytes()
    for entry in resources.files("tokenweir.agents").joinpath("data").iterdir()
    if entry.name.endswith(".toml")
}
PLACE = Place(base_url="http://127.0.0.1:8787", key="sk-weir-x", model="kimi-k3", task="mend it", home="/h")
PLAIN = 'name = "mine"\ntitle = "Mine"\ndialect = "chat"\nprogram = "mine"\n'


@pytest.mark.parametrize("file", SHIPPED)
def test_an_adapter_that_ships_gives_the_agent_key_model_and_task(file: str) -> None:
    adapter = read_adapter(SHIPPED[file], file)
    assert file == f"{adapter.name}.toml"
    made = launch(adapter, PLACE, ("agent", "{task}"))
    said = " ".join((*made.command, *made.environment.values(), *(f.text for f in made.files)))
    for value in (PLACE.base_url, PLACE.key, PLACE.model, PLACE.task):
        assert value in said
    assert PLACE.key not in " ".join(made.command)  # every user of a machine sees command lines
    assert adapter.program == "" or (adapter.install and adapter.tested)


def test_a_file_of_the_home_is_still_json_whatever_the_values_are() -> None:
    adapter = read_adapter(SHIPPED["opencode.toml"], "opencode.toml")
    odd = Place(base_url="http://x", key='k"\\', model='m"}', task="t", home="/h")
    (file,) = launch(adapter, odd).files
    assert json.loads(file.text)["model"] == 'weir/m"}'
    assert json.loads(file.text)["provider"]["weir"]["options"]["apiKey"] == 'k"\\'


def test_the_adapter_that_the_page_shows_is_one_and_every_agent_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "agents.md").read_text()
    (shown,) = re.findall(r"```ini\n(.*?)```", page, re.DOTALL)
    adapter = read_adapter(shown.encode(), "docs/agents.md")
    assert adapter.own_cost is not None and len(adapter.files) == 1
    for file, data in SHIPPED.items():
        known = read_adapter(data, file)
        assert f'weir run {known.name} "TASK"' in page and known.install in page


def test_codex_gets_its_provider_as_toml() -> None:
    made = launch(read_adapter(SHIPPED["codex.toml"], "codex.toml"), PLACE)
    provider = next(word for word in made.command if word.startswith("model_providers.weir="))
    assert tomllib.loads(provider)["model_providers"]["weir"] == {
        "name": "weir", "base_url": "http://127.0.0.1:8787/v1", "env_key": "WEIR_KEY", "wire_api": "responses",
    }  # fmt: skip


@given(st.text(max_size=60))
def test_a_task_is_one_argument_and_nothing_of_it_is_filled(task: str) -> None:
    adapter = read_adapter(f'{PLAIN}arguments = ["-p", "{{task}}"]'.encode(), "mine.toml")
    place = Place(base_url="u", key="secret", model="m", task=task, home="h")
    assert launch(adapter, place).command == ("mine", "-p", task)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (PLAIN + "stop = 3", "mine.toml: stop: Expected `str`, got `int`"),
        (PLAIN + 'stop = "SIGKILL"', "mine.toml: stop: 'SIGKILL' is none of SIGINT"),
        (PLAIN + 'colour = "red"', "mine.toml: Object contains unknown field `colour`"),
        (PLAIN + 'arguments = ["a", "{modle}"]', "mine.toml: arguments[1]: {modle} is none of {base_url}"),
        (PLAIN + '[environment]\nA = "{nobody}"', "mine.toml: environment.A: {nobody} is none of"),
        (PLAIN + '[[files]]\npath = "../x"\ntext = ""', "mine.toml: files[0].path: '../x' does not lie"),
        (PLAIN + '[[files]]\npath = "/etc/x"\ntext = ""', "mine.toml: files[0].path: '/etc/x' does not lie"),
        (PLAIN.replace("chat", "telnet"), "mine.toml: dialect: 'telnet' is none of chat, messages, responses"),
        (PLAIN.replace('"mine"', '"Mine!"', 1), "mine.toml: name: 'Mine!' is no name"),
        (PLAIN.replace('program = "mine"', 'program = "/bin/mine"'), "mine.toml: program: '/bin/mine' is a path"),
        ("name = ", "mine.toml is not TOML"),
        ('title = "Mine"', "mine.toml: Object missing required field"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_member(text: str, words: str) -> None:
    with pytest.raises(AgentError) as raised:
        read_adapter(text.encode(), "mine.toml")
    assert words in str(raised.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_adapter_or_refused(data: bytes) -> None:
    try:
        assert isinstance(read_adapter(data, "f"), Adapter)
    except AgentError as error:
        assert str(error).startswith("f")


def test_an_adapter_without_a_program_needs_a_command() -> None:
    with pytest.raises(AgentError, match="--command"):
        launch(read_adapter(SHIPPED["custom.toml"], "custom.toml"), PLACE)


@pytest.mark.parametrize(
    ("output", "version"),
    [
        ("2.1.330 (Claude Code)\n", "2.1.330"),
        ("codex-cli 0.169.0", "0.169.0"),
        ("This is mini-swe-agent version 2.4.6.\nSee v2.", "2.4.6"),
        ("v1.2.3-rc.1", "1.2.3-rc.1"),
        ("no number", ""),
    ],
)
def test_a_version_is_found(output: str, version: str) -> None:
    assert version_in(output) == version


@pytest.mark.parametrize(
    ("output", "cost"),
    [
        ('{"type":"result","total_cost_usd":0.0054}\n', "0.0054 USD"),
        ('noise\n{"total_cost_usd":1}\n{"total_cost_usd":2.50}\nmore', "2.50 USD"),
        ('[{"a":1},{"total_cost_usd":0.1}]', "0.1 USD"),
        ('{"total_cost_usd":"free"}', ""),
        ('{"total_cost_usd":', ""),
        ("", ""),
    ],
)
def test_what_an_agent_says_that_it_cost_is_taken_as_it_stands(output: str, cost: str) -> None:
    assert own_cost(read_adapter(SHIPPED["claude.toml"], "claude.toml"), output) == cost
