"""Settings from `weir.toml`, over which the environment goes, over which flags go."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import msgspec

from tokenweir.cli.secrets import Secret
from tokenweir.cli.settings import (
    FILE_NAME,
    FILE_VARIABLE,
    LIMITS,
    ConsoleSettings,
    LedgerSettings,
    LocalSettings,
    ModelSettings,
    PricesSettings,
    Server,
    Settings,
    UpstreamSettings,
)
from tokenweir.cli.settings_table import LISTS, REQUIRED, SECTIONS, Row, settings_table
from tokenweir.core.errors import SettingsError
from tokenweir.gateway.config import Limits

MAX_FILE_BYTES = 4 * 1024 * 1024
#: Variables with this prefix are ours; an unknown one is reported, since it may be a slip.
PREFIX = "WEIR_"
#: Variables that are no settings of the gateway: read by commands that call it.
OTHER_VARIABLES = frozenset({FILE_VARIABLE, "WEIR_KEY"})
_HEADER = re.compile(r"^\s*\[\[?\s*([A-Za-z0-9_.\"'-]+)\s*\]\]?")

S = TypeVar("S", bound=msgspec.Struct)


class Place(msgspec.Struct, frozen=True):
    """Where in the file something stands, for errors."""

    file: str
    text: str
    section: str
    ordinal: int = 0  # of sections that stand more than once, from 0

    def at(self, key: str = "") -> str:
        """`weir.toml, line 7, [[upstream]] url`, with what can be found of it."""
        line = _find_line(self.text, self.section, self.ordinal, key)
        brackets = f"[[{self.section}]]" if self.section in LISTS else f"[{self.section}]"
        where = f"{self.file}, line {line}" if line else self.file
        return f"{where}, {brackets} {key}".rstrip()


def _find_line(text: str, section: str, ordinal: int, key: str) -> int:
    """The line (from 1) of `key` in the `ordinal`-th `[section]`; else of the section's head; else 0."""
    seen, current, head = -1, "", 0
    pattern = re.compile(rf"^\s*[\"']?{re.escape(key)}[\"']?\s*[=.]") if key else None
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            current = header.group(1)
            seen += current == section
            head = number if current == section and seen == ordinal else head
        elif pattern and current == section and seen == ordinal and pattern.match(line):
            return number
    return head


def nearest(word: str, known: Iterable[str]) -> str:
    """A sentence that names what was probably meant, or what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there is {', '.join(names)}"


def load_settings(
    environ: Mapping[str, str],
    *,
    file: Path | None = None,
    flags: Mapping[str, object] | None = None,
    directory: Path | None = None,
    text: str | None = None,
) -> Settings:
    """Settings from the file, then the environment, then `flags` (setting name -> value; None: not given).

    Without `file`, the one that WEIR_CONFIG names, or `weir.toml` of `directory` (the current one) if it is
    there. `text` is read in the place of what stands in the file. Raises SettingsError with a sentence that names file, line and setting.
    """
    path = chosen_file(environ, file, directory or Path.cwd())
    if text is None:
        text = read_file(path) if path else ""
    document = _parse(text, str(path)) if path else {}
    warnings: list[str] = []
    rows = settings_table()
    upstreams = _read_list(document, "upstream", UpstreamSettings, rows, str(path), text)
    models = _read_list(document, "model", ModelSettings, rows, str(path), text)
    warnings += _literal_secrets(upstreams)
    once: dict[str, dict[str, object]] = {}
    for section in SECTIONS.keys() - LISTS:
        table = document.get(section, {})
        if not isinstance(table, dict):
            raise SettingsError(f"{path}: {section!r} must be a section, written [{section}]")
        once[section] = _read_table(table, rows, Place(str(path), text, section))
    sources = {f"{section}.{name}": "file" for section, values in once.items() for name in values}
    warnings += _from_environment(environ, rows, once, sources)
    _from_flags(flags or {}, rows, once, sources)
    server = {k: v for k, v in once["server"].items() if k not in LIMITS}
    limits = {k: v for k, v in once["server"].items() if k in LIMITS}
    return Settings(
        server=_build(Server, server),
        limits=_build(Limits, limits),
        ledger=_build(LedgerSettings, once["ledger"]),
        local=_build(LocalSettings, once["local"]),
        prices=_build(PricesSettings, once["prices"]),
        console=_build(ConsoleSettings, once["console"]),
        upstreams=tuple(upstreams),
        models=tuple(models),
        file=str(path) if path else "",
        warnings=tuple(warnings),
        sources=sources,
    )


def chosen_file(environ: Mapping[str, str], file: Path | None, directory: Path) -> Path | None:
    """The settings' file; None where there is none."""
    named = file or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)
    if named:
        return named.expanduser()
    usual = directory / FILE_NAME
    return usual if usual.is_file() else None


def read_file(path: Path) -> str:
    """Its text. Raises SettingsError."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        if len(data) > MAX_FILE_BYTES:
            raise SettingsError(f"{path} is larger than {MAX_FILE_BYTES} bytes; is it the right file?")
        return data.decode()
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not UTF-8 text") from None


def _parse(text: str, file: str) -> dict[str, object]:
    try:
        document: dict[str, object] = tomllib.loads(text, parse_float=Decimal)
    except (tomllib.TOMLDecodeError, ArithmeticError) as error:
        raise SettingsError(f"{file} is not TOML: {error}") from None
    for section in document:
        if section not in SECTIONS:
            line = _find_line(text, section, 0, "")
            where = f"{file}, line {line}" if line else file
            raise SettingsError(f"{where}: there is no section {section!r}; {nearest(section, SECTIONS)}")
    return document


def _read_table(table: Mapping[str, object], rows: tuple[Row, ...], place: Place) -> dict[str, object]:
    known = {row.name: row for row in rows if row.section == place.section}
    values: dict[str, object] = {}
    for name, value in table.items():
        row = known.get(name)
        if row is None:
            raise SettingsError(f"{place.at(name)}: there is no such setting; {nearest(name, known)}")
        try:
            values[name] = row.kind.read(value)
        except ValueError as error:
            raise SettingsError(f"{place.at(name)} {error}") from None
    for row in known.values():
        if row.default is REQUIRED and row.name not in values:
            raise SettingsError(f"{place.at()}: {row.name!r} is missing ({row.help})")
    return values


def _read_list(
    document: Mapping[str, object], section: str, struct: type[S], rows: tuple[Row, ...], file: str, text: str
) -> list[S]:
    tables = document.get(section, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(f"{file}: {section!r} must be written with double brackets, [[{section}]]")
    found: list[S] = []
    names: set[str] = set()
    for ordinal, table in enumerate(tables):
        place = Place(file, text, section, ordinal)
        values = _read_table(table, rows, place)
        name = str(values["name"])
        if not name or name in names:
            raise SettingsError(f"{place.at('name')} {name!r} is empty or stands twice; each needs its own")
        names.add(name)
        found.append(_build(struct, values))
    return found


def _literal_secrets(upstreams: Iterable[UpstreamSettings]) -> list[str]:
    return [
        f"the key of upstream {upstream.name!r} stands in the settings; anyone who reads the file has it. "
        'Better: api_key = "env:NAME" or "file:PATH"'
        for upstream in upstreams
        if isinstance(upstream.api_key, Secret) and upstream.api_key.is_literal
    ]


def _from_environment(
    environ: Mapping[str, str],
    rows: tuple[Row, ...],
    once: dict[str, dict[str, object]],
    sources: dict[str, str],
) -> list[str]:
    known = {row.env: row for row in rows if row.env}
    warnings = []
    for name in sorted(environ):
        row = known.get(name)
        if row is None:
            if name.startswith(PREFIX) and name not in OTHER_VARIABLES:
                warnings.append(f"the environment variable {name} sets nothing; {nearest(name, known)}")
            continue
        if environ[name] == "":
            continue  # set to nothing is how shells unset a variable for one command
        try:
            once[row.section][row.name] = row.kind.from_text(environ[name])
            sources[f"{row.section}.{row.name}"] = name
        except ValueError as error:
            raise SettingsError(f"the environment variable {name} {error}") from None
    return warnings


def _from_flags(
    flags: Mapping[str, object],
    rows: tuple[Row, ...],
    once: dict[str, dict[str, object]],
    sources: dict[str, str],
) -> None:
    known = {row.name: row for row in rows if row.flag}
    for name, value in flags.items():
        if value is None:
            continue
        row = known[name]
        try:
            once[row.section][name] = row.kind.from_text(str(value))
            sources[f"{row.section}.{name}"] = row.flag
        except ValueError as error:
            raise SettingsError(f"{row.flag} {error}") from None


def _build(struct: type[S], values: Mapping[str, object]) -> S:
    """A struct from values that their kinds have made; checked once more against the struct's types."""
    return msgspec.convert(values, struct, from_attributes=True)
