"""What is known of providers: addresses, the variables of their keys, models and dated prices."""

import gzip
from datetime import UTC, datetime
from functools import cache
from importlib import resources

import msgspec

from tokenweir.catalog.build import CatalogData, CatalogHost, CatalogModel, CatalogRates
from tokenweir.catalog.price import Bracket, DayWindow, Price, Rates
from tokenweir.core.money import pico_per_token

_WEEKDAYS = (0, 1, 2, 3, 4)
#: DeepSeek prices by the time of day in Beijing since this moment: the listed price in these hours, half of it else.
_DEEPSEEK_SINCE_US = int(datetime(2026, 8, 16, 16, tzinfo=UTC).timestamp()) * 1_000_000
_DEEPSEEK_PEAKS = ((9 * 60, 12 * 60), (14 * 60, 18 * 60))


@cache
def shipped() -> CatalogData:
    """The catalog that came with this version."""
    packed = resources.files("tokenweir.catalog").joinpath("data/models.json.gz").read_bytes()
    return msgspec.json.decode(gzip.decompress(packed), type=CatalogData)


def hosts() -> tuple[CatalogHost, ...]:
    """Providers in the order in which they are preferred."""
    return shipped().hosts


def host(name: str) -> CatalogHost | None:
    """One provider."""
    return next((h for h in hosts() if h.id == name), None)


def prices(host_id: str, model: CatalogModel) -> tuple[Price, ...]:
    """The dated prices of a model, oldest first, in USD as models.dev gives them; empty: unpriced."""
    if not model.rates:
        return ()
    listed = Price(
        ref=f"{shipped().source} {host_id}/{model.id}",
        currency="USD",
        brackets=tuple(Bracket(r.above, _pico(r)) for r in model.rates),
    )
    if host_id != "deepseek":
        return (listed,)
    return (listed, _by_the_clock(listed))


def _pico(rates: CatalogRates) -> Rates:
    def optional(text: str) -> int | None:
        return pico_per_token(text) if text else None

    written = optional(rates.cache_write)
    return Rates(
        input=pico_per_token(rates.input),
        output=pico_per_token(rates.output),
        cache_read=optional(rates.cache_read),
        cache_write_5m=written,
        cache_write_1h=written,
        reasoning=optional(rates.reasoning),
    )


def _by_the_clock(listed: Price) -> Price:
    peaks = tuple(DayWindow(_WEEKDAYS, start, end, listed.brackets) for start, end in _DEEPSEEK_PEAKS)
    return msgspec.structs.replace(
        listed,
        ref=f"{listed.ref}, by the time of day",
        brackets=tuple(Bracket(b.above, _half(b.rates)) for b in listed.brackets),
        valid_from_us=_DEEPSEEK_SINCE_US,
        windows=peaks,
        time_zone="Asia/Shanghai",
    )


def _half(rates: Rates) -> Rates:
    """Half of each rate; rounded up where a pico would have to be cut, so that nothing is booked too low."""
    halved = {n: None if v is None else -(-v // 2) for n, v in msgspec.structs.asdict(rates).items()}
    return msgspec.convert(halved, Rates)
