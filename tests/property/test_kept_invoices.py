"""A copy of an issued invoice is the invoice, and what is no such copy is never shown."""

import shutil
import stat
import tempfile
from pathlib import Path

from billed_ledger import Books
from hypothesis import given, settings
from test_invoice_properties import ACCOUNTS, STEPS, issue_all

from tokenweir.billing.invoicing import issued, open_issued, reckon
from tokenweir.billing.kept import ROOM, keep, kept
from tokenweir.ledger.views import open_reader


@settings(max_examples=20, deadline=None)
@given(steps=STEPS)
def test_a_copy_is_what_the_entries_come_to(steps: list[tuple[object, ...]]) -> None:
    with tempfile.TemporaryDirectory() as directory, Books(Path(directory)) as books:
        issue_all(books, steps)
        connection = open_reader(books.data)
        invoices = [one.invoice for one in issued(connection)]
        assert len(invoices) >= len(ACCOUNTS)
        for invoice in invoices:
            assert kept(books.data, invoice) == reckon(connection, invoice.id)
        shutil.rmtree(books.data / ROOM)
        for invoice in invoices:
            assert kept(books.data, invoice) is None
            assert open_issued(books.data, connection, invoice) == reckon(connection, invoice.id)
            assert kept(books.data, invoice) is not None
        connection.close()


def test_what_is_no_copy_of_it_is_reckoned_anew(tmp_path: Path) -> None:
    with Books(tmp_path) as books:
        issue_all(books, [])
    connection = open_reader(tmp_path)
    first, second = (one.invoice for one in issued(connection)[:2])
    right = reckon(connection, first.id)
    file = tmp_path / ROOM / f"{first.id}.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    other = (tmp_path / ROOM / f"{second.id}.json").read_bytes()
    whole = file.read_bytes()
    for damaged in (b"", whole[:-9], b"\xff", other, whole.replace(b'"form":1', b'"form":0')):
        assert damaged != whole
        file.write_bytes(damaged)
        assert kept(tmp_path, first) is None
        assert open_issued(tmp_path, connection, first) == right
        assert file.read_bytes() == whole
    shutil.rmtree(file.parent)
    file.parent.write_text("no directory")
    keep(tmp_path, right)
    assert open_issued(tmp_path, connection, first) == right
    connection.close()
