"""What is written of OpenAI Responses, read by OpenAI's own SDK."""

import json
from collections.abc import Sequence

import httpx2
import msgspec
import openai
import pytest
from openai.types.responses import Response

from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.answer import (
    Answer,
    Closed,
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
    Started,
    SummaryDelta,
    Unplaced,
    Used,
    unfold,
)
from tokenweir.protocol.translate.envelope import unseal
from tokenweir.protocol.translate.form import (
    Output,
    Reasoning,
    Refusal,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    Turn,
)
from tokenweir.protocol.translate.responses import RESPONSES
from tokenweir.protocol.translate.responses_request_in import ENCRYPTED
from tokenweir.protocol.translate.responses_tools import LOCAL_SHELL


def read(**body: object) -> Request:
    return RESPONSES.read_request(json.dumps({"model": "m", "input": "hi"} | body).encode())


def serve(body: bytes, content_type: str) -> openai.OpenAI:
    def answer(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": content_type}, content=body)

    client = httpx2.Client(transport=httpx2.MockTransport(answer))
    return openai.OpenAI(api_key="k", base_url="http://weir/v1", http_client=client, max_retries=0)


ASKED = Request(
    model="m",
    instructions=(Text(text="Be brief."),),
    tools=(
        Tool(name="add", schema=msgspec.Raw(b'{"type":"object"}')),
        Tool(name="patch", custom=True),
        Tool(name="mcp__x__y", namespace="mcp__x"),
        LOCAL_SHELL,
    ),
    thinking=Thinking(on=True, effort="low", summary="auto"),
    output=Output(name="o", schema=msgspec.Raw(b'{"type":"object"}')),
    verbosity="low",
    include=(ENCRYPTED,),
)
WHOLE = Answer(
    id="chatcmpl-1",
    model="kimi-k2",
    created_s=1764000000,
    blocks=(
        Reasoning(text="Let me think."),
        Text(text="One. "),
        Text(
            text="Two.",
            citations=msgspec.Raw(b'[{"type":"web_search_result_location","url":"https://x","title":"X"}]'),
        ),
        ToolCall(id="functions.add:0", name="add", arguments='{"a":1}'),
        ToolCall(id="c2", name="patch", arguments='{"input":"*** Begin"}'),
        ToolCall(id="c3", name="mcp__x__y", arguments="{}"),
        ToolCall(id="c4", name="local_shell", arguments='{"command":["ls"]}'),
        Refusal(text="No more."),
    ),
    finish=Finish.TOOL_CALLS,
    usage=Usage(input=10, cache_read=5, cache_write_1h=2, output=7, reasoning=3),
    logprobs=msgspec.Raw(b'[{"token":"One","logprob":-0.5,"bytes":null}]'),
)


def check(response: Response) -> None:
    Response.model_validate(response.model_dump(by_alias=True), strict=True)
    kinds = [item.type for item in response.output]
    assert kinds == [
        "reasoning", "message", "function_call", "custom_tool_call", "function_call", "local_shell_call", "message"
    ]  # fmt: skip
    reasoning, message, add, patch, mcp, shell, refusal = response.output
    assert reasoning.summary[0].text == "Let me think."
    assert unseal(reasoning.encrypted_content) == WHOLE.blocks[0]
    assert [part.text for part in message.content] == ["One. ", "Two."]
    assert message.content[0].logprobs[0].token == "One"
    assert message.content[1].annotations[0].url == "https://x"
    assert (add.call_id, add.arguments) == ("functions.add:0", '{"a":1}')
    assert patch.input == "*** Begin"
    assert (mcp.namespace, mcp.name) == ("mcp__x", "y")
    assert shell.action.command == ["ls"]
    assert refusal.content[0].refusal == "No more."
    assert response.usage is not None
    assert response.usage.input_tokens == 17
    assert response.usage.input_tokens_details.cached_tokens == 5
    assert response.usage.output_tokens_details.reasoning_tokens == 3
    assert (response.id, response.status, response.model) == ("resp_chatcmpl-1", "completed", "kimi-k2")
    assert response.instructions == "Be brief."


def test_the_sdk_reads_an_answer() -> None:
    client = serve(RESPONSES.write_answer(WHOLE, ASKED), "application/json")
    check(client.responses.create(model="m", input="x"))


def test_the_sdk_reads_a_stream() -> None:
    client = serve(RESPONSES.writer(ASKED).write(unfold(WHOLE)), "text/event-stream")
    with client.responses.stream(model="m", input="x") as stream:
        events = list(stream)
        check(stream.get_final_response())
    for event in events:
        assert type(event).__name__ != "BaseModel", event
    by_type = [event.type for event in events]
    assert by_type[:2] == ["response.created", "response.in_progress"]
    assert by_type.count("response.output_item.added") == by_type.count("response.output_item.done") == 7
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == "One. Two."
    assert [e.delta for e in events if e.type == "response.reasoning_summary_text.delta"] == ["Let me think."]
    assert [e.delta for e in events if e.type == "response.function_call_arguments.delta"] == [
        '{"a":1}',
        "{}",
    ]
    assert [e.delta for e in events if e.type == "response.custom_tool_call_input.delta"] == ["*** Begin"]


def test_the_sdk_reads_a_stream_event_by_event() -> None:
    client = serve(RESPONSES.writer(ASKED).write(unfold(WHOLE)), "text/event-stream")
    events = list(client.responses.create(model="m", input="x", stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    for event in events:
        type(event).model_validate(event.model_dump(by_alias=True), strict=True)


PARALLEL: Sequence[Event] = (
    Started("c1", "m"),
    Opened(0, Reasoning()),
    Delta(0, "hm"),
    Opened(1, Text(text="")),
    Delta(1, "a"),
    Opened(2, ToolCall(id="x:0", name="add", arguments="")),
    Opened(3, ToolCall(id="x:1", name="add", arguments="")),
    Delta(2, "{}"),
    Ping(),
    Delta(3, "{"),
    Delta(1, "b"),
    Delta(3, "}"),
    Closed(3),
    Closed(0),
    Unplaced("audio"),
    Finished(Finish.TOOL_CALLS),
    Used(Usage(input=1, output=1)),
    Ended(),
)


def test_blocks_that_are_open_at_once_are_told_apart() -> None:
    client = serve(RESPONSES.writer(ASKED).write(PARALLEL), "text/event-stream")
    with client.responses.stream(model="m", input="x") as stream:
        response = stream.get_final_response()
    reasoning, message, first, second = response.output
    assert reasoning.summary[0].text == "hm"
    assert message.content[0].text == "ab"
    assert (first.call_id, first.arguments, second.call_id, second.arguments) == ("x:0", "{}", "x:1", "{}")


def test_a_stream_that_breaks_says_so() -> None:
    client = serve(
        RESPONSES.writer(ASKED).write([*PARALLEL[:5], Failed(Failure("gone", "overloaded")), Ended()]),
        "text/event-stream",
    )
    last = list(client.responses.create(model="m", input="x", stream=True))[-1]
    assert last.type == "response.failed"
    assert (last.response.status, last.response.error.code) == ("failed", "overloaded")
    assert last.response.output[1].content[0].text == "a"
    nothing = RESPONSES.writer(ASKED).write([Failed(Failure("gone", "overloaded"))])
    client = serve(nothing, "text/event-stream")
    with client.responses.stream(model="m", input="x") as stream:
        assert [event.type for event in stream][::2] == ["response.created", "response.failed"]


@pytest.mark.parametrize(
    ("finish", "status", "reason"),
    [
        (None, "completed", None),
        (Finish.STOP_SEQUENCE, "completed", None),
        (Finish.LENGTH, "incomplete", "max_output_tokens"),
        (Finish.REFUSED, "incomplete", "content_filter"),
    ],
)
def test_a_finish_is_a_status(finish: Finish | None, status: str, reason: str | None) -> None:
    answer = Answer(id="1", model="m", finish=finish)
    written = RESPONSES.writer(ASKED).write(unfold(answer))
    assert f"event: response.{status}\n".encode() in written
    plain = json.loads(RESPONSES.write_answer(answer, ASKED))
    assert plain["status"] == status
    assert (plain["incomplete_details"] or {"reason": None})["reason"] == reason


def test_reasoning_comes_back_whole_by_what_the_client_sends() -> None:
    """Codex sends the summary and the encrypted content alone, without the item's id."""
    thought = Reasoning(text="t", signature="sig")
    plain = json.loads(RESPONSES.write_answer(Answer(id="1", model="m", blocks=(thought,)), ASKED))
    item = plain["output"][0]
    sent = {"type": "reasoning", "summary": item["summary"], "encrypted_content": item["encrypted_content"]}
    assert read(input=[sent]).turns == (Turn(Role.ASSISTANT, (thought,)),)


def test_a_client_that_asks_nothing_gets_reasoning_as_it_is() -> None:
    plain = json.loads(
        RESPONSES.write_answer(Answer(id="1", model="m", blocks=(Reasoning(text="t"),)), Request(model="m"))
    )
    assert plain["output"][0] == {
        "id": "rs_weir_1_0",
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "t"}],
    }


def test_redacted_thinking_comes_back() -> None:
    """Anthropic's redacted data goes through a client of Responses as encrypted content."""
    events = [Started("1", "m"), Opened(0, Reasoning()), Sealed(0, encrypted="EuY"), Closed(0), Ended()]
    last = RESPONSES.writer(ASKED).write(events).split(b"data: ")[-1]
    item = json.loads(last)["response"]["output"][0]
    assert read(input=[item]).turns[0].parts == (Reasoning(encrypted="EuY"),)


def test_summaries_of_a_host_keep_their_parts() -> None:
    events = [
        Started("1", "m"),
        Opened(0, Reasoning(id="rs_9")),
        SummaryDelta(0, 0, "a"),
        SummaryDelta(0, 1, "b"),
        Sealed(0, encrypted="e"),
        Closed(0),
        Finished(Finish.STOP),
        Ended(),
    ]
    client = serve(RESPONSES.writer(ASKED).write(events), "text/event-stream")
    told = list(client.responses.create(model="m", input="x", stream=True))
    assert [e.part.text for e in told if e.type == "response.reasoning_summary_part.done"] == ["a", "b"]
    item = told[-1].response.output[0]
    assert (item.id, item.encrypted_content) == ("rs_9", "e")
