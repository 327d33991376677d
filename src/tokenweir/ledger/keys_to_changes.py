"""From the keys of a file of version 2 to changes of terms."""

import msgspec

from tokenweir.ledger.database import Connection
from tokenweir.ledger.terms import Change, KeyRecord, Limit, RevokeKey, SetKey, SetLimit

_ACTOR = "migration"


class _Limit(msgspec.Struct):
    unit: str
    amount: int
    window: str


def keys_to_changes(db: Connection) -> None:
    """Fill `changes` and `spent`; within the caller's transaction."""
    seq = 0
    for record in db.execute(
        "SELECT id, name, account, hash, hint, created_us, revoked_us, limits, run FROM keys ORDER BY created_us, id"
    ).fetchall():
        id, name, account, digest, hint, created_us, revoked_us, limits, run = record
        key = KeyRecord(id, name, account, digest, hint, created_us, run=run)
        changes: list[Change] = [SetKey(key)]
        for limit in msgspec.json.decode(limits, type=list[_Limit]):
            changes.append(SetLimit(f"key/{id}", Limit(limit.unit, limit.amount, limit.window)))
        if revoked_us is not None:
            changes.append(RevokeKey(id, revoked_us))
        for change in changes:
            seq += 1
            values = (seq, created_us, _ACTOR, 0, msgspec.json.encode(change).decode())
            db.execute("INSERT INTO changes VALUES (?, ?, ?, ?, ?)", values)
    db.execute(
        "INSERT INTO spent "
        """SELECT 'key/' || key, '', unit, "window", start_us, amount_high, amount_low FROM spent_v2"""
    )
    db.execute("DROP TABLE spent_v2")
    db.execute("DROP TABLE keys")
