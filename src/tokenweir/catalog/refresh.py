"""From the catalog in use and what models.dev lists now to the next catalog: what changed, with its date.

Pure: it decides, and whoever calls writes. No price is forgotten: one that changed stays as an earlier one, and a model
that is listed no more keeps its prices.
"""

from collections.abc import Iterator

import msgspec

from tokenweir.catalog.hosts import CatalogData, CatalogHost, CatalogModel, CatalogRates, DatedRates
from tokenweir.core.errors import CatalogError
from tokenweir.core.money import pico_per_token

#: Of what was there before, this share must be there still: less is a broken file and not news.
LEAST_KEPT = 0.5
#: If more than this share of prices moves by more than this factor at once, a unit was mistaken.
MOST_MOVED, MOVE_FACTOR = 0.25, 8


class Change(msgspec.Struct, frozen=True):
    """A price that is new, other or gone. `before` or `now` is empty where there was, or is, none."""

    host: str
    model: str
    before: tuple[CatalogRates, ...]
    now: tuple[CatalogRates, ...]


class Refresh(msgspec.Struct, frozen=True):
    """The next catalog, and how it differs. `lost`: listed without a price now; the last one is kept."""

    data: CatalogData
    new: tuple[Change, ...]
    changed: tuple[Change, ...]
    removed: tuple[Change, ...]
    lost: tuple[Change, ...]


def refresh(current: CatalogData, fetched: CatalogData, now: str) -> Refresh:
    """The fetched catalog with the history of the current one, as of `now`. Raises CatalogError if absurd."""
    _check(current, fetched)
    news: dict[str, list[Change]] = {"new": [], "changed": [], "removed": [], "lost": []}
    before = {host.id: host for host in current.hosts}
    hosts = tuple(_host(before.get(host.id), host, now, news) for host in fetched.hosts)
    data = CatalogData(fetched.source, now, hosts)
    return Refresh(data, **{kind: tuple(changes) for kind, changes in news.items()})


def _host(old: CatalogHost | None, new: CatalogHost, now: str, news: dict[str, list[Change]]) -> CatalogHost:
    known = {model.id: model for model in old.models} if old else {}
    models = [_model(new.id, known.pop(model.id, None), model, now, news) for model in new.models]
    for model in known.values():
        if not model.gone and model.rates:
            news["removed"].append(Change(new.id, model.id, model.rates, ()))
        models.append(msgspec.structs.replace(model, gone=model.gone or now))
    return msgspec.structs.replace(new, models=tuple(models))


def _model(
    host: str, old: CatalogModel | None, new: CatalogModel, now: str, news: dict[str, list[Change]]
) -> CatalogModel:
    if old is None or not old.rates:
        if new.rates:
            news["new"].append(Change(host, new.id, (), new.rates))
        earlier = old.earlier if old else ()
        return msgspec.structs.replace(new, since=now if new.rates else "", earlier=earlier)
    if new.rates == old.rates:
        return msgspec.structs.replace(new, since=old.since, earlier=old.earlier)
    if not new.rates:
        news["lost"].append(Change(host, new.id, old.rates, ()))
        return msgspec.structs.replace(new, rates=old.rates, since=old.since, earlier=old.earlier)
    news["changed"].append(Change(host, new.id, old.rates, new.rates))
    earlier = (*old.earlier, DatedRates(old.since, old.rates))
    return msgspec.structs.replace(new, since=now, earlier=earlier)


def _check(current: CatalogData, fetched: CatalogData) -> None:
    before, after = dict(_listed(current)), dict(_listed(fetched))
    kept = before.keys() & after.keys()
    if len(kept) < LEAST_KEPT * len(before):
        raise CatalogError(
            f"of {len(before):,} models only {len(kept):,} are left in what was fetched; the catalog in use is kept"
        )
    compared = [(before[name], after[name]) for name in kept if before[name] and after[name]]
    moved = sum(_leaps(old[0], new[0]) for old, new in compared)
    if moved > MOST_MOVED * max(len(compared), 1):
        raise CatalogError(
            f"{moved:,} of {len(compared):,} prices are more than {MOVE_FACTOR} times what they were or less than a "
            f"{MOVE_FACTOR}th; a unit seems to have changed, so the catalog in use is kept"
        )


def _listed(data: CatalogData) -> Iterator[tuple[tuple[str, str], tuple[CatalogRates, ...]]]:
    for host in data.hosts:
        for model in host.models:
            if not model.gone:
                yield (host.id, model.id), model.rates


def _leaps(old: CatalogRates, new: CatalogRates) -> bool:
    pairs = ((old.input, new.input), (old.output, new.output))
    return any(
        before and after and not 1 / MOVE_FACTOR <= after / before <= MOVE_FACTOR
        for before, after in ((pico_per_token(a), pico_per_token(b)) for a, b in pairs)
    )
