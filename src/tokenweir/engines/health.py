"""An engine's metrics page, read into what routing asks: how busy it is, how full its cache. Pure."""

import math
from collections.abc import Iterator

import msgspec

#: A page beyond this is cut there.
MAX_LINES = 20_000


class EngineLoad(msgspec.Struct, frozen=True, kw_only=True):
    """What an engine says of itself. None: it does not say."""

    running: int | None = None  # calls it is working on
    waiting: int | None = None  # calls in its queue
    cache_used: float | None = None  # share of its key-value cache that is taken, 0 to 1
    cache_queried_tokens: int | None = None  # prompt tokens looked up in the prefix cache, since its start
    cache_hit_tokens: int | None = None  # of these, found there
    cache_hit_rate: float | None = None  # share found, where the engine tells only that


#: Of each metric: the field, and whether samples of several ranks are added; else the largest counts.
_METRICS: dict[str, tuple[str, bool]] = {
    "vllm:num_requests_running": ("running", True),
    "vllm:num_requests_waiting": ("waiting", True),
    "vllm:kv_cache_usage_perc": ("cache_used", False),
    "vllm:gpu_cache_usage_perc": ("cache_used", False),
    "vllm:prefix_cache_queries": ("cache_queried_tokens", True),
    "vllm:prefix_cache_queries_total": ("cache_queried_tokens", True),
    "vllm:prefix_cache_hits": ("cache_hit_tokens", True),
    "vllm:prefix_cache_hits_total": ("cache_hit_tokens", True),
    "sglang:num_running_reqs": ("running", True),
    "sglang:num_queue_reqs": ("waiting", True),
    "sglang:token_usage": ("cache_used", False),
    "sglang:cache_hit_rate": ("cache_hit_rate", False),
    "llamacpp:requests_processing": ("running", True),
    "llamacpp:requests_deferred": ("waiting", True),
    "llamacpp:kv_cache_usage_ratio": ("cache_used", False),
    "lmdeploy:gpu_cache_usage_perc": ("cache_used", False),
}


def parse_load(text: str) -> EngineLoad | None:
    """The load in a Prometheus page; None when it has no metric known here. Odd lines are passed over."""
    found: dict[str, float] = {}
    for name, value in _samples(text):
        if name in _METRICS:
            field, added = _METRICS[name]
            before = found.get(field, 0.0)
            found[field] = before + value if added else max(before, value)
    if not found:
        return None
    return EngineLoad(
        running=_whole(found, "running"),
        waiting=_whole(found, "waiting"),
        cache_used=found.get("cache_used"),
        cache_queried_tokens=_whole(found, "cache_queried_tokens"),
        cache_hit_tokens=_whole(found, "cache_hit_tokens"),
        cache_hit_rate=found.get("cache_hit_rate"),
    )


def _whole(found: dict[str, float], field: str) -> int | None:
    return int(found[field]) if field in found else None


def _samples(text: str) -> Iterator[tuple[str, float]]:
    """Name and value of each sample that is a number; labels are passed over."""
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        if not line or line[0] == "#":
            continue
        name, brace, rest = line.partition("{")
        if brace:
            _, closed, rest = rest.rpartition("}")
            rest = rest if closed else ""
        else:
            name, _, rest = line.partition(" ")
        words = rest.split()
        try:
            value = float(words[0])
        except (IndexError, ValueError):
            continue
        if math.isfinite(value) and value >= 0:
            yield name.strip(), value
