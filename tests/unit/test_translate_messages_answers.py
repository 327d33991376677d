"""Anthropic Messages: answers, streams and errors as hosts of this dialect send them, and as its clients get them."""

import json

import pytest

from tokenweir.core.errors import WireError
from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.answer import (
    Answer,
    Ended,
    Event,
    Failed,
    Failure,
    Finish,
    Opened,
    Ping,
    Unplaced,
    Used,
    fold,
    unfold,
)
from tokenweir.protocol.translate.form import (
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    ToolCall,
    Turn,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.messages import MESSAGES

ASKED = Request(model="asked")


def events_of(*events: dict[str, object], named: bool = True) -> list[Event]:
    reader = MESSAGES.reader()
    data = b"".join(
        (b"event: %b\n" % str(event["type"]).encode() if named else b"") + b"data: %b\n\n" % json.dumps(event).encode()
        for event in events
    )  # fmt: skip
    return reader.feed(data) + reader.end()


def answer_of(*events: dict[str, object]) -> Answer:
    answer = fold(events_of(*events))
    assert isinstance(answer, Answer)
    return answer


# --- answers of hosts

MINIMAX = {
    "id": "06379fa1dfdd9047604b8abc088ea75c",
    "type": "message",
    "role": "assistant",
    "model": "MiniMax-M2.7",
    "content": [
        {"thinking": "Greet.", "signature": "1c3a0ae8", "type": "thinking"},
        {"text": "", "type": "text"},
        {"text": "Hello!", "type": "text"},
    ],
    "usage": {"input_tokens": 39, "output_tokens": 40, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0},
    "stop_reason": "end_turn",
    "base_resp": {"status_code": 0, "status_msg": "success"},
}  # fmt: skip


def test_a_whole_answer_of_minimax() -> None:
    assert MESSAGES.read_answer(json.dumps(MINIMAX).encode()) == Answer(
        id="06379fa1dfdd9047604b8abc088ea75c",
        model="MiniMax-M2.7",
        blocks=(Reasoning(text="Greet.", signature="1c3a0ae8"), Text(text="Hello!")),
        finish=Finish.STOP,
        usage=Usage(input=39, output=40),
    )


def test_a_refusal_and_what_has_no_place() -> None:
    answer = MESSAGES.read_answer(
        json.dumps(
            MINIMAX
            | {
                "content": [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}],
                "stop_reason": "refusal",
                "stop_details": {"type": "refusal", "category": "cyber", "explanation": "No."},
                "container": {"id": "c"},
            }
        ).encode()
    )
    assert answer.blocks == (Refusal(text="No."),) and answer.finish is Finish.REFUSED
    assert answer.unplaced == ("container", "server_tool_use")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"error":{"message":"x"}}', b'{"content":[1]}', b'{"content":[],"id":"\xff"}']
)  # fmt: skip
def test_what_is_no_answer_is_said_to_be_none(body: bytes) -> None:
    with pytest.raises(WireError):
        MESSAGES.read_answer(body)


def test_an_answer_that_calls_a_tool_says_so_to_its_client() -> None:
    answer = Answer(
        id="chatcmpl-1", model="", blocks=(ToolCall(id="c", name="f", arguments=""),), finish=Finish.STOP
    )
    written = json.loads(MESSAGES.write_answer(answer, ASKED))
    assert (written["stop_reason"], written["model"]) == ("tool_use", "asked")
    assert written["content"] == [{"type": "tool_use", "id": "c", "name": "f", "input": {}}]


@pytest.mark.parametrize(
    ("reasoning", "block"),
    [
        (Reasoning(text="t"), {"type": "thinking", "thinking": "t", "signature": ""}),
        (Reasoning(text="t", signature="s"), {"type": "thinking", "thinking": "t", "signature": "s"}),
        (Reasoning(signature="s"), {"type": "thinking", "thinking": "", "signature": "s"}),
        (Reasoning(encrypted="e"), {"type": "redacted_thinking", "data": "e"}),
    ],
)
def test_reasoning_for_a_client(reasoning: Reasoning, block: dict[str, str]) -> None:
    answer = Answer(id="i", model="m", blocks=(reasoning,))
    assert json.loads(MESSAGES.write_answer(answer, ASKED))["content"] == [block]
    streamed = answer_of_bytes(MESSAGES.writer(ASKED).write(unfold(answer)))
    assert streamed == (reasoning,)


def answer_of_bytes(data: bytes) -> tuple[object, ...]:
    reader = MESSAGES.reader()
    answer = fold(reader.feed(data) + reader.end())
    assert isinstance(answer, Answer)
    return answer.blocks


@pytest.mark.parametrize(
    "reasoning",
    [
        Reasoning(text="t", encrypted="e", id="rs_1"),
        Reasoning(summary=("a", "b"), encrypted="e", id="rs_1"),
        Reasoning(encrypted="e", id="rs_1"),
        Reasoning(text="t", summary=("a",), signature="s"),
    ],
)
def test_reasoning_of_another_dialect_comes_back_whole_from_a_client(reasoning: Reasoning) -> None:
    answer = Answer(id="i", model="m", blocks=(reasoning,))
    whole = json.loads(MESSAGES.write_answer(answer, ASKED))["content"]
    blocks = answer_of_bytes(MESSAGES.writer(ASKED).write(unfold(answer)))
    again = MESSAGES.write_request(Request(model="m", turns=(Turn(Role.ASSISTANT, blocks),)), Host())
    streamed = json.loads(again.body)["messages"][0]["content"]
    for content in (whole, streamed):
        said = {"model": "m", "messages": [{"role": "assistant", "content": content}]}
        request = MESSAGES.read_request(json.dumps(said).encode())
        assert request.turns[0].parts == (reasoning,)


# --- streams of hosts


def start(**usage: int) -> dict[str, object]:
    return {"type": "message_start", "message": {"id": "msg_1", "model": "glm-5", "usage": usage}}


def begin(index: int, **block: object) -> dict[str, object]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def delta(index: int, **said: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": index, "delta": said}


def done(reason: str = "end_turn", **usage: int) -> dict[str, object]:
    return {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage}


STOP = {"type": "message_stop"}


def test_glm_tells_zeros_first_and_the_truth_later() -> None:
    answer = answer_of(
        start(input_tokens=0, output_tokens=0),
        begin(0, type="text", text=""),
        {"type": "ping"},
        delta(0, type="text_delta", text="OK"),
        {"type": "content_block_stop", "index": 0},
        done(input_tokens=14, output_tokens=5, cache_read_input_tokens=3),
        STOP,
    )
    assert answer == Answer(
        id="msg_1",
        model="glm-5",
        blocks=(Text(text="OK"),),
        finish=Finish.STOP,
        usage=Usage(input=14, cache_read=3, output=5),
    )


def test_thinking_inside_a_text_block_becomes_a_block_of_its_own() -> None:
    answer = answer_of(
        start(input_tokens=1),
        begin(0, type="text", text=""),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="s"),
        delta(0, type="text_delta", text="yes"),
        STOP,
    )
    assert answer.blocks == (Reasoning(text="hm", signature="s"), Text(text="yes"))


def test_a_second_start_begins_no_second_answer() -> None:
    events = events_of(
        start(input_tokens=5),
        begin(0, type="text", text="a"),
        start(input_tokens=7),
        begin(0, type="text", text="b"),
        done(output_tokens=2),
        STOP,
    )
    answer = fold(events)
    assert isinstance(answer, Answer)
    assert answer.blocks == (Text(text="a"), Text(text="b")) and answer.usage == Usage(input=7, output=2)


def test_a_tool_whose_input_stands_at_its_start() -> None:
    answer = answer_of(
        start(),
        begin(0, type="tool_use", id="functions.f:0", name="f", input={"a": 1}),
        {"type": "content_block_stop", "index": 0},
        begin(1, type="tool_use", id="functions.f:1", name="f", input={}),
        delta(1, type="input_json_delta", partial_json=""),
        delta(1, type="input_json_delta", partial_json='{"b":'),
        delta(1, type="input_json_delta", partial_json="2}"),
        begin(2, type="tool_use", id="functions.f:2", name="f", input={}),
        done("tool_use", output_tokens=1),
    )
    assert [block.arguments for block in answer.blocks] == ['{"a": 1}', '{"b":2}', "{}"]
    assert answer.finish is Finish.TOOL_CALLS


def test_names_only_in_the_event_line_and_no_last_event() -> None:
    reader = MESSAGES.reader()
    data = (
        b": comment\n\nevent: message_start\ndata: {\"message\":{\"id\":\"i\",\"model\":\"m\"}}\n\n"
        b"event: content_block_delta\ndata: {\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"x\"}}\n\n"
        b"event: message_delta\ndata: {\"delta\":{\"stop_reason\":\"max_tokens\"}}"
    )  # fmt: skip
    events = reader.feed(data) + reader.end()
    assert isinstance(events[0], Ping) and isinstance(events[-1], Ended)
    answer = fold(events)
    assert isinstance(answer, Answer)
    assert (answer.blocks, answer.finish) == ((Text(text="x"),), Finish.LENGTH)


def test_a_stream_that_does_not_say_why_it_stopped_was_cut() -> None:
    events = events_of(start(input_tokens=3), begin(0, type="text", text="x"))
    assert not any(isinstance(event, Ended) for event in events)
    assert [event.usage for event in events if isinstance(event, Used)] == [Usage(input=3)]


def test_blocks_of_server_tools_are_named_and_citations_kept() -> None:
    citation = {"type": "web_search_result_location", "url": "https://a"}
    answer = answer_of(
        start(),
        begin(0, type="server_tool_use", id="s", name="web_search", input={}),
        delta(0, type="input_json_delta", partial_json="{}"),
        begin(1, type="web_search_tool_result", tool_use_id="s", content=[]),
        begin(2, type="text", text=""),
        delta(2, type="citations_delta", citation=citation),
        delta(2, type="text_delta", text="so"),
        done("odd"),
        STOP,
    )
    assert len(answer.blocks) == 1 and isinstance(answer.blocks[0], Text)
    assert json.loads(bytes(answer.blocks[0].citations)) == [citation]
    assert answer.unplaced == ("server_tool_use", "web_search_tool_result", "stop_reason")


ERRORS = {
    "anthropic": ({"type": "error", "error": {"details": None, "type": "overloaded_error", "message": "Overloaded"}}, Failure("Overloaded", "overloaded_error")),
    "without a type": ({"error": {"message": "bad", "code": "1301"}}, Failure("bad", "1301")),
    "a text": ({"error": "bad"}, Failure("bad", "server_error")),
    "dashscope": ({"code": "InternalError", "message": "bad", "request_id": "r"}, Failure("bad", "InternalError")),
    "minimax": ({"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}}, Failure("insufficient balance", "1008")),
}  # fmt: skip


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize("started", [True, False])
def test_errors_inside_a_stream(name: str, started: bool) -> None:
    event, failure = ERRORS[name]
    reader = MESSAGES.reader()
    data = b"data: %b\n\n" % json.dumps(start()).encode() if started else b""
    events = reader.feed(data + b"data: %b\n\ndata: {}\n\n" % json.dumps(event).encode()) + reader.end()
    assert events[-1] == Failed(failure)


def test_that_all_is_well_is_no_error() -> None:
    events = events_of(start(), {"base_resp": {"status_code": 0, "status_msg": "success"}}, named=False)
    assert events[1:] == [Unplaced("event")]


def test_an_error_that_is_no_json() -> None:
    reader = MESSAGES.reader()
    assert reader.feed(b"event: error\ndata: upstream timed out\n\n") == [
        Failed(Failure("upstream timed out"))
    ]
    assert reader.feed(b"data: {broken\n\n") == [] and reader.end() == []
    assert MESSAGES.reader().feed(b"data: {broken\n\n") == [Unplaced("event")]


@pytest.mark.parametrize("name", ERRORS)
def test_errors_of_a_status(name: str) -> None:
    event, failure = ERRORS[name]
    assert MESSAGES.read_failure(500, json.dumps(event).encode()).message == failure.message


def test_errors_without_words() -> None:
    assert MESSAGES.read_failure(502, b"") == Failure("the upstream answered 502", status=502)
    assert MESSAGES.read_failure(502, b"<h1>Bad Gateway</h1>").message == "<h1>Bad Gateway</h1>"


def test_an_error_for_a_client_has_a_type_that_it_knows() -> None:
    written = json.loads(MESSAGES.write_failure(Failure("slow down", "rate_limit_exceeded", 429)))
    assert written == {
        "type": "error",
        "error": {"type": "rate_limit_error", "message": "slow down", "details": {"error_code": "rate_limit_exceeded"}},
    }  # fmt: skip
    assert json.loads(MESSAGES.write_failure(Failure("x", "NotFoundError", 404)))["error"]["type"] == "not_found_error"  # fmt: skip


# --- streams for clients


def test_a_client_gets_one_block_at_a_time_and_its_usage_last() -> None:
    first, second = (Opened(n, ToolCall(id=f"c{n}", name="f", arguments="")) for n in (0, 1))
    answer = Answer(
        id="i",
        model="m",
        blocks=(ToolCall(id="c0", name="f", arguments="{}"), ToolCall(id="c1", name="f", arguments="[]")),
    )
    told = unfold(answer)
    writer = MESSAGES.writer(ASKED)
    out = writer.write([told[0], first, second, told[2], told[5]])  # neither is closed yet
    assert out.count(b"content_block_start\n") == 1 and b"c1" not in out
    out += writer.write([Ended()])
    names = [line.removeprefix(b"event: ").decode() for line in out.splitlines() if line.startswith(b"event")]
    block = ["content_block_start", "content_block_delta", "content_block_stop"]
    assert names == ["message_start", *block, *block, "message_delta", "message_stop"]
    assert writer.write([Ping(), Ended()]) == b""


def test_a_broken_stream_ends_with_an_error() -> None:
    writer = MESSAGES.writer(ASKED)
    out = writer.write([Failed(Failure("gone", "api_error")), Ended()])
    assert out.startswith(b"event: error\ndata: ") and out.count(b"event:") == 1
