"""An upstream that plays a model at work: it reads which tools it is offered, mends a file, runs the test, and ends.

It speaks Chat Completions, streamed and not, on a real socket. What it does depends on the request alone: a request
without tools (a title, a summary) gets a short text, or JSON where a schema is asked for; one with tools gets the next
command of the task as a call of the shell tool, and once every command has its result, the last words.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BROKEN = "def add(a, b):\n    return a - b\n"
TEST = "import unittest\n\nfrom sums import add\n\n\nclass Adds(unittest.TestCase):\n    def test_adds(self):\n        self.assertEqual(add(2, 3), 5)\n"
_MEND = "text = open('sums.py').read(); open('sums.py', 'w').write(text.replace('a - b', 'a + b'))"
#: The task's steps: mend the file, run its test.
COMMANDS = (f'python3 -c "{_MEND}"', "python3 -m unittest -q test_sums")
SUBMIT = "COMPLETE_TASK_AND_SUBMIT_FINAL_OUTPUT"
SHORT_WORDS = "A small fix"
THOUGHT = "The sign is wrong, so I mend it and run the test."
LAST_WORDS = "Done: add() adds, and its test passes."
#: Names that agents give to the tool that runs a command, and the argument that takes it.
ONE_COMMAND = "run_once"  # our own programs offer this: the first command, then the last words
ALL_AT_ONCE = "run_all"  # and this: every command in one answer, then the last words
SHELL_TOOLS = (ONE_COMMAND, ALL_AT_ONCE, "bash", "shell", "exec_command", "run_shell_command", "local_shell")


USAGE = {
    "prompt_tokens": 1200,
    "completion_tokens": 40,
    "total_tokens": 1240,
    "prompt_tokens_details": {"cached_tokens": 1000},
    "completion_tokens_details": {"reasoning_tokens": 10},
}


class ScriptedModel:
    """The server, in threads of its own; `requests` are the bodies it got, in their order."""

    def __init__(
        self, commands: tuple[str, ...] = COMMANDS, usage: Callable[[bytes], dict] = lambda _: USAGE
    ) -> None:
        self.requests: list[dict] = []
        model = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["content-length"]))
                body = json.loads(asked)
                model.requests.append(body)
                answer = plan(body, commands)
                used = usage(asked)
                data = (
                    stream(answer, used) if body.get("stream") else json.dumps(whole(answer, used)).encode()
                )
                kind = "text/event-stream" if body.get("stream") else "application/json"
                self.send_response(200)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


def plan(body: dict, all_commands: tuple[str, ...] = COMMANDS) -> dict:
    """The message that answers this request."""
    done = sum(message.get("role") == "tool" for message in body["messages"])
    shell = shell_tool(body.get("tools") or [])
    if shell is None:
        schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
        content = SHORT_WORDS if schema is None else json.dumps(simplest(schema))
        return {"role": "assistant", "content": content}
    commands = all_commands[:1] if shell["name"] == ONE_COMMAND else all_commands
    # mini-swe-agent has its model end by a command, and says so in its prompt.
    commands += (f"echo {SUBMIT}",) if SUBMIT in json.dumps(body["messages"][:2]) else ()
    if done >= len(commands):
        return {"role": "assistant", "content": LAST_WORDS}
    numbers = range(done, len(commands)) if shell["name"] == ALL_AT_ONCE else (done,)
    calls = [call_of(shell, number, commands[number]) for number in numbers]
    return {"role": "assistant", "content": None, "reasoning_content": THOUGHT, "tool_calls": calls}


def call_of(shell: dict, number: int, command: str) -> dict:
    """A call of the shell tool."""
    arguments = json.dumps(arguments_of(shell["parameters"], command))
    function = {"name": shell["name"], "arguments": arguments}
    return {"id": f"functions.{shell['name']}:{number}", "type": "function", "function": function}


def shell_tool(tools: list[dict]) -> dict | None:
    """The function that runs commands, among those the agent offers."""
    functions = [tool.get("function", {}) for tool in tools]
    return next((f for f in functions if str(f.get("name", "")).lower() in SHELL_TOOLS), None)


def arguments_of(schema: dict, command: str) -> dict:
    """Arguments that the tool's schema takes: the command, and the simplest value of whatever else is required."""
    properties = schema["properties"]
    takes = next(name for name in ("command", "cmd") if name in properties)
    value = ["bash", "-c", command] if properties[takes].get("type") == "array" else command
    others = [name for name in schema.get("required", []) if name != takes]
    return {takes: value} | {name: simplest(properties[name]) for name in others}


def simplest(schema: dict) -> object:
    """The simplest value that a JSON schema admits."""
    if schema.get("type") == "object":
        return {name: simplest(schema["properties"][name]) for name in schema.get("required", [])}
    if "enum" in schema:
        return schema["enum"][0]
    return {"boolean": False, "integer": 7, "number": 7, "array": []}.get(str(schema.get("type")), "as it is")


def whole(message: dict, usage: dict) -> dict:
    """A plain answer."""
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return {**head("chat.completion"), "choices": [choice], "usage": usage}


def head(kind: str) -> dict:
    """What begins an answer and each chunk."""
    return {"id": "chatcmpl-scripted", "object": kind, "created": 1767225600, "model": "scripted"}


def stream(message: dict, usage: dict) -> bytes:
    """The same as a stream: reasoning, text and arguments in several pieces, usage at the end."""
    deltas: list[dict] = [{"role": "assistant", "content": ""}]
    for name in ("reasoning_content", "content"):
        text = str(message.get(name) or "")
        deltas += [{name: text[at : at + 7]} for at in range(0, len(text), 7)]
    for index, call in enumerate(message.get("tool_calls") or []):
        function = call["function"]
        first = {"index": index, "id": call["id"], "type": "function"}
        deltas.append({"tool_calls": [{**first, "function": {"name": function["name"], "arguments": ""}}]})
        for at in range(0, len(function["arguments"]), 9):
            piece = {"index": index, "function": {"arguments": function["arguments"][at : at + 9]}}
            deltas.append({"tool_calls": [piece]})
    chunks = [
        {**head("chat.completion.chunk"), "choices": [{"index": 0, "delta": d, "finish_reason": None}]}
        for d in deltas
    ]
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    chunks.append(
        {**head("chat.completion.chunk"), "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]}
    )
    chunks.append({**head("chat.completion.chunk"), "choices": [], "usage": usage})
    return b"".join(b"data: " + json.dumps(c).encode() + b"\n\n" for c in chunks) + b"data: [DONE]\n\n"
