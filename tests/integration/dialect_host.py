"""A host on loopback that speaks every dialect with one canned answer, plain or streamed, and notes what it is sent.

Below /v1 it is a full host; below /plain it answers a stream's request plainly; below /odd it counts no tokens.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

TEXT = "The weir holds."
THOUGHT = "It does."
ARGUMENTS = '{"height": 3}'
CALL_ID = "functions.raise_weir:0"
MODEL = "model-of-host"
COUNTED = 41

_CHAT_USAGE = {
    "prompt_tokens": 12,
    "completion_tokens": 7,
    "total_tokens": 19,
    "prompt_tokens_details": {"cached_tokens": 8},
}
_CALL = {
    "id": CALL_ID,
    "type": "function",
    "function": {"name": "raise_weir", "arguments": ARGUMENTS},
}


def _chat(tools: bool, number: int) -> dict[str, object]:
    message: dict[str, object] = {"role": "assistant", "content": None if tools else TEXT}
    message["reasoning_content"] = THOUGHT
    if tools:
        message["tool_calls"] = [_CALL]
    finish = "tool_calls" if tools else "stop"
    return {
        "id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": MODEL, "usage": _CHAT_USAGE,
        "choices": [{"index": 0, "message": message, "finish_reason": finish}],
    }  # fmt: skip


def _chat_stream(tools: bool, number: int) -> list[tuple[str, dict[str, object]]]:
    deltas: list[dict[str, object]] = [{"role": "assistant", "content": ""}, {"reasoning_content": THOUGHT}]
    if tools:
        deltas.append({"tool_calls": [{"index": 0, **_CALL}]})
    else:
        deltas += [{"content": TEXT[:5]}, {"content": TEXT[5:]}]
    chunks: list[dict[str, object]] = [
        {"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas
    ]
    finish = "tool_calls" if tools else "stop"
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    chunks.append({"choices": [], "usage": _CHAT_USAGE})
    head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1, "model": MODEL}
    return [("", {**head, **chunk}) for chunk in chunks]


_MESSAGES_USAGE = {"input_tokens": 4, "cache_read_input_tokens": 8, "output_tokens": 7}


def _blocks(tools: bool) -> list[dict[str, object]]:
    said = {"type": "tool_use", "id": CALL_ID, "name": "raise_weir", "input": json.loads(ARGUMENTS)}
    thought = {"type": "thinking", "thinking": THOUGHT, "signature": "c2lnbmVk"}
    return [thought, said if tools else {"type": "text", "text": TEXT}]


def _message(tools: bool, number: int) -> dict[str, object]:
    return {
        "id": f"msg_{number}", "type": "message", "role": "assistant", "model": MODEL, "content": _blocks(tools),
        "stop_reason": "tool_use" if tools else "end_turn", "stop_sequence": None, "usage": _MESSAGES_USAGE,
    }  # fmt: skip


def _messages_stream(tools: bool, number: int) -> list[tuple[str, dict[str, object]]]:
    whole = _message(tools, number)
    start = {**whole, "content": [], "stop_reason": None, "usage": {**_MESSAGES_USAGE, "output_tokens": 1}}
    if tools:
        block: dict[str, object] = {"type": "tool_use", "id": CALL_ID, "name": "raise_weir", "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": ARGUMENTS}]
    else:
        block = {"type": "text", "text": ""}
        deltas = [{"type": "text_delta", "text": TEXT[:5]}, {"type": "text_delta", "text": TEXT[5:]}]
    thought = {"type": "thinking", "thinking": "", "signature": ""}
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": thought},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": THOUGHT}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "signature_delta", "signature": "c2lnbmVk"},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "content_block_start", "index": 1, "content_block": block},
        *({"type": "content_block_delta", "index": 1, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": 1},
        {
            "type": "message_delta",
            "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None},
            "usage": {"output_tokens": 7},
        },
        {"type": "message_stop"},
    ]
    return [(str(event["type"]), event) for event in events]


def _items(tools: bool) -> list[dict[str, object]]:
    reasoning = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": THOUGHT}]}
    if tools:
        call = {"id": "fc_1", "type": "function_call", "status": "completed", "call_id": CALL_ID}
        return [reasoning, {**call, "name": "raise_weir", "arguments": ARGUMENTS}]
    content = [{"type": "output_text", "text": TEXT, "annotations": []}]
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    return [reasoning, {**message, "content": content}]


def _response(tools: bool, number: int) -> dict[str, object]:
    usage = {
        "input_tokens": 12, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 19,
    }  # fmt: skip
    return {
        "id": f"resp_{number}", "object": "response", "created_at": 1, "status": "completed", "model": MODEL,
        "output": _items(tools), "usage": usage, "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
        "error": None, "incomplete_details": None, "instructions": None, "metadata": {},
    }  # fmt: skip


def _responses_stream(tools: bool, number: int) -> list[tuple[str, dict[str, object]]]:
    whole = _response(tools, number)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None}
    reasoning, said = _items(tools)
    at = {"item_id": said["id"], "output_index": 1}
    events: list[dict[str, object]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**reasoning, "summary": []}},
        {
            "type": "response.reasoning_summary_text.delta",
            "item_id": "rs_1",
            "output_index": 0,
            "summary_index": 0,
            "delta": THOUGHT,
        },
        {"type": "response.output_item.done", "output_index": 0, "item": reasoning},
    ]
    if tools:
        events += [
            {"type": "response.output_item.added", "output_index": 1, "item": {**said, "arguments": ""}},
            {"type": "response.function_call_arguments.delta", **at, "delta": ARGUMENTS},
            {"type": "response.function_call_arguments.done", **at, "arguments": ARGUMENTS},
        ]
    else:
        part = {"type": "output_text", "text": "", "annotations": []}
        told = {**at, "content_index": 0}
        events += [
            {"type": "response.output_item.added", "output_index": 1, "item": {**said, "content": []}},
            {"type": "response.content_part.added", **told, "part": part},
            {"type": "response.output_text.delta", **told, "delta": TEXT[:5], "logprobs": []},
            {"type": "response.output_text.delta", **told, "delta": TEXT[5:], "logprobs": []},
            {"type": "response.output_text.done", **told, "text": TEXT, "logprobs": []},
            {"type": "response.content_part.done", **told, "part": {**part, "text": TEXT}},
        ]
    events += [
        {"type": "response.output_item.done", "output_index": 1, "item": said},
        {"type": "response.completed", "response": whole},
    ]
    return [(str(event["type"]), {**event, "sequence_number": n}) for n, event in enumerate(events)]


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: dict[str, object]


class DialectHost(ThreadingHTTPServer):
    """The server; `asked` are the requests it got."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[Asked] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    def answer(self, asked: Asked) -> tuple[int, str, bytes]:
        """Status, type and body."""
        kind, tools = asked.path.partition("/v1/")[2], "tools" in asked.body
        streams = bool(asked.body.get("stream")) and not asked.path.startswith("/plain")
        number = len(self.asked)
        if kind == "messages/count_tokens" and not asked.path.startswith("/odd"):
            return 200, "application/json", json.dumps({"input_tokens": COUNTED}).encode()
        whole = {
            "chat/completions": lambda: _chat(tools, number),
            "messages": lambda: _message(tools, number),
            "responses": lambda: _response(tools, number),
            "completions": lambda: {**_chat(False, number), "choices": [{"index": 0, "text": TEXT}]},
            "rerank": lambda: {
                "results": [{"index": 0, "relevance_score": 0.5}],
                "usage": {"total_tokens": 9},
            },
        }.get(kind)
        if whole is None:
            return 404, "application/json", b'{"error":{"message":"no such path"}}'
        if not streams:
            return 200, "application/json", json.dumps(whole()).encode()
        events = {
            "chat/completions": lambda: _chat_stream(tools, number),
            "messages": lambda: _messages_stream(tools, number),
            "responses": lambda: _responses_stream(tools, number),
        }[kind]()
        lines = [f"event: {name}\n" * bool(name) + f"data: {json.dumps(data)}\n\n" for name, data in events]
        if kind == "chat/completions":
            lines.append("data: [DONE]\n\n")
        return 200, "text/event-stream", "".join(lines).encode()


class _Handler(BaseHTTPRequestHandler):
    server: DialectHost
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        asked = Asked(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.server.asked.append(asked)
        status, kind, data = self.server.answer(asked)
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def dialect_host() -> Iterator[DialectHost]:
    """A host that runs until the end of the block."""
    host = DialectHost()
    thread = threading.Thread(target=host.serve_forever)
    thread.start()
    try:
        yield host
    finally:
        host.shutdown()
        thread.join()
        host.server_close()
