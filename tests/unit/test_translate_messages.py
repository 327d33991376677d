"""Anthropic Messages: requests as clients send them, answers and streams as hosts of this dialect send them."""

import json
import re

import msgspec
import pytest

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.envelope import seal
from tokenweir.protocol.translate.form import (
    Audio,
    Choice,
    Document,
    Output,
    Reasoning,
    Request,
    Role,
    Sampling,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.messages import MESSAGES

ASKED = Request(model="asked")


def read_request(**members: object) -> Request:
    body = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]} | members
    return MESSAGES.read_request(json.dumps(body).encode())


def write(request: Request, host: Host | None = None) -> tuple[dict[str, object], tuple[str, ...]]:
    written = MESSAGES.write_request(request, host or Host())
    return json.loads(written.body), written.dropped


# --- requests of clients


def test_what_claude_code_sends_is_read_and_what_has_no_place_is_named() -> None:
    request = read_request(
        system=[
            {"type": "text", "text": "You are Claude Code.", "cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}},
        ],
        metadata={"user_id": '{"session_id":"s"}'},
        thinking={"type": "adaptive", "display": "summarized"},
        output_config={"effort": "high"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        tools=[
            {"name": "Read", "description": "Reads", "input_schema": {"type": "object"}, "eager_input_streaming": True},
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 8},
        ],
        diagnostics=None,
        stop_sequences=[],
    )  # fmt: skip
    assert request.instructions == (Text(text="You are Claude Code.", cache="1h"),)
    assert request.user == '{"session_id":"s"}'
    assert request.thinking == Thinking(on=True, adaptive=True, effort="high", summary="auto")
    assert [tool.name for tool in request.tools] == ["Read"]
    assert set(request.unplaced) == {
        "context_management",
        "system[0].cache_control.scope",
        "tools[0].eager_input_streaming",
        "tools[1]",
    }


def test_a_turn_with_tools_keeps_ids_order_and_the_bytes_of_its_arguments() -> None:
    body = (
        b'{"model":"m","messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":""},'
        b'{"type":"text","text":"I read"},{"type":"tool_use","id":"functions.Read:0","name":"Read","input":{ "b": 1.50,\n"a":"\\u6c34"}}]},'
        b'{"role":"user","content":[{"type":"tool_result","tool_use_id":"functions.Read:0","content":[{"type":"text","text":"x"}],"is_error":true}]}]}'
    )
    request = MESSAGES.read_request(body)
    thinking, text, call = request.turns[0].parts
    assert (thinking, text) == (Reasoning(text="t"), Text(text="I read"))
    assert isinstance(call, ToolCall) and call.id == "functions.Read:0"
    assert call.arguments == '{ "b": 1.50,\n"a":"\\u6c34"}'
    assert request.turns[1].parts == (
        ToolResult(id="functions.Read:0", parts=(Text(text="x"),), failed=True),
    )
    assert b'"input":{ "b": 1.50,\n"a":"\\u6c34"}' in MESSAGES.write_request(request, Host()).body


def test_reasoning_sealed_here_comes_back_whole() -> None:
    carried = Reasoning(text="t", summary=("s",), encrypted="e", id="rs_1")
    request = read_request(
        messages=[
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "anything", "signature": seal(carried)},
                {"type": "redacted_thinking", "data": seal(carried)},
                {"type": "redacted_thinking", "data": "Anthropic's own"},
            ]},
        ]
    )  # fmt: skip
    assert request.turns[0].parts == (carried, carried, Reasoning(encrypted="Anthropic's own"))


def test_blocks_without_a_place_are_named_with_theirs() -> None:
    request = read_request(
        messages=[
            {"role": "user", "content": [
                {"type": "container_upload", "file_id": "f"},
                {"type": "search_result", "source": "https://a", "title": "A", "content": [{"type": "text", "text": "found"}]},
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "x"}]},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}},
            ]},
        ]
    )  # fmt: skip
    assert request.unplaced == ("messages[0].content[0]", "messages[0].content[2].content[0]")
    assert request.turns[0].parts == (
        Document(text="found", title="A", context="https://a"),
        ToolResult(id="t", parts=()),
        Document(text="a\n\nb"),
    )


def test_instructions_between_turns_stay_there_and_leading_ones_lead() -> None:
    request = read_request(
        system="a",
        messages=[
            {"role": "system", "content": "b"},
            {"role": "user", "content": "c"},
            {"role": "system", "content": "d"},
        ],
    )
    assert request.instructions == (Text(text="a"), Text(text="b"))
    assert [turn.role for turn in request.turns] == [Role.USER, Role.SYSTEM]
    body, dropped = write(request)
    assert body["messages"] == [{"role": "user", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]}]  # fmt: skip
    assert dropped == ("system_turns",)
    body, dropped = write(request, Host(system_turns=True))
    assert [message["role"] for message in body["messages"]] == ["user", "system"] and dropped == ()


def test_a_mark_at_the_top_is_one_on_the_last_block() -> None:
    request = read_request(cache_control={"type": "ephemeral"})
    assert request.turns == (Turn(Role.USER, (Text(text="hi", cache="5m"),)),)


@pytest.mark.parametrize(
    ("members", "param", "status"),
    [
        ({"messages": "hi"}, "messages", 422),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", 422),
        ({"messages": [{"role": "user"}]}, "messages[0].content", 400),
        ({"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type", 400),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 1}]}]}, "messages[0].content[0].text", 422),
        ({"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "i", "name": "n", "input": "x"}]}]}, "messages[0].content[0].input", 422),
        ({"max_tokens": "many"}, "max_tokens", 422),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type", 422),
        ({"model": ""}, "model", 400),
    ],
)  # fmt: skip
def test_a_wrong_member_is_named_with_its_path(members: dict[str, object], param: str, status: int) -> None:
    with pytest.raises(BadRequest) as caught:
        read_request(**members)
    assert (caught.value.param, caught.value.status) == (param, status)


def test_a_choice_goes_with_its_tool() -> None:
    request = read_request(
        tools=[{"type": "bash_20250124", "name": "bash"}], tool_choice={"type": "tool", "name": "bash"}
    )
    assert request.tool_choice == ToolChoice()
    assert request.unplaced == ("tools[0]", "tool_choice")


# --- requests for hosts


def test_turns_of_one_role_become_one_and_results_stand_first() -> None:
    request = Request(
        model="m",
        turns=(
            Turn(Role.USER, (Text(text="a"),)),
            Turn(Role.ASSISTANT, (ToolCall(id="1", name="f", arguments=""),)),
            Turn(Role.ASSISTANT, (ToolCall(id="2", name="f", arguments="[1]"),)),
            Turn(Role.USER, (Text(text="b"),)),
            Turn(Role.USER, (ToolResult(id="1", parts=(Text(text="r"),)), Text(text=""))),
        ),
    )
    body, dropped = write(request)
    assert body["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": [
            {"type": "tool_use", "id": "1", "name": "f", "input": {}},
            {"type": "tool_use", "id": "2", "name": "f", "input": {"input": "[1]"}},
        ]},
        {"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "1", "content": "r"},
            {"type": "text", "text": "b"},
        ]},
    ]  # fmt: skip
    assert dropped == ("arguments",)
    assert body["max_tokens"] == 32_000


def test_what_this_dialect_cannot_say_is_named() -> None:
    raw = msgspec.Raw(b'{"k":"v"}')
    request = Request(
        model="m",
        turns=(Turn(Role.USER, (Audio(data="AA==", format="wav"), Text(text="x")), name="bob"),),
        tools=(Tool(name="patch", custom=True, schema=raw),),
        output=Output(),
        sampling=Sampling(presence_penalty=0.5, frequency_penalty=0.0, seed=1, logprobs=True, logit_bias=raw),
        thinking=Thinking(on=True, effort="extreme", summary="detailed"),
        cache_key="k",
        service_tier="flex",
        verbosity="low",
        metadata=raw,
    )
    body, dropped = write(request)
    assert set(dropped) == {
        "audio", "name", "grammar", "output", "presence_penalty", "seed", "logprobs", "logit_bias",
        "thinking.effort", "thinking.summary", "cache_key", "service_tier", "verbosity", "metadata",
    }  # fmt: skip
    assert body["tools"] == [{
        "name": "patch",
        "input_schema": {"type": "object", "properties": {"input": {"type": "string"}}, "required": ["input"]},
    }]  # fmt: skip


@pytest.mark.parametrize(
    ("thinking", "host", "expected", "dropped"),
    [
        (Thinking(effort="minimal"), Host(), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}, ()),
        (Thinking(effort="high"), Host(adaptive=False), {"thinking": {"type": "enabled", "budget_tokens": 4999}, "output_config": {"effort": "high"}}, ()),
        (Thinking(on=True, budget=9000), Host(), {"thinking": {"type": "enabled", "budget_tokens": 4999}}, ("thinking.budget",)),
        (Thinking(on=False), Host(), {"thinking": {"type": "disabled"}}, ()),
        (Thinking(effort="none"), Host(), {"thinking": {"type": "disabled"}}, ()),
        (Thinking(on=True, effort="low"), Host(efforts=("high", "max")), {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, ()),
        (Thinking(on=True, effort="low"), Host(rejects=frozenset({"output_config.effort"})), {"thinking": {"type": "adaptive"}}, ("thinking.effort",)),
        (Thinking(on=True), Host(rejects=frozenset({"thinking"})), {}, ("thinking",)),
        (Thinking(on=True), Host(max_output=1000, adaptive=False), {}, ("max_output", "thinking")),
        (Thinking(on=True), Host(thinking_on=msgspec.Raw(b'{"thinking":{"type":"enabled"}}')), {"thinking": {"type": "enabled"}}, ()),
    ],
)  # fmt: skip
def test_thinking_is_switched_as_the_host_likes_it(
    thinking: Thinking, host: Host, expected: dict[str, object], dropped: tuple[str, ...]
) -> None:
    body, named = write(Request(model="m", thinking=thinking, max_output=5000), host)
    assert {name: body[name] for name in ("thinking", "output_config") if name in body} == expected
    assert named == dropped


def test_reasoning_goes_back_as_its_host_wants_it() -> None:
    unsigned, foreign = Reasoning(text="t"), Reasoning(summary=("s",), encrypted="e", id="rs_1")
    request = Request(model="m", turns=(Turn(Role.ASSISTANT, (unsigned, foreign, Text(text="a"))),))
    body, dropped = write(request)
    assert body["messages"][0]["content"][:2] == [
        {"type": "thinking", "thinking": "t", "signature": ""},
        {"type": "thinking", "thinking": "s", "signature": ""},
    ]
    assert dropped == ("reasoning.encrypted",)
    body, dropped = write(request, Host(signed_thinking=True))
    assert body["messages"] == [{"role": "assistant", "content": "a"}]
    assert dropped == ("reasoning", "reasoning.encrypted")


def test_one_call_at_a_time_is_said_with_a_choice() -> None:
    request = Request(model="m", tools=(Tool(name="f"),), tool_choice=ToolChoice(parallel=False))
    assert write(request)[0]["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    request = Request(model="m", tool_choice=ToolChoice(Choice.REQUIRED))
    assert "tool_choice" not in write(request)[0] and write(request)[1] == ("tool_choice",)


def test_strict_tools_are_said_where_the_host_takes_them() -> None:
    tools = (Tool(name="f", strict=True), Tool(name="g", strict=False))
    body, dropped = write(Request(model="m", tools=tools))
    assert [tool.get("strict") for tool in body["tools"]] == [True, None] and dropped == ()
    body, dropped = write(Request(model="m", tools=tools), Host(rejects=frozenset({"tools.strict"})))
    assert [tool.get("strict") for tool in body["tools"]] == [None, None] and dropped == ("strict",)


def test_ids_of_calls_are_changed_only_for_a_host_that_refuses_them() -> None:
    ids = ("toolu_1", "functions.Read:0", "functions.Read:1")
    turns = (
        Turn(Role.ASSISTANT, tuple(ToolCall(id=call, name="Read", arguments="{}") for call in ids)),
        Turn(Role.USER, tuple(ToolResult(id=call, parts=()) for call in ids)),
    )
    for host, kept in ((Host(), ids), (Host(plain_tool_ids=True), ids[:1])):
        calls, results = (
            message["content"] for message in write(Request(model="m", turns=turns), host)[0]["messages"]
        )
        written = [call["id"] for call in calls]
        assert written == [result["tool_use_id"] for result in results]
        assert written[: len(kept)] == list(kept) and len(set(written)) == 3
        assert host == Host() or all(re.fullmatch("[a-zA-Z0-9_-]+", call) for call in written)


def test_a_file_of_text_is_said_as_text() -> None:
    part = Document(data="aGk=", media_type="text/plain", title="n")
    body, dropped = write(Request(model="m", turns=(Turn(Role.USER, (part,)),)))
    source = {"type": "text", "media_type": "text/plain", "data": "hi"}
    assert body["messages"][0]["content"] == [{"type": "document", "source": source, "title": "n"}]
    assert dropped == ()
