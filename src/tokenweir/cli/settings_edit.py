"""One setting of the settings' file changed, for the command line, the admin API and the console alike: comments and order stay,
the whole file is checked by the reader that reads it at the start, and it is replaced at once or not at all."""

import fcntl
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tokenweir.admin.lookups import PreparedSetting
from tokenweir.cli.around import Sources
from tokenweir.cli.running import find_running, settings_file
from tokenweir.cli.settings import FILE_NAME, Settings
from tokenweir.cli.settings_file import chosen_file, load_settings, nearest, read_file
from tokenweir.cli.settings_table import LISTS, Row, changeable, read_at_start, text_of, value_of
from tokenweir.core.errors import SettingsError
from tokenweir.core.sentence import as_sentence, say
from tokenweir.ledger.terms import ChangeSetting


def prepare(
    sources: Sources, check: Callable[[Settings], object], data_dir: Path, name: str, text: str | None
) -> PreparedSetting:
    """The file with a setting changed, checked and not written yet; None: as by default, so that it leaves the file.

    `check` raises where what was read cannot be served.
    Raises SettingsError: there is no such setting, something else sets it, or the file would be wrong.
    """
    row = _row(name)
    path = chosen_file(sources.environ, sources.file, Path.cwd()) or Path.cwd() / FILE_NAME
    was = read_file(path) if path.exists() else ""
    before = load_settings(sources.environ, file=path, flags=sources.flags, text=was)
    source = before.sources.get(name, "file")
    if source != "file":
        raise SettingsError(
            say("{source} sets {name}; as long as it does, the file says nothing", source=source, name=name)
        )
    fresh = _edited(was, row, _value(row, text))
    if fresh == was:
        raise SettingsError(say("the setting {name} stands so already", name=name))
    settings = load_settings(sources.environ, file=path, flags=sources.flags, text=fresh)
    check(settings)
    change = ChangeSetting(
        name, text_of(value_of(settings, row)), text_of(value_of(before, row)), text is None
    )
    return PreparedSetting(change, lambda: _replace(path, was, fresh, data_dir), read_at_start(row))


def _row(name: str) -> Row:
    rows = changeable()
    if name in rows:
        return rows[name]
    if name.partition(".")[0] in LISTS:
        raise SettingsError(
            say("the setting {name} stands in a list; it is changed in the file itself", name=name)
        )
    raise SettingsError(say("there is no setting {name!r}; {hint}", name=name, hint=nearest(name, rows)))


def _value(row: Row, text: str | None) -> object:
    if text is None:
        return None
    try:
        return row.kind.from_text(text)
    except ValueError as error:
        raise SettingsError(
            say("the setting {name} {wrong}", name=f"{row.section}.{row.name}", wrong=as_sentence(error))
        ) from None


def _edited(text: str, row: Row, value: object) -> str:
    """The file's text; a value of None takes the setting out."""
    import tomlkit  # only who changes something waits for it

    document = tomlkit.parse(text)
    section = document.get(row.section)
    if value is None:
        if section is not None:
            section.pop(row.name, None)
        return tomlkit.dumps(document)
    if section is None:
        if text.strip():
            document.add(tomlkit.nl())
        section = tomlkit.table()
        document[row.section] = section
        section = document[row.section]
    told = int(value) if isinstance(value, float) and value.is_integer() else value
    section[row.name] = list(told) if isinstance(told, tuple) else told
    return tomlkit.dumps(document)


def _replace(path: Path, was: str, fresh: str, data_dir: Path) -> None:
    """Put the new file in the old one's place, and have a gateway that reads it read it again. Raises SettingsError."""
    target = path.resolve()  # where it is a link, what it leads to is replaced
    unfinished = target.with_name(f"{target.name}.unfinished")
    try:
        with _locked(target.parent):
            if (read_file(target) if target.exists() else "") != was:
                raise SettingsError(say("somebody has changed the file in the meantime; look at it again"))
            mode = target.stat().st_mode & 0o777 if target.exists() else 0o600
            descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
            with os.fdopen(descriptor, "wb") as file:
                os.fchmod(descriptor, mode)
                file.write(fresh.encode())
                file.flush()
                os.fsync(descriptor)
            unfinished.replace(target)
    except OSError as error:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise SettingsError(
            say(
                "{file} cannot be written: {reason}; change it by hand", file=path.name, reason=error.strerror
            )
        ) from None
    status = find_running(data_dir)
    if status is not None and settings_file(status, FILE_NAME).resolve() == target:
        os.kill(status.pid, signal.SIGHUP)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Two who change settings at once do it one after the other."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
