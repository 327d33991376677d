"""Tables: as wide as the terminal lets them, Chinese characters two columns wide, colours where they belong."""

import io
import sys

import pytest
from rich.cells import cell_len
from rich.console import Console

from tokenweir.cli import show
from tokenweir.cli.colours import colours

COLUMNS = ("model", "calls", "cost")
ROWS = [["通义千问", "1", "0.5 CNY"], ["kimi-k2", "12,345", "0.000012 CNY"]]


def printed(width: int) -> list[str]:
    out = Console(file=io.StringIO(), width=width)
    show.print_table(COLUMNS, ROWS, right=frozenset({1}), out=out)
    assert isinstance(out.file, io.StringIO)
    return [line.rstrip() for line in out.file.getvalue().splitlines()]


def test_columns_stand_under_each_other_with_chinese_names() -> None:
    head, chinese, other = printed(80)
    places = [
        cell_len(line[: line.index(word)])
        for line, word in ((chinese, "0.5"), (other, "0.000"), (head, "cost"))
    ]
    assert len(set(places)) == 1


def test_a_narrow_terminal_gets_row_by_row_and_no_broken_words() -> None:
    lines = printed(24)
    assert lines[:4] == ["model  通义千问", "calls  1", "cost   0.5 CNY", ""]
    assert max(map(cell_len, lines)) <= 24


def test_no_rows_leave_a_head() -> None:
    out = Console(file=io.StringIO(), width=80)
    show.print_table(COLUMNS, [], out=out)
    assert isinstance(out.file, io.StringIO)
    assert out.file.getvalue().split() == ["model", "calls", "cost"]


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "wanted"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"TERM": "dumb"}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "xterm", "NO_COLOR": ""}, True),
        (io.StringIO(), {"TERM": "xterm"}, False),
        (io.StringIO(), {"FORCE_COLOR": "1"}, True),
        (io.StringIO(), {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ],
)
def test_colours_are_for_terminals_unless_the_environment_says_so(
    monkeypatch: pytest.MonkeyPatch, stream: io.StringIO, environ: dict[str, str], wanted: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert colours(stream) == wanted
    monkeypatch.setattr(sys, "stdout", stream)
    show.console().print("x", style="bold red", end="")
    assert ("\x1b[" in stream.getvalue()) == wanted
