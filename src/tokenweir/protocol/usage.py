"""An upstream's usage object, in any of its shapes, to disjoint classes.

Cached tokens stand inside the prompt's (OpenAI, Kimi, Qwen) or split as hit and miss (DeepSeek); reasoning stands
inside the completion's, or outside where the total says so.
"""

import msgspec

from tokenweir.core.usage import Usage

MOST_TOKENS = 10**9  # a count beyond this is not one


class _Details(msgspec.Struct):
    cached_tokens: object = None
    cache_creation_tokens: object = None
    cache_write_tokens: object = None
    reasoning_tokens: object = None


class _Raw(msgspec.Struct):
    prompt_tokens: object = None
    completion_tokens: object = None
    total_tokens: object = None
    cached_tokens: object = None  # Kimi
    prompt_cache_hit_tokens: object = None  # DeepSeek
    cache_creation_input_tokens: object = None
    prompt_tokens_details: _Details | None = None
    completion_tokens_details: _Details | None = None


_DECODER = msgspec.json.Decoder(_Raw)


def read_usage(raw: msgspec.Raw | bytes | None) -> Usage | None:
    """Usage as reported, or None where nothing usable was. Explicit zeros are a report."""
    if raw is None:
        return None
    try:
        found = _DECODER.decode(raw)
    except msgspec.MsgspecError:
        return None
    prompt, completion = _count(found.prompt_tokens), _count(found.completion_tokens)
    if prompt is None:
        return None
    completion = completion or 0
    prompt_details = found.prompt_tokens_details or _Details()
    completion_details = found.completion_tokens_details or _Details()
    cached = min(
        prompt, _first(prompt_details.cached_tokens, found.cached_tokens, found.prompt_cache_hit_tokens)
    )
    written = _first(
        prompt_details.cache_write_tokens,
        prompt_details.cache_creation_tokens,
        found.cache_creation_input_tokens,
    )
    written = min(prompt - cached, written)
    reasoning = _first(completion_details.reasoning_tokens)
    if reasoning and _count(found.total_tokens) == prompt + completion + reasoning:
        output = completion  # this host counts reasoning beside the completion
    else:
        reasoning = min(reasoning, completion)  # more would be a miscount of the host
        output = completion - reasoning
    return Usage(
        input=prompt - cached - written,
        cache_read=cached,
        cache_write_5m=written,
        output=output,
        reasoning=reasoning,
    )


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        return None
    return value


def _first(*values: object) -> int:
    """The first usable count; 0 where there is none."""
    return next((count for count in map(_count, values) if count is not None), 0)
