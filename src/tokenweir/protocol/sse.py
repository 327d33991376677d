"""Server-sent events: a stream of bytes cut into events, by any of the line ends that the format allows."""

import re

MAX_EVENT_BYTES = 4 * 1024 * 1024
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r|\r\n\n|\n\r\n")
_LONGEST_END = 4
_LINE = re.compile(rb"\r\n|\n|\r")
_BOM = b"\xef\xbb\xbf"


class SseSplitter:
    """Bytes in, whole events out, each with the blank line that ends it."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self.rest = b""  # of an event that is not complete

    def feed(self, chunk: bytes) -> list[bytes]:
        """The events that are complete now. One that grows beyond the bound is handed out as it is, in parts."""
        data = self.rest + chunk if self.rest else chunk
        if b"\r" not in data:  # nearly every host
            parts = data.split(b"\n\n")
            return self._bounded([part + b"\n\n" for part in parts[:-1]], parts[-1])
        events, start = [], 0
        # What was held has no end in it, so that an end found now reaches into the new bytes.
        for match in _END.finditer(data, max(0, len(self.rest) - _LONGEST_END + 1)):
            # A "\r\n\r" at the very end may yet become "\r\n\r\n"; finditer finds the longer one when it is there.
            events.append(data[start : match.end()])
            start = match.end()
        return self._bounded(events, data[start:])

    def _bounded(self, events: list[bytes], rest: bytes) -> list[bytes]:
        if len(rest) > self._max_event_bytes:
            events.append(rest)
            rest = b""
        self.rest = rest
        return events


def event_fields(event: bytes) -> tuple[bytes, bytes]:
    """An event's name (empty for none) and its data: the data lines, joined by line feeds."""
    if (
        event.startswith(b"data: ")
        and event.endswith(b"\n\n")
        and event.count(b"\n") == 2
        and b"\r" not in event
    ):
        return b"", event[6:-2]
    lines, kind = [], b""
    for line in _LINE.split(event.removeprefix(_BOM)):
        name, _, value = line.partition(b":")
        if name == b"data":
            lines.append(value.removeprefix(b" "))
        elif name == b"event":
            kind = value.removeprefix(b" ")
    return kind, b"\n".join(lines)


def event_data(event: bytes) -> bytes:
    """The data of an event."""
    return event_fields(event)[1]
