"""What has been used of a limit, read from the entries: what a limit that is set in the middle of its window begins with."""

import json
from collections.abc import Callable
from fnmatch import fnmatchcase

from tokenweir.core.money import PICO
from tokenweir.ledger.database import Connection
from tokenweir.ledger.rollups import PAID, PAID_IN, counted, one_where, units_of
from tokenweir.ledger.terms import Limit

#: An account and all below it.
Below = Callable[[str], set[str]]

_TOKENS = "(input + cache_read + cache_write_5m + cache_write_1h + output + reasoning)"
#: What units count of an entry.
_AMOUNTS = {
    "calls": one_where("kind = 'settled' AND sign = 1"),
    "tokens": _TOKENS,
    "tool calls": "tool_calls",
}
#: When the call of an entry was opened; one that this ledger saw only late counts as it came.
_OPENED_US = "coalesce((SELECT opened.at_us FROM entries AS opened WHERE opened.call = counted.call AND opened.kind = 'opened'), at_us)"
_NEXT_OPENED = (
    "SELECT seq, at_us FROM entries WHERE seq >= ? AND seq <= ? AND kind = 'opened' ORDER BY seq LIMIT 1"
)
_COLUMNS = {"account": "account", "key": "key", "run": "run"}


def read_history(
    db: Connection, below: Below, scope: str, limit: Limit, since_us: int, upto: int = 2**62
) -> int:
    """What calls that were opened from a moment on, by the ledger's time, have used of a limit, in its unit, by the entries
    up to one.
    """
    kind, _, id = scope.partition("/")
    names = sorted(below(id)) if kind == "account" else [id]
    named = db.database.names.format(":names")
    paid = f"CASE WHEN {PAID_IN} = :unit THEN coalesce({PAID}, 0) ELSE 0 END"
    amount = _AMOUNTS.get(limit.unit, paid)
    sums = ", ".join(
        f"sum({'' if limit.unit == 'calls' else 'sign * '}({part}))" for part in units_of(amount)
    )
    query = (
        f"{counted('seq >= :first AND seq <= :upto')} SELECT model, {sums} FROM counted "
        f"WHERE {_COLUMNS[kind]} IN ({named}) AND {_OPENED_US} >= :since GROUP BY model"
    )
    values = {
        "first": _first_opened(db, since_us, upto),
        "since": since_us,
        "upto": upto,
        "names": json.dumps(names),
        "unit": limit.unit,
    }
    return sum(
        int(units) * PICO + int(pico)
        for model, units, pico in db.execute(query, values)
        if not limit.model or fnmatchcase(model, limit.model)
    )


def _first_opened(db: Connection, since_us: int, upto: int) -> int:
    """The entry from which on calls were opened since: found by halving, as the ledger's time never steps back."""
    low, high = 0, min(upto, int(db.execute("SELECT coalesce(max(seq), 0) FROM entries").fetchone()[0]))
    while low < high:
        middle = (low + high) // 2
        found = db.execute(_NEXT_OPENED, (middle + 1, high)).fetchone()
        if found is None or found[1] >= since_us:
            high = middle
        else:
            low = found[0]
    return low + 1
