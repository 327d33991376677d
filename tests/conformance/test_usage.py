"""Usage as providers report it: each shape and its one right reading."""

import msgspec
import pytest

from tokenweir.core.usage import Provenance, Usage
from tokenweir.protocol.answers import estimate_usage, read_chat_answer
from tokenweir.protocol.meter import ChatStreamMeter
from tokenweir.protocol.usage import read_usage

SHAPES = {
    "openai, cached inside the prompt": (
        {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
        Usage(input=6, cache_read=4, output=5),
    ),
    "kimi, cached on top": (
        {"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 7},
        Usage(input=3, cache_read=7, output=5),
    ),
    "deepseek, hit and miss": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "prompt_cache_hit_tokens": 8,
            "prompt_cache_miss_tokens": 2,
        },
        Usage(input=2, cache_read=8, output=5),
    ),
    "reasoning inside the completion": (
        {
            "prompt_tokens": 1,
            "completion_tokens": 9,
            "total_tokens": 10,
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
        Usage(input=1, output=2, reasoning=7),
    ),
    "reasoning beside the completion": (
        {
            "prompt_tokens": 1,
            "completion_tokens": 2,
            "total_tokens": 10,
            "completion_tokens_details": {"reasoning_tokens": 7},
        },
        Usage(input=1, output=2, reasoning=7),
    ),
    "more reasoning than completion is a miscount": (
        {"prompt_tokens": 1, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 9}},
        Usage(input=1, reasoning=5),
    ),
    "all of the prompt cached": (
        {"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 10}},
        Usage(cache_read=10, output=1),
    ),
    "written to the cache": (
        {
            "prompt_tokens": 10,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3},
        },
        Usage(input=5, cache_read=2, cache_write_5m=3, output=1),
    ),
    "explicit zeros are a report": ({"prompt_tokens": 0, "completion_tokens": 0}, Usage()),
    "null is none": (None, None),
    "negative is none": ({"prompt_tokens": -1, "completion_tokens": 5}, None),
    "text is none": ({"prompt_tokens": "10"}, None),
    "absurd is none": ({"prompt_tokens": 10**12}, None),
}


@pytest.mark.parametrize("name", SHAPES)
def test_a_reported_usage_has_one_right_reading(name: str) -> None:
    raw, expected = SHAPES[name]
    assert read_usage(msgspec.json.encode(raw)) == expected
    plain = read_chat_answer(msgspec.json.encode({"model": "m", "choices": [{}], "usage": raw}))
    assert plain.usage == expected and plain.model == "m"


def event(**members: object) -> bytes:
    return b"data: " + msgspec.json.encode({"model": "m", **members}) + b"\n\n"


DONE = b"data: [DONE]\n\n"
WORD = event(choices=[{"delta": {"content": "x"}}])
STOP = event(choices=[{"delta": {}, "finish_reason": "stop"}])
USED = {"prompt_tokens": 3, "completion_tokens": 2}

STREAMS = {
    "kimi, usage in the choice": (WORD + event(choices=[{"delta": {}, "finish_reason": "stop", "usage": USED}]) + DONE, 2, True, None),
    "no usage at all": (WORD + WORD + STOP + DONE, None, True, None),
    "cumulative usage in every chunk": (event(choices=[{"delta": {"content": "a"}}], usage={"prompt_tokens": 3, "completion_tokens": 1}) + event(choices=[{"delta": {"content": "b"}}], usage=USED) + STOP + DONE, 2, True, None),
    "no finish reason": (WORD + DONE, None, True, None),
    "no done": (WORD + STOP, None, True, None),
    "cut off": (WORD + WORD, None, False, None),
    "an error inside": (WORD + event(error={"message": "overloaded"}), None, False, "the upstream reported an error"),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_has_one_right_reading_however_it_is_cut(name: str, size: int) -> None:
    data, output, finished, error = STREAMS[name]
    meter = ChatStreamMeter(forward_usage=False)
    passed = b"".join(meter.feed(data[i : i + size]) for i in range(0, len(data), size))
    assert passed + meter.tail() == data  # nothing here is a chunk that the client did not ask for
    assert (meter.usage.output if meter.usage else None) == output
    assert (meter.finished, meter.error) == (finished, error)
    assert meter.counted == data.count(b'"content"')  # the error's words are not output


def test_what_nobody_reported_is_marked_so() -> None:
    assert estimate_usage(350, 0, counted=4) == Usage(input=100, output=4, provenance=Provenance.COUNTED)
    assert estimate_usage(350, 35) == Usage(input=100, output=10, provenance=Provenance.ESTIMATED)
    assert read_chat_answer(b"<html>").usage is None
