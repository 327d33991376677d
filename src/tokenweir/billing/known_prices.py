"""Prices that entries refer to, looked up by their ids."""

from collections.abc import Callable

from tokenweir.catalog.price import AppliedPrice, SpreadCost, read_applied
from tokenweir.ledger.database import Connection


def read_prices(connection: Connection, ids: set[str]) -> dict[str, AppliedPrice | SpreadCost]:
    """Those of these ids that the ledger has."""
    found = {}
    for id in ids:
        row = connection.execute("SELECT applied FROM prices WHERE id = ?", (id,)).fetchone()
        if row:
            found[id] = read_applied(row[0])
    return found


def cached_prices(connection: Connection) -> Callable[[str], AppliedPrice | SpreadCost | None]:
    """Looks them up one by one, each once."""
    known: dict[str, AppliedPrice | SpreadCost | None] = {}

    def look_up(id: str) -> AppliedPrice | SpreadCost | None:
        if id not in known:
            known[id] = read_prices(connection, {id}).get(id)
        return known[id]

    return look_up
