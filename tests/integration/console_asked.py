"""What the console's tests over HTTP have in common: signing in, addresses of pages, what the ledger has."""

from pathlib import Path

from console_host import Browser
from console_seed import NOW_US, SECRETS, key_id

from tokenweir.ledger.store import read_changes, read_terms
from tokenweir.ledger.views import calls, open_reader
from tokenweir.ledger.views.audit import in_words

DAY_US = 86_400_000_000


def signed_in(browser: Browser, role: str = "owner") -> Browser:
    assert browser.sign_in(SECRETS[role]).status == 303
    return browser


def filled(path: str, data: Path) -> str:
    with_call = path
    if path.startswith("/calls/"):
        db = open_reader(data)
        with_call = path.replace("{id}", calls(db, limit=1)[0].call)
        db.close()
    return (
        with_call.replace("/keys/{id}", f"/keys/{key_id('caller')}")
        .replace("/accounts/{id}", "/accounts/research")
        .replace("/invoices/{id}", f"/invoices/{first_invoice(data)}")
        .replace("/runs/{id}", "/runs/run-ann-1")
        .rstrip("/")
    )


def first_invoice(data: Path) -> str:
    db = open_reader(data)
    try:
        return next(iter(read_terms(db).invoices))
    finally:
        db.close()


def last_change(data: Path) -> tuple[str, str]:
    db = open_reader(data)
    try:
        audited = list(read_changes(db))[-1]
    finally:
        db.close()
    return audited.actor, in_words(audited.change)


def ended(data: Path) -> int:
    """How many calls there are in the last thirty days of who looks from UTC."""
    db = open_reader(data)
    first_us = (NOW_US // DAY_US - 29) * DAY_US
    found = db.execute(
        "SELECT COUNT(*) FROM entries WHERE kind = 'opened' AND at_us >= ?", (first_us,)
    ).fetchone()[0]
    db.close()
    assert found > 500
    return int(found)
