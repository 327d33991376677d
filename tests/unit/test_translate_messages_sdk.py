"""What is written for clients of Anthropic Messages, read by Anthropic's own SDK; and what that SDK sends, read here."""

from collections.abc import Callable

import anthropic
import httpx2
import pytest

from tokenweir.core.usage import Usage
from tokenweir.protocol.count_tokens import estimate_count
from tokenweir.protocol.problems import (
    bad_request,
    budget_exceeded,
    ledger_unavailable,
    messages_error,
    messages_stream_error,
    model_not_found,
    unauthorized,
    upstream_failed,
    upstream_timeout,
)
from tokenweir.protocol.translate.answer import Answer, Ended, Failed, Failure, Finish, Started, unfold
from tokenweir.protocol.translate.form import Choice, Reasoning, Request, Role, Text, Thinking, ToolCall
from tokenweir.protocol.translate.messages import MESSAGES

ANSWER = Answer(
    id="chatcmpl-1",
    model="kimi-k2",
    blocks=(
        Reasoning(text="Two files."),
        Text(text="I read both. 水"),
        ToolCall(id="functions.Read:0", name="Read", arguments='{"path": "a.py"}'),
        ToolCall(id="functions.Read:1", name="Read", arguments='{"path": "b.py"}'),
    ),
    finish=Finish.TOOL_CALLS,
    usage=Usage(input=10, cache_read=90, cache_write_5m=3, cache_write_1h=4, output=20, reasoning=5),
)
TOOL = {"name": "Read", "description": "Reads a file", "input_schema": {"type": "object"}}


class Gateway:
    """Answers the SDK with what this dialect's writers say, and keeps what it sent."""

    def __init__(self, say: Callable[[Request], httpx2.Response]) -> None:
        self.requests: list[Request] = []
        self._say = say

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.requests.append(MESSAGES.read_request(request.content))
        return self._say(self.requests[-1])

    def client(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(
            api_key="sk-weir-x",
            base_url="http://gateway",
            max_retries=0,
            http_client=httpx2.Client(transport=httpx2.MockTransport(self)),
        )


def tell(request: Request) -> httpx2.Response:
    if not request.stream:
        body = MESSAGES.write_answer(ANSWER, request)
        return httpx2.Response(200, content=body, headers={"content-type": "application/json"})
    body = MESSAGES.writer(request).write(unfold(ANSWER))
    return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})


@pytest.mark.parametrize("stream", [False, True])
def test_the_sdk_reads_an_answer_and_sends_it_back(stream: bool) -> None:
    gateway = Gateway(tell)
    said = {
        "model": "kimi",
        "max_tokens": 4000,
        "system": "You read files.",
        "messages": [{"role": "user", "content": "Read a.py and b.py"}],
        "tools": [TOOL],
        "tool_choice": {"type": "any"},
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    with gateway.client() as client:
        if stream:
            with client.messages.stream(**said) as opened:
                message = opened.get_final_message()
        else:
            message = client.messages.create(**said)
        thinking, text, first, second = message.content
        assert (thinking.thinking, thinking.signature, text.text) == ("Two files.", "", "I read both. 水")
        assert [(call.id, call.input) for call in (first, second)] == [
            ("functions.Read:0", {"path": "a.py"}),
            ("functions.Read:1", {"path": "b.py"}),
        ]
        assert message.stop_reason == "tool_use" and message.id == "chatcmpl-1"
        usage = message.usage
        assert (usage.input_tokens, usage.cache_read_input_tokens) == (10, 90)
        assert (usage.cache_creation_input_tokens, usage.output_tokens) == (7, 25)
        assert usage.output_tokens_details is not None and usage.output_tokens_details.thinking_tokens == 5
        results = [{"type": "tool_result", "tool_use_id": c.id, "content": "x = 1"} for c in (first, second)]
        said["messages"] += [message.to_param(), {"role": "user", "content": results}]
        client.messages.create(**said)
    first_request, second_request = gateway.requests
    assert first_request.thinking == Thinking(on=True, budget=2000)
    assert first_request.tool_choice.choice is Choice.REQUIRED and first_request.unplaced == ()
    assert [turn.role for turn in second_request.turns] == [Role.USER, Role.ASSISTANT, Role.USER]
    assert second_request.turns[1].parts[:2] == ANSWER.blocks[:2]
    assert [part.id for part in second_request.turns[2].parts] == ["functions.Read:0", "functions.Read:1"]
    assert second_request.unplaced == ()


def test_the_sdk_raises_the_error_that_a_stream_told() -> None:
    failure = Failure("The engine is full.", "overloaded_error")

    def break_off(request: Request) -> httpx2.Response:
        body = MESSAGES.writer(request).write([Started("i", "m"), Failed(failure), Ended()])
        return httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})

    said = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with (
        Gateway(break_off).client() as client,
        client.messages.stream(**said) as opened,
        pytest.raises(anthropic.APIStatusError) as caught,
    ):
        opened.get_final_message()
    assert (caught.value.type, caught.value.api_message) == ("overloaded_error", "The engine is full.")


@pytest.mark.parametrize(
    ("problem", "raised", "kind"),
    [
        (bad_request("no"), anthropic.BadRequestError, "invalid_request_error"),
        (unauthorized(), anthropic.AuthenticationError, "authentication_error"),
        (budget_exceeded("spent"), anthropic.APIStatusError, "billing_error"),
        (model_not_found("x", []), anthropic.NotFoundError, "not_found_error"),
        (upstream_failed("no"), anthropic.InternalServerError, "api_error"),
        (upstream_timeout("no"), anthropic.APIStatusError, "timeout_error"),
        (ledger_unavailable(), anthropic.APIStatusError, "overloaded_error"),
    ],
)
def test_the_sdk_knows_the_gateways_own_problems(problem: object, raised: type, kind: str) -> None:
    body = messages_error(problem, "0190-call")
    gateway = Gateway(lambda _: httpx2.Response(problem.status, content=body))
    with gateway.client() as client, pytest.raises(raised) as caught:
        client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
    error = caught.value
    assert (error.status_code, error.type, error.error_code) == (problem.status, kind, problem.code)
    assert error.api_message == problem.message
    assert messages_stream_error(problem, "0190-call") == b"event: error\ndata: " + body + b"\n\n"


def test_the_sdk_counts_tokens() -> None:
    def count(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, content=estimate_count(request.content))

    with anthropic.Anthropic(
        api_key="k", http_client=httpx2.Client(transport=httpx2.MockTransport(count))
    ) as client:
        said = [{"role": "user", "content": "a word " * 100}]
        counted = client.messages.count_tokens(model="m", messages=said)
    assert 200 <= counted.input_tokens <= 230
