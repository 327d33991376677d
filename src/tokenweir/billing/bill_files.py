"""From the bytes of a file to rows of cells: ZIP, encodings, quotes. Everything in it is bounded."""

import csv
import io
import zipfile
import zlib
from collections.abc import Iterator, Sequence

import msgspec

from tokenweir.core.errors import BillError
from tokenweir.core.sentence import say

MOST_BYTES = 256 * 1024 * 1024  # of a bill, and of all that a ZIP unpacks to
MOST_FILES = 64  # in a ZIP
MOST_ROWS = 500_000  # of a file
#: csv's own limit is 128 KiB a cell; a bill has no such cells, so one of this length is an unclosed quote.
MOST_CELL = 64 * 1024
DELIMITERS = (",", "\t", ";")
_ZIP, _XLS = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
_TEXTS = (".csv", ".tsv", ".txt")
_SAVE_AS_CSV = say("it is an Excel workbook: open it and save the sheet as CSV (UTF-8), then give that file")


class TextFile(msgspec.Struct, frozen=True):
    """A file's text."""

    name: str
    text: str


class Row(msgspec.Struct, frozen=True):
    """The cells of a row, and the line on which it begins (1 is the first)."""

    line: int
    cells: list[str]


def text_files(
    name: str, data: bytes, encodings: Sequence[str], most_bytes: int = MOST_BYTES
) -> list[TextFile]:
    """The texts in a file: itself, or those of a ZIP, `most_bytes` in all. Raises BillError."""
    if len(data) > most_bytes:
        raise BillError(
            say("{name}: it is larger than {mib} MiB; export a shorter span", name=name, mib=most_bytes >> 20)
        )
    if data.startswith(_XLS):
        raise BillError(say("{name}: {advice}", name=name, advice=_SAVE_AS_CSV))
    if not data.startswith(_ZIP):
        return [TextFile(name, _decoded(name, data, encodings))]
    return [
        TextFile(member, _decoded(member, body, encodings))
        for member, body in _unpacked(name, data, most_bytes)
    ]


def _unpacked(name: str, data: bytes, most_bytes: int) -> list[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _members(name, archive, most_bytes)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        RuntimeError,
        NotImplementedError,
        ValueError,
    ) as error:
        raise BillError(say("{name}: the ZIP cannot be unpacked: {error}", name=name, error=error)) from None


def _members(name: str, archive: zipfile.ZipFile, most_bytes: int) -> list[tuple[str, bytes]]:
    infos = archive.infolist()
    if any(info.filename.startswith("xl/") for info in infos):
        raise BillError(say("{name}: {advice}", name=name, advice=_SAVE_AS_CSV))
    texts = [
        i for i in infos if i.filename.lower().endswith(_TEXTS) and not i.filename.startswith("__MACOSX")
    ]
    if not texts or len(infos) > MOST_FILES:
        raise BillError(
            say(
                "{name}: a ZIP of a bill holds CSV files, at most {most}; this has {count}",
                name=name,
                most=MOST_FILES,
                count=len(texts),
            )
        )
    found, room = [], most_bytes
    for info in texts:
        with archive.open(info) as member:
            body = member.read(room + 1)
        room -= len(body)
        if room < 0:
            raise BillError(
                say("{name}: the ZIP unpacks to more than {mib} MiB", name=name, mib=most_bytes >> 20)
            )
        found.append((info.filename, body))
    return found


def _decoded(name: str, data: bytes, encodings: Sequence[str]) -> str:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encodings = ("utf-16",)
    for encoding in encodings:
        try:
            return data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
        except UnicodeDecodeError:
            continue
    raise BillError(say("{name}: it is not text in {encodings}", name=name, encodings=" or ".join(encodings)))


def rows(file: TextFile, delimiter: str) -> Iterator[Row]:
    """Rows that hold something. Raises BillError."""
    reader = csv.reader(io.StringIO(file.text, newline=""), delimiter=delimiter)
    line, count = 1, 0
    while True:
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise BillError(
                say("{name}, row {line}: it is no CSV: {error}", name=file.name, line=line, error=error)
            ) from None
        if cells is None:
            return
        if any(len(cell) > MOST_CELL for cell in cells):
            raise BillError(
                say(
                    "{name}, row {line}: a cell of more than {most:,} characters; a quote is not closed?",
                    name=file.name,
                    line=line,
                    most=MOST_CELL,
                )
            )
        count += 1
        if count > MOST_ROWS:
            raise BillError(
                say(
                    "{name}: it has more than {most:,} rows; export a shorter span",
                    name=file.name,
                    most=MOST_ROWS,
                )
            )
        if any(cell.strip() for cell in cells):
            yield Row(line, cells)
        line = reader.line_num + 1
