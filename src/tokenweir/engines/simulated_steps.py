"""From bodies to the steps of an answer: what to write, where to wait, how to end. No I/O."""

from functools import lru_cache
from http import HTTPStatus
from typing import Literal

import msgspec

from tokenweir.engines.simulated_answer import error_body, plain_body, stream_events
from tokenweir.engines.simulated_script import (
    After,
    Asked,
    Break,
    Framing,
    Malformed,
    Script,
    count,
    read_asked,
)


class Pause(msgspec.Struct, frozen=True):
    """Wait so long."""

    seconds: float


class Hold(msgspec.Struct, frozen=True):
    """Wait until released."""


class End(msgspec.Struct, frozen=True):
    """The answer is over: what becomes of the connection, and whether the answer is a whole one."""

    how: Literal["keep", "close", "reset", "drop_next"]
    whole: bool = True


Step = bytes | Pause | Hold | End

_How = Literal["keep", "close", "reset", "drop_next"]
_HOW: dict[After, _How] = {
    After.KEEP: "keep",
    After.CLOSE: "close",
    After.DROP: "close",
    After.DROP_NEXT: "drop_next",
}


def head(status: int, headers: list[tuple[str, str]]) -> bytes:
    """The head of an answer."""
    try:
        reason = HTTPStatus(status).phrase
    except ValueError:
        reason = "Unknown"
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} {reason}\r\n{lines}\r\n".encode("latin-1")


_MALFORMED_HEADS: dict[Malformed, bytes] = {
    Malformed.NOT_HTTP: b"SSH-2.0-OpenSSH_9.2p1\r\n",
    Malformed.STATUS_LINE: b"HTTP/1.1 fine\r\ncontent-length: 0\r\n\r\n",
    Malformed.HEADER: b"HTTP/1.1 200 OK\r\nthis line has no colon\r\ncontent-length: 0\r\n\r\n",
}


def _framing(script: Script, stream: bool) -> Framing:
    if script.malformed in (Malformed.CHUNK_SIZE, Malformed.LENGTH_AND_CHUNKED):
        return Framing.CHUNKED
    if script.malformed in (Malformed.TWO_LENGTHS, Malformed.SHORT_BODY, Malformed.LONG_BODY):
        return Framing.LENGTH
    if script.framing != Framing.AUTO:
        return script.framing
    return Framing.CHUNKED if stream else Framing.LENGTH


#: How far a declared length is from the true one.
_LENGTH_LIES: dict[Malformed, int] = {Malformed.SHORT_BODY: 10, Malformed.LONG_BODY: -10}


def _framing_headers(script: Script, framing: Framing, length: int) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    if framing == Framing.LENGTH:
        headers.append(("content-length", str(max(0, length + _LENGTH_LIES.get(script.malformed, 0)))))
    elif framing == Framing.CHUNKED:
        headers.append(("transfer-encoding", "chunked"))
    if script.malformed == Malformed.TWO_LENGTHS:
        headers.append(("content-length", str(length + 1)))
    elif script.malformed == Malformed.LENGTH_AND_CHUNKED:
        headers.append(("content-length", str(length)))
    if script.after == After.CLOSE or framing == Framing.CLOSE:
        headers.append(("connection", "close"))
    return headers


def _answer_head(script: Script, framing: Framing, content_type: str, length: int) -> bytes:
    if script.malformed in _MALFORMED_HEADS:
        return _MALFORMED_HEADS[script.malformed]
    headers = [("content-type", content_type), *_framing_headers(script, framing, length), *script.headers]
    if script.retry_after:
        headers.append(("retry-after", script.retry_after))
    if script.header_bytes:
        headers.append(("x-padding", "x" * script.header_bytes))
    before = b"".join(head(status, []) for status in script.informational)
    return before + head(script.status, headers)


def _framed(script: Script, framing: Framing, event: bytes) -> bytes:
    if framing != Framing.CHUNKED:
        return event
    if script.malformed == Malformed.CHUNK_SIZE:
        return b"many\r\n" + event + b"\r\n"
    return b"%x\r\n%b\r\n" % (len(event), event)


# --- steps


def _broken(script: Script, framing: Framing, next_event: bytes) -> list[Step]:
    """The last steps of a connection that breaks before `next_event`."""
    if script.break_how == Break.RESET:
        return [End("reset", whole=False)]
    if script.break_how == Break.EVENT and next_event:
        return [_framed(script, framing, next_event)[: len(next_event) // 2 + 4], End("close", whole=False)]
    if script.break_how == Break.FRAMING:
        return [b"%x" % max(16, len(next_event)), End("close", whole=False)]
    return [End("close", whole=False)]


def _end(script: Script, framing: Framing) -> list[Step]:
    last = [b"0\r\n\r\n"] if framing == Framing.CHUNKED else []
    lies = script.malformed in (Malformed.SHORT_BODY, *_MALFORMED_HEADS)
    how: _How = "close" if framing == Framing.CLOSE or lies else _HOW[script.after]
    return [*last, End(how, whole=script.error_at is None and not script.malformed)]


def _point(at: int | None, stream: bool) -> int | None:
    """A point within a plain body is its beginning: it has no events to count."""
    return at if stream or at is None else min(at, 0)


def steps(script: Script, events: list[bytes], content_type: str, *, stream: bool) -> tuple[Step, ...]:
    """The whole answer: the head and the body's events, with the script's waits and breaks."""
    framing = _framing(script, stream)
    found: list[Step] = [Pause(script.delay_s)] if script.delay_s else []
    hold_at, break_at = _point(script.hold_at, stream), _point(script.break_at, stream)
    length = sum(map(len, events))
    pieces = [
        _answer_head(script, framing, content_type, length),
        *(_framed(script, framing, e) for e in events),
    ]
    for point, piece in enumerate([*pieces, b""], start=-1):
        if break_at == point:
            following = events[point] if 0 <= point < len(events) else b""
            found += _broken(script, framing, following)
            break
        if hold_at == point:
            found.append(Hold())
        if script.interval_s and 1 <= point < len(events):
            found.append(Pause(script.interval_s))
        if piece:
            found.append(piece)
    else:
        found += _end(script, framing)
    per_write = script.events_per_write or (1 if stream else len(found))
    return tuple(_cut(_grouped(found, per_write), script.cut_every))


def _grouped(found: list[Step], per_write: int) -> list[Step]:
    """A head goes with its first piece, and the body's end with its last, as servers write them."""
    if per_write <= 1:
        return found
    grouped: list[Step] = []
    held: list[bytes] = []
    for step in [*found, None]:
        if isinstance(step, bytes):
            held.append(step)
        if held and (step is None or not isinstance(step, bytes) or len(held) >= per_write):
            grouped.append(b"".join(held))
            held = []
        if step is not None and not isinstance(step, bytes):
            grouped.append(step)
    return grouped


def _cut(found: list[Step], size: int) -> list[Step]:
    if size <= 0:
        return found
    cut: list[Step] = []
    for step in found:
        if isinstance(step, bytes):
            cut += [step[i : i + size] for i in range(0, len(step), size)]
        else:
            cut.append(step)
    return cut


def render(script: Script, asked: Asked) -> tuple[Step, ...]:
    """The steps of an answer to a chat completion."""
    if script.status >= 400:
        body = script.raw.encode() or error_body(script.status, "the engine was told to refuse")
        return steps(script, [body], "application/json", stream=False)
    counts = count(script, asked)
    if asked.stream:
        return steps(script, stream_events(script, asked, counts), "text/event-stream", stream=True)
    return steps(script, [plain_body(script, asked, counts)], "application/json", stream=False)


@lru_cache(maxsize=256)
def _render_once(script: Script, body: bytes) -> tuple[Step, ...]:
    return render(script, read_asked(body))


def chat_steps(script: Script, body: bytes) -> tuple[Step, ...]:
    """The steps of the answer to a request's body. Raises msgspec.DecodeError.

    Small answers are kept, since a bench asks for the same one again and again.
    """
    if script.output_tokens > 4_096 or script.padding_bytes or script.header_bytes or len(body) > 65_536:
        return render(script, read_asked(body))
    return _render_once(script, body)
