"""What has been used of a limit, read from the entries: what a limit that is set in the middle of its window begins with."""

import sqlite3
from collections.abc import Callable

from tokenweir.core.money import PICO
from tokenweir.ledger.rollups import counted
from tokenweir.ledger.terms import Limit

#: An account and all below it.
Below = Callable[[str], set[str]]

#: What is paid for an entry: the charge where there is one, else the cost.
_PAID = "iif(charge_price <> '', coalesce(charge_pico, 0), coalesce(cost_pico, 0))"
_PAID_IN = "iif(charge_price <> '', charge_currency, currency)"
_TOKENS = "(input + cache_read + cache_write_5m + cache_write_1h + output + reasoning)"
_COLUMNS = {"account": "account", "key": "key", "run": "run"}


def read_history(
    db: sqlite3.Connection, below: Below, scope: str, limit: Limit, since_us: int, upto: int = 2**62
) -> int:
    """What calls that were opened from a moment on (a whole millisecond, UTC) have used of a limit, in its unit,
    by the entries up to one.

    Ids of calls begin with the millisecond in which they were opened, so the index of ids finds them.
    """
    kind, _, id = scope.partition("/")
    names = sorted(below(id)) if kind == "account" else [id]
    marks = ", ".join("?" * len(names))
    counts = f"{_COLUMNS[kind]} IN ({marks}) AND (? = '' OR model GLOB ?)"
    first = (since_us // 1000).to_bytes(6, "big")
    if limit.unit == "calls":
        whole = "count(*) FILTER (WHERE kind = 'settled')"
        part = "0"
    else:
        amount = _TOKENS if limit.unit == "tokens" else f"iif({_PAID_IN} = ?, {_PAID}, 0)"
        whole, part = f"sum(sign * ({amount} / {PICO}))", f"sum(sign * ({amount} % {PICO}))"
    query = f"{counted('call >= ?1 AND seq <= ?2')} SELECT coalesce({whole}, 0), coalesce({part}, 0) FROM counted WHERE {counts}"
    units = [] if limit.unit in ("tokens", "calls") else [limit.unit, limit.unit]
    found = db.execute(query, [first, upto, *units, *names, limit.model, limit.model]).fetchone()
    high, low = int(found[0]), int(found[1])
    return high if limit.unit == "calls" else high * PICO + low
