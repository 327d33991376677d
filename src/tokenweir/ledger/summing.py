"""What new entries add to the rollups, summed before they are written: a few µs a batch, where SQL takes hundreds.

`rollups` says the same in SQL, of entries that lie in the ledger. That is how sums are made anew and verified, and how a
correction is summed, which takes away what an older entry had added.
"""

from bisect import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import repeat
from operator import itemgetter

from tokenweir.core.money import PICO
from tokenweir.core.usage import Provenance
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.rollups import ADDED, FAILURES, ROLLUPS, TTFT, TTFT_FROM_MS, Rollup

#: Of a row as fine as the finest: its sums by name. An amount of money stands whole under the name of its pico.
Sums = dict[str, int]
Names = tuple[int | str, ...]

# Members by names of their own: in Python 3.11 they are slow to look up.
_OPENED, _CHECKPOINT, _REFUSED, _ATTEMPT, _SETTLED = (
    Kind.OPENED, Kind.CHECKPOINT, Kind.REFUSED, Kind.ATTEMPT, Kind.SETTLED,
)  # fmt: skip
_OK, _FAILED, _UNKNOWN = Outcome.OK, Outcome.FAILED, Provenance.UNKNOWN
_BY_PROVENANCE = {
    Provenance.COUNTED: "counted_calls",
    Provenance.ESTIMATED: "estimated_calls",
    Provenance.UNKNOWN: "unknown_calls",
}
_ENDED = {outcome: f"ended_{outcome}" for outcome in FAILURES}
_TTFT, _TTFT_FROM_US = tuple(TTFT), [ms * 1_000 for ms in TTFT_FROM_MS]
#: Where a rollup's names stand among those of the finest rows, behind the period.
_PICKED = {rollup: itemgetter(*(1 + ADDED.names.index(name) for name in rollup.names)) for rollup in ROLLUPS}


def summed(entries: Iterable[Entry], saves: Mapping[str, int]) -> dict[Names, Sums] | None:
    """Sums of new entries; None where one is a correction. `saves`: pico that a token read from a cache saves, by price."""
    found: dict[Names, Sums] = {}
    for e in entries:
        kind = e.kind
        if kind is _OPENED or kind is _CHECKPOINT:
            continue
        names = (
            e.at_us // ADDED.period_us, e.account, e.key, e.run, e.model, e.upstream, e.deployment, e.dialect,
            e.currency, e.charge_currency,
        )  # fmt: skip
        sums = found.get(names)
        if sums is None:
            sums = found[names] = defaultdict(int)
        if kind is _SETTLED:
            _add_use(sums, e, saves)
            _add_end(sums, e)
        elif kind is _ATTEMPT:
            _add_use(sums, e, saves)
        elif kind is _REFUSED:
            sums["refused"] += 1
        else:
            return None
    return found


def _add_use(sums: Sums, e: Entry, saves: Mapping[str, int]) -> None:
    """What an attempt used and cost."""
    usage = e.usage
    sums["input"] += usage.input
    sums["output"] += usage.output
    sums["reasoning"] += usage.reasoning
    if e.upstream:
        sums["attempts"] += 1
    if e.cost_pico:
        sums["cost_pico"] += e.cost_pico
    if e.charge_pico:
        sums["charge_pico"] += e.charge_pico
    if usage.cache_read:
        sums["cache_read"] += usage.cache_read
        sums["saved_pico"] += usage.cache_read * saves.get(e.price, 0)
        sums["charge_saved_pico"] += usage.cache_read * saves.get(e.charge_price, 0)
    if usage.cache_write_5m or usage.cache_write_1h:
        sums["cache_write_5m"] += usage.cache_write_5m
        sums["cache_write_1h"] += usage.cache_write_1h


def _add_end(sums: Sums, e: Entry) -> None:
    """How a call ended, and when."""
    outcome, usage = e.outcome, e.usage
    sums["calls"] += 1
    if usage.provenance in _BY_PROVENANCE:
        sums[_BY_PROVENANCE[usage.provenance]] += 1
    if e.cost_pico is None and outcome is not _FAILED:
        sums["unpriced_calls"] += 1
    if not e.charge_price:
        sums["uncharged_calls"] += 1
    if e.ttft_us is not None:
        sums["ttft_count"] += 1
        sums["ttft_us"] += e.ttft_us
        if e.ttft_us >= 0:
            sums[_TTFT[bisect(_TTFT_FROM_US, e.ttft_us) - 1]] += 1
    if e.duration_us is not None:
        sums["duration_us"] += e.duration_us
        if outcome is _OK and usage.provenance is not _UNKNOWN:
            sums["well_output"] += usage.output + usage.reasoning
            sums["well_us"] += e.duration_us
    if outcome is not _OK:
        sums["failed"] += 1
        if outcome in _ENDED:
            sums[_ENDED[outcome]] += 1


def rows_of(rollup: Rollup, found: Mapping[Names, Sums]) -> list[tuple[int | str, ...]]:
    """What sums add to a rollup: rows of its period, names and sums, in this order."""
    coarser: dict[Names, Sums] = {}
    hours, pick = rollup.period_us // ADDED.period_us, _PICKED[rollup]
    for names, sums in found.items():
        own = (int(names[0]) // hours, *pick(names))
        known = coarser.get(own)
        if known is None:
            coarser[own] = dict(sums)
        else:
            for name, value in sums.items():
                known[name] = known.get(name, 0) + value
    for sums in coarser.values():
        for units, pico in rollup.money:
            if pico in sums:
                sums[units], sums[pico] = divmod(sums[pico], PICO)
    return [(*own, *map(sums.get, rollup.sums, repeat(0))) for own, sums in coarser.items()]
