"""Metering of Anthropic Messages passed through: requests, whole answers, streams; headers and counts of tokens."""

import json

import pytest

from tokenweir.core.usage import Provenance, Usage
from tokenweir.protocol.anthropic_headers import STRICTEST, VERSION, HeaderPolicy, upstream_headers
from tokenweir.protocol.chat import BadRequest, ChatRequest
from tokenweir.protocol.count_tokens import estimate_count, parse_count_tokens
from tokenweir.protocol.messages import parse_messages, read_messages_answer, rewrite_messages
from tokenweir.protocol.meter_messages import MessagesStreamMeter
from tokenweir.protocol.usage_messages import MessagesUsage, read_messages_usage, write_messages_usage

BODY = (
    b'{"model":"a","max_tokens":64,"stream":true,"messages":[{"role":"user","content":"hi"}],"odd": [ 1.50 ]}'
)


def test_a_request_is_read_as_far_as_metering_needs() -> None:
    assert parse_messages(BODY) == ChatRequest(model="a", stream=True, include_usage=True, max_output=64)
    picture = b'{"model":"a","messages":[{"role":"user","content":[{"type":"image"}]}]}'
    assert parse_messages(picture) == ChatRequest(model="a", include_usage=True, has_media=True)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b'{"model":"a"}', "messages"),
        (b'{"model":"","messages":[]}', "model"),
        (b'{"model":"a","messages":{}}', "messages"),
        (b'{"model":"a","messages":[],"max_tokens":-1}', "max_tokens"),
        (b'{"model":"a","messages":[],"max_tokens":"1"}', "max_tokens"),
    ],
)
def test_a_wrong_request_is_refused(body: bytes, param: str | None) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_messages(body)
    assert caught.value.param == param


def test_a_rewrite_changes_only_what_it_must() -> None:
    request = parse_messages(BODY)
    assert rewrite_messages(BODY, request, model="a", ask_usage=True, max_output=None) is BODY
    changed = rewrite_messages(BODY, request, model="b", ask_usage=True, max_output=9)
    assert b'"odd":[ 1.50 ]' in changed
    assert json.loads(changed) == json.loads(BODY) | {"model": "b", "max_tokens": 9}
    twice = b'{"model":"dear","messages":[],"model":"cheap"}'
    sent = rewrite_messages(twice, parse_messages(twice), model="cheap", ask_usage=False, max_output=None)
    assert sent.count(b'"model"') == 1 and json.loads(sent)["model"] == "cheap"


SHAPES = {
    "anthropic": (
        {"input_tokens": 5, "cache_read_input_tokens": 7, "cache_creation_input_tokens": 9, "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 7}, "output_tokens": 11, "output_tokens_details": {"thinking_tokens": 4}},
        Usage(input=5, cache_read=7, cache_write_5m=2, cache_write_1h=7, output=7, reasoning=4),
    ),
    "written to the cache, for how long is not said": (
        {"input_tokens": 5, "cache_creation_input_tokens": 9, "output_tokens": 1},
        Usage(input=5, cache_write_5m=9, output=1),
    ),
    "a host that drops the counters of the cache": ({"input_tokens": 5, "output_tokens": 1}, Usage(input=5, output=1)),
    "nulls": ({"input_tokens": 5, "cache_read_input_tokens": None, "cache_creation": None, "output_tokens": 1}, Usage(input=5, output=1)),
    "more thinking than output is a miscount": (
        {"input_tokens": 1, "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 9}},
        Usage(input=1, reasoning=2),
    ),
    "explicit zeros are a report": ({"input_tokens": 0, "output_tokens": 0}, Usage()),
    "output alone says nothing of the input": ({"output_tokens": 3}, None),
    "none": (None, None),
    "text": ({"input_tokens": "5"}, None),
    "negative": ({"input_tokens": -5}, None),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_a_reported_usage_has_one_right_reading(name: str) -> None:
    raw, usage = SHAPES[name]
    assert read_messages_usage(json.dumps(raw).encode()) == usage
    answer = read_messages_answer(json.dumps({"model": "m", "content": [], "usage": raw}).encode())
    assert (answer.usage, answer.model, answer.failed) == (usage, "m", False)
    if usage is not None:
        assert read_messages_usage(json.dumps(write_messages_usage(usage)).encode()) == usage


REPORTS = {
    "anthropic": ([{"input_tokens": 5, "cache_read_input_tokens": 90, "output_tokens": 1}, {"output_tokens": 9}], Usage(input=5, cache_read=90, output=9)),
    "zeros first, the truth later": ([{"input_tokens": 0, "output_tokens": 0}, {"input_tokens": 5, "output_tokens": 9, "cache_read_input_tokens": 2}], Usage(input=5, cache_read=2, output=9)),
    "the truth first, zeros later": ([{"input_tokens": 5, "output_tokens": 1}, {"input_tokens": 0, "output_tokens": 9}, {"input_tokens": 0, "output_tokens": 0}], Usage(input=5, output=9)),
    "an estimate first": ([{"input_tokens": 100}, {"input_tokens": 10, "cache_read_input_tokens": 90, "output_tokens": 9}], Usage(input=10, cache_read=90, output=9)),
    "an estimate first, and all was cached": ([{"input_tokens": 100}, {"input_tokens": 0, "cache_read_input_tokens": 90, "output_tokens": 9}], Usage(cache_read=90, output=9)),
    "cumulative, never added": ([{"input_tokens": 5, "output_tokens": n} for n in (1, 2, 3)], Usage(input=5, output=3)),
}  # fmt: skip


@pytest.mark.parametrize("name", REPORTS)
def test_several_reports_make_one_usage(name: str) -> None:
    reports, expected = REPORTS[name]
    usage = MessagesUsage()
    for report in reports:
        assert usage.take(json.dumps(report).encode())
    assert usage.usage == expected
    assert not usage.take(b'{"x":1}') and not usage.take(b"[") and usage.usage == expected


def test_an_answer_without_usage_is_estimated_by_what_it_says() -> None:
    said = [{"type": "text", "text": "x" * 30}, {"type": "tool_use", "name": "five5", "input": {"a": 1}, "id": "i" * 500}]  # fmt: skip
    answer = read_messages_answer(json.dumps({"content": said}).encode())
    assert answer.output_bytes == 30 + 5 + 7
    assert answer.settled(35) == Usage(input=10, output=12, provenance=Provenance.ESTIMATED)
    assert read_messages_answer(b'{"type":"error","error":{"message":"x"}}').failed
    assert read_messages_answer(b"<html>").failed


def event(**members: object) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (str(members["type"]).encode(), json.dumps(members).encode())


START = event(
    type="message_start", message={"model": "glm-5", "usage": {"input_tokens": 7, "output_tokens": 1}}
)
WORD = event(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "word"})
DONE = event(type="message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 2})
STOP = event(type="message_stop")
OVERLOADED = event(type="error", error={"type": "overloaded_error", "message": "Overloaded"})
REPORTED = Usage(input=7, output=2)

STREAMS = {
    "whole": (START + WORD + WORD + DONE + STOP, REPORTED, True, False),
    "no last event": (START + WORD + DONE, REPORTED, True, False),
    "done as in chat": (START + WORD + DONE + b"data: [DONE]\n\n", REPORTED, True, False),
    "cut off": (START + WORD * 5, Usage(input=7, output=5, provenance=Provenance.COUNTED), False, False),
    "no usage": (WORD * 3 + STOP, Usage(input=20, output=3, provenance=Provenance.COUNTED), True, False),
    "an error inside": (START + WORD * 5 + OVERLOADED, Usage(input=7, output=5, provenance=Provenance.COUNTED), False, True),
    "an error alone": (OVERLOADED, Usage(provenance=Provenance.COUNTED), False, True),
    "an error without a name": (b'data: {"error":{"message":"x"}}\n\n', Usage(provenance=Provenance.COUNTED), False, True),
    "a bare error": (b'data: {"code":"InternalError","message":"x"}\n\n', Usage(provenance=Provenance.COUNTED), False, True),
    "the input of a tool at its start": (
        START + event(type="content_block_start", index=0, content_block={"type": "tool_use", "name": "f", "input": {"path": "a.py"}}),
        Usage(input=7, output=1), False, False,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_stream_has_one_right_reading_however_it_is_cut(name: str, size: int) -> None:
    data, usage, finished, failed = STREAMS[name]
    meter = MessagesStreamMeter()
    passed = b"".join(meter.feed(data[i : i + size]) for i in range(0, len(data), size))
    assert meter.settled(70) == usage
    assert (meter.finished, meter.error is not None) == (finished, failed)
    assert STOP not in passed and b"[DONE]" not in passed
    assert passed + meter.tail() == data


def test_many_plain_events_are_compared_and_not_read() -> None:
    meter = MessagesStreamMeter()
    meter.feed(START + WORD)
    meter._read = None  # type: ignore[assignment, method-assign]
    for text in ("a", "水", 'say \\"x\\"', "\\n"):
        piece = WORD.replace(b"word", text.encode())
        assert meter.feed(piece) is piece
    assert meter.counted == 5


# --- headers and counts


def test_each_host_gets_the_betas_that_it_reads() -> None:
    sent = [
        (b"anthropic-version", b"2023-06-01"),
        (b"anthropic-beta", b"context-1m-2025-08-07, files-api-2025-04-14"),
        (b"anthropic-beta", b"context-1m-2025-08-07"),
        (b"x-other", b"1"),
    ]
    version = (b"anthropic-version", b"2023-06-01")
    own = upstream_headers(HeaderPolicy(all_betas=True), sent)
    assert own.lines == (version, (b"anthropic-beta", b"context-1m-2025-08-07,files-api-2025-04-14"))
    assert own.dropped == ()
    deepseek = upstream_headers(HeaderPolicy(betas=("files-api-",)), sent)
    assert deepseek.lines == (version, (b"anthropic-beta", b"files-api-2025-04-14"))
    assert deepseek.dropped == ("anthropic-beta: context-1m-2025-08-07",)
    assert upstream_headers(STRICTEST, sent).lines == (version,)
    assert upstream_headers(STRICTEST, []).lines == ((b"anthropic-version", VERSION),)


def test_tokens_are_estimated_from_the_text_of_a_request() -> None:
    words = {"type": "text", "text": "a word " * 500}
    image = {"type": "image", "source": {"type": "base64", "data": "A" * 40_000}}
    text, picture = (
        json.dumps({"model": "m", "messages": [{"role": "user", "content": content}]}).encode()
        for content in ([words], [words, image])
    )
    assert parse_count_tokens(text) == ChatRequest(model="m", max_output=0)
    counts = [json.loads(estimate_count(body))["input_tokens"] for body in (text, picture)]
    assert 1000 <= counts[0] <= 1050 and 0 < counts[1] - counts[0] < 30
    with pytest.raises(BadRequest):
        parse_count_tokens(b'{"model":"m"}')
