"""Every command that a page shows is run, in the page's order, as someone new would: in a directory and home of its own.

A `console` block holds commands behind `$ ` and what they print: `…` stands for anything within a line, a line of
nothing else for any lines, and runs of spaces for each other. A command that ends in `&` runs on until the end of the
page, and what it prints at its start is compared. A `sh` block holds commands whose output is not shown. `toml` blocks
are written to `weir.toml`. Ports are replaced by ones that are free here. `./dev up` is `weir up`: the environment that
runs the test is the one it makes.
"""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from weir_process import DEADLINE_S, free_port, wait_for

from tokenweir.cli.settings_file import load_settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
#: `bash` is what other programs are given: the agents', which tests/integration/clients runs with the programs themselves.
LANGUAGES = {"bash", "console", "sh", "toml", "json", "python", "mermaid", "yaml", "ini", "nginx"}
#: These run the tests themselves, measure for minutes or need the network. `./dev up` alone would never end; the tour
#: runs it as one that runs on.
ELSEWHERE = re.compile(r"\./dev (test|check|bench|lock)\b")
PORTS = ("8787", "9001")


def blocks(page: Path) -> list[tuple[str, str]]:
    return FENCE.findall(page.read_text(encoding="utf-8"))


def pages_with(*languages: str) -> list[Path]:
    return [page for page in PAGES if any(language in languages for language, _ in blocks(page))]


def steps(page: Path) -> Iterator[tuple[str, str, str]]:
    """Kind ("file", "run" or "show"), the command or file, and the output that is shown."""
    for language, text in blocks(page):
        if language == "toml":
            yield "file", text, ""
        elif language == "sh":
            commands = text.replace("\\\n", " ").splitlines()
            yield from (("run", line, "") for line in commands if line and not line.startswith("#"))
        elif language == "console":
            for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield "show", command, output


def matches(shown: str, printed: str) -> bool:
    """Whether what is shown is what was printed, but for what `…` stands for."""
    pattern = ""
    for line in shown.strip().splitlines():
        if line.strip() == "…":
            pattern += r"(?:.*\n)*?"
        else:
            parts = (
                r"\s+".join(map(re.escape, part.split(" "))) for part in re.sub(" +", " ", line).split("…")
            )
            pattern += ".*".join(parts) + r"[ ]*\n"
    return re.fullmatch(pattern, printed.strip() + "\n") is not None


class Newcomer:
    """Somebody new at a shell of their own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ports = {port: str(free_port()) for port in PORTS}
        self.environ = {"PATH": os.environ["PATH"], "HOME": str(directory), "LANG": "C.UTF-8"}
        self.environ["WEIR_PORT"] = self.ports["8787"]
        binary = directory / ".venv" / "bin"
        binary.mkdir(parents=True)
        for name, module in (("weir", "-m tokenweir.cli.main"), ("python", "")):
            script = binary / name
            script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
            script.chmod(0o755)
        self.running: list[subprocess.Popen[str]] = []

    def ours(self, text: str) -> str:
        for shown, free in self.ports.items():
            text = re.sub(rf"\b{shown}\b", free, text)
        return re.sub(r"^\./dev up\b", ".venv/bin/weir up", text)

    def theirs(self, text: str) -> str:
        for shown, free in self.ports.items():
            text = re.sub(rf"\b{free}\b", shown, text)
        return text.replace(str(self.directory), "~")

    def run(self, command: str, shown: str) -> str:
        """What it prints, errors among it; of one that runs on, what it printed so far."""
        if command.endswith("&"):
            return self._start(self.ours(command.removesuffix("&").strip()), shown)
        done = subprocess.run(
            ["bash", "-c", self.ours(command)], cwd=self.directory, env=self.environ, timeout=120, check=False,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}"
        return self.theirs(done.stdout)

    def _start(self, command: str, shown: str) -> str:
        log = self.directory / f"log-{len(self.running)}"
        with log.open("w") as file:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"], cwd=self.directory, env=self.environ, stdout=file, stderr=file,
                text=True,
            )  # fmt: skip
        self.running.append(process)
        wait_for(lambda: process.poll() is not None or matches(shown, self.theirs(log.read_text())), command)
        assert process.poll() is None, log.read_text()
        return self.theirs(log.read_text())

    def leave(self) -> None:
        for process in reversed(self.running):
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


@pytest.fixture
def newcomer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Newcomer]:
    newcomer = Newcomer(tmp_path_factory.mktemp("p"))  # short: there are sockets in it
    yield newcomer
    newcomer.leave()


@pytest.mark.parametrize("page", pages_with("console", "sh"), ids=lambda page: page.name)
def test_what_a_page_shows_is_what_happens(page: Path, newcomer: Newcomer) -> None:
    for kind, text, shown in steps(page):
        if kind == "file":
            (newcomer.directory / "weir.toml").write_text(newcomer.ours(text))
        elif not (ELSEWHERE.match(text) or text == "./dev up"):
            printed = newcomer.run(text, shown)
            assert kind == "run" or matches(shown, printed), f"$ {text}\nshown:\n{shown}\nprinted:\n{printed}"


@pytest.mark.parametrize("page", pages_with("toml"), ids=lambda page: page.name)
def test_settings_that_a_page_shows_are_settings(page: Path, tmp_path: Path) -> None:
    for language, text in blocks(page):
        if language == "toml":
            (tmp_path / "weir.toml").write_text(text)
            load_settings({}, file=tmp_path / "weir.toml")


def test_every_block_says_what_it_is() -> None:
    wrong = [f"{page.name}: {kind!r}" for page in PAGES for kind, _ in blocks(page) if kind not in LANGUAGES]
    assert wrong == []


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("a … c", "a b   c\n", True),
        ("a\n…\nc", "a\nb\nb\nc", True),
        ("a\n…\nc", "a\nc", True),
        ("a  b", "a      b", True),
        ("a b", "a c", False),
        ("a", "a\nb", False),
        ("12 + 30 (x)", "12 + 30 (x)", True),
    ],
)
def test_shown_output_is_compared_but_for_what_is_left_out(shown: str, printed: str, same: bool) -> None:
    assert matches(shown, printed) == same
