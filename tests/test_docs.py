"""What the pages state about files, commands and the states of a call is so."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from tokenweir.cli.main import app
from tokenweir.protocol.exchange import mermaid

ROOT = Path(__file__).resolve().parent.parent
READMES = [ROOT / "README.md", ROOT / "README.zh-CN.md"]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("models/*/*.md")),
]

LINK = re.compile(r"\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
#: A command where code begins or where a shell would begin one.
WEIR = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?weir((?: [a-z][a-z-]*)*)", re.MULTILINE)
DEV = re.compile(r"^(?:\$ )?\./dev((?: [a-z][a-z-]*)?)", re.MULTILINE)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def code_of(page: Path) -> list[str]:
    """The pieces of a page that are set as code."""
    text = text_of(page)
    return [match[2] for match in FENCE.finditer(text)] + CODE.findall(FENCE.sub("", text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [link.split("#")[0] for link in LINK.findall(text_of(page)) if "://" not in link]
    assert [target for target in targets if target and not (page.parent / target).exists()] == []


def test_both_readmes_show_the_same_commands() -> None:
    english, chinese = (FENCE.findall(text_of(page)) for page in READMES)
    assert english
    assert english == chinese


def test_dev_commands_in_the_pages_exist() -> None:
    helped = subprocess.run([ROOT / "dev", "help"], capture_output=True, text=True, check=True).stdout
    offered = set(re.findall(r"^\./dev (\w+)", helped, re.MULTILINE))
    named = {found.strip() for page in PAGES for code in code_of(page) for found in DEV.findall(code)} - {""}
    assert {"up", "test", "check"} <= named
    assert named <= offered


def test_weir_commands_in_the_pages_parse() -> None:
    named = {found for page in PAGES for code in code_of(page) for found in WEIR.findall(code)}
    assert " up" in named
    runner = CliRunner()
    wrong = []
    for words in sorted(named):
        command = known_prefix(words.split())
        if words and not command:
            wrong.append(f"weir{words}")
            continue
        result = runner.invoke(app, [*command, "--help"])
        if result.exit_code != 0:
            wrong.append(f"weir {' '.join(command)}: {result.output}")
    assert wrong == []


def known_prefix(words: list[str]) -> list[str]:
    """The sub-commands at the head of the words; what follows them are arguments such as a model's name."""
    command = typer.main.get_command(app)
    for index, word in enumerate(words):
        children = getattr(command, "commands", None)
        if children is None:
            return words[:index]
        if word not in children:
            return []
        command = children[word]
    return words


def test_the_diagram_is_the_table() -> None:
    diagrams = [
        body for kind, body in FENCE.findall(text_of(ROOT / "docs" / "architecture.md")) if kind == "mermaid"
    ]
    assert diagrams == [mermaid() + "\n"]


def test_scripts_can_be_run() -> None:
    assert all(os.access(path, os.X_OK) for path in (ROOT / "dev", ROOT / ".ci" / "run"))
