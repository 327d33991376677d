"""How commands print: tables with colours on a terminal, plain text in a pipe, JSON where it is asked for."""

import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import msgspec

from tokenweir.cli.colours import colours
from tokenweir.core.money import format_pico

if TYPE_CHECKING:  # JSON is printed without Rich, and sooner
    from rich.console import Console

#: What a pipe gets: wide enough that no cell is broken.
PIPE_WIDTH = 10_000
#: Between two columns.
GAP = 2


def console() -> "Console":
    """Standard output; colours only on a terminal, unless NO_COLOR or FORCE_COLOR (if not empty) says otherwise."""
    from rich.console import Console

    terminal = sys.stdout.isatty()
    return Console(
        highlight=False,
        soft_wrap=False,
        no_color=not colours(sys.stdout),
        force_terminal=colours(sys.stdout),
        width=None if terminal else PIPE_WIDTH,
    )


def pad(text: str, width: int, *, right: bool = False) -> str:
    """To `width` columns of a terminal, of which Chinese characters take two; a longer text stays whole."""
    from rich.cells import cell_len

    space = " " * max(0, width - cell_len(text))
    return space + text if right else text + space


def print_json(value: object) -> None:
    """One line of JSON."""
    sys.stdout.buffer.write(msgspec.json.encode(value) + b"\n")
    sys.stdout.buffer.flush()


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    right: frozenset[int] = frozenset(),
    out: "Console | None" = None,
) -> None:
    """A table; columns whose index is in `right` hold numbers. Where it is wider than the terminal, row by row."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    terminal, whole = out or console(), [tuple(row) for row in rows]
    widths = [max(map(cell_len, cells)) for cells in zip(columns, *whole, strict=True)]
    if sum(widths) + GAP * (len(widths) - 1) > terminal.width:
        _print_records(terminal, columns, whole)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        table.add_column(name, justify="right" if index in right else "left", overflow="fold")
    for row in whole:
        table.add_row(*(Text(cell) for cell in row))
    terminal.print(table)


def _print_records(terminal: "Console", columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Each row as lines of a name and a value; empty ones are left out."""
    from rich.cells import cell_len
    from rich.text import Text

    margin = max(map(cell_len, columns)) + GAP
    for row in rows:
        for index, (name, cell) in enumerate(zip(columns, row, strict=True)):
            if cell or index == 0:
                line = Text(pad(name, margin), style="bold" if index == 0 else "") + Text(cell)
                terminal.print(line, overflow="fold")
        terminal.print()


def money(cost_pico: dict[str, int]) -> str:
    """Exact amounts by currency, such as `0.000012 CNY`; empty for none."""
    return ", ".join(f"{format_pico(pico)} {currency}" for currency, pico in sorted(cost_pico.items()))
