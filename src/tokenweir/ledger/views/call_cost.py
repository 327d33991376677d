"""Which calls cost so much, all attempts together, as a condition on the entry that a call is known by. Pure.

Of each attempt the last entry that says what it cost counts. Few calls have more entries with a cost than one: an index has the others alone, so
that for most calls the entry itself decides.
"""

from tokenweir.core.money import PICO
from tokenweir.ledger.schema import BESIDE

#: What an entry's call cost its owner, or what the account pays for it: by a price of its own, where there is one.
_COST = ("{of}.currency", "{of}.cost_pico")
_PAID = (
    "CASE WHEN {of}.charge_price <> '' THEN {of}.charge_currency ELSE {of}.currency END",
    "CASE WHEN {of}.charge_price <> '' THEN {of}.charge_pico ELSE {of}.cost_pico END",
)
_MOST = 2**63 - 1
_TRIED = "('attempt', 'repriced_attempt')"
_ENDED = "('settled', 'late', 'repriced')"
#: Whether an entry stands, or a later one took its place.
_STANDS = f"""NOT EXISTS (
    SELECT 1 FROM entries AS later WHERE later.call = part.call AND later.seq > part.seq AND (
        part.kind IN {_ENDED} AND later.kind IN {_ENDED}
        OR part.kind IN {_TRIED} AND later.kind IN {_TRIED}
        AND later.attempt = part.attempt AND (length(part.attempt) > 0 OR later.ordinal = part.ordinal)))"""


def costs_at_least(pico: int, currency: str, *, as_paid: bool) -> tuple[str, tuple[int | str, ...]]:
    """The condition and its values; `as_paid`: what accounts pay, in the place of what calls cost."""
    own, amount = _of("entries", as_paid)
    beside, beside_amount = _of("beside", as_paid)
    part, part_amount = _of("part", as_paid)
    # Sums are of whole units and of the rest, each within 64 bits.
    units = f"CAST(SUM({part_amount} / {PICO}) AS bigint)"
    rest = f"CAST(SUM({part_amount} % {PICO}) AS bigint)"
    text = f"""
    ({own} = ? AND {amount} >= ? OR entries.call IN (
        SELECT beside.call FROM entries AS beside WHERE beside.{BESIDE} AND {beside} = ? AND {beside_amount} > 0
        AND (beside.kind <> 'repriced' OR {beside_amount} >= ?)))
    AND EXISTS (
        SELECT 1 FROM entries AS part WHERE part.call = entries.call AND part.kind <> 'opened'
        AND {part} = ? AND {part_amount} IS NOT NULL AND {_STANDS}
        GROUP BY part.call
        HAVING {units} + {rest} / {PICO} > ? OR {units} + {rest} / {PICO} = ? AND {rest} % {PICO} >= ?)"""
    whole, fraction = divmod(pico, PICO)
    one, units_least = min(pico, _MOST), min(whole, _MOST)  # no entry costs more than that, nor do calls
    return text, (currency, one, currency, one, currency, units_least, units_least, fraction)


def _of(name: str, as_paid: bool) -> tuple[str, str]:
    currency, amount = _PAID if as_paid else _COST
    return currency.format(of=name), amount.format(of=name)
