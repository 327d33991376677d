"""`docs/settings.md`, generated from the table of settings."""

import msgspec

from tokenweir.cli.kinds import BOOLEAN
from tokenweir.cli.resolve_kinds import kinds_markdown
from tokenweir.cli.settings_table import LISTS, REQUIRED, SECTIONS, Row, settings_table

_INTRODUCTION = """\
# Settings

`weir` reads the file that `--config` or `WEIR_CONFIG` names, or `weir.toml` of the current directory. A
variable of the environment goes over the file, a flag over both.

An unknown name in the file is an error that names the nearest right one. `weir doctor` checks everything without
starting. `kill -HUP` on the running `weir up` reads the settings again without dropping a call; host, port, workers,
data directory, `[local]` and `[console]` are read at the start only. A file with an error changes nothing; the log says why.

`weir settings set server.strict true` changes one setting of the file and has the running gateway read it; so do the console and the admin API,
for an owner or admin. Comments and order of the file stay. The file is checked as at the start before it is replaced, and the change stands in the audit. What
the environment or a flag sets is not changed by it, and says so. `weir settings list` shows what is in force.

This page is generated from `src/tokenweir/cli/settings.py`.

## Without a file

Every provider of the catalog whose key stands in the environment is served, with its models and prices; so is every
engine that listens on its usual port of this machine, and the local engine. A file that has an `[[upstream]]` is the
whole list: then only what it names is served, and the local engine unless `[local] enabled = false`.

A model has the name its provider gives it. Where several have it, they are tried in this order: engines on this
machine, then providers in the order of the catalog. `upstream/model` asks for one of them.

## Secrets

A secret is `env:NAME` (a variable of the environment) or `file:PATH` (a file; white space around is dropped).
It is looked up when it is used, and never printed or logged. A secret in the file itself works, with a warning.
A variable that a setting names and that is not set is an error.
"""

_TITLES = {
    "server": "`[server]`: address, processes and what they take on",
    "ledger": "`[ledger]`: where it lies and how sure it is",
    "local": "`[local]`: models that run on this machine",
    "prices": "`[prices]`: where they are refreshed from",
    "console": "`[console]`: pages for people, at `/console` ([console](console.md))",
    "upstream": "`[[upstream]]`: providers and engines; stands once for each",
    "model": "`[[model]]`: public names and what serves them; stands once for each",
}


def settings_markdown() -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    rows = settings_table()
    for section in SECTIONS:
        parts.append(f"## {_TITLES[section]}\n")
        parts.append(_table([row for row in rows if row.section == section], section))
    parts.append(kinds_markdown())
    return "\n".join(parts)


def _table(rows: list[Row], section: str) -> str:
    if section in LISTS:
        lines = ["| name | type | default | what it is |", "|---|---|---|---|"]
        lines += [f"| `{r.name}` | {r.kind.name} | {_default(r)} | {_help(r)} |" for r in rows]
    else:
        lines = ["| name | type | default | environment, flag | what it is |", "|---|---|---|---|---|"]
        lines += [
            f"| `{r.name}` | {r.kind.name} | {_default(r)} | {_sources(r)} | {_help(r)} |" for r in rows
        ]
    return "\n".join(lines) + "\n"


def _sources(row: Row) -> str:
    return ", ".join(f"`{name}`" for name in (row.env, row.flag) if name)


def _help(row: Row) -> str:
    return f"{row.help} ({row.unit})" if row.unit else row.help


def _default(row: Row) -> str:
    if row.default is REQUIRED:
        return "required"
    if row.default is None or row.default in ("", ()):
        return "–"
    if row.kind is BOOLEAN:
        return "`true`" if row.default else "`false`"
    if isinstance(row.default, tuple):
        return f"`{msgspec.json.encode(row.default).decode()}`"
    return f"`{row.default:g}`" if isinstance(row.default, float) else f"`{row.default}`"


if __name__ == "__main__":
    print(settings_markdown(), end="")
