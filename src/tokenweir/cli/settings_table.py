"""The settings as rows, from the structs that define them."""

import typing

import msgspec

from tokenweir.cli.kinds import Kind
from tokenweir.cli.settings import (
    LIMITS,
    About,
    ConsoleSettings,
    LedgerSettings,
    LocalSettings,
    ModelSettings,
    PricesSettings,
    Server,
    Settings,
    UpstreamSettings,
)
from tokenweir.gateway.config import Limits


class Row(msgspec.Struct, frozen=True):
    """One setting, as the reader and the page see it."""

    section: str
    name: str
    kind: Kind
    default: object  # REQUIRED where there is none
    help: str
    unit: str
    env: str
    flag: str


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()

#: Section of the file -> its struct. The sections in LISTS may stand more than once.
SECTIONS: dict[str, type[msgspec.Struct]] = {
    "server": Server,
    "ledger": LedgerSettings,
    "local": LocalSettings,
    "prices": PricesSettings,
    "console": ConsoleSettings,
    "upstream": UpstreamSettings,
    "model": ModelSettings,
}
LISTS = frozenset({"upstream", "model"})


#: What a running gateway cannot take on: whole sections, and single settings.
_FIXED = frozenset({"ledger", "local", "console", "server.host", "server.port", "server.workers"})


def read_at_start(row: Row) -> bool:
    """Whether `weir up` reads it at its start only."""
    return not _FIXED.isdisjoint((row.section, f"{row.section}.{row.name}"))


def _rows_of(section: str, struct: type[msgspec.Struct]) -> list[Row]:
    hints = typing.get_type_hints(struct, include_extras=True)
    rows = []
    for field in msgspec.structs.fields(struct):
        about: About = hints[field.name].__metadata__[0]
        default = REQUIRED if field.required else field.default
        rows.append(
            Row(section, field.name, about.kind, default, about.help, about.unit, about.env, about.flag)
        )
    return rows


def _limit_rows() -> list[Row]:
    rows = []
    for field in msgspec.structs.fields(Limits):
        kind, text, unit = LIMITS[field.name]
        rows.append(
            Row("server", field.name, kind, field.default, text, unit, f"WEIR_{field.name.upper()}", "")
        )
    return rows


def settings_table() -> tuple[Row, ...]:
    """Every setting, in the order of the page."""
    rows = [row for section, struct in SECTIONS.items() for row in _rows_of(section, struct)]
    first_after = next(i for i, row in enumerate(rows) if row.section != "server")
    return (*rows[:first_after], *_limit_rows(), *rows[first_after:])


def changeable() -> dict[str, Row]:
    """Settings that stand once, by "section.name"."""
    return {
        f"{row.section}.{row.name}": row
        for row in settings_table()
        if row.section not in LISTS and row.default is not REQUIRED
    }


def text_of(value: object) -> str:
    """A value as `prepare` takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ", ".join(value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def value_of(settings: Settings, row: Row) -> object:
    """What is in force."""
    holder = getattr(settings, row.section)
    return getattr(holder if hasattr(holder, row.name) else settings.limits, row.name)
