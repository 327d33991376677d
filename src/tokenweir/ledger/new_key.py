"""Making a key: a secret that is shown once, and a record that holds its hash."""

import base64
import hashlib
from collections.abc import Callable

import msgspec

from tokenweir.core.sentence import say
from tokenweir.ledger.terms import KeyRecord

PREFIX = "sk-weir-"
SECRET_BYTES = 30  # 240 bits: 40 characters without padding
HINT_LENGTH = len(PREFIX) + 4
MAX_NAME_LENGTH = 200


def new_secret(random_bytes: Callable[[int], bytes]) -> str:
    """A secret; letters and digits only, so that a double click selects it whole."""
    return PREFIX + base64.b32encode(random_bytes(SECRET_BYTES)).decode().lower()


def rotated(
    key: KeyRecord, *, old_until_us: int, random_bytes: Callable[[int], bytes]
) -> tuple[KeyRecord, str]:
    """The key with a new secret, and that secret; the one before is good until `old_until_us`."""
    secret = new_secret(random_bytes)
    fresh = msgspec.structs.replace(
        key,
        hash=hashlib.sha256(secret.encode()).digest(),
        hint=secret[:HINT_LENGTH],
        old_hash=key.hash,
        old_until_us=old_until_us,
    )
    return fresh, secret


def make_key(
    name: str,
    account: str,
    *,
    now_us: int,
    random_bytes: Callable[[int], bytes],
) -> tuple[KeyRecord, str]:
    """A record for the ledger and the secret for its owner. Raises ValueError for an unusable name."""
    for what, text in (("name", name), ("account", account)):
        check_text(what, text)
    secret = new_secret(random_bytes)
    record = KeyRecord(
        id=f"key_{random_bytes(8).hex()}",
        name=name,
        account=account,
        hash=hashlib.sha256(secret.encode()).digest(),
        hint=secret[:HINT_LENGTH],
        created_us=now_us,
    )
    return record, secret


def check_text(what: str, text: str) -> None:
    """Raises ValueError for a name, or the name of an account, that a key cannot have."""
    if not text.strip() or len(text) > MAX_NAME_LENGTH or not text.isprintable():
        raise ValueError(
            say(
                "a key's {what} must be 1 to {most} printable characters",
                what=say(what),
                most=MAX_NAME_LENGTH,
            )
        )
