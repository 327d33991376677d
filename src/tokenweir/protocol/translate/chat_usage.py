"""Usage in the shape of Chat Completions, for its clients."""

from tokenweir.core.usage import Usage


def write_usage(usage: Usage) -> dict[str, object]:
    """OpenAI's shape: cached and written tokens inside the prompt's, reasoning inside the completion's.

    What is kept for an hour stands in `cache_creation`, as DashScope writes it; OpenAI has no name for it.
    """
    written = usage.cache_write_5m + usage.cache_write_1h
    details: dict[str, object] = {"cached_tokens": usage.cache_read, "cache_write_tokens": written}
    if usage.cache_write_1h:
        details["cache_creation"] = {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        }
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.total,
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }
