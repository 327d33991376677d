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
_COLUMNS = {"account": "account", "key": "key", "run": "run"}


def read_history(
    db: Connection, below: Below, scope: str, limit: Limit, since_us: int, upto: int = 2**62
) -> int:
    """What calls that were opened from a moment on (a whole millisecond, UTC) have used of a limit, in its unit,
    by the entries up to one.

    Ids of calls begin with the millisecond in which they were opened, so the index of ids finds them.
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
        f"{counted('call >= :first AND seq <= :upto')} SELECT model, {sums} FROM counted "
        f"WHERE {_COLUMNS[kind]} IN ({named}) GROUP BY model"
    )
    values = {
        "first": (since_us // 1000).to_bytes(6, "big"),
        "upto": upto,
        "names": json.dumps(names),
        "unit": limit.unit,
    }
    return sum(
        int(units) * PICO + int(pico)
        for model, units, pico in db.execute(query, values)
        if not limit.model or fnmatchcase(model, limit.model)
    )
