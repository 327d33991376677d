"""Where measured figures are kept: what the pages say is worked out from these files, and a test does it anew."""

import json
from pathlib import Path
from typing import Any

FIGURES = Path(__file__).parent / "figures"
ROOT = Path(__file__).parent.parent


def read(name: str) -> dict[str, Any]:
    """What a measurement has left."""
    return json.loads((FIGURES / f"{name}.json").read_text(encoding="utf-8"))


def keep(name: str, measured: dict[str, Any]) -> None:
    """Keep what was measured, to six digits."""
    short = json.loads(json.dumps(measured), parse_float=lambda text: float(f"{float(text):.6g}"))
    (FIGURES / f"{name}.json").write_text(json.dumps(short, indent=1) + "\n", encoding="utf-8")


def between(page: Path, mark: str, text: str) -> None:
    """Put text between a page's marks `<!-- MARK: begin -->` and `<!-- MARK: end -->`."""
    before, after = _around(page, mark)
    page.write_text(f"{before}\n{text}\n{after}", encoding="utf-8")


def standing(page: Path, mark: str) -> str:
    """What stands between a page's marks."""
    before, after = _around(page, mark)
    return page.read_text(encoding="utf-8")[len(before) : -len(after)].strip("\n")


def _around(page: Path, mark: str) -> tuple[str, str]:
    before, begin, rest = page.read_text(encoding="utf-8").partition(f"<!-- {mark}: begin -->")
    _, end, after = rest.partition(f"<!-- {mark}: end -->")
    if not begin or not end:
        raise ValueError(f"{page.name} has no marks `<!-- {mark}: begin -->` … `<!-- {mark}: end -->`")
    return before + begin, end + after
