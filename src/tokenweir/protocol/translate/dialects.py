"""The dialects by name: each a record of the functions that read and write it. This table is all that `Translation` knows."""

from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from tokenweir.protocol.translate.answer import Answer, Event, Failure
from tokenweir.protocol.translate.form import Request, Written
from tokenweir.protocol.translate.host import Host


class StreamReader(Protocol):
    """Bytes of a stream in, events out; any cut of the same bytes gives the same events."""

    def feed(self, data: bytes) -> list[Event]:
        """The events that are complete now. Never raises: what is not understood is an Unplaced."""
        ...

    def end(self) -> list[Event]:
        """The connection ended in order: closes what is open. Without `Ended` among all events the stream was cut."""
        ...


class StreamWriter(Protocol):
    """Events in, bytes out."""

    def write(self, events: Iterable[Event]) -> bytes:
        """What the client gets for these events."""
        ...


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """How one dialect is read and written. Readers raise `BadRequest` (requests) or `WireError` (answers)."""

    read_request: Callable[[bytes], Request]
    write_request: Callable[[Request, Host], Written]
    read_answer: Callable[[bytes], Answer]
    write_answer: Callable[[Answer, Request], bytes]
    reader: Callable[[], StreamReader]
    writer: Callable[[Request], StreamWriter]  # of the client's request: it says what the client wants to see
    read_failure: Callable[[int, bytes], Failure]  # the body of an answer whose status is an error
    write_failure: Callable[[Failure], bytes]
    loses: Callable[
        [Event], str
    ]  # the name of what an answer tells and this dialect has no place for; "": nothing
