"""`weir reconcile`: a provider's bill beside what the ledger has of it."""

import os
from collections.abc import Mapping
from datetime import datetime, tzinfo
from functools import cache, partial
from pathlib import Path

import msgspec

from tokenweir.billing.bill import Bill, Section
from tokenweir.billing.bill_files import MOST_BYTES
from tokenweir.billing.bill_reader import read_bill
from tokenweir.billing.our_side import Compared, both_sides
from tokenweir.billing.reconcile import Result, reconcile
from tokenweir.catalog.bill_formats import BillFormat, read_bill_format, same_model, shipped_bill_formats
from tokenweir.cli import reconcile_answer, reconcile_text
from tokenweir.cli.exits import FAILED, OK
from tokenweir.cli.moments import parse_moment
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
    connection = open_reader(directory)
    try:
        known = upstreams(connection)
        if asked.upstream not in known:
            raise ValueError(
                f"the ledger has no call of upstream {asked.upstream!r}; {nearest(asked.upstream, known)}"
            )
        compared = [
            both_sides(
                connection, asked.upstream, section, section.lines, *_span(asked, bill, section, clock)
            )
            for section in bill.sections
        ]
    finally:
        connection.close()
    results = [
        _result(bill, section, sides, tolerance_pico)
        for section, sides in zip(bill.sections, compared, strict=True)
    ]
    if asked.csv is not None:
        reconcile_answer.write_csv(asked.csv, results)
    if asked.as_json:
        reconcile_answer.print_answer(asked.upstream, bill, results, compared, tolerance_pico)
    else:
        reconcile_text.print_results(asked.upstream, bill, results, compared, tolerance_pico)
    return OK if all(result.agrees for result in results) else FAILED


def _of_key(bill: Bill, asked: Asked) -> Bill:
    """The bill with the rows of the key asked for. Raises ValueError where it has none: nothing would match all of it."""
    if asked.key:
        keys = {line.key for section in bill.sections for line in section.lines if line.key}
        if asked.key not in keys:
            raise ValueError(
                f"the bill has no row of the key {asked.key!r}; {nearest(asked.key, sorted(keys))}"
            )
        sections = (
            msgspec.structs.replace(section, lines=tuple(x for x in section.lines if x.key == asked.key))
            for section in bill.sections
        )
        bill = msgspec.structs.replace(bill, sections=tuple(sections))
    if not any(section.lines for section in bill.sections) and not (asked.since and asked.until):
        raise ValueError(
            "the bill has no rows; name its span with --since and --until to compare it nevertheless"
        )
    return bill


def _span(asked: Asked, bill: Bill, section: Section, clock: Clock) -> tuple[int | None, int | None]:
    """The span asked for; of a table without rows, that of the others, in which ours are missing from it."""
    since_us, until_us = (_bound(text, section.zone, clock) for text in (asked.since, asked.until))
    if not section.lines:
        periods = [line.period for other in bill.sections for line in other.lines]
        since_us = min(period.start_us for period in periods) if since_us is None else since_us
        until_us = max(period.end_us for period in periods) if until_us is None else until_us
    return since_us, until_us


def _result(bill: Bill, section: Section, sides: Compared, tolerance_pico: int) -> Result:
    return reconcile(
        section,
        sides.theirs,
        sides.ours,
        cache(partial(same_model, bill.models)),
        tolerance_pico,
    )


def _formats(
    asked: Asked, environ: Mapping[str, str], config: Path | None
) -> tuple[tuple[BillFormat, ...], tuple[str, ...]]:
    """Formats that the bill may have, and those of the upstream's provider."""
    if asked.format is not None and asked.provider:
        raise ValueError("--provider and --format exclude each other: a file of your own is the whole format")
    if asked.format is not None:
        own = read_bill_format(_bytes_of(asked.format), asked.format.stem)
        return (own,), (own.id,)
    shipped = shipped_bill_formats()
    if asked.provider:
        found = [form for form in shipped.values() if asked.provider in (form.id, *form.upstreams)]
        if not found:
            raise ValueError(
                f"there is no format of bills for {asked.provider!r}; {nearest(asked.provider, shipped)}"
            )
        return tuple(found), tuple(form.id for form in found)
    settings = load_settings(environ, file=config)
    kinds = {setting.kind for setting in settings.upstreams if setting.name == asked.upstream}
    names = kinds or {asked.upstream}  # one that was found by its key is called after its provider
    preferred = [form.id for form in shipped.values() if names & set(form.upstreams)]
    return tuple(shipped.values()), tuple(preferred)


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MOST_BYTES + 1)
    except OSError as error:
        raise BillError(f"{path} cannot be read: {os.strerror(error.errno or 0)}") from None


def _bound(text: str, zone: tzinfo, clock: Clock) -> int | None:
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
