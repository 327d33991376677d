"""The way of one call through one upstream: its own dialect's bytes as they are, or a translation."""

from typing import Protocol

import msgspec

from tokenweir.core.errors import WireError
from tokenweir.protocol.answers import ChatAnswer
from tokenweir.protocol.chat import ChatRequest
from tokenweir.protocol.translate.form import Request as Form
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.translate.translation import TranslatedStream, Translation
from tokenweir.protocol.wires import Meter, Wire

#: Dialects that say the same things, so that each can be translated to each.
TRANSLATED = frozenset(DIALECTS)


class Passage(Protocol):
    """What an attempt needs of it."""

    own_type: bool  # whether the client's bytes are written here, and no longer of the upstream's type

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the client said and the upstream cannot be told, once `request` was asked; then also of the answer."""
        ...

    def request(self, *, model: str, ask_usage: bool, max_output: int | None) -> bytes:
        """The body for the upstream."""
        ...

    def meter(self) -> Meter:
        """For a streamed answer."""
        ...

    def whole(self, body: bytes) -> tuple[bytes, ChatAnswer]:
        """A whole answer: the client's bytes, and what metering needs. No bytes for one that failed: see `error`."""
        ...

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """An answer that is an error: status and body for the client."""
        ...


class Straight:
    """Both sides speak one dialect: bytes pass."""

    own_type = False
    dropped: tuple[str, ...] = ()

    def __init__(self, wire: Wire, request: ChatRequest, body: bytes) -> None:
        self._wire = wire
        self._request = request
        self._body = body

    def request(self, *, model: str, ask_usage: bool, max_output: int | None) -> bytes:
        """The client's own bytes, but for the model's name and what metering and limits ask for."""
        return self._wire.rewrite(
            self._body,
            self._request,
            model=model,
            ask_usage=ask_usage and self._request.stream,
            max_output=max_output,
        )

    def meter(self) -> Meter:
        """One that lets bytes pass."""
        return self._wire.meter(self._request)

    def whole(self, body: bytes) -> tuple[bytes, ChatAnswer]:
        """The upstream's bytes."""
        return body, self._wire.read_answer(body)

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """As it is."""
        return status, body


class Translated:
    """Two dialects."""

    own_type = True

    def __init__(self, client: Wire, upstream: Wire, host: Host, form: Form) -> None:
        self._upstream = upstream
        self._translation = Translation(DIALECTS[client.name], DIALECTS[upstream.name], host, form)
        self._dropped: tuple[str, ...] = ()
        self._stream: TranslatedStream | None = None

    @property
    def dropped(self) -> tuple[str, ...]:
        """Of the request, and of as much of the answer as has come."""
        told = () if self._stream is None else self._stream.unplaced
        return (*self._dropped, *told)

    def request(self, *, model: str, ask_usage: bool, max_output: int | None) -> bytes:
        """The request, said anew."""
        written = self._translation.request(model=model, max_output=max_output)
        self._dropped = written.dropped
        return written.body

    def meter(self) -> Meter:
        """One that translates."""
        self._stream = self._translation.stream()
        return self._stream

    def whole(self, body: bytes) -> tuple[bytes, ChatAnswer]:
        """The answer, said anew, as a stream where the client asked for one; what cannot be read is an error."""
        metered = self._upstream.read_answer(body)
        if metered.failed:
            return b"", metered
        try:
            answer = self._translation.answer(body)
        except WireError:
            return b"", msgspec.structs.replace(metered, failed=True)
        self._dropped = tuple(dict.fromkeys(self._dropped + answer.dropped))
        return answer.body, metered

    def error(self, status: int, body: bytes) -> tuple[int, bytes]:
        """The upstream's error in the client's words; one that hides behind a 200 does so no more."""
        status = 502 if status == 200 else status
        return status, self._translation.failure(status, body)
