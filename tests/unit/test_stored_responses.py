"""What is kept of a response, and conversations put together again: a request that says all of it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.stored_responses import (
    KeptResponse,
    deleted,
    final_response,
    join,
    keep,
    not_kept,
    previous_not_found,
)
from tokenweir.protocol.translate.answer import Answer, Finish, unfold
from tokenweir.protocol.translate.form import Reasoning, Request, Role, Text, ToolCall, ToolResult, Turn
from tokenweir.protocol.translate.responses import RESPONSES

ANSWER = Answer(
    id="a1",
    model="m",
    blocks=(
        Reasoning(text="hm", signature="s"),
        Text(text="I look."),
        ToolCall(id="c:0", name="f", arguments="{}"),
    ),
    finish=Finish.TOOL_CALLS,
)
ASKED = Request(model="m")
RESPONSE = RESPONSES.write_answer(ANSWER, ASKED)


def request(**members: object) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | members).encode()


def kept(body: bytes, response: bytes = RESPONSE) -> KeptResponse:
    found = keep(body, response)
    assert found is not None
    return found


def test_a_conversation_goes_on_with_all_that_was_said() -> None:
    first = kept(request(instructions="Be brief."))
    result = {"type": "function_call_output", "call_id": "c:0", "output": "ok"}
    second = request(input=[result], previous_response_id=first.id, temperature=0.5)
    joined = join(second, [first], max_bytes=10**6)
    read = RESPONSES.read_request(joined)
    reasoning, text, call = ANSWER.blocks
    assert read.turns == (
        Turn(Role.USER, (Text(text="hi"),)),
        Turn(Role.ASSISTANT, (reasoning, text, call)),
        Turn(Role.USER, (ToolResult(id="c:0", parts=(Text(text="ok"),)),)),
    )
    assert read.instructions == ()
    assert read.sampling.temperature == 0.5
    assert kept(second).previous_id == first.id == "resp_a1"
    third = json.loads(join(request(previous_response_id="x"), [first, kept(second)], max_bytes=10**6))
    assert [item["type"] for item in third["input"]] == [
        "message", "reasoning", "message", "function_call",
        "function_call_output", "reasoning", "message", "function_call", "message",
    ]  # fmt: skip
    assert "previous_response_id" not in third


def test_a_conversation_has_an_end() -> None:
    with pytest.raises(BadRequest) as refused:
        join(request(), [kept(request())], max_bytes=100)
    assert (refused.value.status, refused.value.param) == (413, "previous_response_id")
    with pytest.raises(BadRequest):
        join(request(input=3), [], max_bytes=100)


@pytest.mark.parametrize(
    ("body", "response"),
    [
        (request(store=False), RESPONSE),
        (request(), b'{"id":"r","status":"failed","output":[]}'),
        (request(), b'{"id":"r","status":"in_progress","output":[]}'),
        (request(), b'{"id":"","status":"completed","output":[]}'),
        (request(), b'{"error":{}}'),
        (request(), b"nothing"),
    ],
)
def test_what_is_not_kept(body: bytes, response: bytes) -> None:
    assert keep(body, response) is None


def test_the_end_of_a_stream_tells_the_response() -> None:
    stream = RESPONSES.writer(ASKED).write(unfold(ANSWER))
    tail = stream[stream.index(b"event: response.completed") :]
    response = final_response(tail + b"data: [DONE]\n\n")
    assert response is not None
    assert json.loads(response) == json.loads(RESPONSE)
    assert kept(request(), response).id == "resp_a1"


@given(st.binary(max_size=60) | st.sampled_from([b"data: {}\n\n", b'data: {"response": 3}\n\n', b""]))
def test_any_tail_is_a_response_or_none(tail: bytes) -> None:
    found = final_response(tail)
    assert found is None or keep(request(), found) is None


def test_what_clients_are_told() -> None:
    problem = previous_not_found("resp_1", keeps=True)
    assert (problem.status, problem.code, problem.param) == (
        400,
        "previous_response_not_found",
        "previous_response_id",
    )
    assert "keeps no responses" in previous_not_found("resp_1", keeps=False).message
    assert not_kept("resp_1", keeps=True).status == 404
    assert "keep_responses" in not_kept("resp_1", keeps=False).message
    assert json.loads(deleted("resp_1")) == {"id": "resp_1", "object": "response", "deleted": True}
