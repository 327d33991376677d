"""What the pages say of measurements, written anew of the figures that are kept in figures/: tables between their marks, and pictures.

    .venv/bin/python -m bench.pages

Whoever measures keeps figures and calls this; `tests/test_figures.py` fails where a page says anything else.
"""

from collections.abc import Callable
from pathlib import Path

from bench import figures, ledger_growth, peers_table, pictures, scale, workers

DOCS = figures.ROOT / "docs"
IMAGES = DOCS / "images"
#: Page and mark -> what stands there.
TABLES: dict[tuple[Path, str], Callable[[], str]] = {
    (DOCS / "performance.md", "bench"): lambda: peers_table.report(figures.read("peers")),
    (DOCS / "performance.md", "workers"): lambda: workers.report(figures.read("workers")),
    (DOCS / "ledger.md", "growth"): lambda: ledger_growth.report(figures.read("ledger_growth")),
    (DOCS / "scale.md", "scale"): scale.text,
}
PICTURES = {"ledger-scale.svg": pictures.ledger, "peers.svg": pictures.peers}


def write() -> None:
    """All of them."""
    for (page, mark), worked_out in TABLES.items():
        figures.between(page, mark, worked_out())
    IMAGES.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (IMAGES / name).write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    write()
