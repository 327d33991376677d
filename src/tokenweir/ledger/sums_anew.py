"""What a file of version 3 lacks: how much reading from a cache saves by each price, and the sums that are made of it."""

from tokenweir.catalog.price import read_applied
from tokenweir.catalog.pricing import cache_saves
from tokenweir.ledger import rollups
from tokenweir.ledger.database import Connection


def sums_anew(db: Connection) -> None:
    """Fill the prices' new column and every sum; within the caller's transaction."""
    saves = [
        (cache_saves(read_applied(applied)), id)
        for id, applied in db.execute("SELECT id, applied FROM prices")
    ]
    db.executemany("UPDATE prices SET cache_saves_pico = ? WHERE id = ?", saves)
    rollups.rebuild(db)
