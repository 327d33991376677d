"""The table of cases in docs/metering.md, made from the cases: `python tests/conformance/metering_page.py` writes it."""

import re
from pathlib import Path

from wire_case import ALL, Case

PAGE = Path(__file__).resolve().parents[2] / "docs" / "metering.md"
BEGIN, END = "<!-- cases -->\n", "<!-- end of cases -->\n"
_CLASSES = {"cache_read": "cached", "cache_write_5m": "written (5 min)", "cache_write_1h": "written (1 h)"}


def rows() -> str:
    """The cases under the headings of their topics."""
    topics: dict[str, list[Case]] = {}
    for case in ALL.values():
        topics.setdefault(case.toml.topic, []).append(case)
    parts = []
    for topic, cases in sorted(topics.items()):
        parts.append(
            f"\n### {topic}\n\n| what is sent | read as | usage is | seen in | case |\n|---|---|---|---|---|\n"
        )
        parts += [_row(case) for case in cases]
    return "".join(parts) + "\n"


def _row(case: Case) -> str:
    attempts = case.toml.attempt
    read = "; then ".join(_tokens(case, number) for number in range(len(attempts)))
    usage = "; then ".join(attempt.provenance for attempt in attempts)
    link = f"[{case.name}](../tests/conformance/cases/{case.name})"
    return f"| {case.toml.title} | {read} | {usage} | {case.toml.source} | {link} |\n"


def _tokens(case: Case, number: int) -> str:
    usage = case.usage(number)
    named = [
        f"{getattr(usage, n)} {_CLASSES.get(n, n)}" for n in usage.__struct_fields__[:-1] if getattr(usage, n)
    ]
    return ", ".join(named) or ("nothing known" if usage.provenance == "unknown" else "none")


def filled(page: str) -> str:
    """The page with its table as the cases have it."""
    return re.sub(f"(?s){BEGIN}.*{END}", lambda _: BEGIN + rows() + END, page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
