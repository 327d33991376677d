"""An upstream's usage object, in any of its shapes, to disjoint classes.

Cached tokens stand inside the prompt's (OpenAI, Kimi, Qwen) or split as hit and miss (DeepSeek); reasoning stands
inside the completion's, or outside where the total says so. `docs/metering.md` shows each shape.
"""

from typing import Annotated, TypeVar

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.envelope import UNREADABLE

MOST_TOKENS = 10**9  # a count beyond this is not one
S = TypeVar("S", bound=msgspec.Struct)


_Count = Annotated[int, msgspec.Meta(ge=0, le=MOST_TOKENS)]


class _Creation(msgspec.Struct):
    ephemeral_1h_input_tokens: _Count | None = None


class _Into(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    cache_creation_tokens: _Count | None = None
    cache_creation_input_tokens: _Count | None = None
    cache_creation: _Creation | None = None


class _Out(msgspec.Struct):
    reasoning_tokens: _Count | None = None


class _Reported(msgspec.Struct):
    prompt_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    total_tokens: _Count | None = None
    cached_tokens: _Count | None = None  # Kimi
    prompt_cache_hit_tokens: _Count | None = None  # DeepSeek
    cache_creation_input_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None  # SGLang
    prompt_tokens_details: _Into | None = None
    completion_tokens_details: _Out | None = None


_REPORTED = msgspec.json.Decoder(_Reported)
_ANY = msgspec.json.Decoder(dict[str, object])
_NO_INTO, _NO_OUT = _Into(), _Out()


def read_usage(raw: msgspec.Raw | bytes | None) -> Usage | None:
    """Usage as reported, or None where nothing usable was. Explicit zeros are a report."""
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        return _disjoint(_REPORTED.decode(raw))
    except msgspec.ValidationError:
        return _read_loosely(raw)
    except UNREADABLE:
        return None


def _read_loosely(raw: msgspec.Raw | bytes) -> Usage | None:
    """A report in which something is no count: all else of it stands."""
    try:
        found = _ANY.decode(raw)
    except UNREADABLE:
        return None
    if found.get("completion_tokens") is not None and count(found["completion_tokens"]) is None:
        return None
    into, out = found.get("prompt_tokens_details"), found.get("completion_tokens_details")
    details = _counts_of(_Into, into)
    details.cache_creation = _counts_of(_Creation, member(into, "cache_creation"))
    reported = _counts_of(_Reported, found)
    reported.prompt_tokens_details, reported.completion_tokens_details = details, _counts_of(_Out, out)
    return _disjoint(reported)


def _counts_of(kind: type[S], found: object) -> S:
    """Of a JSON object the members that are counts."""
    return kind(**{name: count(member(found, name)) for name in kind.__struct_fields__})


def _disjoint(found: _Reported) -> Usage | None:
    prompt, total, completion = found.prompt_tokens, found.total_tokens, found.completion_tokens
    if completion is None and prompt is not None and total is not None:
        completion = total - prompt  # embeddings report no completion; some chunks report it as null
    if prompt is None or completion is None or completion < 0:
        return None
    into, out = found.prompt_tokens_details or _NO_INTO, found.completion_tokens_details or _NO_OUT
    cached = _first(into.cached_tokens, found.cached_tokens, found.prompt_cache_hit_tokens)
    cached = min(prompt, cached)  # more than the prompt is a miscount of the host
    written = _first(
        into.cache_write_tokens,
        into.cache_creation_tokens,
        into.cache_creation_input_tokens,
        found.cache_creation_input_tokens,
    )
    hour = 0
    if written:
        written = min(prompt - cached, written)
        of_an_hour = into.cache_creation and into.cache_creation.ephemeral_1h_input_tokens
        hour = min(written, of_an_hour or 0)
    reasoning = _first(out.reasoning_tokens, found.reasoning_tokens)
    output = completion
    if (
        reasoning and total != prompt + completion + reasoning
    ):  # else this host counts it beside the completion
        reasoning = min(reasoning, completion)  # more would be a miscount of the host
        output = completion - reasoning
    return Usage(prompt - cached - written, cached, written - hour, hour, output, reasoning)


def _first(*counts: int | None) -> int:
    """The first that was told; 0 where none was."""
    for told in counts:
        if told is not None:
            return told
    return 0


def count(value: object) -> int | None:
    """A whole number of tokens, also where a host writes it as 12.0; None for what is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        return None
    return value


def member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None


def first_count(*values: object) -> int:
    """The first usable count; 0 where there is none."""
    for value in values:
        if value is not None and (found := count(value)) is not None:
            return found
    return 0
