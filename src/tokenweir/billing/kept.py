"""Issued invoices kept as they were reckoned: who opens one does not wait until its entries are summed again.

What is kept is a copy. Where it is missing, cannot be read, or does not come to what the ledger says was issued, the entries
are summed anew, as `weir invoice show` does each time.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from tokenweir.billing.invoice import Document, due_of
from tokenweir.ledger.terms import Invoice

ROOM = "invoices"
#: Of the copies' form; another one is not read.
_FORM = 1


class _Copy(msgspec.Struct, frozen=True):
    form: int
    document: Document


def kept(data_dir: Path, invoice: Invoice) -> Document | None:
    """The copy of an invoice that was issued; None where there is none that is as it was issued."""
    try:
        copy = msgspec.json.decode(_file(data_dir, invoice.id).read_bytes(), type=_Copy)
    except (OSError, ValueError):
        return None
    document = copy.document
    said = document.id, document.account, document.until_us, document.upto_seq, due_of(document)
    issued = invoice.id, invoice.account, invoice.until_us, invoice.upto_seq, invoice.totals
    return document if copy.form == _FORM and said == issued else None


def keep(data_dir: Path, document: Document) -> None:
    """Write the copy. Without a right to write, or room, there is none, and the next one who asks waits as this one did."""
    file = _file(data_dir, document.id)
    unfinished = file.with_suffix(f".{os.getpid()}")
    with contextlib.suppress(OSError):
        file.parent.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as out:
            out.write(msgspec.json.encode(_Copy(_FORM, document)))
        unfinished.replace(file)


def _file(data_dir: Path, id: str) -> Path:
    return data_dir / ROOM / f"{id}.json"
