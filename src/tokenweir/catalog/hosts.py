"""What the catalog holds: hosts, their models, and what models.dev lists them at, by date.

Moments are texts as "2026-07-02T00:00:00Z"; an empty one is not known. Amounts are decimal texts, so that each
stays exact.
"""

from datetime import datetime

import msgspec


class CatalogRates(msgspec.Struct, frozen=True, omit_defaults=True):
    """Units per million tokens, as decimal text; `above` is the bracket's border in tokens of prompt."""

    input: str
    output: str
    cache_read: str = ""
    cache_write: str = ""
    reasoning: str = ""
    above: int = 0


class DatedRates(msgspec.Struct, frozen=True):
    """Brackets that were listed from `since` on."""

    since: str
    rates: tuple[CatalogRates, ...]


class CatalogModel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A model at one host. `rates` is empty where no price is known."""

    id: str
    context: int = 0
    output: int = 0
    released: str = ""
    open_weights: bool = False
    flags: tuple[str, ...] = ()  # of FLAGS
    rates: tuple[CatalogRates, ...] = ()
    since: str = ""
    earlier: tuple[DatedRates, ...] = ()  # oldest first
    gone: str = ""  # when it was no longer listed


class CatalogHost(msgspec.Struct, frozen=True, omit_defaults=True):
    """A provider: address of the chat dialect, variables that hold its key, models."""

    id: str
    name: str
    url: str
    key_variables: tuple[str, ...]
    models: tuple[CatalogModel, ...]


class CatalogData(msgspec.Struct, frozen=True):
    """All of it, where it comes from and of when it is."""

    source: str
    date: str
    hosts: tuple[CatalogHost, ...]


#: What a model can do, as far as it is listed.
FLAGS = ("reasoning", "tools", "images", "json")


def moment_us(text: str) -> int:
    """Microseconds since 1970 of a moment's text; 0 for an empty one. Raises ValueError."""
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000 if text else 0
