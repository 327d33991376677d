"""Metrics pages of engines become one small value."""

import pytest

from tokenweir.engines.health import EngineLoad, parse_load

VLLM = """\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="a{b} c"} 3.0
vllm:num_requests_running{engine="1",model_name="a"} 2.0
vllm:num_requests_waiting{engine="0"} 7.0
vllm:kv_cache_usage_perc{engine="0"} 0.25
vllm:kv_cache_usage_perc{engine="1"} 0.5
vllm:prefix_cache_queries_total{engine="0"} 1.2e+06
vllm:prefix_cache_hits_total{engine="0"} 300000
vllm:time_to_first_token_seconds_bucket{le="+Inf"} 9
"""

PAGES = [
    (
        VLLM,
        EngineLoad(
            running=5, waiting=7, cache_used=0.5, cache_queried_tokens=1_200_000, cache_hit_tokens=300_000
        ),
    ),
    ("vllm:gpu_cache_usage_perc 0.75\n", EngineLoad(cache_used=0.75)),
    (
        'sglang:num_running_reqs{tp="0"} 4\nsglang:num_queue_reqs 0\n'
        "sglang:token_usage 0.1\nsglang:cache_hit_rate 0.9\n",
        EngineLoad(running=4, waiting=0, cache_used=0.1, cache_hit_rate=0.9),
    ),
    (
        "llamacpp:requests_processing 1\nllamacpp:requests_deferred 2 1700000000\n",
        EngineLoad(running=1, waiting=2),
    ),
    ("lmdeploy:gpu_cache_usage_perc 0.3", EngineLoad(cache_used=0.3)),
]


@pytest.mark.parametrize(("page", "wanted"), PAGES)
def test_pages_of_each_engine(page: str, wanted: EngineLoad) -> None:
    assert parse_load(page) == wanted


@pytest.mark.parametrize(
    "page",
    [
        "",
        "<html>",
        "up 1\n",
        "vllm:num_requests_running\n",
        "vllm:num_requests_running{ 1",
        "vllm:num_requests_running NaN",
        "vllm:num_requests_running -1",
        "vllm:num_requests_running many",
    ],
)
def test_pages_that_say_nothing(page: str) -> None:
    assert parse_load(page) is None
