"""The key of the first start: made where the ledger has none, shown once. It is an owner's, so the admin API takes it."""

from pathlib import Path

import msgspec

from tokenweir.cli.system import random_bytes
from tokenweir.core.clock import Clock
from tokenweir.ledger.changing import make_changes, migrate_older
from tokenweir.ledger.new_key import make_key
from tokenweir.ledger.schema import has_ledger
from tokenweir.ledger.terms import DEFAULT_ACCOUNT, SetKey
from tokenweir.ledger.views.terms import terms_now


def first_key(directory: Path, clock: Clock) -> str:
    """The secret of a new key, or "" where the ledger has had one. Raises LedgerError.

    Called before the writer starts; it makes the ledger, or migrates an older one, so that a disk or a schema that is no good is
    told at once.
    """
    migrate_older(directory)
    if has_ledger(directory) and terms_now(directory).keys:
        return ""
    record, secret = make_key("first", DEFAULT_ACCOUNT, now_us=clock.now_us(), random_bytes=random_bytes)
    make_changes(directory, [SetKey(msgspec.structs.replace(record, role="owner"))], clock)
    return secret
