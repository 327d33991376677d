"""Forms with a file (multipart/form-data, RFC 7578), as browsers send them. Pure."""

import re

import msgspec

MEDIA_TYPE = "multipart/form-data"
MOST_PARTS = 100
_BOUNDARY = re.compile(r'boundary="?([^";]{1,70})"?')
_NAME = re.compile(rb'(?:^|;)\s*name="([^"]*)"', re.IGNORECASE)
_FILE = re.compile(rb'(?:^|;)\s*filename="([^"]*)"', re.IGNORECASE)


class Parts(msgspec.Struct):
    """What the form says, and the files with it, by the names of their fields: each file's own name and its bytes."""

    fields: dict[str, str]
    files: dict[str, tuple[str, bytes]]


def parts_of(content_type: str, body: bytes) -> Parts | None:
    """None where it is no such form. An empty choice of a file is none."""
    found = _BOUNDARY.search(content_type)
    if found is None:
        return None
    sections = (b"\r\n" + body).split(b"\r\n--" + found[1].encode())
    if len(sections) < 2 or len(sections) > MOST_PARTS + 2 or not sections[-1].startswith(b"--"):
        return None
    told = Parts({}, {})
    for section in sections[1:-1]:
        head, between, content = section.partition(b"\r\n\r\n")
        disposition = _disposition(head)
        name = _NAME.search(disposition)
        if not between or name is None:
            return None
        file = _FILE.search(disposition)
        try:
            field = name[1].decode()
            if file is None:
                told.fields[field] = content.decode().strip()
            elif file[1] or content:
                told.files[field] = (file[1].decode("utf-8", "replace"), content)
        except UnicodeDecodeError:
            return None
    return told


def _disposition(head: bytes) -> bytes:
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    return next((value for name, _, value in lines if name.strip().lower() == b"content-disposition"), b"")
