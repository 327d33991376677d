"""Settings as they are in force, and where each comes from. They are changed in the file or the environment."""

from tokenweir.console.page import Outcome, Visit, shown
from tokenweir.console.table import Badge, Column, Table

_COLUMNS = (
    Column("section", "code"),
    Column("name", "code"),
    Column("value", "long"),
    Column("source", "badge"),
    Column("help", "long"),
)


def show(visit: Visit) -> Outcome:
    """All that stand once."""
    rows = [
        (
            setting.section,
            setting.name,
            f"{setting.value} {visit.tell(setting.unit)}".strip() or None,
            _source(setting.source),
            visit.tell(setting.help),
        )
        for setting in visit.outside.settings()
    ]
    return shown(
        "settings.html", tables=(Table(name="settings", words="settings", columns=_COLUMNS, rows=rows),)
    )


def _source(source: str) -> Badge:
    words = {"default": "settings.from_default", "file": "settings.from_file"}
    return Badge(source, "" if source == "default" else "good", words.get(source, ""))
