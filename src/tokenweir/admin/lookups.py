"""What the settings and the catalog say, which the admin API knows nothing of itself."""

from collections.abc import Callable, Collection

import msgspec

from tokenweir.billing.rerating import PricesOf
from tokenweir.core.errors import SettingsError
from tokenweir.ledger.terms import ChangeSetting


class SettingNow(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that stands once, as it is in force. None of these is a secret."""

    name: str  # "section.name"
    value: str
    default: str
    source: str  # "default", "file", or the variable or flag that sets it
    help: str
    unit: str
    choices: tuple[str, ...]  # where only these can be said
    is_list: bool  # of texts, said with commas between them
    at_start: bool  # `weir up` reads it at its start only


class PreparedSetting(msgspec.Struct, frozen=True):
    """A change of the settings' file that was checked; `apply` writes it. Raises SettingsError."""

    change: ChangeSetting
    apply: Callable[[], None]
    at_start: bool


def _no_file(_name: str, _text: str | None) -> PreparedSetting:
    raise SettingsError("there are no settings to change here")


class Lookups(msgspec.Struct, frozen=True):
    """Given to the desk by who wires it. Each reads anew, and raises SettingsError or CatalogError."""

    prices: Callable[[str], PricesOf]  # by the words of billing.rerate.BY
    providers: Callable[[str], Collection[str]]  # that an upstream may be of
    upstreams: Callable[[], Collection[str]] = tuple  # names of those that are served
    settings: Callable[[], tuple[SettingNow, ...]] = tuple
    prepare_setting: Callable[[str, str | None], PreparedSetting] = _no_file  # None: as by default
