"""The rules that docs/architecture.md and CONTRIBUTING.md state about the source."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "tokenweir"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MODELS = sorted((ROOT / "models").glob("*/*.py"))
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(ROOT.glob("models/*/*.md")),
]

#: A room imports from rooms of lower levels only.
LEVELS = {
    "core": 1,
    "protocol": 2,
    "catalog": 2,
    "engines": 3,
    "ledger": 3,
    "routing": 3,
    "billing": 4,
    "agents": 4,
    "admin": 5,
    "gateway": 5,
    "console": 6,
    "cli": 7,
}

PURE_ROOMS = {"core", "protocol", "catalog", "routing"}
PURE_FILES = {
    PACKAGE / "ledger" / f"{name}.py"
    for name in (
        "amount_text",
        "budgets",
        "checks",
        "entries",
        "known_terms",
        "laws",
        "limit_text",
        "messages",
        "run_steps",
        "terms",
        "views/audit",
        "views/conversion",
        "views/converted",
        "views/forecast",
        "views/spans",
        "windows",
    )
} | {
    PACKAGE / "billing" / f"{name}.py"
    for name in (
        "answer",
        "bill_files",
        "bill_reader",
        "bill_rows",
        "books",
        "correction_answer",
        "invoice",
        "months",
        "periods",
        "price_book",
        "reconcile",
        "reconcile_answer",
        "rerating",
        "spreading",
    )
}
PURE_FILES |= {
    PACKAGE / "agents" / f"{name}.py"
    for name in (
        "adapter",
        "comparison",
        "confinement",
        "costs",
        "export_atif",
        "export_otel",
        "run_diff",
        "said",
        "intervals",
        "stopping",
        "trees",
        "verdict",
    )
}
IMPURE_MODULES = {"asyncio", "socket", "sqlite3", "time", "random", "os", "threading"}

BANNED_NAMES = {"utils", "helpers", "manager", "common"}
# Put together here so that this file does not hold the words itself.
BANNED_WORDS = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME")) + r")\b")
MACHINE_PATHS = re.compile(
    r"(?<![\w.])/(?:" + "|".join(("ho" + "me", "ro" + "ot", "wo" + "rk", "Us" + "ers")) + r")/\w"
)

MOST_FILE_LINES = 500
MOST_FUNCTION_LINES = 70
MOST_DEPENDENCIES = 12


def imported(path: Path) -> Iterator[str]:
    """The dotted names of the modules that a file imports, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            module = node.module or ""
            yield module
            if module == "tokenweir":
                yield from (f"tokenweir.{alias.name}" for alias in node.names)


def room_of(path: Path) -> str:
    """The room of a source file; "" for the package's own __init__."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else ""


#: Where a database's own library may be named: behind the ledger's seam, and in a store that is no ledger.
DATABASE_FILES = {
    PACKAGE / "ledger" / "database.py",
    PACKAGE / "ledger" / "sqlite.py",
    PACKAGE / "ledger" / "postgres.py",
    PACKAGE / "gateway" / "response_store.py",
}


def test_every_room_has_a_level() -> None:
    assert {room_of(path) for path in SOURCES} - {""} == set(LEVELS)


def test_databases_are_named_behind_the_seam_alone() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in SOURCES
        for module in imported(path)
        if module.split(".")[0] in ("sqlite3", "psycopg") and path not in DATABASE_FILES
    ]
    assert not wrong


def test_rooms_import_only_downwards() -> None:
    wrong = []
    for path in SOURCES:
        room = room_of(path)
        for module in imported(path):
            other = module.split(".")[1] if module.startswith("tokenweir.") else ""
            if room and other in LEVELS and other != room and LEVELS[other] >= LEVELS[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []


def test_pure_rooms_do_no_input_or_output() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {module}"
        for path in SOURCES
        if room_of(path) in PURE_ROOMS or path in PURE_FILES
        for module in imported(path)
        if module.split(".")[0] in IMPURE_MODULES
    ]
    assert wrong == []


def test_files_and_functions_stay_short() -> None:
    wrong = []
    for path in SOURCES + TESTS + MODELS:
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(ROOT)
        if (lines := len(text.splitlines())) > MOST_FILE_LINES:
            wrong.append(f"{name}: {lines} lines")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MOST_FUNCTION_LINES:
                    wrong.append(f"{name}:{node.lineno} {node.name}: {lines} lines")
    assert wrong == []


def test_modules_are_named_after_what_they_do() -> None:
    assert [str(path) for path in SOURCES + TESTS + MODELS if BANNED_NAMES & set(path.stem.split("_"))] == []


def test_nothing_is_left_open_and_no_path_of_one_machine_stands() -> None:
    wrong = []
    for path in [
        *SOURCES,
        *TESTS,
        *MODELS,
        *PAGES,
        ROOT / "dev",
        ROOT / ".ci" / "run",
        ROOT / "pyproject.toml",
    ]:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if BANNED_WORDS.search(line) or MACHINE_PATHS.search(line):
                wrong.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert wrong == []


def package_names(requirements: list[str]) -> set[str]:
    """The names in requirements such as "rich>=13.9"."""
    return {re.split(r"[\s\[<>=!~;@]", requirement, maxsplit=1)[0] for requirement in requirements}


@pytest.fixture(scope="module")
def pyproject() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_every_dependency_has_its_reason(pyproject) -> None:
    declared = package_names(pyproject["project"]["dependencies"])
    assert len(declared) <= MOST_DEPENDENCIES
    for extra in pyproject["project"]["optional-dependencies"].values():
        declared |= package_names(extra)
    for group in pyproject["dependency-groups"].values():
        declared |= package_names(group)
    cells = set()
    for line in (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            cells |= {cell.strip() for cell in line.split("|")}
    assert declared - cells == set()
