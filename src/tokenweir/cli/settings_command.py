"""`weir settings`: what is in force and what sets it; one setting of the file changed."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.around import Sources
from tokenweir.cli.running import find_running, settings_file
from tokenweir.cli.settings import FILE_NAME, FILE_VARIABLE, Settings, data_dir
from tokenweir.cli.settings_edit import prepare
from tokenweir.cli.settings_file import load_settings
from tokenweir.cli.settings_table import changeable, read_at_start, text_of, value_of
from tokenweir.cli.sources import catalog_book, present_models, resolve_now
from tokenweir.cli.terms_words import change, terms_to_change
from tokenweir.core.clock import Clock


class SettingLine(msgspec.Struct, frozen=True):
    """A setting in `weir settings list --json`."""

    name: str
    value: str
    default: str
    source: str
    unit: str
    needs_restart: bool


class SettingsAnswer(msgspec.Struct, frozen=True):
    """`weir settings list --json`. `file`: empty where there is none."""

    file: str
    settings: tuple[SettingLine, ...]


def list_all(environ: Mapping[str, str], config: Path | None, data: Path | None, as_json: bool) -> None:
    """Print every setting that stands once. Raises SettingsError."""
    settings = load_settings(environ, file=config, flags={"data": data})
    lines = tuple(
        SettingLine(
            name,
            text_of(value_of(settings, row)),
            text_of(row.default),
            settings.sources.get(name, "default"),
            row.unit,
            read_at_start(row),
        )
        for name, row in changeable().items()
    )
    if as_json:
        show.print_json(SettingsAnswer(settings.file, lines))
        return
    rows = [[line.name, f"{line.value} {line.unit}".strip(), line.source] for line in lines]
    show.print_table(("setting", "value", "set by"), rows)


def change_one(
    environ: Mapping[str, str],
    config: Path | None,
    data: Path | None,
    name: str,
    text: str | None,
    clock: Clock,
) -> None:
    """Write it, note it in the audit, have the gateway read it. Raises SettingsError, ValueError, LedgerError."""
    sources = Sources(environ, config, {"data": data})
    directory = data_dir(load_settings(environ, file=config, flags=sources.flags), environ)
    sources = sources._replace(file=_file(directory, environ, config))

    def check(settings: Settings) -> object:
        return resolve_now(settings, environ, present_models(settings, directory), catalog_book(directory))

    prepared = prepare(sources, check, directory, name, text)
    terms_to_change(directory)
    change(directory, [prepared.change], clock)
    prepared.apply()
    runs = find_running(directory) is not None
    when = "at the next start of `weir up`" if prepared.at_start or not runs else "now"
    made = prepared.change
    show.console().print(
        f"{made.name} is {made.value or 'empty'}, before {made.before or 'empty'}; it holds {when}.",
        markup=False,
    )


def _file(directory: Path, environ: Mapping[str, str], config: Path | None) -> Path | None:
    """The one that is named, else the one that the gateway of the directory reads."""
    if config is not None or environ.get(FILE_VARIABLE):
        return config
    status = find_running(directory)
    return None if status is None else settings_file(status, FILE_NAME)
