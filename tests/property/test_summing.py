"""Sums of entries as they are written are those that SQL makes of the entries once they lie in the ledger."""

import tempfile
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tokenweir.core.usage import Provenance, Usage
from tokenweir.ledger import rollups
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.rollups import TTFT_FROM_MS
from tokenweir.ledger.store import Batch, Store

HOUR_US = 3_600_000_000
TOKENS = st.integers(0, 10**9)
PICO = st.none() | st.sampled_from([0, 1, 10**12 - 1, 10**12, 9 * 10**17]) | st.integers(0, 10**15)
EDGES_US = [ms * 1_000 + more for ms in TTFT_FROM_MS for more in (-1, 0, 1)]
TIMES = st.none() | st.sampled_from([us for us in EDGES_US if us >= 0]) | st.integers(0, 2**40)
NAMES = st.sampled_from(["a", "b"])
PRICES = st.sampled_from(["", "cheap", "dear"])
CURRENCIES = st.sampled_from(["", "CNY", "USD"])
USAGES = st.builds(
    Usage, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, TOKENS, provenance=st.sampled_from(list(Provenance))
)
KINDS = tuple(kind for kind in Kind if kind not in (Kind.LATE, Kind.REPRICED, Kind.REPRICED_ATTEMPT))


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    """Each of a call of its own, with what its kind may say."""
    found = []
    for number in range(draw(st.integers(1, 8))):
        kind = draw(st.sampled_from(KINDS))
        refused = kind is Kind.REFUSED
        ended = kind not in (Kind.OPENED, Kind.CHECKPOINT)
        charge = "" if refused or not ended else draw(PRICES)
        found.append(
            Entry(
                kind=kind, at_us=draw(st.integers(0, 60)) * HOUR_US, call=b"%d" % number,
                account=draw(NAMES), key=draw(NAMES), run=draw(NAMES), model=draw(NAMES), dialect="chat",
                upstream="" if refused else draw(st.sampled_from(["", "up"])), deployment="up/m",
                usage=Usage(provenance=Provenance.UNKNOWN) if refused else draw(USAGES), price=draw(PRICES),
                cost_pico=None if refused else draw(PICO), currency=draw(CURRENCIES), ttft_us=draw(TIMES),
                duration_us=draw(TIMES), outcome=draw(st.sampled_from(list(Outcome))) if ended else None,
                charge_price=charge, charge_pico=draw(PICO) if charge else None,
                charge_currency=draw(CURRENCIES) if charge else "",
            )
        )  # fmt: skip
    return found


def sums(store: Store) -> dict[str, list[tuple[object, ...]]]:
    return {r.table: store._db.execute(f"SELECT * FROM {r.table}").fetchall() for r in rollups.ROLLUPS}


def written(batches: list[list[Entry]]) -> tuple[object, object]:
    """The sums as they were written, and as they are made anew."""
    with tempfile.TemporaryDirectory() as directory:
        store = Store(Path(directory), "os")
        for id, saves in (("cheap", 3_000_000), ("dear", -1)):
            store._db.execute("INSERT INTO prices VALUES (?, '', ?)", (id, saves))
            store._saves[id] = saves
        for number, told in enumerate(batches):
            batch = Batch()
            for entry in told:
                batch.add(replace(entry, call=b"%b of %d" % (entry.call, number)))
            store.write(batch, 1)
        found = sums(store)
        rollups.rebuild(store._db)
        anew = sums(store)
        store.close()
    return found, anew


@given(batches=st.lists(entries(), min_size=1, max_size=3))
def test_new_entries_are_summed_as_those_that_lie_there(batches: list[list[Entry]]) -> None:
    found, anew = written(batches)
    assert found == anew
