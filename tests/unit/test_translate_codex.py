"""A task of Codex on hosts that do not speak its dialect: two turns, tools of every kind, thinking that comes back."""

import json

import msgspec
import pytest

from tests.unit.codex_request import CODEX
from tokenweir.core.usage import Usage
from tokenweir.protocol.translate.chat import CHAT
from tokenweir.protocol.translate.dialects import Dialect
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.messages import MESSAGES
from tokenweir.protocol.translate.responses import RESPONSES
from tokenweir.protocol.translate.translation import Translation


def data(*events: dict[str, object]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(event.get("type", "")).encode(), json.dumps(event).encode())
        if "type" in event
        else b"data: " + json.dumps(event).encode() + b"\n\n"
        for event in events
    )


def chunk(**delta: object) -> dict[str, object]:
    finish = delta.pop("finish", None)
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "model": "kimi", "created": 1, "choices": [choice]}


def call(index: int, call_id: str, name: str, arguments: str) -> dict[str, object]:
    function = {"name": name, "arguments": arguments}
    return chunk(tool_calls=[{"index": index, "id": call_id, "type": "function", "function": function}])


OF_CHAT = (
    data(
        chunk(role="assistant", content=""),
        chunk(reasoning_content="Let me "),
        chunk(reasoning_content="see."),
        chunk(content="Reading."),
        call(0, "functions.shell:0", "shell", '{"command":["ls"]}'),
        call(1, "p:1", "apply_patch", '{"input":"*** Begin"}'),
        call(2, "j:2", "mcp__repl__js", '{"code":"1"}'),
        chunk(finish="tool_calls"),
        {"id": "c1", "model": "kimi", "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 5}},
    )
    + b"data: [DONE]\n\n"
)


def block(index: int, start: dict[str, object], **deltas: str) -> list[dict[str, object]]:
    told = [
        {"type": "content_block_delta", "index": index, "delta": {"type": kind, _MEMBER[kind]: text}}
        for kind, text in deltas.items()
    ]
    return [
        {"type": "content_block_start", "index": index, "content_block": start},
        *told,
        {"type": "content_block_stop", "index": index},
    ]


_MEMBER = {
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "text_delta": "text",
    "input_json_delta": "partial_json",
}


def tool_use(call_id: str, name: str) -> dict[str, object]:
    return {"type": "tool_use", "id": call_id, "name": name, "input": {}}


OF_MESSAGES = data(
    {"type": "message_start", "message": {"id": "c1", "model": "kimi", "usage": {"input_tokens": 9}}},
    *block(0, {"type": "thinking", "thinking": ""}, thinking_delta="Let me see.", signature_delta="SIG"),
    *block(1, {"type": "text", "text": ""}, text_delta="Reading."),
    *block(2, tool_use("functions.shell:0", "shell"), input_json_delta='{"command":["ls"]}'),
    *block(3, tool_use("p:1", "apply_patch"), input_json_delta='{"input":"*** Begin"}'),
    *block(4, tool_use("j:2", "mcp__repl__js"), input_json_delta='{"code":"1"}'),
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)


@pytest.mark.parametrize(("upstream", "answer"), [(CHAT, OF_CHAT), (MESSAGES, OF_MESSAGES)])
def test_codex_goes_on_where_its_host_speaks_otherwise(upstream: Dialect, answer: bytes) -> None:
    request = RESPONSES.read_request(json.dumps(CODEX).encode())
    translation = Translation(RESPONSES, upstream, Host(), request)
    sent = translation.request(model="kimi", max_output=None)
    assert b'"mcp__repl__js"' in sent.body and b'"local_shell"' in sent.body
    assert {"client_metadata", "tools[3]"} <= set(sent.dropped)

    stream = translation.stream()
    got = stream.feed(answer) + stream.tail()
    assert stream.usage == Usage(input=9, output=5)
    done = [
        json.loads(event.partition(b"data: ")[2])["item"]
        for event in got.split(b"\n\n")
        if event.startswith(b"event: response.output_item.done")
    ]
    # Codex keeps the items that are done, without their ids.
    brought = [{name: value for name, value in item.items() if name != "id"} for item in done]
    reasoning, message, shell, patch, js = brought
    assert reasoning["summary"] == [{"type": "summary_text", "text": "Let me see."}]
    assert message["content"][0]["text"] == "Reading."
    assert (shell["type"], shell["call_id"]) == ("function_call", "functions.shell:0")
    assert (patch["type"], patch["input"]) == ("custom_tool_call", "*** Begin")
    assert (js["namespace"], js["name"], js["arguments"]) == ("mcp__repl", "js", '{"code":"1"}')

    results = [
        {"type": "function_call_output", "call_id": "functions.shell:0", "output": "a.py"},
        {"type": "custom_tool_call_output", "call_id": "p:1", "output": "Done"},
        {"type": "function_call_output", "call_id": "j:2", "output": "1"},
    ]
    history = msgspec.json.decode(msgspec.json.encode(CODEX["input"]), type=list[dict[str, object]])
    second = CODEX | {"input": [*history, *brought, *results]}
    translation = Translation(
        RESPONSES, upstream, Host(), RESPONSES.read_request(json.dumps(second).encode())
    )
    again = json.loads(translation.request(model="kimi", max_output=None).body)["messages"]
    told = json.dumps(again)
    assert "Let me see." in told
    assert upstream is CHAT or '"signature": "SIG"' in told
    assert told.count("functions.shell:0") == 2
    assert '{\\"input\\":\\"*** Begin\\"}' in told or '{"input": "*** Begin"}' in told
