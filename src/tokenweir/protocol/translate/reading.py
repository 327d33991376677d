"""JSON of a client read by narrow structs: what no struct has a member for is noted by its path, never lost in silence."""

import functools
from typing import TypeVar

import msgspec

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.envelope import UNREADABLE

T = TypeVar("T", bound=msgspec.Struct)

#: Values by which a client says nothing.
_NOTHING = frozenset({b"null", b"[]", b"{}"})
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ITEMS = msgspec.json.Decoder(list[msgspec.Raw])


class Reading:
    """One request while it is read. `path` is always in the client's own words: "messages[3].content[1]"."""

    def __init__(self) -> None:
        self._unplaced: dict[str, None] = {}

    @property
    def unplaced(self) -> tuple[str, ...]:
        """Paths of what found no place, each once, in the order of the request."""
        return tuple(self._unplaced)

    def note(self, path: str) -> None:
        """`path` finds no place."""
        self._unplaced[path] = None

    def struct(self, raw: bytes | msgspec.Raw, kind: type[T], path: str = "", **defaults: bytes) -> T:
        """`raw` as a `kind`; a further member is noted unless it says nothing, or its documented default.

        Raises BadRequest, with the path of the member that is wrong.
        """
        found = peek(raw, kind, path)
        members = _MEMBERS.decode(raw)
        if members.keys() <= _names(kind):
            return found
        for name, member in members.items():
            if name in _names(kind) or bytes(member) in _NOTHING or bytes(member) == defaults.get(name):
                continue
            self.note(f"{path}.{name}" if path else name)
        return found

    def items(self, raw: msgspec.Raw, path: str) -> list[tuple[msgspec.Raw, str]]:
        """The items of a list, each with its path; none where there is no list. Raises BadRequest."""
        if is_null(raw):
            return []
        try:
            found = _ITEMS.decode(raw)
        except msgspec.ValidationError as error:
            raise _misshapen(str(error), path) from None
        except UNREADABLE:
            raise BadRequest(f"{_named(path)} cannot be read as JSON.", path) from None
        return [(item, f"{path}[{number}]") for number, item in enumerate(found)]

    def text(self, raw: msgspec.Raw, path: str) -> str:
        """A JSON string. Raises BadRequest."""
        try:
            return msgspec.json.decode(raw, type=str)
        except UNREADABLE:
            raise BadRequest(f"{_named(path)} must be a text.", path, 422) from None


def peek(raw: bytes | msgspec.Raw, kind: type[T], path: str = "") -> T:
    """`raw` as a `kind`, whatever else it has. Raises BadRequest, with the path of the member that is wrong."""
    try:
        found: T = _decoder(kind).decode(raw)
    except msgspec.ValidationError as error:
        raise _misshapen(str(error), path) from None
    except UNREADABLE:
        raise BadRequest(f"{_named(path)} cannot be read as JSON.", path or None) from None
    return found


def is_null(raw: msgspec.Raw) -> bool:
    """Whether it is JSON's null, or left out."""
    return bytes(raw) == b"null"


def is_text(raw: msgspec.Raw) -> bool:
    """Whether it is a JSON string."""
    return bytes(raw).startswith(b'"')


@functools.cache
def _decoder(kind: type[T]) -> msgspec.json.Decoder[T]:
    return msgspec.json.Decoder(kind)


@functools.cache
def _names(kind: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(kind.__struct_encode_fields__)


def _named(path: str) -> str:
    return f"`{path}`" if path else "The body"


def _misshapen(message: str, path: str) -> BadRequest:
    """msgspec's sentence ("Expected `str`, got `int` - at `$.text`") with the path from the top of the body."""
    what, _, where = message.partition(" - at `$")
    path += where.removesuffix("`")
    if "missing required field `" in what:
        path += "." + what.partition("missing required field `")[2].partition("`")[0]
        return BadRequest(f"`{path.removeprefix('.')}` is missing.", path.removeprefix("."), 400)
    path = path.removeprefix(".")
    return BadRequest(f"{_named(path)} is not as it should be: {what}.", path or None, 422)
