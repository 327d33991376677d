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
