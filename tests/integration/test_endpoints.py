"""Every path through a real `weir up`: each client's dialect before each upstream's, and what stands around them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

import anthropic
import openai
import pytest
from dialect_host import ARGUMENTS, CALL_ID, COUNTED, TEXT, THOUGHT, Asked, DialectHost, dialect_host
from weir_process import Home, free_port

DIALECTS = ("chat", "messages", "responses")
BETAS = "files-api-2025-04-14,context-1m-2025-08-07"
SCHEMA = {"type": "object", "properties": {"height": {"type": "integer"}}}
ASK = [{"role": "user", "content": "Does it hold?"}]


@dataclass
class Door:
    """A gateway before the host, and a key of it."""

    home: Home
    port: int
    key: str
    host: DialectHost

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.base}/v1", api_key=self.key, max_retries=0)

    @property
    def anthropic(self) -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.base, api_key=self.key, max_retries=0)

    def ask(
        self, method: str, path: str, body: object = None, key: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        sent = {"authorization": f"Bearer {self.key if key is None else key}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def entry(self, call: str) -> dict[str, object]:
        rows = map(json.loads, self.home.good("calls", "--json").splitlines())
        return next(row for row in rows if row["call"] == call)

    def last(self) -> Asked:
        return self.host.asked[-1]


def settings(host: DialectHost, port: int, server: str = "") -> str:
    price = 'price = { input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }\n'
    text = f"[server]\nport = {port}\n{server}"
    for place in ("", "plain", "odd"):
        for dialect in DIALECTS:
            name = f"{place}{dialect}"
            url = f"{host.url}/{place}/v1" if place else f"{host.url}/v1"
            text += f'[[upstream]]\nname = "{name}"\nurl = "{url}"\ndialects = ["{dialect}"]\napi_key = "env:HOST_KEY"\n'
            if dialect == "messages":
                text += '[upstream.messages]\ncounts_tokens = true\nbetas = ["files-api-"]\n'
    for place in ("", "plain", "odd"):
        for dialect in DIALECTS:
            name = f"{place}{dialect}"
            text += f'[[model]]\nname = "{name}"\ndeployments = ["{name}/{name}"]\n{price}'
    return text


def opened(host: DialectHost, directory: Path, server: str = "") -> Iterator[Door]:
    port = free_port()
    (directory / "weir.toml").write_text(settings(host, port, server))
    home = Home(directory, WEIR_LOCAL="false", WEIR_DATA=str(directory / "data"), HOST_KEY="sk-host")
    with home.up(port):
        key = json.loads(home.good("keys", "create", "--name", "t", "--json"))["key"]
        yield Door(home, port, key, host)


@pytest.fixture(scope="module")
def host() -> Iterator[DialectHost]:
    with dialect_host() as host:
        yield host


@pytest.fixture(scope="module")
def door(host: DialectHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    yield from opened(host, tmp_path_factory.mktemp("door"))


@pytest.fixture(scope="module")
def strict(host: DialectHost, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    server = "strict = true\nkeep_responses = true\n"
    yield from opened(host, tmp_path_factory.mktemp("strict"), server)


# --- each client before each upstream


def chat_says(door: Door, model: str, streams: bool, tools: bool) -> tuple[str, str, int, int]:
    function = {"name": "raise_weir", "parameters": SCHEMA}
    more: dict = {"tools": [{"type": "function", "function": function}]} if tools else {}
    with door.openai as client:
        if not streams:
            answer = client.chat.completions.create(model=model, messages=ASK, **more)
        else:
            with client.chat.completions.stream(
                model=model, messages=ASK, stream_options={"include_usage": True}, **more
            ) as stream:
                answer = stream.get_final_completion()
    message, usage = answer.choices[0].message, answer.usage
    said = message.tool_calls[0] if tools else None
    assert said is None or answer.choices[0].finish_reason == "tool_calls"
    words = f"{said.id} {said.function.name} {said.function.arguments}" if said else message.content
    return words, message.model_extra["reasoning_content"], usage.prompt_tokens, usage.completion_tokens


def messages_says(door: Door, model: str, streams: bool, tools: bool) -> tuple[str, str, int, int]:
    more: dict = {"tools": [{"name": "raise_weir", "input_schema": SCHEMA}]} if tools else {}
    with door.anthropic as client:
        asked = {"model": model, "messages": ASK, "max_tokens": 100, **more}
        if not streams:
            answer = client.messages.create(**asked)
        else:
            with client.messages.stream(**asked) as stream:
                answer = stream.get_final_message()
    thought, said = answer.content
    words = f"{said.id} {said.name} {json.dumps(said.input)}" if tools else said.text
    read = answer.usage.input_tokens + (answer.usage.cache_read_input_tokens or 0)
    assert answer.stop_reason == ("tool_use" if tools else "end_turn")
    return words, thought.thinking, read, answer.usage.output_tokens


def responses_says(door: Door, model: str, streams: bool, tools: bool) -> tuple[str, str, int, int]:
    function = {"type": "function", "name": "raise_weir", "parameters": SCHEMA, "strict": False}
    more: dict = {"tools": [function]} if tools else {}
    more |= {"reasoning": {"summary": "auto"}}
    with door.openai as client:
        if not streams:
            answer = client.responses.create(model=model, input=ASK, **more)
        else:
            with client.responses.stream(model=model, input=ASK, **more) as stream:
                answer = stream.get_final_response()
    call = next((item for item in answer.output if item.type == "function_call"), None)
    words = f"{call.call_id} {call.name} {call.arguments}" if call else answer.output_text
    reasoning = next(item for item in answer.output if item.type == "reasoning")
    thought = "".join(part.text for part in reasoning.summary or reasoning.content or ())
    return words, thought, answer.usage.input_tokens, answer.usage.output_tokens


CLIENTS = {"chat": chat_says, "messages": messages_says, "responses": responses_says}


@pytest.mark.parametrize("place", ["", "plain"], ids=["any", "plainly"])
@pytest.mark.parametrize("upstream", DIALECTS)
@pytest.mark.parametrize("client", CLIENTS)
def test_any_client_before_any_upstream(door: Door, client: str, upstream: str, place: str) -> None:
    """`plainly`: the host answers no stream, which only a translation mends."""
    model = f"{place}{upstream}"
    asked = [(streams, tools) for streams in (False, True) for tools in (False, True)]
    if place and client == upstream:
        asked = [(streams, tools) for streams, tools in asked if not streams]
    for streams, tools in asked:
        said = CLIENTS[client](door, model, streams, tools)
        assert said == (f"{CALL_ID} raise_weir {ARGUMENTS}" if tools else TEXT, THOUGHT, 12, 7)
        sent = door.last()
        assert sent.body["model"] == model
        assert sent.headers["authorization"] == "Bearer sk-host"
        assert "x-api-key" not in sent.headers
    rows = door.home.good("calls", "--json", "--limit", str(len(asked))).splitlines()
    for row in map(json.loads, rows):
        tokens = row["tokens"]
        assert (row["model"], row["dialect"], row["outcome"]) == (model, client, "ok")
        assert (tokens["input"], tokens["cache_read"], tokens["output"]) == (4, 8, 7)
        assert row["usage_from"] == "reported"
        assert row["cost"] == {"CNY": "0.000136"}  # 4 × 4 + 8 × 1 + 7 × 16 millionths


@pytest.mark.parametrize("client", CLIENTS)
def test_the_clients_own_dialect_passes_untouched(door: Door, client: str) -> None:
    path = {"chat": "chat/completions"}.get(client, client)
    body = {"model": client, "messages": ASK, "input": "x", "max_tokens": 9, "nobody_knows": {"this": [1]}}
    status, headers, told = door.ask("POST", f"/v1/{path}", body)
    assert (status, "x-weir-dropped" in headers) == (200, False)
    assert door.last().body == body
    assert told == door.host.answer(door.last())[2]


@pytest.mark.parametrize(
    ("path", "more"), [("completions", {"prompt": "x"}), ("rerank", {"query": "x", "documents": ["y"]})]
)
def test_what_nobody_translates_passes_through(door: Door, path: str, more: dict[str, object]) -> None:
    status, headers, body = door.ask("POST", f"/v1/{path}", {"model": "chat", **more})
    assert (status, body) == (200, door.host.answer(door.last())[2])
    row = door.entry(headers["x-weir-call"])
    assert (row["dialect"], row["usage_from"]) == (path, "reported")
    status, _, body = door.ask("POST", f"/v1/{path}", {"model": "messages", **more})
    assert (status, json.loads(body)["error"]["code"]) == (404, "dialect_not_served")


# --- what cannot be said


def test_what_is_dropped_is_named_in_the_answer_and_in_the_ledger(door: Door) -> None:
    body = {"model": "messages", "messages": ASK, "seed": 4, "logit_bias": {"1": 1}}
    for stream in (False, True):
        status, headers, _ = door.ask("POST", "/v1/chat/completions", {**body, "stream": stream})
        assert (status, headers["x-weir-dropped"]) == (200, "seed, logit_bias")
        assert door.entry(headers["x-weir-call"])["reason"] == "dropped: seed, logit_bias"


def test_a_strict_gateway_refuses_what_it_cannot_say(strict: Door) -> None:
    asked = len(strict.host.asked)
    body = {"model": "messages", "messages": ASK, "seed": 4}
    status, headers, told = strict.ask("POST", "/v1/chat/completions", body)
    assert (status, headers["x-should-retry"]) == (422, "false")
    assert json.loads(told)["error"]["code"] == "cannot_be_said"
    assert b"seed" in told
    assert len(strict.host.asked) == asked
    row = strict.entry(headers["x-weir-call"])
    assert (row["outcome"], row["reason"], row["cost"]) == ("failed", "strict: seed", {"CNY": "0"})
    assert chat_says(strict, "messages", True, True)[2:] == (12, 7)


def test_betas_go_to_hosts_that_read_them(door: Door) -> None:
    body = {"model": "messages", "messages": ASK, "max_tokens": 9}
    own = {"anthropic_version": "2023-06-01", "anthropic_beta": BETAS}
    status, headers, _ = door.ask("POST", "/v1/messages", body, **own)
    sent = door.last().headers
    assert (status, sent["anthropic-version"], sent["anthropic-beta"]) == (
        200,
        "2023-06-01",
        "files-api-2025-04-14",
    )
    assert headers["x-weir-dropped"] == "anthropic-beta: context-1m-2025-08-07"
    assert door.entry(headers["x-weir-call"])["reason"] == f"dropped: {headers['x-weir-dropped']}"
    door.ask("POST", "/v1/messages", {**body, "model": "chat"}, **own)
    assert not {"anthropic-version", "anthropic-beta"} & door.last().headers.keys()
    door.ask("POST", "/v1/chat/completions", body)
    assert door.last().headers["anthropic-version"] == "2023-06-01"


def test_clamped_output_is_said_in_the_upstreams_words(door: Door) -> None:
    made = json.loads(door.home.good("keys", "create", "--name", "small", "--limit", "5000 tokens", "--json"))
    names = {"chat": "max_tokens", "messages": "max_tokens", "responses": "max_output_tokens"}
    for client, path in (("chat", "chat/completions"), ("messages", "messages"), ("responses", "responses")):
        body = {"model": "", "messages": ASK, "input": "x", names[client]: 100_000}
        for upstream in DIALECTS:
            status, headers, told = door.ask("POST", f"/v1/{path}", {**body, "model": upstream}, made["key"])
            assert status == 200, told
            granted = int(headers["x-weir-max-output"])
            assert granted < 5000
            assert door.last().body[names[upstream]] == granted


# --- counting


def test_tokens_are_counted_by_an_upstream_that_can(door: Door) -> None:
    before = door.home.good("calls", "--json")
    with door.anthropic as client:
        counted = client.messages.count_tokens(model="messages", messages=ASK)
        assert counted.input_tokens == COUNTED
        assert door.last().path == "/v1/messages/count_tokens"
        assert door.last().body == {"model": "messages", "messages": ASK}
        for model in ("chat", "responses", "oddmessages"):
            raw = client.messages.with_raw_response.count_tokens(model=model, messages=ASK)
            size = len(raw.http_request.content)
            assert (raw.headers["x-weir-estimated"], raw.parse().input_tokens) == ("true", int(size / 3.5))
        with pytest.raises(anthropic.NotFoundError, match="There is no model"):
            client.messages.count_tokens(model="none", messages=ASK)
    assert door.home.good("calls", "--json") == before


# --- stored responses


@pytest.mark.parametrize("model", DIALECTS)
def test_a_conversation_goes_on_from_a_kept_response(strict: Door, model: str) -> None:
    with strict.openai as client:
        first = client.responses.create(model=model, input="one")
        with client.responses.stream(model=model, input="two", previous_response_id=first.id) as stream:
            second = stream.get_final_response()
        third = client.responses.create(model=model, input="three", previous_response_id=second.id)
        sent = strict.last().body
        assert "previous_response_id" not in sent
        turns = sent["input" if model == "responses" else "messages"]
        said = [turn["content"] for turn in turns if turn.get("role") == "user"]
        told = [part if isinstance(part, str) else part[0]["text"] for part in said]
        assert told == ["one", "two", "three"]
        assert json.dumps(turns).count(TEXT) == json.dumps(turns).count(THOUGHT) == 2
        assert client.responses.retrieve(third.id).output_text == TEXT
        client.responses.delete(third.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(third.id)
        with pytest.raises(openai.BadRequestError, match="not found"):
            client.responses.create(model=model, input="four", previous_response_id=third.id)
        unkept = client.responses.create(model=model, input="x", store=False)
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(unkept.id)
    account = ["--name", model, "--account", "other", "--json"]
    other = json.loads(strict.home.good("keys", "create", *account))
    assert strict.ask("GET", f"/v1/responses/{first.id}", key=other["key"])[0] == 404
    assert strict.ask("GET", f"/v1/responses/{first.id}")[0] == 200


def test_a_gateway_that_keeps_nothing_says_so(door: Door) -> None:
    body = {"model": "chat", "input": "x", "previous_response_id": "resp_0"}
    status, _, told = door.ask("POST", "/v1/responses", body)
    assert (status, json.loads(told)["error"]["code"]) == (400, "previous_response_not_found")
    assert "keeps no responses" in json.loads(told)["error"]["message"]
    assert door.ask("GET", "/v1/responses/resp_0")[0] == 404
    assert door.ask("DELETE", "/v1/responses/resp_0")[0] == 404
    assert door.ask("POST", "/v1/responses/resp_0", {})[0] == 405
    # An upstream of this dialect may keep its own.
    assert door.ask("POST", "/v1/responses", {**body, "model": "responses"})[0] == 200
    assert door.last().body["previous_response_id"] == "resp_0"


# --- around the calls


def test_models_are_listed_in_the_clients_shape(door: Door) -> None:
    with door.openai as client:
        assert set(DIALECTS) <= {model.id for model in client.models.list()}
        assert client.models.retrieve("chat").id == "chat"
    with door.anthropic as client:
        assert set(DIALECTS) <= {model.id for model in client.models.list()}
        assert client.models.retrieve("chat").display_name == "chat"


def test_either_header_carries_the_key_and_probes_need_none(door: Door) -> None:
    body = {"model": "chat", "messages": ASK, "max_tokens": 9}
    for path in ("/v1/messages", "/v1/chat/completions"):
        assert door.ask("POST", path, body, x_api_key=door.key, authorization="")[0] == 401
        connection = HTTPConnection("127.0.0.1", door.port, timeout=30)
        connection.request("POST", path, json.dumps(body), {"x-api-key": door.key})
        assert connection.getresponse().status == 200
        connection.close()
    for path in ("/", "/v1", "/v1/", "/api/hello"):
        assert door.ask("HEAD", path, key="none")[0] == 200
        assert door.ask("GET", path, key="none")[0] == 200


def test_errors_have_the_clients_shape_however_early(door: Door) -> None:
    asked = [
        ({"key": "none", "body": {}}, 401, "authentication_error"),
        ({"body": {"model": "none", "messages": []}}, 404, "not_found_error"),
        ({"body": {"messages": []}}, 400, "invalid_request_error"),
        ({"body": {}, "content_encoding": "gzip"}, 415, "invalid_request_error"),
        ({"body": {}, "content_length": "99999999999"}, 413, "request_too_large"),
        ({"body": {}, "x_long": "x" * 70_000}, 431, "invalid_request_error"),
    ]
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        for request, status, kind in asked:
            got, _, told = door.ask("POST", path, **request)
            assert (got, json.loads(told)["type"], json.loads(told)["error"]["type"]) == (
                status,
                "error",
                kind,
            )
    _, _, told = door.ask("GET", "/v1/models/none", anthropic_version="2023-06-01")
    assert json.loads(told)["error"]["type"] == "not_found_error"


def test_a_spent_limit_stops_each_client_with_its_own_status(door: Door) -> None:
    spent = json.loads(door.home.good("keys", "create", "--name", "s", "--limit", "1 tokens", "--json"))[
        "key"
    ]
    body = {"model": "chat", "messages": ASK, "input": "x", "max_tokens": 9}
    wanted = {"chat/completions": 402, "messages": 402, "responses": 429}
    for path, status in wanted.items():
        got, headers, told = door.ask("POST", f"/v1/{path}", body, spent)
        assert (got, headers["x-should-retry"]) == (status, "false")
        error = json.loads(told)["error"]
        assert error["type"] == ("billing_error" if path == "messages" else "insufficient_quota")


def test_a_websocket_is_refused_at_once(door: Door) -> None:
    status, headers, _ = door.ask(
        "GET", "/v1/responses", connection="Upgrade", upgrade="websocket", sec_websocket_version="13"
    )
    assert (status, headers["upgrade"]) == (426, "HTTP/1.1")
