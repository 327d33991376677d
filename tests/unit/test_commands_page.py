"""The page of commands is the one in the docs, and every command is on it."""

from pathlib import Path

from tokenweir.cli.commands_page import commands_markdown
from tokenweir.cli.exits import EXIT_CODES

PROMISED = """up keys/create keys/list keys/revoke models usage calls ledger/verify ledger/export prices/show
chat doctor accounts/create accounts/set accounts/close accounts/list accounts/show keys/set keys/rotate limits/set limits/remove
limits/list credit/add credit/end credit/list credit/show plans/set plans/remove plans/list charges/set charges/remove
charges/list rates/set rates/import rates/list standing/set standing/list audit run runs/list runs/show runs/diff runs/apply runs/text runs/forget runs/export agents"""


def test_the_page_of_commands_is_the_one_in_the_docs() -> None:
    page = Path(__file__).parents[2] / "docs" / "commands.md"
    assert page.read_text() == commands_markdown(), "write it anew: python -m tokenweir.cli.commands_page"


def test_every_promised_command_is_there() -> None:
    page = commands_markdown()
    for command in PROMISED.split():
        assert f"## `weir {command.replace('/', ' ')}`" in page


def test_exit_codes_are_distinct() -> None:
    assert len({code for code, _ in EXIT_CODES}) == len(EXIT_CODES)
