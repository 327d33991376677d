"""A host is added by a few lines of TOML: those of the page, before an upstream that notes what it is sent."""

import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anthropic
import openai
import pytest
from weir_process import Home, free_port

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "acme-think-2",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "4", "reasoning_content": "two and two"},
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12},
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "acme-think-2",
    "content": [{"type": "text", "text": "4"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 5},
}
ANSWERS = {"/v1/chat/completions": CHAT, "/anthropic/v1/messages": MESSAGE}


class Host(ThreadingHTTPServer):
    """Acme on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, object]]] = []


class Handler(BaseHTTPRequestHandler):
    server: Host

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        assert self.headers["authorization"] == "Bearer sk-acme"
        self.server.seen.append((self.path, body))
        answer = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def acme() -> Iterator[Host]:
    host = Host()
    thread = threading.Thread(target=host.serve_forever)
    thread.start()
    yield host
    host.shutdown()
    thread.join()
    host.server_close()


@pytest.fixture(scope="module")
def door(acme: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The gateway's address, and a key."""
    directory, port = tmp_path_factory.mktemp("acme"), free_port()
    section = PAGE.read_text().partition("## Adding a host")[2]
    example = re.search(r"```toml\n(.*?)```", section, re.DOTALL)
    assert example is not None
    text = example[1].replace("https://api.acme.example", f"http://127.0.0.1:{acme.server_port}")
    (directory / "weir.toml").write_text(f"[server]\nport = {port}\n{text}")
    home = Home(directory, ACME_API_KEY="sk-acme", WEIR_LOCAL="false", WEIR_DATA=str(directory / "data"))
    with home.up(port):
        key = json.loads(home.good("keys", "create", "--name", "t", "--json"))["key"]
        yield f"http://127.0.0.1:{port}", key


def test_its_own_dialect_passes_as_it_is(door: tuple[str, str], acme: Host) -> None:
    client = openai.OpenAI(base_url=f"{door[0]}/v1", api_key=door[1])
    answer = client.chat.completions.create(
        model="acme-think-2", messages=[{"role": "user", "content": "2+2?"}], seed=1
    )
    path, body = acme.seen.pop()
    assert (path, body["seed"]) == ("/v1/chat/completions", 1)
    assert answer.choices[0].message.content == "4"


def test_messages_go_to_their_own_path(door: tuple[str, str], acme: Host) -> None:
    client = anthropic.Anthropic(base_url=door[0], auth_token=door[1])
    answer = client.messages.create(
        model="acme-think-2", max_tokens=9, messages=[{"role": "user", "content": "2+2?"}]
    )
    path, body = acme.seen.pop()
    assert (path, body["max_tokens"]) == ("/anthropic/v1/messages", 9)
    assert answer.content[0].model_dump()["text"] == "4"


def test_responses_are_said_in_its_words(door: tuple[str, str], acme: Host) -> None:
    client = openai.OpenAI(base_url=f"{door[0]}/v1", api_key=door[1])
    raw = client.responses.with_raw_response.create(
        model="acme-think-2",
        input="2+2?",
        reasoning={"effort": "medium"},
        max_output_tokens=64,
        tool_choice="required",
        tools=[{"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": False}],
    )
    path, body = acme.seen.pop()
    assert path == "/v1/chat/completions"
    assert body["reasoning_effort"] == "high"
    assert body["thinking"] == {"type": "enabled"}
    assert body["max_completion_tokens"] == 64
    assert "tool_choice" not in body
    assert "tool_choice" in raw.headers["x-weir-dropped"]
    answer = raw.parse()
    assert answer.output_text == "4"
    assert answer.usage is not None and answer.usage.input_tokens == 7
