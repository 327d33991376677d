"""Metering OpenAI Responses where both sides speak it: what is read, changed, counted and held back."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseFailedEvent

from tokenweir.core.usage import NOTHING_USED, Provenance, Usage
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.meter_responses import ResponsesStreamMeter
from tokenweir.protocol.problems import upstream_failed
from tokenweir.protocol.responses import parse_responses, read_responses_answer, rewrite_responses
from tokenweir.protocol.sse import event_data

USED = {
    "input_tokens": 30,
    "input_tokens_details": {"cached_tokens": 10},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 39,
}
USAGE = Usage(input=20, cache_read=10, output=5, reasoning=4)


def event(kind: str, *, named: bool = True, **members: object) -> bytes:
    data = json.dumps({"type": kind} | members, separators=(",", ":")).encode()
    return (b"event: " + kind.encode() + b"\n" if named else b"") + b"data: " + data + b"\n\n"


def delta(text: str, kind: str = "output_text", **members: object) -> bytes:
    return event(f"response.{kind}.delta", item_id="m", output_index=0, delta=text, **members)


CREATED = event("response.created", response={"id": "r", "model": "gpt", "output": []}, sequence_number=0)
COMPLETED = event(
    "response.completed", response={"id": "r", "model": "gpt-5", "status": "completed", "usage": USED}
)
STREAM = [CREATED, delta("he", sequence_number=1), delta("ll o\n", sequence_number=2), delta('"', sequence_number=3), COMPLETED]  # fmt: skip


def test_bytes_pass_and_the_end_is_held_back() -> None:
    meter = ResponsesStreamMeter()
    assert [meter.feed(piece) for piece in STREAM] == [*STREAM[:-1], b""]
    assert (meter.counted, meter.finished, meter.model, meter.error) == (3, True, "gpt-5", None)
    assert meter.settled(100) == USAGE
    assert meter.feed(b"data: [DONE]\n\n") == b""
    assert meter.tail() == COMPLETED + b"data: [DONE]\n\n"
    assert meter.tail() == b""


@given(
    st.lists(st.integers(0, len(b"".join(STREAM))), max_size=8).map(sorted), st.sampled_from([b"\n", b"\r\n"])
)
def test_any_cut_is_metered_the_same(cuts: list[int], line_end: bytes) -> None:
    data = b"".join(STREAM).replace(b"\n", line_end)
    meter = ResponsesStreamMeter()
    passed = b"".join(meter.feed(data[a:b]) for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True))
    assert passed + meter.tail() == data
    assert (meter.counted, meter.model, meter.settled(1)) == (3, "gpt-5", USAGE)


@given(
    st.lists(
        st.binary(max_size=40)
        | st.sampled_from([*STREAM, b"event: response.completed\ndata: ", b"data: {}\n\n"])
    )
)
def test_any_bytes_pass_untouched(pieces: list[bytes]) -> None:
    meter = ResponsesStreamMeter()
    assert b"".join([meter.feed(piece) for piece in pieces]) + meter.tail() == b"".join(pieces)
    assert meter.settled(1).total >= 0


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    ("kind", "text", "tokens"),
    [
        ("output_text", "word", 1),
        ("output_text", "", 0),
        ("reasoning_text", "x", 1),
        ("reasoning_summary_text", "x", 1),
        ("function_call_arguments", '{"a":', 1),
        ("custom_tool_call_input", "*** Begin", 1),
        ("refusal", "No", 1),
        ("output_text", "y" * 70, 20),
        ("output_text", '\\"' * 35, 40),
        ("audio", "AAAA", 0),
    ],
)
def test_deltas_are_counted(kind: str, text: str, tokens: int, *, named: bool) -> None:
    meter = ResponsesStreamMeter()
    meter.feed(event(f"response.{kind}.delta", named=named, delta=text))
    assert meter.counted == tokens
    meter.feed(
        b'data: {"delta": %b, "type": "response.%b.delta"}\n\n' % (json.dumps(text).encode(), kind.encode())
    )
    assert meter.counted == 2 * tokens


def test_a_cut_stream_is_counted_here() -> None:
    meter = ResponsesStreamMeter()
    for piece in STREAM[:-1]:
        meter.feed(piece)
    assert meter.settled(35) == Usage(input=10, output=3, provenance=Provenance.COUNTED)


def test_a_call_that_comes_whole_is_counted_once() -> None:
    item = {"type": "function_call", "name": "f", "arguments": "x" * 69}
    meter = ResponsesStreamMeter()
    done = event("response.output_item.done", item=item)
    meter.feed(done)
    assert meter.counted == 20
    meter.feed(delta("a"))
    meter.feed(done)
    assert meter.counted == 21


@pytest.mark.parametrize(
    ("events", "usage", "finished"),
    [
        ([event("error", code="x", message="busy")], NOTHING_USED, False),
        ([b'data: {"error":{"message":"busy"}}\n\n'], NOTHING_USED, False),
        ([CREATED, event("response.failed", response={"status": "failed", "error": {"code": "x"}})], NOTHING_USED, True),
        ([CREATED, event("response.failed", response={"status": "failed", "usage": USED})], USAGE, True),
    ],
)  # fmt: skip
def test_errors_are_not_output(events: list[bytes], usage: Usage, *, finished: bool) -> None:
    meter = ResponsesStreamMeter()
    for piece in events:
        meter.feed(piece)
    assert meter.error is not None
    assert (meter.settled(100), meter.finished) == (usage, finished)


def test_an_incomplete_response_is_whole() -> None:
    meter = ResponsesStreamMeter()
    held = event("response.incomplete", response={"status": "incomplete", "usage": USED})
    assert meter.feed(held) == b""
    assert (meter.finished, meter.error, meter.settled(1)) == (True, None, USAGE)


def test_a_stream_that_breaks_ends_as_the_same_response() -> None:
    meter = ResponsesStreamMeter()
    for piece in STREAM[:-1]:
        meter.feed(piece)
    told = meter.broken(upstream_failed("The upstream broke."))
    failed = json.loads(event_data(told))
    ResponseFailedEvent.model_validate(failed, strict=True)
    assert (failed["response"]["id"], failed["sequence_number"]) == ("r", 4)
    assert failed["response"]["error"] == {"code": "server_error", "message": "The upstream broke."}
    assert meter.tail() == b""


# --- requests


def test_a_request_is_read_for_what_metering_needs() -> None:
    body = {"model": "m", "input": [{"type": "input_image"}], "stream": True, "max_output_tokens": 5,
            "previous_response_id": "resp_1", "store": False}  # fmt: skip
    request = parse_responses(json.dumps(body).encode())
    assert (request.model, request.stream, request.max_output, request.n) == ("m", True, 5, 1)
    assert (request.has_media, request.previous_response_id, request.store) == (True, "resp_1", False)
    assert parse_responses(b'{"model":"m","store":null}').store


@pytest.mark.parametrize(
    ("body", "param", "status"),
    [
        (b'{"input":"x"}', "model", 400),
        (b'{"model":""}', "model", 400),
        (b'{"model":"m","max_output_tokens":0}', "max_output_tokens", 422),
        (b'{"model":"m","stream":"yes"}', "stream", 422),
        (b'{"model":"m","background":true}', "background", 400),
        (b"nothing", None, 400),
        (b'{"model":"\xff"}', None, 400),
    ],
)
def test_a_request_that_cannot_be_metered_is_refused(body: bytes, param: str | None, status: int) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_responses(body)
    assert (refused.value.param, refused.value.status) == (param, status)


def rewritten(body: bytes, **changes: Any) -> bytes:
    request = parse_responses(body)
    given = {"model": request.model, "ask_usage": True, "max_output": None} | changes
    return rewrite_responses(body, request, **given)


def test_nothing_changes_but_what_must() -> None:
    body = b'{"model": "m", "input": [1.50, "\xe6\xb0\xb4"], "x": {"y": 1e3}}'
    assert rewritten(body) is body
    assert rewritten(body, model="z") == b'{"model":"z","input":[1.50, "\xe6\xb0\xb4"],"x":{"y": 1e3}}'
    assert (
        rewritten(b'{"model":"m","max_output_tokens":9}', max_output=4)
        == b'{"model":"m","max_output_tokens":4}'
    )
    assert rewritten(b'{"model":"m"}', max_output=4) == b'{"model":"m","max_output_tokens":4}'
    twice = b'{"model":"dear","model":"m"}'
    assert rewritten(twice) == b'{"model":"m"}'


# --- whole answers


def test_a_whole_answer_is_metered() -> None:
    answer = read_responses_answer(
        json.dumps({"model": "m", "status": "completed", "output": [], "usage": USED}).encode()
    )
    assert (answer.usage, answer.model, answer.failed) == (USAGE, "m", False)


def test_an_answer_without_usage_is_estimated() -> None:
    output = [
        {"type": "reasoning", "id": "rs_long_id", "summary": [{"type": "summary_text", "text": "ab"}]},
        {"type": "message", "content": [{"type": "output_text", "text": "abcde"}]},
        {"type": "function_call", "call_id": "long_id", "name": "f", "arguments": "{}"},
    ]
    answer = read_responses_answer(json.dumps({"output": output, "status": "completed"}).encode())
    assert (answer.usage, answer.output_bytes, answer.failed) == (None, 10, False)


@pytest.mark.parametrize(
    "body",
    [b"x", b'{"error":{"message":"no"}}', b'{"status":"failed","output":[],"error":null}', b'{"detail":"no","message":"no"}'],
)  # fmt: skip
def test_an_error_with_status_200_is_an_error(body: bytes) -> None:
    assert read_responses_answer(body).failed


# --- usage


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({"input_tokens": 5, "output_tokens": 2}, Usage(input=5, output=2)),
        ({"input_tokens": 5.0, "output_tokens": 2, "input_tokens_details": None}, Usage(input=5, output=2)),
        ({"input_tokens": 0, "output_tokens": 0}, Usage()),
        ({"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 9}}, Usage(cache_read=5, output=2)),
        (
            {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 5}},
            Usage(input=3, cache_read=1, cache_write_5m=5, output=2),
        ),
        (
            {"input_tokens": 5, "output_tokens": 2, "total_tokens": 10, "output_tokens_details": {"reasoning_tokens": 3}},
            Usage(input=5, output=2, reasoning=3),
        ),
        ({"input_tokens": 5, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 3}}, Usage(input=5, reasoning=2)),
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(input=5, output=2)),
        ({"input_tokens": -5, "output_tokens": 2}, None),
        ({"input_tokens": True, "output_tokens": 2}, None),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)  # fmt: skip
def test_usage_of_every_shape(raw: object, usage: Usage | None) -> None:
    body = json.dumps({"usage": raw, "output": [], "status": "completed"}).encode()
    assert read_responses_answer(body).usage == usage
