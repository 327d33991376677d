"""What is known of providers: addresses, the variables of their keys, models and dated prices."""

from functools import cache
from importlib import resources

import msgspec

from tokenweir.catalog.build import unpack
from tokenweir.catalog.hosts import CatalogData, CatalogHost, CatalogModel, moment_us
from tokenweir.catalog.price import Price
from tokenweir.catalog.vendor import VendorPrice, brackets_of, price_of, vendor_prices


class Catalog:
    """What models.dev lists, with what the vendors themselves publish over it."""

    def __init__(self, data: CatalogData, vendor: tuple[VendorPrice, ...]) -> None:
        self.data = data
        self._vendor: dict[tuple[str, str], list[VendorPrice]] = {}
        for price in vendor:
            for model in price.models:
                self._vendor.setdefault((price.host, model), []).append(price)
        self.hosts = tuple(self._host(host) for host in data.hosts)  # in the order of preference

    def _host(self, host: CatalogHost) -> CatalogHost:
        """With the models that only the vendor's prices name."""
        listed = {model.id for model in host.models}
        more = tuple(
            CatalogModel(model, context=prices[0].context, released=prices[0].since.strftime("%Y-%m-%d"))
            for (name, model), prices in self._vendor.items()
            if name == host.id and model not in listed
        )
        return msgspec.structs.replace(host, models=(*host.models, *more)) if more else host

    def host(self, name: str) -> CatalogHost | None:
        """One provider."""
        return next((host for host in self.hosts if host.id == name), None)

    def prices(self, host: str, model: CatalogModel) -> tuple[Price, ...]:
        """The dated prices of a model, oldest first; empty: unpriced.

        From the first price on that the vendor itself published, models.dev's counts no more: it has neither
        brackets by time nor other currencies than USD.
        """
        vendor = tuple(price_of(price, model.id) for price in self._vendor.get((host, model.id), ()))
        listed = self._listed(host, model)
        return (*(p for p in listed if not vendor or p.valid_from_us < vendor[0].valid_from_us), *vendor)

    def _listed(self, host: str, model: CatalogModel) -> tuple[Price, ...]:
        dated = [*((step.since, step.rates) for step in model.earlier), (model.since, model.rates)]
        return tuple(
            Price(
                ref=", ".join(filter(None, (self.data.source, since[:10], f"{host}/{model.id}"))),
                currency="USD",
                brackets=brackets_of(rates),
                valid_from_us=moment_us(since),
            )
            for since, rates in dated
            if rates
        )


@cache
def shipped() -> CatalogData:
    """The catalog that came with this version."""
    return unpack(resources.files("tokenweir.catalog").joinpath("data/models.json.gz").read_bytes())


def catalog_of(data: CatalogData) -> Catalog:
    """The catalog over this data, with the vendors' prices that ship."""
    return Catalog(data, vendor_prices())
