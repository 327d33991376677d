"""Requests of Chat Completions as clients really send them, each with its one right reading; and what hosts are sent."""

import json

import msgspec
import pytest

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.chat import CHAT
from tokenweir.protocol.translate.form import (
    Document,
    Image,
    Reasoning,
    Request,
    Role,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
    Turn,
)
from tokenweir.protocol.translate.host import Host


def read(body: dict[str, object]) -> Request:
    return CHAT.read_request(json.dumps({"model": "m", "messages": [], **body}).encode())


def written(request: Request, host: Host = Host()) -> dict[str, object]:  # noqa: B008  # a constant
    found: dict[str, object] = json.loads(CHAT.write_request(request, host).body)
    return found


# --- requests of clients


def test_a_request_of_an_agent_is_read() -> None:
    request = read(
        {
            "messages": [
                {"role": "developer", "content": "be brief"},
                {"role": "system", "content": [{"type": "text", "text": "be kind", "cache_control": {"type": "ephemeral"}}]},
                {"role": "user", "content": [
                    {"type": "text", "text": "what is this"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
                    {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,BBBB"}},
                ]},
                {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [
                    {"id": "functions.look:0", "type": "function", "function": {"name": "look", "arguments": '{"a": 1}'}},
                    {"id": "functions.look:1", "type": "function", "function": {"name": "look", "arguments": ""}},
                ]},
                {"role": "tool", "tool_call_id": "functions.look:0", "name": "look", "content": "a cat"},
                {"role": "tool", "tool_call_id": "functions.look:1", "content": [{"type": "text", "text": "a dog"}]},
                {"role": "system", "content": "hurry"},
                {"role": "user", "content": "well?"},
            ],
            "max_completion_tokens": 64,
            "max_tokens": 32,
            "stop": "END",
            "reasoning_effort": "none",
            "n": 1,
            "store": False,
        }
    )  # fmt: skip
    assert request == Request(
        model="m",
        instructions=(Text(text="be brief"), Text(text="be kind", cache="5m")),
        turns=(
            Turn(Role.USER, (
                Text(text="what is this"),
                Image(media_type="image/png", data="AAAA", detail="low"),
                Document(media_type="application/pdf", data="BBBB", title="a.pdf"),
            )),
            Turn(Role.ASSISTANT, (
                Reasoning(text="hm"),
                ToolCall(id="functions.look:0", name="look", arguments='{"a": 1}'),
                ToolCall(id="functions.look:1", name="look", arguments=""),
            )),
            Turn(Role.USER, (
                ToolResult(id="functions.look:0", parts=(Text(text="a cat"),)),
                ToolResult(id="functions.look:1", parts=(Text(text="a dog"),)),
            )),
            Turn(Role.SYSTEM, (Text(text="hurry"),)),
            Turn(Role.USER, (Text(text="well?"),)),
        ),
        max_output=32,
        stop=("END",),
        thinking=Thinking(on=False),
    )  # fmt: skip


def test_what_has_no_place_is_named_by_its_path() -> None:
    request = read(
        {
            "messages": [
                {"role": "user", "content": [
                    {"type": "text", "text": "see"},
                    {"type": "video_url", "video_url": {"url": "https://example.org/v"}},
                ]},
                {"role": "assistant", "content": "He", "partial": True},
            ],
            "tools": [
                {"type": "function", "function": {"name": "f"}},
                {"type": "builtin_function", "function": {"name": "$web_search"}},
            ],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}},
            "modalities": ["text", "audio"],
            "n": 2,
            "thinking": {"type": "enabled", "keep": "all", "clear_thinking": True},
        }
    )  # fmt: skip
    assert set(request.unplaced) == {
        "messages[0].content[1]", "messages[1].partial", "tools[1]", "tool_choice.allowed_tools", "tool_choice",
        "modalities", "n", "thinking.clear_thinking",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("members", "thinking"),
    [
        ({"reasoning_effort": "high"}, Thinking(effort="high")),
        ({"thinking": {"type": "enabled", "budget_tokens": 2048}}, Thinking(on=True, budget=2048)),
        ({"thinking": {"type": "disabled"}}, Thinking(on=False)),
        ({"enable_thinking": True, "thinking_budget": 500}, Thinking(on=True, budget=500)),
        ({"chat_template_kwargs": {"enable_thinking": False}}, Thinking(on=False)),
        ({"chat_template_kwargs": {"thinking": True}}, Thinking(on=True)),
        ({"reasoning": {"effort": "low", "exclude": False}}, Thinking(effort="low")),
        ({"reasoning": {"max_tokens": 900, "enabled": True}}, Thinking(on=True, budget=900)),
        ({"reasoning_split": True, "separate_reasoning": True}, Thinking()),
    ],
)
def test_thinking_is_read_by_every_name(members: dict[str, object], thinking: Thinking) -> None:
    request = read(members)
    assert (request.thinking, request.unplaced) == (thinking, ())


@pytest.mark.parametrize(
    ("members", "param", "status"),
    [
        ({"messages": "hi"}, "messages", 422),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role", 422),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id", 400),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", 400),
        ({"tools": [{"type": "function"}]}, "tools[0].function", 400),
        ({"tool_choice": "maybe"}, "tool_choice", 422),
        ({"stop": [1]}, "stop[0]", 422),
        ({"temperature": "warm"}, "temperature", 422),
        ({"model": ""}, "model", 400),
    ],
)
def test_what_is_wrong_is_named(members: dict[str, object], param: str, status: int) -> None:
    with pytest.raises(BadRequest) as error:
        read(members)
    assert (error.value.param, error.value.status) == (param, status)


# --- requests for hosts


def test_pictures_of_tools_are_shown_by_the_user() -> None:
    picture = Image(data="AAAA", media_type="image/png")
    results = (
        ToolResult(id="a", parts=(Text(text="one"), picture)),
        ToolResult(id="b", parts=(picture,)),
        ToolResult(id="c", parts=(Text(text="gone"),), failed=True),
    )
    request = Request(model="m", turns=(Turn(Role.USER, (*results, Text(text="go on"))),))
    shown = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert written(request)["messages"] == [
        {"role": "tool", "tool_call_id": "a", "content": "one"},
        {"role": "tool", "tool_call_id": "b", "content": "See the next message of the user."},
        {"role": "tool", "tool_call_id": "c", "content": "gone"},
        {"role": "user", "content": [
            {"type": "text", "text": "The result of tool call a:"}, shown,
            {"type": "text", "text": "The result of tool call b:"}, shown,
            {"type": "text", "text": "go on"},
        ]},
    ]  # fmt: skip
    assert CHAT.write_request(request, Host()).dropped == ("is_error",)


def test_texts_are_one_text_for_hosts_that_take_no_lists() -> None:
    request = Request(
        model="m",
        instructions=(Text(text="a", cache="1h"), Text(text="b")),
        turns=(
            Turn(Role.USER, (Text(text="c"), Document(text="d", title="t"))),
            Turn(Role.ASSISTANT, (Text(text="e"), Text(text="f"))),
        ),
    )
    assert written(request)["messages"] == [
        {"role": "system", "content": "a\n\nb"},
        {"role": "user", "content": "c\n\nt\nd"},
        {"role": "assistant", "content": "ef"},
    ]
    assert CHAT.write_request(request, Host()).dropped == ("cache_control",)
    marked = written(request, Host(takes=frozenset({"cache_control"})))["messages"]
    assert marked[0]["content"][0] == {  # type: ignore[index]
        "type": "text",
        "text": "a",
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }


def test_a_tool_of_free_text_is_a_function_where_there_is_no_such_tool() -> None:
    patch = Tool(name="patch", custom=True, schema=msgspec.Raw(b'{"type":"grammar"}'))
    call = ToolCall(id="c", name="patch", arguments="*** Begin", custom=True)
    request = Request(model="m", tools=(patch,), turns=(Turn(Role.ASSISTANT, (call,)),))
    body = written(request)
    assert body["tools"][0]["function"]["parameters"]["required"] == ["input"]  # type: ignore[index]
    said = body["messages"][0]["tool_calls"][0]["function"]  # type: ignore[index]
    assert json.loads(said["arguments"]) == {"input": "*** Begin"}
    assert CHAT.write_request(request, Host()).dropped == ("grammar",)
    taken = written(request, Host(takes=frozenset({"custom_tools"})))
    assert taken["tools"] == [{"type": "custom", "custom": {"name": "patch", "format": {"type": "grammar"}}}]


def test_what_this_dialect_cannot_say_is_named() -> None:
    request = Request(
        model="m",
        turns=(
            Turn(Role.USER, (Document(url="https://example.org/a.pdf"), Image(file_id="file_1"))),
            Turn(
                Role.ASSISTANT,
                (Reasoning(text="hm", signature="s"), Reasoning(encrypted="x"), Text(text="a")),
            ),
        ),
        thinking=Thinking(on=False),
        max_output=100,
    )
    found = CHAT.write_request(request, Host(max_output=50, reasoning_name=""))
    assert set(found.dropped) == {
        "document", "image", "reasoning", "thinking.signature", "reasoning.encrypted", "thinking.off", "max_output",
    }  # fmt: skip
    assert json.loads(found.body)["max_tokens"] == 50
