"""Completions and rankings: passed through and metered."""

import json

import pytest

from tokenweir.core.usage import Provenance, Usage
from tokenweir.protocol.answers import read_chat_answer
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.meter import ChatStreamMeter
from tokenweir.protocol.passed import (
    parse_completions,
    parse_rerank,
    read_rerank_answer,
    rewrite_completions,
    rewrite_rerank,
)


@pytest.mark.parametrize(
    ("members", "n"),
    [
        ({"prompt": "a"}, 1),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": ["a", "b"]}, 2),
        ({"prompt": [[1], [2], [3]], "n": 2}, 6),
        ({"prompt": "a", "n": 2, "best_of": 5}, 5),
        ({"prompt": []}, 1),
        ({}, 1),
    ],
)
def test_every_prompt_has_its_choices(members: dict[str, object], n: int) -> None:
    request = parse_completions(json.dumps({"model": "m", "max_tokens": 7} | members).encode())
    assert (request.n, request.max_output, request.stream) == (n, 7, False)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"prompt":"x"}', "model"),
        (b'{"model":"","prompt":"x"}', "model"),
        (b'{"model":"m","n":0}', "n"),
        (b'{"model":"m","best_of":1000}', "best_of"),
        (b'{"model":"m","max_tokens":-1}', "max_tokens"),
    ],
)
def test_a_completion_that_cannot_be_metered_is_refused(body: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_completions(body)
    assert refused.value.param == param


def test_a_completion_is_asked_for_its_usage() -> None:
    body = b'{"model":"m","prompt":"x","stream":true}'
    request = parse_completions(body)
    sent = rewrite_completions(body, request, model="z", ask_usage=True, max_output=3)
    assert json.loads(sent) == {
        "model": "z",
        "prompt": "x",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 3,
    }


def chunk(text: str, finish: str | None = None, **members: object) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
    body = {"id": "cmpl-1", "object": "text_completion", "model": "m", "choices": [choice]} | members
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def test_a_stream_of_completions_is_metered() -> None:
    usage = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
    tail = b"data: " + json.dumps({"model": "m", "choices": [], "usage": usage}).encode() + b"\n\n"
    meter = ChatStreamMeter(forward_usage=False)
    pieces = [chunk("a"), chunk(" b"), chunk("", "stop"), tail, b"data: [DONE]\n\n"]
    assert [meter.feed(piece) for piece in pieces] == [*pieces[:3], b"", b""]
    assert (meter.counted, meter.settled(10)) == (2, Usage(input=4, output=3))


def test_a_cut_stream_of_completions_is_counted() -> None:
    meter = ChatStreamMeter(forward_usage=False)
    for text in ("a", "b", "c"):
        meter.feed(chunk(text))
    assert meter.settled(35) == Usage(input=10, output=3, provenance=Provenance.COUNTED)


def test_a_completion_without_usage_is_estimated_by_its_text() -> None:
    body = {"model": "m", "choices": [{"text": "abc"}, {"text": "de"}]}
    assert read_chat_answer(json.dumps(body).encode()).output_bytes == 5


# --- rankings


def test_a_ranking_keeps_its_bytes() -> None:
    body = b'{"model":"m","query":"q","documents":["a", "b"],"top_n":1}'
    request = parse_rerank(body)
    assert (request.model, request.max_output, request.has_media) == ("m", 0, False)
    assert rewrite_rerank(body, request, model="m", ask_usage=True, max_output=5) is body
    assert json.loads(rewrite_rerank(body, request, model="z", ask_usage=True, max_output=5))["model"] == "z"
    assert parse_rerank(b'{"model":"m","query":"q","documents":[{"image":"https://x"}]}').has_media


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"query":"q","documents":[]}', "model"),
        (b'{"model":"m","documents":[]}', "query"),
        (b'{"model":"m","query":"q"}', "documents"),
        (b'{"model":"m","query":"q","documents":"a"}', "documents"),
    ],
)
def test_a_ranking_of_nothing_is_refused(body: bytes, param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        parse_rerank(body)
    assert refused.value.param == param


RESULTS: dict[str, object] = {"results": [{"index": 0, "relevance_score": 0.9}]}


@pytest.mark.parametrize(
    ("host", "members", "usage"),
    [
        ("Jina", {"usage": {"total_tokens": 15}}, Usage(input=15)),
        ("vLLM", {"usage": {"prompt_tokens": 15, "total_tokens": 15}}, Usage(input=15)),
        ("Isaacus", {"usage": {"input_tokens": 15}}, Usage(input=15)),
        ("Cohere", {"meta": {"billed_units": {"search_units": 1}}}, None),
        (
            "SiliconFlow",
            {"meta": {"billed_units": {"input_tokens": 15, "output_tokens": 0, "search_units": 0},
                      "tokens": {"input_tokens": 15, "output_tokens": 0}}},
            Usage(input=15),
        ),
        ("of Cohere's kind", {"meta": {"billed_units": {"input_tokens": 9}}}, Usage(input=9)),
        ("Xinference", {"meta": {"tokens": None, "billed_units": None}}, None),
        ("with zeros", {"usage": {"total_tokens": 0}}, Usage()),
        ("with nonsense", {"usage": {"total_tokens": "many"}, "meta": []}, None),
    ],
)  # fmt: skip
def test_usage_of_rankings(host: str, members: dict[str, object], usage: Usage | None) -> None:
    answer = read_rerank_answer(json.dumps(RESULTS | members).encode())
    assert (answer.usage, answer.failed) == (usage, False), host


def test_a_ranking_without_usage_is_estimated() -> None:
    settled = read_rerank_answer(b'[{"index":0,"score":0.9}]').settled(35)
    assert settled == Usage(input=10, provenance=Provenance.ESTIMATED)


@pytest.mark.parametrize("body", [b"x", b'{"error":"no"}', b'{"message":"no"}', b"[", b'{"results":'])
def test_an_error_is_no_ranking(body: bytes) -> None:
    assert read_rerank_answer(body).failed
