"""Usage in the shape of OpenAI Responses, read and written.

Cached tokens, and those written to the cache, stand inside `input_tokens`; reasoning stands inside `output_tokens`, or
beside them where the total says so. Hosts that answer with the names of Chat Completions are read as well.
"""

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.usage import count, first_count, member, read_usage


class _Report(msgspec.Struct):
    input_tokens: object = None
    output_tokens: object = None
    total_tokens: object = None
    input_tokens_details: object = None
    output_tokens_details: object = None


_DECODER = msgspec.json.Decoder(_Report)


def read_responses_usage(raw: msgspec.Raw | bytes) -> Usage | None:
    """Usage as reported, or None where nothing usable was. Never raises. Explicit zeros are a report."""
    try:
        found = _DECODER.decode(raw)
    except UNREADABLE:
        return None
    into, out = count(found.input_tokens), count(found.output_tokens)
    if into is None or out is None:
        return read_usage(raw)
    details = found.input_tokens_details
    cached = min(into, first_count(member(details, "cached_tokens")))  # more would be a miscount of the host
    kept = member(details, "cache_write_tokens_details")  # OpenAI: by how long, at least
    hours = first_count(member(kept, "ttl_12h_tokens"))
    written = first_count(member(details, "cache_write_tokens"), member(details, "cache_creation_tokens"))
    written = min(into - cached, max(written, hours))
    hours = min(written, hours)
    reasoning = first_count(member(found.output_tokens_details, "reasoning_tokens"))
    if not (reasoning and count(found.total_tokens) == into + out + reasoning):
        reasoning = min(reasoning, out)
        out -= reasoning
    return Usage(
        input=into - cached - written,
        cache_read=cached,
        cache_write_5m=written - hours,
        cache_write_1h=hours,
        output=out,
        reasoning=reasoning,
    )


def write_responses_usage(usage: Usage) -> dict[str, object]:
    """The `usage` object of a response."""
    written = usage.cache_write_5m + usage.cache_write_1h
    details: dict[str, object] = {"cached_tokens": usage.cache_read, "cache_write_tokens": written}
    if usage.cache_write_1h:
        kept = {"ttl_30m_tokens": usage.cache_write_5m, "ttl_12h_tokens": usage.cache_write_1h}
        details["cache_write_tokens_details"] = kept
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": details,
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.total,
    }
