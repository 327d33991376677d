"""Server-sent events: a stream of bytes cut into events, by any of the line ends that the format allows."""

import re

from tokenweir.core.errors import WireError

MAX_EVENT_BYTES = 4 * 1024 * 1024
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\r\n\n|\n\r\n")
_LINE = re.compile(rb"\r\n|\n|\r")


class SseSplitter:
    """Bytes in, whole events out, each with the blank line that ends it."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self.rest = b""  # of an event that is not complete

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are complete now. Raises WireError for one beyond the bound."""
        data = self.rest + chunk if self.rest else chunk
        events, start = [], 0
        for match in _END.finditer(data):
            # A "\r\n\r" at the very end may yet become "\r\n\r\n"; finditer finds the longer one when it is there.
            events.append(data[start : match.end()])
            start = match.end()
        self.rest = data[start:]
        if len(self.rest) > self._max_event_bytes:
            raise WireError(f"an event of more than {self._max_event_bytes} bytes")
        return events


def event_data(event: bytes) -> bytes:
    """The data of an event: its data lines, joined by line feeds."""
    lines = []
    for line in _LINE.split(event):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value[1:] if value.startswith(b" ") else value)
    return b"\n".join(lines)
