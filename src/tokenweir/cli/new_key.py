"""Making a key: a secret that is shown once, and a record that holds its hash."""

import base64
import hashlib
from collections.abc import Callable

from tokenweir.ledger.messages import KeyRecord, Limit

PREFIX = "sk-weir-"
SECRET_BYTES = 30  # 240 bits: 40 characters without padding
HINT_LENGTH = len(PREFIX) + 4
DEFAULT_ACCOUNT = "default"
MAX_NAME_LENGTH = 200


def make_key(
    name: str,
    account: str,
    limits: tuple[Limit, ...],
    *,
    now_us: int,
    random_bytes: Callable[[int], bytes],
) -> tuple[KeyRecord, str]:
    """A record for the ledger and the secret for its owner. Raises ValueError for an unusable name."""
    for what, text in (("name", name), ("account", account)):
        if not text.strip() or len(text) > MAX_NAME_LENGTH or not text.isprintable():
            raise ValueError(f"a key's {what} must be 1 to {MAX_NAME_LENGTH} printable characters")
    # Letters and digits only, so that a double click selects it whole.
    text = base64.b32encode(random_bytes(SECRET_BYTES)).decode().lower()
    secret = PREFIX + text
    record = KeyRecord(
        id=f"key_{random_bytes(8).hex()}",
        name=name,
        account=account,
        hash=hashlib.sha256(secret.encode()).digest(),
        hint=secret[:HINT_LENGTH],
        created_us=now_us,
        limits=limits,
    )
    return record, secret
