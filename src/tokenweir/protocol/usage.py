"""An upstream's usage object, in any of its shapes, to disjoint classes.

Cached tokens stand inside the prompt's (OpenAI, Kimi, Qwen) or split as hit and miss (DeepSeek); reasoning stands
inside the completion's, or outside where the total says so. `docs/metering.md` shows each shape.
"""

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.envelope import UNREADABLE

MOST_TOKENS = 10**9  # a count beyond this is not one


class _Raw(msgspec.Struct):
    prompt_tokens: object = None
    completion_tokens: object = None
    total_tokens: object = None
    cached_tokens: object = None  # Kimi
    prompt_cache_hit_tokens: object = None  # DeepSeek
    cache_creation_input_tokens: object = None
    reasoning_tokens: object = None  # SGLang
    prompt_tokens_details: object = None
    completion_tokens_details: object = None


_DECODER = msgspec.json.Decoder(_Raw)


def read_usage(raw: msgspec.Raw | bytes | None) -> Usage | None:
    """Usage as reported, or None where nothing usable was. Explicit zeros are a report."""
    if raw is None or bytes(raw) == b"null":
        return None
    try:
        found = _DECODER.decode(raw)
    except UNREADABLE:
        return None
    prompt, total = count(found.prompt_tokens), count(found.total_tokens)
    completion = count(found.completion_tokens)
    if completion is None and prompt is not None and total is not None and found.completion_tokens is None:
        completion = total - prompt  # embeddings report no completion; some chunks report it as null
    if prompt is None or completion is None or completion < 0:
        return None
    into, out = found.prompt_tokens_details, found.completion_tokens_details
    cached = first_count(member(into, "cached_tokens"), found.cached_tokens, found.prompt_cache_hit_tokens)
    cached = min(prompt, cached)  # more than the prompt is a miscount of the host
    written = first_count(
        member(into, "cache_write_tokens"),
        member(into, "cache_creation_tokens"),
        member(into, "cache_creation_input_tokens"),
        found.cache_creation_input_tokens,
    )
    written = min(prompt - cached, written)
    hour = min(written, first_count(member(member(into, "cache_creation"), "ephemeral_1h_input_tokens")))
    reasoning = first_count(member(out, "reasoning_tokens"), found.reasoning_tokens)
    if reasoning and total == prompt + completion + reasoning:
        output = completion  # this host counts reasoning beside the completion
    else:
        reasoning = min(reasoning, completion)  # more would be a miscount of the host
        output = completion - reasoning
    return Usage(
        input=prompt - cached - written,
        cache_read=cached,
        cache_write_5m=written - hour,
        cache_write_1h=hour,
        output=output,
        reasoning=reasoning,
    )


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
