"""Usage in the shape of Anthropic Messages, read and written.

Cached tokens stand beside `input_tokens`, thinking inside `output_tokens`. In a stream usage comes in several reports:
`message_start` tells the input, `message_delta` the output so far; some hosts send zeros first and the truth later
(zai-org/GLM-5#139), an estimate first, or leave the counters of the cache out.
"""

import msgspec

from tokenweir.core.usage import Usage
from tokenweir.protocol.envelope import UNREADABLE
from tokenweir.protocol.usage import count


class _Report(msgspec.Struct):
    input_tokens: object = None
    cache_read_input_tokens: object = None
    cache_creation_input_tokens: object = None
    cache_creation: object = None
    output_tokens: object = None
    output_tokens_details: object = None


_DECODER = msgspec.json.Decoder(_Report)


class MessagesUsage:
    """The usage of one answer, from one report or several."""

    def __init__(self) -> None:
        self._into: dict[str, int] = {}  # input, cache_read, cache_write_5m, cache_write_1h
        self._out: dict[str, int] = {}  # output with its thinking, and thinking

    def take(self, raw: msgspec.Raw | bytes) -> bool:
        """A further report: what it counts replaces what was counted before, but zeros undo nothing.

        Never raises. Whether it said anything that can be used.
        """
        try:
            found = _DECODER.decode(raw)
        except UNREADABLE:
            return False
        into = _known(input=found.input_tokens, cache_read=found.cache_read_input_tokens) | _written(found)
        thinking = _member(found.output_tokens_details, "thinking_tokens")
        out = _known(output=found.output_tokens, thinking=thinking)
        for counted, known in ((into, self._into), (out, self._out)):
            if any(counted.values()) or not known:
                known |= counted
        return bool(into or out)

    @property
    def usage(self) -> Usage | None:
        """Usage as reported so far; None while nobody said what went in."""
        if not self._into:
            return None
        output = self._out.get("output", 0)
        thinking = min(self._out.get("thinking", 0), output)  # more would be a miscount of the host
        return Usage(
            input=self._into.get("input", 0),
            cache_read=self._into.get("cache_read", 0),
            cache_write_5m=self._into.get("cache_write_5m", 0),
            cache_write_1h=self._into.get("cache_write_1h", 0),
            output=output - thinking,
            reasoning=thinking,
        )


def read_messages_usage(raw: msgspec.Raw | bytes) -> Usage | None:
    """Usage of a whole answer, or None where nothing usable was reported. Never raises."""
    usage = MessagesUsage()
    usage.take(raw)
    return usage.usage


def write_messages_usage(usage: Usage) -> dict[str, object]:
    """The `usage` object of an answer."""
    written: dict[str, object] = {
        "input_tokens": usage.input,
        "cache_creation_input_tokens": usage.cache_write_5m + usage.cache_write_1h,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.completion,
    }
    if usage.reasoning:
        written["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    return written


def _written(found: _Report) -> dict[str, int]:
    """Tokens written to the cache, by how long they are kept: 5 minutes where nothing else is said."""
    split = found.cache_creation
    hour = count(_member(split, "ephemeral_1h_input_tokens"))
    short = count(_member(split, "ephemeral_5m_input_tokens"))
    total = count(found.cache_creation_input_tokens)
    if total is None and hour is None and short is None:
        return {}
    hour, short = hour or 0, short or 0
    return {"cache_write_5m": max(short, (total or 0) - hour), "cache_write_1h": hour}


def _known(**counters: object) -> dict[str, int]:
    return {name: number for name, value in counters.items() if (number := count(value)) is not None}


def _member(value: object, name: str) -> object:
    return value.get(name) if isinstance(value, dict) else None
