"""Every sentence that the console may have to tell in another language: found in the code that says it."""

import ast
from pathlib import Path

import tokenweir
from tokenweir.admin.form_faults import TEMPLATES
from tokenweir.catalog.bill_formats import shipped_bill_formats
from tokenweir.cli.settings_table import LISTS, settings_table
from tokenweir.core.sentence import COMMA, LINE, STOP
from tokenweir.ledger.changing import COMMAND_LINE
from tokenweir.ledger.limit_text import FORMS
from tokenweir.ledger.terms import COUNTED_UNITS
from tokenweir.ledger.views import audit
from tokenweir.ledger.windows import WINDOWS

PACKAGE = Path(tokenweir.__file__).parent
#: Functions whose first argument is a template, where it is a literal; those of the command line are for it alone.
#: Of the command line's files, those that say what is wrong with a setting, and why an upstream is there.
SETTINGS = frozenset({"kinds.py", "settings_edit.py", "resolve_upstreams.py"})
SAY = frozenset({"say", "_detail"})
#: Templates that stand in tables, and words that fill the blanks of others.
TABLES = {
    *TEMPLATES,
    *audit._RATES.values(),
    *audit._PER.values(),
    *audit._EACH.values(),
    *audit._BY.values(),
    *FORMS.values(),
    *(form.title for form in shipped_bill_formats().values()),
    *COUNTED_UNITS,
    *WINDOWS,
    "name",  # of a key, which new_key checks
    "account",
    COMMAND_LINE,
    COMMA,
    LINE,
    STOP,
} - {"total"}


def files() -> list[Path]:
    """Files whose sentences reach the console."""
    return sorted(
        path
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] != "cli" or path.name in SETTINGS
    )


def calls(path: Path) -> list[ast.Call]:
    """Calls of plain names in a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]


def name(call: ast.Call) -> str:
    """What is called."""
    return call.func.id if isinstance(call.func, ast.Name) else ""


def templates() -> set[str]:
    """Templates in the code, and the help texts and units of settings."""
    rows = [row for row in settings_table() if row.section not in LISTS]
    found = TABLES | {row.help for row in rows} | {row.unit for row in rows if row.unit}
    for path in files():
        for call in calls(path):
            if name(call) in SAY and isinstance(call.args[0], ast.Constant):
                found.add(str(call.args[0].value))
    return found
