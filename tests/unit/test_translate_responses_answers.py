"""Answers of hosts that speak OpenAI Responses, each in its way."""

import json

import pytest

from tokenweir.core.errors import WireError
from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.answer import (
    Answer,
    Cited,
    Closed,
    Delta,
    Event,
    Failed,
    Failure,
    Finish,
    Opened,
    Ping,
    Started,
    Unplaced,
    fold,
)
from tokenweir.protocol.translate.form import (
    NULL,
    Reasoning,
    Request,
    Text,
    ToolCall,
)
from tokenweir.protocol.translate.responses import RESPONSES

# --- answers of hosts


def stream(*events: dict[str, object], names: bool = True) -> list[Event]:
    reader = RESPONSES.reader()
    sent = b"".join(
        (f"event: {event['type']}\n" if names else "").encode()
        + b"data: "
        + json.dumps(event).encode()
        + b"\n\n"
        for event in events
    )
    return reader.feed(sent) + reader.end()


CREATED = {"type": "response.created", "response": {"id": "r", "model": "m", "created_at": 5.0, "output": []}}
USED = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}


def completed(*output: dict[str, object]) -> dict[str, object]:
    response = {"id": "r", "model": "m", "status": "completed", "output": list(output), "usage": USED}
    return {"type": "response.completed", "response": response}


CALL = {"type": "function_call", "id": "fc", "call_id": "c", "name": "f", "arguments": '{"a":1}'}
MESSAGE = {
    "type": "message",
    "id": "m1",
    "content": [{"type": "output_text", "text": "hello", "annotations": []}],
}


def test_arguments_that_come_only_when_done() -> None:
    added = {"type": "response.output_item.added", "output_index": 0, "item": CALL | {"arguments": ""}}
    done = {
        "type": "response.function_call_arguments.done",
        "output_index": 0,
        "item_id": "fc",
        "arguments": '{"a":1}',
    }
    expected = ToolCall(id="c", name="f", arguments='{"a":1}', item_id="fc")
    for events in ([added, done], [added], [{"type": "response.output_item.done", "item": CALL}], []):
        answer = fold(stream(CREATED, *events, completed(CALL)))
        assert isinstance(answer, Answer)
        assert answer.blocks == (expected,)
        assert answer.finish is Finish.TOOL_CALLS
        assert answer.usage == Usage(input=4, output=2)


@pytest.mark.parametrize("where", [{"output_index": 0}, {"output_index": 3}, {"item_id": "m1"}, {}])
def test_text_of_a_host_that_adds_no_items(where: dict[str, object]) -> None:
    deltas = [{"type": "response.output_text.delta", "delta": text} | where for text in ("he", "llo")]
    done = {"type": "response.output_text.done", "text": "hello"} | where
    answer = fold(stream(*deltas, done, completed(MESSAGE), names=False))
    assert isinstance(answer, Answer)
    assert answer.blocks == (Text(text="hello"),)


def test_reasoning_of_a_host_in_both_ways() -> None:
    item = {"type": "reasoning", "id": "rs", "summary": [{"type": "summary_text", "text": "s"}],
            "content": [{"type": "reasoning_text", "text": "t"}], "encrypted_content": "e"}  # fmt: skip
    answer = fold(
        stream(
            CREATED,
            {"type": "response.output_item.added", "output_index": 0, "item": {"type": "reasoning", "id": "rs", "summary": []}},
            {"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": 0, "delta": "s"},
            {"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "t"},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            completed(item),
        )
    )  # fmt: skip
    assert isinstance(answer, Answer)
    assert answer.blocks == (Reasoning(text="t", summary=("s",), encrypted="e", id="rs"),)


def test_what_no_dialect_knows_is_named_once() -> None:
    events = stream(
        CREATED,
        {"type": "response.output_item.added", "item": {"type": "web_search_call"}},
        {"type": "response.web_search_call.searching"},
        {"type": "response.web_search_call.searching"},
        {"type": "keepalive"},
        completed({"type": "web_search_call"}, MESSAGE),
    )
    missed = [event.name for event in events if isinstance(event, Unplaced)]
    assert missed == ["web_search_call", "response.web_search_call.searching"]
    assert Ping() in events
    answer = RESPONSES.read_answer(json.dumps(completed({"type": "web_search_call"})["response"]).encode())
    assert answer.unplaced == ("web_search_call",)


@pytest.mark.parametrize(
    ("event", "failure"),
    [
        (
            {"type": "error", "code": "server_is_overloaded", "message": "busy"},
            Failure("busy", "server_is_overloaded"),
        ),
        ({"type": "error", "error": {"type": "t", "message": "busy"}}, Failure("busy", "t")),
        ({"error": {"message": "busy", "type": "t", "code": "context_length_exceeded"}}, Failure("busy", "context_length_exceeded")),
        (
            {"type": "response.failed", "response": {"id": "r", "status": "failed", "error": {"code": "x", "message": "busy"}}},
            Failure("busy", "x"),
        ),
    ],
)  # fmt: skip
def test_errors_of_every_shape(event: dict[str, object], failure: Failure) -> None:
    reader = RESPONSES.reader()
    events = reader.feed(b"data: " + json.dumps(event).encode() + b"\n\n") + reader.end()
    assert [told for told in events if not isinstance(told, Started)] == [Failed(failure)]


def test_a_stream_without_its_end_was_cut() -> None:
    delta = {"type": "response.output_text.delta", "output_index": 0, "delta": "a"}
    events = stream(CREATED, delta)
    assert events == [Started("r", "m", 5), Opened(0, Text(text="")), Delta(0, "a"), Closed(0)]


def test_citations_and_logprobs_of_a_stream() -> None:
    annotation = {"type": "url_citation", "url": "https://x", "title": "X", "start_index": 0, "end_index": 2}
    logprob = {"token": "he", "logprob": -0.1, "bytes": [104, 101], "top_logprobs": []}
    part = {"type": "output_text", "text": "hello", "annotations": [annotation], "logprobs": [logprob]}
    events = stream(
        CREATED,
        {"type": "response.output_text.delta", "output_index": 0, "delta": "hello", "logprobs": [logprob]},
        {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": annotation},
        {"type": "response.content_part.done", "output_index": 0, "part": part},
        completed({"type": "message", "content": [part]}),
    )
    assert sum(isinstance(event, Cited) for event in events) == 1
    answer = fold(events)
    plain = RESPONSES.read_answer(
        json.dumps(completed({"type": "message", "content": [part]})["response"]).encode()
    )
    assert isinstance(answer, Answer)
    assert json.loads(bytes(answer.logprobs)) == json.loads(bytes(plain.logprobs)) == [logprob]
    assert answer.blocks[0].citations == plain.blocks[0].citations != NULL
    cited = json.loads(bytes(plain.blocks[0].citations))[0]
    assert (cited["url"], cited["start_index"], cited["end_index"]) == ("https://x", 0, 2)
    again = json.loads(RESPONSES.write_answer(plain, Request(model="m")))["output"][0]["content"][0]
    assert again["annotations"] == [annotation]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"object":"chat.completion"}',
        b'{"status":"failed","output":[],"error":{"code":"x","message":"no"}}',
        b'{"status":"in_progress","output":[]}',
    ],
)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        RESPONSES.read_answer(body)


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b'{"error":{"message":"m","type":"t","code":null}}', Failure("m", "t", 400)),
        (b'{"error":{"message":"m","type":"t","code":"c"}}', Failure("m", "c", 400)),
        (
            b'{"object":"error","message":"m","type":"BadRequestError","code":400}',
            Failure("m", "BadRequestError", 400),
        ),
        (b'{"detail":"m"}', Failure("m", "invalid_request_error", 400)),
        (b"<html>", Failure("<html>", "invalid_request_error", 400)),
        (b"", Failure("the upstream answered 400", "invalid_request_error", 400)),
    ],
)
def test_failures_of_hosts(body: bytes, failure: Failure) -> None:
    assert RESPONSES.read_failure(400, body) == failure
