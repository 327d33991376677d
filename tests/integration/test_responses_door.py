"""The doors of OpenAI Responses, completions and rankings, through the whole gateway before hosts that note what they get."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple

import httpx2
import openai
import pytest
from weir_process import Home, free_port

SETTINGS = """
[[upstream]]
name = "thinker"
kind = "openai"
url = "{url}/chat/v1"
api_key = "sk-host"
[[upstream]]
name = "native"
kind = "openai"
url = "{url}/native/v1"
api_key = "sk-host"
dialects = ["responses"]
[[model]]
name = "thinker"
deployments = ["thinker/t"]
[[model]]
name = "native"
deployments = ["native/n"]
"""
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
THOUGHT = {"role": "assistant", "content": "4", "reasoning_content": "two and two"}
ANSWERS: dict[str, dict[str, object]] = {
    "/chat/v1/chat/completions": {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "t",
        "choices": [{"index": 0, "message": THOUGHT, "finish_reason": "stop"}],
        "usage": USAGE,
    },
    "/native/v1/responses": {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "n",
        "status": "completed",
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": "5", "annotations": []}],
            }
        ],
        "usage": {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12},
    },
    "/chat/v1/completions": {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 1,
        "model": "t",
        "choices": [{"index": 0, "text": "6", "finish_reason": "stop", "logprobs": None}],
        "usage": USAGE,
    },
    "/chat/v1/rerank": {
        "id": "rr-1",
        "results": [{"index": 0, "relevance_score": 0.5}],
        "meta": {"tokens": {"input_tokens": 9, "output_tokens": 0}},
    },
}


class Hosts(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, bytes]] = []


class Handler(BaseHTTPRequestHandler):
    server: Hosts

    def do_POST(self) -> None:
        self.server.seen.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
        answer = json.dumps(ANSWERS[self.path]).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


class Door(NamedTuple):
    url: str
    key: str
    home: Home
    hosts: Hosts

    def sdk(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key=self.key, max_retries=0)

    def post(self, path: str, body: dict[str, object]) -> httpx2.Response:
        return httpx2.post(self.url + path, json=body, headers={"x-api-key": self.key})

    def last_call(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(self.home.good("calls", "--json").splitlines()[0])
        return found


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    hosts = Hosts()
    thread = threading.Thread(target=hosts.serve_forever)
    thread.start()
    directory, port = tmp_path_factory.mktemp("responses"), free_port()
    settings = SETTINGS.format(url=f"http://127.0.0.1:{hosts.server_port}")
    Path(directory / "weir.toml").write_text(f"[server]\nport = {port}\n{settings}")
    home = Home(directory, WEIR_LOCAL="false", WEIR_DATA=str(directory / "data"))
    with home.up(port):
        key = json.loads(home.good("keys", "create", "--name", "t", "--json"))["key"]
        yield Door(f"http://127.0.0.1:{port}", key, home, hosts)
    hosts.shutdown()
    thread.join()
    hosts.server_close()


def test_a_host_of_responses_gets_the_client_s_bytes(door: Door) -> None:
    body: dict[str, object] = {"model": "native/n", "input": "2+3?", "anything": {"else": 1.50}}
    answer = door.post("/v1/responses", body)
    path, sent = door.hosts.seen.pop()
    assert (path, json.loads(sent)) == ("/native/v1/responses", body | {"model": "n"})
    assert answer.json() == ANSWERS["/native/v1/responses"]
    call = door.last_call()
    assert (call["dialect"], call["tokens"]["input"], call["tokens"]["output"]) == ("responses", 7, 5)  # type: ignore[index]


def test_a_conversation_moves_between_hosts_of_two_dialects(door: Door) -> None:
    """What the first host thought comes to the second as that takes it, and never as the gateway sealed it."""
    client = door.sdk()
    first = client.responses.create(
        model="thinker", input="2+2?", store=False, include=["reasoning.encrypted_content"]
    )
    assert first.output_text == "4"
    assert first.output[0].encrypted_content.startswith("weir1.")  # type: ignore[union-attr]
    history = [{"role": "user", "content": "2+2?"}, *[item.to_dict() for item in first.output]]
    door.hosts.seen.clear()

    again = client.responses.create(model="thinker", input=[*history, {"role": "user", "content": "Sure?"}])  # type: ignore[list-item]
    assert again.output_text == "4"
    sent = json.loads(door.hosts.seen.pop()[1])["messages"]
    assert sent[1]["reasoning_content"] == "two and two"

    raw = client.responses.with_raw_response.create(
        model="native",
        input=[*history, {"role": "user", "content": "And 2+3?"}],  # type: ignore[list-item]
    )
    assert raw.parse().output_text == "5"
    assert raw.headers["x-weir-dropped"] == "reasoning"  # OpenAI's dialect takes back none but its own
    sent = json.loads(door.hosts.seen.pop()[1])["input"]
    assert [item["type"] for item in sent] == ["message", "message", "message"]
    assert b"weir1." not in json.dumps(sent).encode()


def test_what_is_kept_nowhere_is_said(door: Door) -> None:
    answer = door.post("/v1/responses", {"model": "thinker", "input": "x", "previous_response_id": "resp_0"})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "previous_response_id"
    door.post("/v1/responses", {"model": "native", "input": "x", "previous_response_id": "resp_0"})
    assert json.loads(door.hosts.seen.pop()[1])["previous_response_id"] == "resp_0"  # the host may keep it


def test_completions_pass(door: Door) -> None:
    assert door.sdk().completions.create(model="thinker", prompt="3+3=").choices[0].text == "6"
    call = door.last_call()
    assert (call["dialect"], call["tokens"]["output"]) == ("completions", 5)  # type: ignore[index]


def test_rankings_pass(door: Door) -> None:
    answer = door.post("/v1/rerank", {"model": "thinker", "query": "q", "documents": ["a"], "top_n": 1})
    assert answer.json() == ANSWERS["/chat/v1/rerank"]
    assert json.loads(door.hosts.seen.pop()[1])["model"] == "t"
    call = door.last_call()
    assert (call["dialect"], call["tokens"]["input"], call["usage_from"]) == ("rerank", 9, "reported")  # type: ignore[index]
