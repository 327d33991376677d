"""Answers of Chat Completions as hosts really send them, each with its one right reading; and what clients are sent."""

import json

import httpx2
import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletion

from tokenweir.core.errors import WireError
from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.answer import (
    Answer,
    Delta,
    Ended,
    Event,
    Failed,
    Failure,
    Finish,
    Finished,
    Opened,
    Ping,
    Sealed,
    Unplaced,
    Used,
    fold,
    unfold,
)
from tokenweir.protocol.translate.chat import CHAT
from tokenweir.protocol.translate.chat_stream_in import ChatStreamReader
from tokenweir.protocol.translate.chat_stream_out import ChatStreamWriter
from tokenweir.protocol.translate.form import (
    NULL,
    Reasoning,
    Refusal,
    Request,
    Text,
    Tool,
    ToolCall,
)


def events_of(*chunks: object, done: bool = True) -> list[Event]:
    reader = ChatStreamReader()
    data = b"".join(b"data: %b\n\n" % json.dumps(chunk).encode() for chunk in chunks)
    return reader.feed(data + (b"data: [DONE]\n\n" if done else b"")) + reader.end()


def chunk(
    delta: dict[str, object] | None = None, reason: str | None = None, **more: object
) -> dict[str, object]:
    choice = {"index": 0, "delta": delta or {}, "finish_reason": reason}
    return {
        "id": "c1",
        "object": "chat.completion.chunk",
        "created": 7,
        "model": "m",
        "choices": [choice],
        **more,
    }


def answer_of(*chunks: object) -> Answer:
    found = fold(events_of(*chunks))
    assert isinstance(found, Answer)
    return found


# --- answers of hosts


def test_an_answer_of_kimi() -> None:
    body = {
        "id": "chatcmpl-k", "object": "chat.completion", "created": 5, "model": "kimi-k2.6",
        "choices": [{
            "index": 0,
            "message": {
                "role": "assistant", "content": "", "reasoning_content": "I shall look.",
                "tool_calls": [{"index": 0, "id": "functions.look:0", "type": "function", "function": {"name": "look", "arguments": "{}"}}],
            },
            "finish_reason": "tool_calls",
            "usage": {"prompt_tokens": 30, "completion_tokens": 9, "total_tokens": 39, "cached_tokens": 20},
        }],
    }  # fmt: skip
    assert CHAT.read_answer(json.dumps(body).encode()) == Answer(
        id="chatcmpl-k",
        model="kimi-k2.6",
        created_s=5,
        blocks=(
            Reasoning(text="I shall look."),
            ToolCall(id="functions.look:0", name="look", arguments="{}"),
        ),
        finish=Finish.TOOL_CALLS,
        usage=Usage(input=10, cache_read=20, output=9),
    )


def plain(message: dict[str, object], reason: str = "stop", **choice: object) -> bytes:
    told = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": reason, **choice}
    return json.dumps({"id": "c", "model": "m", "choices": [told]}).encode()


@pytest.mark.parametrize(
    ("message", "blocks"),
    [
        ({"content": "a", "reasoning": "b"}, (Reasoning(text="b"), Text(text="a"))),
        (
            {"content": "a", "reasoning": "b", "reasoning_details": [
                {"type": "reasoning.text", "text": "b", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
                {"type": "reasoning.encrypted", "data": "x", "id": "rs_1", "index": 1},
            ]},
            (Reasoning(text="b", signature="s"), Reasoning(encrypted="x", id="rs_1"), Text(text="a")),
        ),
        (
            {"content": None, "reasoning_details": [
                {"type": "reasoning.summary", "summary": "one", "id": "rs_1"},
                {"type": "reasoning.encrypted", "data": "x", "id": "rs_1"},
            ], "refusal": "no"},
            (Reasoning(summary=("one",), encrypted="x", id="rs_1"), Refusal(text="no")),
        ),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, (Text(text="ab"),)),
        (
            {"content": None, "function_call": {"name": "f", "arguments": "{}"}},
            (ToolCall(id="call_c_0", name="f", arguments="{}"),),
        ),
        (
            {"content": None, "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"a": 1}}}]},
            (ToolCall(id="call_c_0", name="f", arguments='{"a": 1}'),),
        ),
    ],
)  # fmt: skip
def test_the_shapes_of_messages(message: dict[str, object], blocks: tuple[object, ...]) -> None:
    assert CHAT.read_answer(plain(message)).blocks == blocks


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.FILTERED),
        ("sensitive", Finish.FILTERED),
        ("function_call", Finish.TOOL_CALLS),
    ],
)
def test_why_hosts_stop(reason: str, finish: Finish) -> None:
    answer = CHAT.read_answer(plain({"content": "a"}, reason))
    assert (answer.finish, answer.unplaced) == (finish, ())


def test_a_stop_sequence_is_known_from_vllm() -> None:
    answer = CHAT.read_answer(plain({"content": "a"}, stop_reason="END"))
    assert (answer.finish, answer.stop_sequence) == (Finish.STOP_SEQUENCE, "END")
    assert CHAT.read_answer(plain({"content": "a"}, stop_reason=151645)).finish is Finish.STOP


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"base_resp":{"status_code":1008,"status_msg":"insufficient balance"},"choices":null}', "insufficient balance"),
        (b'{"error":{"message":"too long","code":"context_length_exceeded"}}', "too long"),
        (b'{"code":20012,"message":"Model does not exist.","data":null}', "Model does not exist."),
        (plain({"content": "par"}, "insufficient_system_resource"), "insufficient_system_resource"),
        (b'{"choices":[]}', "no choices"),
        (b"<html>", "not one of Chat Completions"),
    ],
)  # fmt: skip
def test_an_error_in_place_of_an_answer(body: bytes, said: str) -> None:
    with pytest.raises(WireError, match=said):
        CHAT.read_answer(body)


@pytest.mark.parametrize(
    ("status", "body", "message", "kind"),
    [
        (400, b'{"error":{"message":"too long","type":"invalid_request_error","code":"context_length_exceeded"}}', "too long", "context_length_exceeded"),
        (400, b'{"object":"error","message":"bad","type":"BadRequestError","code":400}', "bad", "BadRequestError"),
        (422, b'{"detail":[{"loc":["body"],"msg":"field required","type":"missing"}]}', "field required", "invalid_request_error"),
        (404, b'{"error":"model not found, try pulling it first"}', "model not found, try pulling it first", "not_found"),
        (429, b'{"error":{"code":"1302","message":"slow down"}}', "slow down", "1302"),
        (502, b"<html>Bad Gateway</html>", "<html>Bad Gateway</html>", "server_error"),
        (503, b"", "the upstream answered 503", "overloaded"),
    ],
)  # fmt: skip
def test_errors_in_every_shape(status: int, body: bytes, message: str, kind: str) -> None:
    assert CHAT.read_failure(status, body) == Failure(message, kind, status)


# --- streams of hosts


def test_a_stream_of_deepseek() -> None:
    usage = {
        "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_cache_hit_tokens": 4,
        "prompt_cache_miss_tokens": 6, "completion_tokens_details": {"reasoning_tokens": 2},
    }  # fmt: skip
    found = events_of(
        chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
        chunk({"content": None, "reasoning_content": "hm"}),
        chunk({"content": "4", "reasoning_content": None}),
        chunk({"content": "", "reasoning_content": None}, "stop", usage=usage),
    )
    assert fold(found) == Answer(
        id="c1",
        model="m",
        created_s=7,
        blocks=(Reasoning(text="hm"), Text(text="4")),
        finish=Finish.STOP,
        usage=Usage(input=6, cache_read=4, output=3, reasoning=2),
    )


def test_parallel_calls_whose_pieces_alternate() -> None:
    def piece(index: int, **more: object) -> dict[str, object]:
        return chunk({"tool_calls": [{"index": index, **more}]})

    found = answer_of(
        piece(0, id="a", type="function", function={"name": "f", "arguments": ""}),
        piece(1, id="b", type="function", function={"name": "g", "arguments": '{"x'}),
        piece(0, function={"arguments": '{"y":'}),
        piece(1, function={"arguments": '":1}'}),
        piece(0, function={"arguments": "2}"}),
        chunk(reason="tool_calls"),
    )
    assert found.blocks == (
        ToolCall(id="a", name="f", arguments='{"y":2}'),
        ToolCall(id="b", name="g", arguments='{"x":1}'),
    )


@pytest.mark.parametrize(
    "pieces",
    [
        [{"id": "a", "function": {"name": "f", "arguments": "{}"}}, {"id": "b", "function": {"name": "g", "arguments": "{}"}}],
        [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}, {"index": 0, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
        [{"index": 0, "id": "a", "function": {"arguments": "{"}}, {"index": 0, "id": "a", "function": {"name": "f", "arguments": "}"}},
         {"index": 1, "id": "b", "function": {"name": "g", "arguments": "{}"}}],
        [{"index": 0, "id": "a", "function": {"name": "f"}}, {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
         {"index": 1, "id": "b", "function": {"name": "g", "arguments": {}}}],
    ],
    ids=["no index", "one index for all", "the name comes late", "id and name in every piece, an object for arguments"],
)  # fmt: skip
def test_calls_of_careless_hosts(pieces: list[dict[str, object]]) -> None:
    found = answer_of(*(chunk({"tool_calls": [piece]}) for piece in pieces), chunk(reason="stop"))
    assert found.blocks == (
        ToolCall(id="a", name="f", arguments="{}"),
        ToolCall(id="b", name="g", arguments="{}"),
    )


def test_calls_without_ids_get_some() -> None:
    pieces = [{"index": n, "function": {"name": "f", "arguments": "{}"}} for n in range(2)]
    found = answer_of(chunk({"tool_calls": pieces}), chunk(reason="tool_calls"))
    assert [block.id for block in found.blocks if isinstance(block, ToolCall)] == ["call_c1_0", "call_c1_1"]


def test_reasoning_of_openrouter_keeps_its_signature() -> None:
    def detail(**more: object) -> dict[str, object]:
        return {"type": "reasoning.text", "index": 0, **more}

    found = events_of(
        chunk({"reasoning": "h", "reasoning_details": [detail(text="h")]}),
        chunk({"reasoning": "m", "reasoning_details": [detail(text="m")]}),
        chunk({"content": "", "reasoning_details": [detail(signature="s")]}),
        chunk({"content": "4"}, "stop"),
    )
    assert Sealed(0, "s", None) in found
    answer = fold(found)
    assert isinstance(answer, Answer)
    assert answer.blocks == (Reasoning(text="hm", signature="s"), Text(text="4"))


def test_usage_is_the_last_that_says_anything() -> None:
    def usage(output: int) -> dict[str, int]:
        return {"prompt_tokens": 3 if output else 0, "completion_tokens": output}

    found = events_of(
        chunk({"content": "a"}, usage=usage(1)),
        chunk({"content": "b"}, "stop", usage=usage(2)),
        {"id": "c1", "choices": [], "usage": usage(0)},
    )
    assert [event.usage.output for event in found if isinstance(event, Used)] == [1, 2]


@pytest.mark.parametrize(
    ("chunks", "done", "whole"),
    [
        ([chunk({"content": "a"}), chunk(reason="stop")], False, True),
        ([chunk({"content": "a"})], True, True),
        ([chunk({"content": "a"}), {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}], False, True),
        ([chunk({"content": "a"})], False, False),
    ],
    ids=["no [DONE]", "no reason", "neither, but the usage that comes last", "cut"],
)  # fmt: skip
def test_a_stream_is_whole_if_it_says_so_in_any_way(chunks: list[object], done: bool, whole: bool) -> None:
    found = events_of(*chunks, done=done)
    assert any(isinstance(event, Ended) for event in found) is whole


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b'data: {"error":{"message":"overloaded","code":"overloaded"}}\n\n', Failure("overloaded", "overloaded")),
        (b'event: error\ndata: {"message":"gone","code":500}\n\n', Failure("gone", "server_error")),
        (b'data: {"base_resp":{"status_code":1002,"status_msg":"rate limit"}}\n\n', Failure("rate limit", "1002")),
        (b"event: error\ndata: out of memory\n\n", Failure("out of memory")),
        (b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"error"}]}\n\n',
         Failure("the upstream gave up: error", "error")),
    ],
)  # fmt: skip
def test_errors_inside_a_stream_end_it(data: bytes, failure: Failure) -> None:
    reader = ChatStreamReader()
    text = b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'
    found = reader.feed(b": waiting\n\n" + text + data + text)
    assert found[0] == Ping()
    assert found[-1] == Failed(failure)
    assert reader.feed(text) + reader.end() == []


def test_what_is_not_understood_is_named_once() -> None:
    odd = {"index": 1, "delta": {"content": "x"}}
    strange = chunk({"audio": {"data": "AAAA"}}, "tired")
    assert isinstance(strange["choices"], list)
    strange["choices"].append(odd)
    found = events_of("odd", {"x": 1}, strange, strange)
    assert [event.name for event in found if isinstance(event, Unplaced)] == [
        "event",
        "audio",
        "finish_reason",
        "choices[1]",
    ]
    assert Finished(Finish.STOP) in found


# --- what clients get, read by OpenAI's own SDK

ANSWER = Answer(
    id="msg_1",
    model="m",
    blocks=(
        Reasoning(text="hm", signature="s"),
        Text(text="It is ", citations=msgspec.Raw(b'[{"url":"https://example.org/a","title":"A"}]')),
        Text(text="four."),
        ToolCall(id="toolu_1", name="add", arguments='{"a": 2}'),
        ToolCall(id="toolu_2", name="patch", arguments='{"input":"*** Begin"}'),
    ),
    finish=Finish.TOOL_CALLS,
    usage=Usage(input=5, cache_read=3, cache_write_1h=2, output=6, reasoning=1),
)
CLIENT = Request(model="m", stream=True, include_usage=True, tools=(Tool(name="patch", custom=True),))


def sdk(body: bytes, kind: str) -> openai.OpenAI:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://gateway/v1", http_client=http)


def test_the_sdk_reads_a_whole_answer() -> None:
    body = CHAT.write_answer(ANSWER, CLIENT)
    ChatCompletion.model_validate_json(body, strict=True)
    found = sdk(body, "application/json").chat.completions.create(model="m", messages=[])
    message = found.choices[0].message
    assert message.content == "It is four."
    assert message.model_dump()["reasoning_content"] == "hm"
    assert message.model_dump()["reasoning_details"] == [
        {"type": "reasoning.text", "text": "hm", "signature": "s"}
    ]
    assert message.annotations is not None
    assert message.annotations[0].url_citation.model_dump() == {
        "url": "https://example.org/a", "title": "A", "start_index": 0, "end_index": 6,
    }  # fmt: skip
    assert message.tool_calls is not None
    assert [call.type for call in message.tool_calls] == ["function", "custom"]
    assert found.choices[0].finish_reason == "tool_calls"
    assert found.usage is not None and found.usage.prompt_tokens == 10
    assert found.usage.prompt_tokens_details is not None
    assert found.usage.prompt_tokens_details.cached_tokens == 3
    assert found.usage.prompt_tokens_details.cache_write_tokens == 2


def test_the_sdk_puts_a_stream_together() -> None:
    answer = msgspec.structs.replace(ANSWER, blocks=ANSWER.blocks[:4])
    body = ChatStreamWriter(CLIENT).write(unfold(answer))
    with sdk(body, "text/event-stream").chat.completions.stream(model="m", messages=[]) as stream:
        found = stream.get_final_completion()
    message = found.choices[0].message
    assert message.content == "It is four."
    assert message.tool_calls is not None
    assert message.tool_calls[0].function.arguments == '{"a": 2}'
    assert found.choices[0].finish_reason == "tool_calls"
    assert found.usage is not None and found.usage.completion_tokens == 7


def test_a_client_brings_back_the_signature_that_it_was_given() -> None:
    said = json.loads(CHAT.write_answer(ANSWER, CLIENT))["choices"][0]["message"]
    turn = CHAT.read_request(json.dumps({"model": "m", "messages": [said]}).encode()).turns[0]
    assert turn.parts[0] == ANSWER.blocks[0]


def test_free_text_is_streamed_when_it_can_be_read() -> None:
    answer = msgspec.structs.replace(ANSWER, blocks=ANSWER.blocks[4:])
    body = ChatStreamWriter(CLIENT).write(unfold(answer))
    calls = [line for line in body.split(b"\n\n") if b"tool_calls" in line and b'"delta":{}' not in line]
    assert len(calls) == 1
    call = json.loads(calls[0][6:])["choices"][0]["delta"]["tool_calls"][0]
    assert call == {
        "index": 0, "id": "toolu_2", "type": "custom", "custom": {"name": "patch", "input": "*** Begin"},
    }  # fmt: skip


def test_the_tail_of_usage_is_for_clients_that_ask() -> None:
    silent = msgspec.structs.replace(CLIENT, include_usage=False)
    told = [ChatStreamWriter(request).write(unfold(ANSWER)) for request in (CLIENT, silent)]
    assert [b'"usage"' in body for body in told] == [True, False]
    assert all(body.endswith(b"data: [DONE]\n\n") for body in told)


def test_a_broken_stream_ends_with_an_error_that_the_sdk_raises() -> None:
    writer = ChatStreamWriter(CLIENT)
    body = writer.write([*unfold(ANSWER)[:3], Ping(), Failed(Failure("out of memory", "server_error"))])
    assert writer.write([Opened(9, Text(text="")), Delta(9, "late", NULL)]) == b""
    assert b": ping\n\n" in body
    stream = sdk(body, "text/event-stream").chat.completions.create(model="m", messages=[], stream=True)
    with pytest.raises(openai.APIError, match="out of memory"):
        list(stream)


def test_an_error_has_the_status_s_type_and_the_upstream_s_code() -> None:
    body = json.loads(CHAT.write_failure(Failure("too long", "context_length_exceeded", 400)))
    assert body == {
        "error": {
            "message": "too long", "type": "invalid_request_error", "param": None, "code": "context_length_exceeded",
        }
    }  # fmt: skip
