"""The key of the first start: made where the ledger has none, shown once."""

from pathlib import Path

from tokenweir.cli.new_key import DEFAULT_ACCOUNT, make_key
from tokenweir.cli.system import random_bytes
from tokenweir.core.clock import Clock
from tokenweir.ledger.keys import create_key, list_keys
from tokenweir.ledger.schema import DATABASE_NAME


def first_key(directory: Path, clock: Clock) -> str:
    """The secret of a new key, or "" where the ledger has had one. Raises LedgerError.

    Called before the writer starts; it makes the ledger, so that a disk or a schema that is no good is
    told at once.
    """
    if (directory / DATABASE_NAME).exists() and list_keys(directory):
        return ""
    record, secret = make_key("first", DEFAULT_ACCOUNT, (), now_us=clock.now_us(), random_bytes=random_bytes)
    create_key(directory, record, clock)
    return secret
