"""`weir reconcile`: a provider's bill beside what the ledger has of it."""

import os
from collections.abc import Mapping
from datetime import datetime, tzinfo
from functools import partial
from pathlib import Path

import msgspec

from tokenweir.billing.bill import Bill
from tokenweir.billing.bill_files import MOST_BYTES
from tokenweir.billing.bill_reader import read_bill
from tokenweir.billing.reconcile_answer import reconcile_answer
from tokenweir.billing.reconciling import compare, formats_for, has_rows, keys_of, of_key
from tokenweir.catalog.bill_formats import BillFormat, read_bill_format, shipped_bill_formats
from tokenweir.cli import reconcile_text, show
from tokenweir.cli.exits import FAILED, OK
from tokenweir.cli.moments import parse_moment
from tokenweir.cli.reconcile_csv import write_csv
from tokenweir.cli.settings import Settings
from tokenweir.cli.settings_file import load_settings, nearest
from tokenweir.core.clock import Clock
from tokenweir.core.errors import BillError
from tokenweir.core.money import parse_amount
from tokenweir.ledger.views import open_reader, upstreams


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The words of the command line."""

    bill: Path
    upstream: str
    provider: str
    format: Path | None
    since: str
    until: str
    tolerance: str
    key: str
    as_json: bool
    csv: Path | None


def run(directory: Path, asked: Asked, environ: Mapping[str, str], config: Path | None, clock: Clock) -> int:
    """Compare and print; the exit code. Raises ValueError for wrong words, BillError, CatalogError, LedgerError."""
    tolerance_pico = parse_amount(asked.tolerance)
    formats, preferred = _formats(asked, environ, config)
    bill = _of_key(read_bill(asked.bill.name, _bytes_of(asked.bill), formats, preferred), asked)
    span = (partial(_bound, asked.since, clock), partial(_bound, asked.until, clock))
    connection = open_reader(directory)
    try:
        known = upstreams(connection)
        if asked.upstream not in known:
            raise ValueError(
                f"the ledger has no call of upstream {asked.upstream!r}; {nearest(asked.upstream, known)}"
            )
        compared = compare(connection, asked.upstream, bill, span, tolerance_pico)
    finally:
        connection.close()
    if asked.csv is not None:
        write_csv(asked.csv, compared.results)
    if asked.as_json:
        show.print_json(reconcile_answer(asked.upstream, compared))
    else:
        reconcile_text.print_results(asked.upstream, bill, compared.results, compared.sides, tolerance_pico)
    return OK if compared.agrees else FAILED


def _of_key(bill: Bill, asked: Asked) -> Bill:
    """The bill with the rows of the key asked for. Raises ValueError where it has none: nothing would match all of it."""
    if asked.key:
        keys = keys_of(bill)
        if asked.key not in keys:
            raise ValueError(
                f"the bill has no row of the key {asked.key!r}; {nearest(asked.key, sorted(keys))}"
            )
        bill = of_key(bill, asked.key)
    if not has_rows(bill) and not (asked.since and asked.until):
        raise ValueError(
            "the bill has no rows; name its span with --since and --until to compare it nevertheless"
        )
    return bill


def _formats(
    asked: Asked, environ: Mapping[str, str], config: Path | None
) -> tuple[tuple[BillFormat, ...], tuple[str, ...]]:
    """Formats that the bill may have, and those of the upstream's provider."""
    if asked.format is not None and asked.provider:
        raise ValueError("--provider and --format exclude each other: a file of your own is the whole format")
    if asked.format is not None:
        own = read_bill_format(_bytes_of(asked.format), asked.format.stem)
        return (own,), (own.id,)
    names = set() if asked.provider else names_of(load_settings(environ, file=config), asked.upstream)
    formats, preferred = formats_for(asked.provider, names)
    if not formats:
        raise ValueError(
            f"there is no format of bills for {asked.provider!r}; {nearest(asked.provider, shipped_bill_formats())}"
        )
    return formats, preferred


def names_of(settings: Settings, upstream: str) -> set[str]:
    """Providers that an upstream may be of: its kind; one that was found by its key is called after its provider."""
    return {setting.kind for setting in settings.upstreams if setting.name == upstream} or {upstream}


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BillError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None


def _bound(text: str, clock: Clock, zone: tzinfo) -> int | None:
    """A moment; a day or time without an offset is meant as the bill means its own."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return parse_moment(text, clock.now_us())
    return parse_moment(
        (moment if moment.tzinfo else moment.replace(tzinfo=zone)).isoformat(), clock.now_us()
    )
