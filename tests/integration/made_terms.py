"""Terms for tests: a key with limits of its own."""

from tokenweir.ledger.messages import MakeChanges
from tokenweir.ledger.terms import KeyRecord, Limit, SetKey, SetLimit


def key(id: str = "k", account: str = "a", **fields: object) -> KeyRecord:
    """A key whose secret's hash is made of its id."""
    return KeyRecord(id, id, account, id.encode()[-1:] * 32, id, 0, **fields)  # type: ignore[arg-type]


def key_with(limits: tuple[Limit, ...] = (), record: KeyRecord | None = None) -> MakeChanges:
    """A key, and limits on it, as one operation."""
    made = record or key()
    return MakeChanges(0, "test", (SetKey(made), *(SetLimit(f"key/{made.id}", limit) for limit in limits)))
