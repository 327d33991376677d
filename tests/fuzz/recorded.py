"""What parsers are given: recorded requests, answers and streams, with some of their bytes changed."""

import itertools
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from hypothesis import strategies as st

_CONFORMANCE = Path(__file__).resolve().parents[1] / "conformance"
_MARK = re.compile(rb"\n~~~ \w+\n")
#: A member's value, which can be replaced by another one.
_VALUE = re.compile(rb': *("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?|true|false|null|\[\]|\{\})')
_NAME = re.compile(rb'"\w+"(?=: *)')
#: What may stand where another value stood.
_VALUES = (
    b"null", b"true", b"0", b"-1", b"7", b"1.5", b"1e300", b"99999999999999999999", b'""', b'"x"', b'"\\ud800"', b'"auto"',
    b"[]", b"{}", b"[null]", b"[{}]", b'[{"type":"text"}]', b'{"type":"text","text":"x"}', b'{"a":{}}', b'"text"', b'"tool_use"',
    b'"user"', b'"system"', b'"function_call"', b'"message"', b'"reasoning"', b'"error"', b'"weir1.e30="',
)  # fmt: skip
#: What may stand anywhere.
_BYTES = (
    b"\n\n", b"\r\n\r\n", b"\r", b"data: ", b"event: error\n", b": x\n\n", b"data: [DONE]\n\n", b"\x00", b"\xff", b"\xef\xbb\xbf",
    b'"', b"{", b"}", b"[" * 600, b"1e999",
)  # fmt: skip
_Edit = tuple[str, int, int, bytes]


def recorded(pattern: str) -> list[bytes]:
    """The files of the conformance suites that match, without their marks."""
    found = sorted({_MARK.sub(b"", path.read_bytes()) for path in _CONFORMANCE.glob(pattern)})
    assert found, pattern
    return found


def bodies(pattern: str, says: bytes) -> list[bytes]:
    """Bodies of the cases' upstream files whose heads have these words."""
    parts = (text.partition(b"\n\n") for text in recorded(f"cases/{pattern}/upstream*.txt"))
    return sorted({body for head, _, body in parts if says in head})


def changed(samples: Iterable[bytes]) -> st.SearchStrategy[bytes]:
    """One of the samples after a few edits: JSON that stays JSON, three times in four."""
    sample = st.sampled_from(list(samples))
    places, sizes = st.integers(0, 1 << 14), st.integers(1, 200)
    whole = st.tuples(st.sampled_from(("member", "value")), places, sizes, st.sampled_from(_VALUES))
    tokens = st.sampled_from((*_VALUES, *_BYTES)) | st.binary(max_size=4)
    wild = st.tuples(st.sampled_from(sorted(_EDITS)), places, sizes, tokens)
    tame = st.builds(_edited, sample, st.lists(whole, min_size=1, max_size=4))
    return st.one_of(tame, tame, tame, st.builds(_edited, sample, st.lists(wild, min_size=1, max_size=4)))


def pieces(body: bytes, places: list[int]) -> list[bytes]:
    """The body cut at these places."""
    borders = [0, *sorted(place % (len(body) + 1) for place in places), len(body)]
    return [body[a:b] for a, b in itertools.pairwise(borders)]


def _edited(body: bytes, edits: list[_Edit]) -> bytes:
    for kind, place, size, token in edits:
        at = place % (len(body) + 1)
        body = _EDITS[kind](body, at, size, token)
    return body


def _value(body: bytes, at: int, _: int, token: bytes) -> bytes:
    """The next value of a member becomes another one."""
    found = _VALUE.search(body, at)
    return body if found is None else body[: found.start(1)] + token + body[found.end(1) :]


def _member(body: bytes, at: int, size: int, token: bytes) -> bytes:
    """A member more, or one that the recording has somewhere, once more."""
    at, names = body.find(b'{"', at), _NAME.findall(body)
    if at < 0 or not names:
        return body
    return body[: at + 1] + b"%b: %b," % (names[size % len(names)], token) + body[at + 1 :]


_EDITS: dict[str, Callable[[bytes, int, int, bytes], bytes]] = {
    "value": _value,
    "member": _member,
    "insert": lambda body, at, _, token: body[:at] + token + body[at:],
    "delete": lambda body, at, size, _: body[:at] + body[at + size :],
    "repeat": lambda body, at, size, _: body[: at + size] + body[at:],
    "flip": lambda body, at, size, _: body[:at] + bytes(byte ^ (size & 255) for byte in body[at : at + 1]) + body[at + 1 :],
    "end": lambda body, at, _size, _token: body[:at],
}  # fmt: skip
