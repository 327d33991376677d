"""Requests of OpenAI Responses, as its clients send them and as hosts take them."""

import json
from typing import Any

import msgspec
import pytest
from openai.types.responses import ResponseOutputMessage, ResponseReasoningItem

from tests.unit.codex_request import CODEX
from tokenweir.catalog.dialects import shipped_dialects
from tokenweir.cli.targets import host_of
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.translate.form import (
    Choice,
    Document,
    Image,
    Reasoning,
    Refusal,
    Request,
    Role,
    Sampling,
    Text,
    Thinking,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.responses import RESPONSES
from tokenweir.protocol.translate.responses_request_in import ENCRYPTED
from tokenweir.protocol.translate.responses_tools import LOCAL_SHELL


def read(**body: object) -> Request:
    return RESPONSES.read_request(json.dumps({"model": "m", "input": "hi"} | body).encode())


def write(request: Request, host: Host | None = None) -> tuple[dict[str, Any], tuple[str, ...]]:
    written = RESPONSES.write_request(request, host or Host())
    return json.loads(written.body), written.dropped


# --- requests of clients


def test_codex_is_read() -> None:
    request = RESPONSES.read_request(json.dumps(CODEX).encode())
    assert request.instructions == (Text(text="You are Codex."), Text(text="<permissions>"))
    user, assistant, results = request.turns
    assert user == Turn(Role.USER, (Text(text="Fix the test."),))
    assert assistant.parts == (
        Reasoning(summary=("Look first",), encrypted="gAAAA"),
        Text(text="I look at it."),
        ToolCall(id="shell:0", name="shell", arguments='{"command":["ls"]}'),
        ToolCall(id="c2", name="apply_patch", arguments="*** Begin", custom=True),
        ToolCall(id="c3", name="mcp__repl__js", arguments="{}"),
    )
    assert results.parts == (
        ToolResult(id="shell:0", parts=(Text(text="a.py"),)),
        ToolResult(id="c2", parts=(Text(text="Done"),), custom=True),
        ToolResult(id="c3", parts=(Text(text="2"), Image(media_type="image/png", data="iVBO"))),
    )
    shell, patch, local, js = request.tools
    assert (shell.strict, bytes(shell.schema)) == (False, b'{"type": "object"}')
    assert patch.custom and b"lark" in bytes(patch.schema)
    assert local == LOCAL_SHELL
    assert (js.name, js.namespace) == ("mcp__repl__js", "mcp__repl")
    assert request.thinking == Thinking(on=True, effort="medium", summary="auto")
    assert (request.cache_key, request.verbosity, request.stream) == ("0199-thread", "low", True)
    assert request.include == (ENCRYPTED,)
    assert request.unplaced == ("client_metadata", "tools[3]")


def test_what_says_the_default_is_not_reported() -> None:
    request = read(
        store=True, truncation="disabled", background=False, metadata={}, service_tier="auto",
        stream_options={"include_obfuscation": False}, previous_response_id=None, max_tool_calls=None,
        reasoning={"effort": None, "context": "auto"}, text={"format": {"type": "text"}}, tools=[],
    )  # fmt: skip
    assert request == Request(model="m", turns=(Turn(Role.USER, (Text(text="hi"),)),))


@pytest.mark.parametrize(
    ("body", "unplaced"),
    [
        ({"truncation": "auto"}, "truncation"),
        ({"include": ["file_search_call.results"]}, "include[0]"),
        ({"reasoning": {"mode": "pro"}}, "reasoning.mode"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "tools[0]"),
        ({"input": [{"type": "web_search_call", "id": "ws"}]}, "input[0]"),
        ({"input": [{"role": "assistant", "content": "a", "phase": "commentary"}]}, "input[0].phase"),
        ({"input": [{"role": "user", "content": [{"type": "input_video"}]}]}, "input[0].content[0]"),
        ({"tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"text": {"format": {"type": "xml"}}}, "text.format"),
        ({"moderation": {"model": "x"}}, "moderation"),
        ({"user": "a", "safety_identifier": "b"}, "user"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "f"}]}, "tools.f"),
    ],
)  # fmt: skip
def test_what_has_no_place_is_named(body: dict[str, object], unplaced: str) -> None:
    assert read(**body).unplaced == (unplaced,)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"input": None}, "input"),
        ({"input": 3}, "input"),
        ({"model": ""}, "model"),
        ({"input": [{"type": "item_reference", "id": "rs_1"}]}, "input[0]"),
        ({"input": [{"id": "rs_1"}]}, "input[0]"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, "input[0].call_id"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_path(body: dict[str, object], param: str) -> None:
    with pytest.raises(BadRequest) as refused:
        read(**body)
    assert refused.value.param == param


def test_turns_end_where_their_speaker_does() -> None:
    request = read(
        input=[
            {"role": "user", "content": "a"},
            {"role": "user", "content": "b"},
            {"role": "system", "content": "c"},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "r"}], "id": "rs_1"},
            {"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}", "id": "fc_1"},
            {"type": "function_call_output", "call_id": "1", "output": ""},
            {"type": "local_shell_call", "id": "x", "call_id": "2", "action": {"type": "exec", "command": ["ls"]}},
            {"type": "local_shell_call_output", "id": "2", "output": "ok"},
            {"role": "user", "content": [{"type": "input_file", "file_url": "https://x/y.pdf", "filename": "y"}]},
        ]
    )  # fmt: skip
    assert request.turns == (
        Turn(Role.USER, (Text(text="a"),)),
        Turn(Role.USER, (Text(text="b"),)),
        Turn(Role.SYSTEM, (Text(text="c"),)),
        Turn(Role.ASSISTANT, (Reasoning(text="r", id="rs_1"), ToolCall(id="1", name="f", arguments="{}", item_id="fc_1"))),
        Turn(Role.USER, (ToolResult(id="1", parts=()),)),
        Turn(
            Role.ASSISTANT,
            (ToolCall(id="2", name="local_shell", arguments='{"type": "exec", "command": ["ls"]}', item_id="x"),),
        ),
        Turn(Role.USER, (ToolResult(id="2", parts=(Text(text="ok"),)),)),
        Turn(Role.USER, (Document(url="https://x/y.pdf", title="y"),)),
    )  # fmt: skip


def test_allowed_tools_are_the_tools() -> None:
    tools = [{"type": "function", "name": name, "parameters": {}, "strict": True} for name in ("a", "b")]
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "b"}]}
    request = read(tools=tools, tool_choice=allowed, parallel_tool_calls=False)
    assert [tool.name for tool in request.tools] == ["b"]
    assert request.tool_choice == ToolChoice(Choice.REQUIRED, parallel=False)


def test_tools_that_an_item_brings_are_tools() -> None:
    item = {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late"}]}
    assert [tool.name for tool in read(input=[item, {"role": "user", "content": "x"}]).tools] == ["late"]


def test_a_mark_of_the_cache_is_carried() -> None:
    part = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit"}}
    request = read(input=[{"role": "user", "content": [part]}])
    assert request.turns[0].parts == (Text(text="x", cache="5m"),)


# --- requests for hosts


def test_what_this_dialect_cannot_say_is_named() -> None:
    request = Request(
        model="m",
        turns=(
            Turn(Role.USER, (Text(text="x", cache="5m"),), name="bob"),
            Turn(Role.ASSISTANT, (Reasoning(text="r", signature="s"), Image(url="https://x"))),
            Turn(Role.USER, (ToolResult(id="1", parts=(), failed=True), Document(text="d", citations=True, context="c"))),
        ),
        stop=("x",),
        sampling=Sampling(top_k=1, seed=2, presence_penalty=0.5, frequency_penalty=0, logit_bias=msgspec.Raw(b"{}")),
        user="u" * 65,
        cache_key="c" * 64,
    )  # fmt: skip
    body, dropped = write(request)
    assert set(dropped) == {
        "cache_control", "name", "thinking.signature", "image", "is_error", "document.context",
        "citations", "stop", "top_k", "seed", "presence_penalty", "logit_bias", "user", "reasoning",
    }  # fmt: skip
    assert "user" not in body and body["prompt_cache_key"] == "c" * 64
    assert body["input"][2]["content"][0]["file_data"] == "data:text/plain;base64,ZA=="


def test_the_assistant_s_messages_are_what_strict_hosts_take() -> None:
    turn = Turn(Role.ASSISTANT, (Text(text="a"), Refusal(text="no")))
    body, _ = write(Request(model="m", turns=(Turn(Role.USER, (Text(text="x"),)), turn)))
    ResponseOutputMessage.model_validate(body["input"][1], strict=True)


def test_reasoning_goes_back_as_the_host_takes_it() -> None:
    """OpenAI refuses its text (musistudio/claude-code-router#1783); vLLM reads it (vllm-project/vllm#28248)."""
    own = Reasoning(text="t", summary=("s",), encrypted="e", id="rs_9")
    turns = (
        Turn(
            Role.ASSISTANT,
            (own, ToolCall(id="c", name="f", arguments="{}", item_id="fc_9"), Reasoning(text="u")),
        ),
    )
    body, dropped = write(Request(model="m", turns=turns))
    summary = [{"type": "summary_text", "text": "s"}]
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    assert body["input"] == [
        {"type": "reasoning", "id": "rs_9", "summary": summary, "encrypted_content": "e"},
        call,
    ]
    assert dropped == ("reasoning",)
    body, dropped = write(Request(model="m", turns=turns), Host(reasoning_text=True))
    for item in (body["input"][0], body["input"][2]):
        ResponseReasoningItem.model_validate(item, strict=True)
    assert body["input"][2]["content"] == [{"type": "reasoning_text", "text": "u"}]
    assert dropped == ()


def test_reasoning_is_asked_for_encrypted_only_of_models_that_reason() -> None:
    assert write(Request(model="m"))[0]["include"] == []
    assert write(Request(model="m", thinking=Thinking(on=False)))[0]["include"] == []
    assert write(Request(model="m", thinking=Thinking(budget=9000)))[0]["include"] == [ENCRYPTED]
    assert write(Request(model="m", thinking=Thinking(budget=9000)))[0]["reasoning"] == {"effort": "high"}
    assert write(Request(model="m", thinking=Thinking(on=True)))[0]["reasoning"] == {"effort": "medium"}
    host = Host(efforts=("low", "high"), rejects=frozenset({"reasoning.summary"}))
    body, dropped = write(Request(model="m", thinking=Thinking(effort="max", summary="auto")), host)
    assert (body["reasoning"], dropped) == ({"effort": "high"}, ("thinking.summary",))


def test_what_a_host_does_not_take_while_it_thinks() -> None:
    host = Host(
        efforts=("low", "high"),
        thinking_rejects=frozenset({"temperature"}),
        takes=frozenset({"top_k"}),
        always=msgspec.Raw(b'{"truncation":"auto","model":"x"}'),
    )
    sampling = Sampling(temperature=0.5, top_k=3, seed=4)
    body, dropped = write(Request(model="m", sampling=sampling), host)
    assert "temperature" not in body and set(dropped) == {"temperature", "seed"}
    assert (body["top_k"], body["truncation"], body["model"]) == (3, "auto", "m")
    body, dropped = write(Request(model="m", sampling=sampling, thinking=Thinking(on=False)), host)
    assert (body["temperature"], body["reasoning"]) == (0.5, {"effort": "low"})
    assert set(dropped) == {"seed", "thinking"}
    assert write(Request(model="m", thinking=Thinking(on=False)))[0]["reasoning"] == {"effort": "none"}


def test_what_openai_s_models_take_is_data() -> None:
    host = host_of(shipped_dialects()["openai"].spoken()["responses"])
    asked = Request(model="m", thinking=Thinking(effort="max"), sampling=Sampling(temperature=0.5))
    body, dropped = write(asked, host.of("gpt-4o"))
    assert "reasoning" not in body and body["include"] == [] and dropped == ("thinking",)
    body, dropped = write(asked, host.of("o4-mini"))
    assert (body["reasoning"], dropped) == ({"effort": "high"}, ("temperature",))
    body, dropped = write(asked, host.of("gpt-5.2"))
    assert (body["reasoning"], dropped) == ({"effort": "xhigh"}, ("temperature",))


def test_the_most_output_of_a_host_holds() -> None:
    body, dropped = write(Request(model="m", max_output=100), Host(max_output=50))
    assert (body["max_output_tokens"], dropped) == (50, ("max_output",))
