"""Reads a provider's bill: the bytes of its export and the formats that it may have in, lines or clear errors out."""

from collections.abc import Iterator, Sequence

import msgspec

from tokenweir.billing.bill import Bill, BillLine, Section
from tokenweir.billing.bill_files import MOST_BYTES, TextFile, text_files
from tokenweir.billing.bill_layout import Recognised, recognise
from tokenweir.billing.bill_numbers import PICO_DECIMALS
from tokenweir.billing.bill_rows import Fault, ReadRow, masked, read_row
from tokenweir.catalog.bill_formats import BillFormat, Table, label_of
from tokenweir.core.errors import BillError
from tokenweir.core.sentence import LINE, Sentence, listed, say

#: Faults that an error names; of the others it says how many there are.
MOST_FAULTS = 10


def read_bill(
    name: str,
    data: bytes,
    formats: Sequence[BillFormat],
    preferred: Sequence[str] = (),
    most_bytes: int = MOST_BYTES,
) -> Bill:
    """The bill in a file, `most_bytes` long once it is unpacked. `preferred` decides where several formats have its header.

    Raises BillError.
    """
    encodings = tuple(dict.fromkeys(encoding for one in formats for encoding in one.encodings))
    files = text_files(name, data, encodings, most_bytes)
    known = [recognise(file, formats, preferred) for file in files]
    found = [one for one in known if one is not None]
    if not found:
        liked = [form for form in formats if form.id in preferred]
        raise BillError(_unknown(files[0], liked or formats))
    ids = {one.format.id for one in found}
    if len(ids) > 1:
        raise BillError(
            say("{name}: its files are of several providers: {ids}", name=name, ids=", ".join(sorted(ids)))
        )
    form = found[0].format
    tables = dict.fromkeys(one.layout.table.name for one in found)
    return Bill(
        format=form.id,
        title=form.title,
        confirmed=all(one.layout.table.confirmed for one in found),
        models=form.models,
        sections=tuple(
            _section([one for one in found if one.layout.table.name == table]) for table in tables
        ),
        unread=tuple(file.name for file, one in zip(files, known, strict=True) if one is None),
    )


def _unknown(file: TextFile, formats: Sequence[BillFormat]) -> Sentence:
    """What the header is, and what it should have been."""
    header = masked(next((line for line in file.text.splitlines() if line.strip()), "")[:300])
    known = "; ".join(
        f"{form.title}, {table.name}: {', '.join(dict.fromkeys(column.names[0] for column in table.columns()))}"
        for form in formats
        for table in form.table
    )
    return say(
        "{name}: its header is that of no known bill: {header!r}. Known are: {known}. "
        "Another format can be written as a file for --format (docs/billing.md)",
        name=file.name,
        header=header,
        known=known,
    )


def _section(parts: Sequence[Recognised]) -> Section:
    """The rows of all files of one table."""
    table, faults, files = parts[0].layout.table, [], []
    for part in parts:
        rows = []
        for read in _rows(part):
            if isinstance(read, Fault):
                faults.append(read)
            elif read is not None:
                rows.append(read)
        files.append((part, rows))
    if faults:
        raise BillError(_told(faults))
    lines = [line for part, rows in files for line in _lines(part, rows)]
    kinds = any(row.kind for _, rows in files for row in rows)
    if not kinds:  # a column that is empty throughout is none: the export was not grouped by it
        lines = [msgspec.structs.replace(line, item="") for line in lines]
    counts = [count for part in parts for item in part.layout.table.item for count in item.counts]
    present = [count for count in counts if all(part.layout.has(count) for part in parts)]
    return Section(
        name=table.name,
        grain=table.time.grain,
        zone=next((row.zone for _, rows in files for row in reversed(rows)), parts[0].layout.zone),
        by_model=any(line.model for line in lines),
        items={label_of(item.covered): item.covered for item in table.item} if kinds else {},
        counts={label_of(count.classes): count.classes for count in present},
        has_money=table.amount is not None,
        decimals=min((_decimals(part.layout.table, rows) for part, rows in files), default=PICO_DECIMALS),
        lines=tuple(lines),
        left_out=sum(part.left_out for part in parts),
    )


def _rows(part: Recognised) -> Iterator[ReadRow | Fault | None]:
    width = part.layout.width
    for row in part.body:
        if len(row.cells) > width:  # 1,234.50 without quotes would move every value behind it
            expected = say("{width} cells as in the header; is a comma not in quotes?", width=width)
            yield Fault(part.file, row.line, "", f"{len(row.cells)} cells", expected)
            continue
        if part.layout.is_left_out(row.cells):
            part.left_out += 1
            continue
        yield read_row(part.file, part.layout, row)


def _told(faults: Sequence[Fault]) -> Sentence:
    more = len(faults) - MOST_FAULTS
    parts = (say("the bill cannot be read:"), *(fault.told for fault in faults[:MOST_FAULTS]))
    return listed((*parts, say("and {more:,} more", more=more) if more > 0 else ""), LINE)


def _decimals(table: Table, rows: Sequence[ReadRow]) -> int:
    """To how many decimals a file's amounts are rounded: as its row that shows most, unless the format knows it."""
    if table.amount is None:
        return PICO_DECIMALS
    if table.amount.decimals is not None:
        return table.amount.decimals
    return min(PICO_DECIMALS, max((row.decimals for row in rows), default=PICO_DECIMALS))


def _lines(part: Recognised, rows: Sequence[ReadRow]) -> Iterator[BillLine]:
    decimals = _decimals(part.layout.table, rows)
    slack = 10 ** (PICO_DECIMALS - decimals) // 2
    for row in rows:
        yield BillLine(
            period=row.period,
            model=row.model,
            item=row.item,
            tokens=row.tokens,
            amount_pico=row.amount_pico,
            currency=row.currency,
            slack_pico=max(slack, 0 if row.exact else 1),
            file=part.file,
            row=row.line,
            request=row.request,
            key=row.key,
        )
