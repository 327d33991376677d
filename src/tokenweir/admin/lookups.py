"""What the settings and the catalog say, which the admin API knows nothing of itself."""

from collections.abc import Callable, Collection

import msgspec

from tokenweir.billing.rerating import PricesOf


class Lookups(msgspec.Struct, frozen=True):
    """Given to the desk by who wires it. Each reads anew, and raises SettingsError or CatalogError."""

    prices: Callable[[str], PricesOf]  # by the words of billing.rerate.BY
    providers: Callable[[str], Collection[str]]  # that an upstream may be of
    upstreams: Callable[[], Collection[str]] = tuple  # names of those that are served
