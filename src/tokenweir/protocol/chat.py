"""Requests of the chat dialect: read as little as metering needs, change as little as the upstream needs."""

import re
from typing import TypeVar

import msgspec

from tokenweir.core.errors import WireError

MOST_CHOICES = 128
B = TypeVar("B")
_LIST = ord("[")
_OUTPUT_NAMES = ("max_completion_tokens", "max_tokens")
#: One search for all of them, which passes over what is no quotation mark.
_MEDIA = re.compile(rb'"(?:image_url|input_audio|video_url|file)"')
#: The name of a member, what separates it from the one before, and the colon after it.
_KEY = re.compile(rb'[ \t\n\r]*,?[ \t\n\r]*"([^"\\]*)"[ \t\n\r]*:[ \t\n\r]*')


class BadRequest(WireError):  # named after the status it becomes
    """A request that cannot be served as it is; `status` is 400 or 422."""

    def __init__(self, message: str, param: str | None = None, status: int = 400) -> None:
        super().__init__(message)
        self.param = param
        self.status = status


class ChatRequest(msgspec.Struct, frozen=True):
    """What the gateway needs to know of a request."""

    model: str
    stream: bool = False
    include_usage: bool = False
    max_output: int | None = None  # tokens, for each choice
    n: int = 1
    has_media: bool = False


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Body(msgspec.Struct):
    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None


_DECODER = msgspec.json.Decoder(_Body)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def parse_chat(body: bytes) -> ChatRequest:
    """Raises BadRequest. The messages are skipped, not decoded."""
    found = decode(body, _DECODER)
    if not found.model:
        raise BadRequest("`model` is empty.", "model")
    if memoryview(found.messages)[0] != _LIST:
        raise BadRequest("`messages` must be a list.", "messages", 422)
    asked: int | None = None
    for name, value in zip(_OUTPUT_NAMES, (found.max_completion_tokens, found.max_tokens), strict=True):
        if value is not None:
            if not 1 <= value <= 2**31:
                raise BadRequest(f"`{name}` must be a positive number of tokens.", name, 422)
            asked = value if asked is None else min(asked, value)
    if found.n is not None and not 1 <= found.n <= MOST_CHOICES:
        raise BadRequest(f"`n` must be between 1 and {MOST_CHOICES}.", "n", 422)
    options = found.stream_options
    return ChatRequest(
        found.model,
        bool(found.stream),
        bool(options and options.include_usage),
        asked,
        found.n or 1,
        _MEDIA.search(body) is not None,
    )


def rewrite_chat(
    body: bytes, request: ChatRequest, *, model: str, ask_usage: bool, max_output: int | None
) -> bytes:
    """`body` as the upstream shall get it; the same object where nothing has to change.

    Every other member keeps its bytes. A name that stands twice is written once, as it was read: what the upstream
    serves must be what was metered.
    """
    add_usage = ask_usage and not request.include_usage
    if model == request.model and not add_usage and max_output is None and not repeats(body):
        return body
    members = _MEMBERS.decode(body)
    members["model"] = msgspec.Raw(msgspec.json.encode(model))
    if add_usage:
        known = members.get("stream_options")
        options = _MEMBERS.decode(known) if known is not None and bytes(known) != b"null" else {}
        options["include_usage"] = msgspec.Raw(b"true")
        members["stream_options"] = msgspec.Raw(msgspec.json.encode(options))
    if max_output is not None:
        named = [name for name in _OUTPUT_NAMES if bytes(members.get(name, b"null")) != b"null"] or [
            "max_tokens"
        ]
        for name in named:
            members[name] = msgspec.Raw(b"%d" % max_output)
    return msgspec.json.encode(members)


def decode(body: bytes, decoder: msgspec.json.Decoder[B]) -> B:
    """A narrow decode. Raises BadRequest with a sentence and, where msgspec names it, the member.

    What is skipped must be UTF-8 too, since it is passed on as JSON: about 1 µs for each KB that is not ASCII.
    """
    try:
        if not body.isascii():
            body.decode()
        return decoder.decode(body)
    except RecursionError:
        raise BadRequest("The body is nested too deeply.") from None
    except msgspec.ValidationError as error:
        message = str(error)
        name = (
            message.partition("`$.")[2].partition("`")[0] or message.partition("field `")[2].partition("`")[0]
        )
        status = 400 if "missing required" in message or not name else 422
        raise BadRequest(f"The request is not as it should be: {message}.", name or None, status) from None
    except msgspec.DecodeError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None
    except UnicodeDecodeError as error:
        raise BadRequest(f"The body is not UTF-8: {error.reason} at byte {error.start}.") from None


def repeats(body: bytes) -> bool:
    """Whether a name stands twice at the top, or is spelled with escapes.

    Nearly all clients write JSON in one of two ways. What its members, written so, are again has each name once.
    """
    members = _MEMBERS.decode(body)
    comma, colon = (b", ", b": ") if body[body.find(b'":') + 2 :][:1] == b" " else (b",", b":")
    told = comma.join([b'"%b"%b%b' % (_utf8(name), colon, raw) for name, raw in members.items()])
    return body != b"{%b}" % told and _repeats(body, members)


def _utf8(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _repeats(body: bytes, members: dict[str, msgspec.Raw]) -> bool:
    """The same, however it is written. The members as they were read are laid along the body: each has to stand where the one before it ended. A name that
    stands twice was read once, with its last value, so that sooner or later one does not fit. Values are compared, not
    only measured: two different ones that begin at one place cannot both be whole.
    """
    at = len(body) - len(body.lstrip()) + 1
    for name, raw in members.items():
        key = _KEY.match(body, at)
        if key is None or key[1] != _utf8(name):
            return True
        if not body.startswith(bytes(raw), key.end()):
            return True
        at = key.end() + len(raw)
    return body[at:].strip() != b"}"
