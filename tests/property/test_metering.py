"""Metering: whatever comes, nothing crashes; however it is cut, the same is counted; classes never overlap."""

import itertools
import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tokenweir.core.usage import TOKEN_CLASSES, Provenance
from tokenweir.protocol.answers import prompt_text_bytes, read_chat_answer
from tokenweir.protocol.meter import ChatStreamMeter
from tokenweir.protocol.sse import SseSplitter
from tokenweir.protocol.usage import read_usage

DEEP = b"[" * 200_000
COUNT = st.integers(0, 5000)
ODD = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.lists(st.integers(), max_size=2)
)
NAMES = ("prompt_tokens", "completion_tokens", "total_tokens", "cached_tokens", "prompt_cache_hit_tokens",
         "prompt_cache_miss_tokens", "reasoning_tokens", "cache_creation_input_tokens")  # fmt: skip
DETAILS = st.dictionaries(
    st.sampled_from(
        ("cached_tokens", "cache_write_tokens", "reasoning_tokens", "cache_creation_input_tokens")
    ),
    COUNT | ODD,
) | st.dictionaries(
    st.just("cache_creation"), st.dictionaries(st.just("ephemeral_1h_input_tokens"), COUNT | ODD)
)
REPORTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(NAMES, COUNT | ODD)
    | dict.fromkeys(("prompt_tokens_details", "completion_tokens_details"), DETAILS | ODD),
)
#: Texts of one and of many tokens, with whatever JSON has to escape, and what metering looks for.
TEXT = (
    st.text(max_size=12)
    | st.text('abc \\"\n水', max_size=60)
    | st.sampled_from(('"usage":{', "[DONE]", "\u2028", "data: "))
)
DELTA = st.fixed_dictionaries({}, optional=dict.fromkeys(("content", "reasoning_content", "refusal"), TEXT))
CALLED = st.builds(
    lambda name, text: {"tool_calls": [{"function": {"name": name, "arguments": text}}]}, TEXT, TEXT
)
CHOICE = st.builds(
    lambda delta, end: {"delta": delta, "finish_reason": end},
    DELTA | CALLED,
    st.sampled_from((None, None, None, "stop")),
)
CHUNK = st.fixed_dictionaries(
    {"model": st.just("m"), "choices": st.lists(CHOICE, max_size=2)}, optional={"usage": REPORTS | st.none()}
)
ASCII = st.booleans()
EVENT = (
    st.builds(lambda chunk, ascii: b"data: " + json.dumps(chunk, ensure_ascii=ascii, separators=(",", ":")).encode("utf-8", "replace"), CHUNK, ASCII)
    | st.sampled_from((b": ping", b"data: [DONE]", b"event: message\ndata: {}", b'data: {"error":"x"}', b"data: nothing"))
    | st.binary(max_size=12).map(lambda b: b"data: " + b.replace(b"\n", b"").replace(b"\r", b""))
)  # fmt: skip
STREAM = st.builds(
    lambda events, end: b"".join(event.replace(b"\n", end) + end + end for event in events),
    st.lists(st.one_of(EVENT, EVENT.flatmap(st.just)), max_size=8).flatmap(lambda e: st.just([x for y in e for x in (y, y)])),
    st.sampled_from((b"\n", b"\r\n")),
)  # fmt: skip


def read(pieces: list[bytes], *, forward: bool) -> tuple[object, ...]:
    meter = ChatStreamMeter(forward_usage=forward)
    passed = b"".join([meter.feed(piece) for piece in pieces])
    usage = meter.settled(700)
    return passed + meter.tail(), usage, meter.counted, meter.finished, meter.error, meter.model


@given(STREAM, st.lists(st.integers(0, 2000), max_size=8), st.booleans())
def test_a_stream_is_read_the_same_however_it_is_cut(data: bytes, places: list[int], forward: bool) -> None:
    borders = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    whole = read([data], forward=forward)
    assert read([data[a:b] for a, b in itertools.pairwise(borders)], forward=forward) == whole
    assert read([bytes([byte]) for byte in data], forward=forward) == whole
    if forward:
        assert whole[0] == data


@given(st.lists(TEXT, min_size=1, max_size=12), st.sampled_from(("content", "reasoning_content")), ASCII)
def test_an_event_that_is_compared_counts_what_one_that_is_read_does(
    texts: list[str], name: str, ascii: bool
) -> None:
    events = [
        b"data: " + json.dumps({"model": "m", "choices": [{"delta": {name: text}}]}, ensure_ascii=ascii).encode("utf-8", "replace") + b"\n\n"
        for text in texts
    ]  # fmt: skip
    together = ChatStreamMeter(forward_usage=False)
    alone = []
    for event in events:
        together.feed(event)
        one = ChatStreamMeter(forward_usage=False)
        one.feed(event)
        alone.append(one.counted)
    assert together.counted == sum(alone)


@given(REPORTS)
def test_the_classes_are_disjoint_and_add_up_to_what_was_reported(report: dict[str, object]) -> None:
    usage = read_usage(json.dumps(report).encode())
    if usage is None:
        return
    assert usage.provenance is Provenance.REPORTED
    assert all(getattr(usage, name) >= 0 for name in TOKEN_CLASSES)
    assert usage.prompt == report["prompt_tokens"]
    completion, total = report.get("completion_tokens"), report.get("total_tokens")
    if completion is None:
        assert usage.completion == int(total) - usage.prompt  # type: ignore[call-overload]
    else:
        assert usage.completion == completion or usage.total == total  # reasoning inside, or beside


@given(st.dictionaries(st.sampled_from(("usage", "choices", "error", "base_resp", "message", "data", "object", "model")), ODD | st.lists(st.dictionaries(st.sampled_from(("message", "usage")), ODD | REPORTS), max_size=2) | REPORTS))  # fmt: skip
def test_any_answer_is_read_and_settled(answer: dict[str, object]) -> None:
    usage = read_chat_answer(json.dumps(answer).encode()).settled(70)
    assert usage.total >= 0


@given(st.binary(max_size=300))
@example(DEEP)
@example(b'{"usage":' + DEEP)
@example(b'{"choices":[{"message":{"content":' + DEEP)
@example(b'{"usage":{"prompt_tokens":1e400,"completion_tokens":' + b"9" * 5000 + b"}}")
def test_arbitrary_answers_are_read_and_settled(body: bytes) -> None:
    assert read_chat_answer(body).settled(70).total >= 0
    meter = ChatStreamMeter(forward_usage=True)
    assert meter.feed(b"data: " + body + b"\n\n") + meter.tail() == b"data: " + body + b"\n\n"
    assert meter.settled(70).total >= 0


def test_an_event_without_an_end_passes_in_parts_and_what_follows_is_read() -> None:
    splitter = SseSplitter(max_event_bytes=100)
    assert splitter.feed(b"data: a\n\ndata: " + b"x" * 200) == [b"data: a\n\n", b"data: " + b"x" * 200]
    assert splitter.feed(b"\n\ndata: b\n\n") == [b"\n\n", b"data: b\n\n"]


@pytest.mark.parametrize("body", [b'"' * 1_000_000, b'"' + b"A" * 3_000_000, b'"data:' * 300_000])
def test_a_request_of_any_shape_is_weighed_in_one_pass(body: bytes) -> None:
    assert 0 <= prompt_text_bytes(body) <= len(body)


def test_pictures_inside_a_request_are_no_text() -> None:
    text = msgspec.json.encode({"messages": [{"content": [{"type": "text", "text": "x" * 500}]}]})
    picture = (
        b'{"type":"image_url","image_url":{"url":"data:image/png;base64,' + b"iVBORw0KGgo" * 1000 + b'"}}'
    )
    assert prompt_text_bytes(text + picture) < len(text) + 100
