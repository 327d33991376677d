"""Settings of the file: what is in force, and one changed at a time. Upstreams and models stand in lists, and have pages of their own."""

import msgspec

from tokenweir.admin import problems
from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Body, LongWords, Page
from tokenweir.admin.lookups import SettingNow
from tokenweir.admin.problems import Problem, problem
from tokenweir.core.errors import SettingsError
from tokenweir.core.sentence import whole


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting as it is in force. Where a variable of the environment or a flag sets it, the file says nothing."""

    name: str  # "section.name"
    value: str  # lists with commas between their texts
    default: str
    source: str  # "default", "file", or the variable or flag that sets it
    help: str
    unit: str
    needs_restart: bool  # `weir up` reads it at its start only


class SettingBody(Body, frozen=True, kw_only=True):
    """What it is to be, as a text; null: as by default, so that it leaves the file."""

    value: LongWords | None = None


class ChangedSetting(msgspec.Struct, frozen=True, kw_only=True):
    """A setting as it stands in the file now."""

    name: str
    value: str
    before: str
    needs_restart: bool


def list_settings(asked: Asked) -> Page[Setting]:
    """Every setting that stands once, and what sets it."""
    return Page(tuple(map(_told, asked.desk.lookups.settings())), None)


def put_setting(asked: Asked, name: str, body: SettingBody) -> ChangedSetting | Problem:
    """Change a setting of the file, which is checked as a whole and then read again; comments and order stay."""
    try:
        prepared = asked.desk.lookups.prepare_setting(name, body.value)
    except SettingsError as error:
        return problem("wrong_form", whole(error))
    change = prepared.change
    refused = asked.change([change])
    if refused is not None:
        return refused
    try:
        prepared.apply()
    except SettingsError as error:
        return problems.refused(error)
    return ChangedSetting(
        name=change.name, value=change.value, before=change.before, needs_restart=prepared.at_start
    )


def _told(setting: SettingNow) -> Setting:
    return Setting(
        name=setting.name,
        value=setting.value,
        default=setting.default,
        source=setting.source,
        help=setting.help,
        unit=setting.unit,
        needs_restart=setting.at_start,
    )
