"""Accounts, keys, limits and the rest as they stand, and who changed what."""

from pathlib import Path

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.ledger.database import FAULTS
from tokenweir.ledger.store import read_changes, read_terms
from tokenweir.ledger.terms import Audited, Terms
from tokenweir.ledger.views.reader import open_reader


def terms_now(data_dir: Path) -> Terms:
    """The terms in force. Raises LedgerError."""
    db = open_reader(data_dir)
    try:
        return read_terms(db)
    except (*FAULTS, msgspec.MsgspecError) as error:
        raise LedgerError(f"the terms in {data_dir} cannot be read: {error}") from error
    finally:
        db.close()


def changes(data_dir: Path, after: int = 0) -> list[Audited]:
    """Every change of terms after one, oldest first: the audit. Raises LedgerError."""
    db = open_reader(data_dir)
    try:
        return list(read_changes(db, after))
    except (*FAULTS, msgspec.MsgspecError) as error:
        raise LedgerError(f"the changes in {data_dir} cannot be read: {error}") from error
    finally:
        db.close()
