"""An upstream that ignores the maximum it is told, behind a running gateway: a limit ends its streams, and is never passed."""

import json
import threading
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import anthropic
import openai
import pytest
from weir_process import DEADLINE_S, Home, free_port

LIMIT = 700  # tokens in total: what a call's input may be at most is set aside of them, and output is granted of the rest
#: Far beyond what any call here is granted.
TOLD = 4_000
ASK = [{"role": "user", "content": "Tell me all that you know of weirs."}]


class Talker:
    """A host of Chat Completions and of completions that goes on and on; `stopped` once somebody hung up on it."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        self.asked: list[dict[str, object]] = []
        self.fails = 0  # so many of the next, having read them
        talker = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def _fail(self) -> None:
                usage = {"prompt_tokens": 90, "completion_tokens": 60, "total_tokens": 150}
                told = json.dumps({"error": {"message": "out of memory"}, "usage": usage}).encode()
                self.send_response(500)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                talker.asked.append(asked)
                if talker.fails:
                    talker.fails -= 1
                    self._fail()
                    return
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                try:
                    for chunk in talker.chunks(asked, chat=self.path.endswith("/chat/completions")):
                        self.wfile.write(b"data: %b\n\n" % chunk)
                except OSError:
                    talker.stopped.set()

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    @staticmethod
    def chunks(asked: dict[str, object], *, chat: bool) -> Iterator[bytes]:
        """A token in each, of each choice in turn, and an end that says what it was."""
        choices = int(str(asked.get("n") or 1))
        head = {
            "id": "c1",
            "object": "chat.completion.chunk" if chat else "text_completion",
            "created": 1,
            "model": "x",
        }
        for number in range(TOLD):
            said = {"delta": {"content": " w"}} if chat else {"text": " w"}
            choice = {"index": number % choices, "finish_reason": None} | said
            yield json.dumps(head | {"choices": [choice]}).encode()
        ends = [
            {"index": n, "finish_reason": "stop"} | ({"delta": {}} if chat else {"text": ""})
            for n in range(choices)
        ]
        usage = {"prompt_tokens": 9, "completion_tokens": TOLD, "total_tokens": TOLD + 9}
        yield json.dumps(head | {"choices": ends, "usage": usage}).encode()
        yield b"[DONE]"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Door:
    """The gateway before it."""

    def __init__(self, home: Home, port: int, talker: Talker) -> None:
        self.home, self.talker = home, talker
        self.base = f"http://127.0.0.1:{port}"

    def key(self, *limits: str) -> str:
        """A new key; the secret."""
        self.talker.stopped.clear()
        return str(json.loads(self.home.good("keys", "create", "--name", "k", "--json", *limits))["key"])

    def entry(self, call: str) -> dict[str, object]:
        rows = map(json.loads, self.home.good("calls", "--json").splitlines())
        return next(row for row in rows if row["call"] == call)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    talker, port, directory = Talker(), free_port(), tmp_path_factory.mktemp("output-limit")
    (directory / "weir.toml").write_text(
        f'[server]\nport = {port}\n[ledger]\ndata = "{directory}/data"\n[local]\nenabled = false\n'
        f'[[upstream]]\nname = "talker"\nkind = "openai"\nurl = "{talker.url}"\n'
        f'[[upstream]]\nname = "other"\nkind = "openai"\nurl = "{talker.url}"\n'
        '[[model]]\nname = "m"\ndeployments = ["talker/x"]\nprice = { input = 1.0, output = 2.0, currency = "CNY" }\n'
        '[[model]]\nname = "twice"\ndeployments = ["talker/x", "other/x"]\nprice = { input = 1.0, output = 2.0, currency = "CNY" }\n'
    )
    home = Home(directory)
    with home.up(port):
        yield Door(home, port, talker)
    talker.close()


def settled(door: Door, call: str, granted: int) -> None:
    """The entry of a call that was ended at its limit, and what the upstream was told and did."""
    entry = door.entry(call)
    tokens = entry["tokens"]
    assert tokens["output"] == granted and sum(tokens.values()) <= LIMIT  # type: ignore[index, attr-defined]
    assert (entry["outcome"], entry["usage_from"]) == ("ok", "counted")
    assert entry["reason"] == f"ended at {granted} tokens of output: its limit"
    assert door.talker.stopped.wait(DEADLINE_S), "the upstream was left running"
    assert door.home.run("ledger", "verify").returncode == 0


def test_a_client_of_chat_is_told_that_its_length_ended_it(door: Door) -> None:
    client = openai.OpenAI(
        base_url=f"{door.base}/v1", api_key=door.key("--limit", f"{LIMIT} tokens"), max_retries=0
    )
    options = {"include_usage": True}
    with client.chat.completions.with_streaming_response.create(
        model="m", messages=ASK, stream=True, stream_options=options, max_tokens=3_000
    ) as raw:
        granted, call = int(raw.headers["x-weir-max-output"]), raw.headers["x-weir-call"]
        chunks = list(raw.parse())
    assert door.talker.asked[-1]["max_tokens"] == granted < LIMIT
    words = [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.delta.content]
    assert words == [" w"] * granted
    assert chunks[-2].choices[0].finish_reason == "length"
    assert chunks[-1].usage is not None and chunks[-1].usage.completion_tokens == granted
    settled(door, call, granted)


def test_a_further_attempt_that_is_cut_is_told_as_it_is(door: Door) -> None:
    """The one before has used some of what was set aside."""
    client = openai.OpenAI(
        base_url=f"{door.base}/v1", api_key=door.key("--limit", f"{LIMIT} tokens"), max_retries=0
    )
    door.talker.fails = 1
    with client.chat.completions.with_streaming_response.create(
        model="twice", messages=ASK, stream=True, max_tokens=3_000
    ) as raw:
        granted = int(raw.headers["x-weir-max-output"])
        chunks = list(raw.parse())
    first, second = (asked["max_tokens"] for asked in door.talker.asked[-2:])
    assert granted == second < first
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) == granted


def test_all_choices_share_what_was_granted(door: Door) -> None:
    client = openai.OpenAI(
        base_url=f"{door.base}/v1", api_key=door.key("--limit", f"{LIMIT} tokens"), max_retries=0
    )
    with client.chat.completions.with_streaming_response.create(
        model="m", messages=ASK, stream=True, n=3, max_tokens=3_000
    ) as raw:
        each, call = int(raw.headers["x-weir-max-output"]), raw.headers["x-weir-call"]
        choices = [choice for chunk in raw.parse() for choice in chunk.choices]
    ends = [choice.index for choice in choices if choice.finish_reason == "length"]
    assert ends == [0, 1, 2]
    granted = sum(choice.delta.content == " w" for choice in choices)
    assert each == granted // 3
    settled(door, call, granted)


def test_a_client_of_completions_too(door: Door) -> None:
    client = openai.OpenAI(
        base_url=f"{door.base}/v1", api_key=door.key("--limit", f"{LIMIT} tokens"), max_retries=0
    )
    with client.completions.with_streaming_response.create(
        model="m", prompt="Go", stream=True, max_tokens=40
    ) as raw:
        call = raw.headers["x-weir-call"]
        chunks = list(raw.parse())
    assert "".join(chunk.choices[0].text for chunk in chunks) == " w" * 40  # as much as it asked for itself
    assert chunks[-1].choices[0].finish_reason == "length"
    settled(door, call, 40)


def test_a_client_of_messages_is_told_in_its_own_words(door: Door) -> None:
    client = anthropic.Anthropic(
        base_url=door.base, api_key=door.key("--limit", f"{LIMIT} tokens"), max_retries=0
    )
    with client.messages.stream(model="m", messages=ASK, max_tokens=3_000) as stream:
        granted = int(stream.response.headers["x-weir-max-output"])
        call, message = stream.response.headers["x-weir-call"], stream.get_final_message()
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", granted)
    assert "".join(block.text for block in message.content if block.type == "text") == " w" * granted
    settled(door, call, granted)


def test_a_client_of_responses_gets_an_incomplete_one(door: Door) -> None:
    client = openai.OpenAI(
        base_url=f"{door.base}/v1", api_key=door.key("--limit", f"{LIMIT} tokens"), max_retries=0
    )
    with client.responses.with_streaming_response.create(model="m", input="Go", stream=True) as raw:
        granted, call = int(raw.headers["x-weir-max-output"]), raw.headers["x-weir-call"]
        last = list(raw.parse())[-1]
    assert last.type == "response.incomplete" and last.response.incomplete_details is not None
    assert last.response.incomplete_details.reason == "max_output_tokens"
    assert last.response.output_text == " w" * granted
    assert last.response.usage is not None and last.response.usage.output_tokens == granted
    settled(door, call, granted)


def test_a_key_without_a_limit_gets_what_the_upstream_tells(door: Door) -> None:
    connection = HTTPConnection(door.base.removeprefix("http://"), timeout=DEADLINE_S)
    body = {"model": "m", "messages": ASK, "stream": True, "max_tokens": 5}
    connection.request(
        "POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {door.key()}"}
    )
    answer = connection.getresponse()
    said, call = answer.read(), answer.headers["x-weir-call"]
    connection.close()
    assert said.count(b'" w"') == TOLD
    entry = door.entry(call)
    assert (entry["tokens"]["output"], entry["usage_from"]) == (TOLD, "reported")  # type: ignore[index]
    assert not door.talker.stopped.is_set()
