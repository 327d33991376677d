"""The way of one call through one upstream: what a translation names as left out, and what it makes of plain answers."""

import json

from tokenweir.protocol.passage import Translated
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.wires import WIRES

CHOICE = {"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": "stop"}
ANSWER = json.dumps(
    {"id": "1", "model": "m", "created": 1, "choices": [CHOICE, {**CHOICE, "index": 1}]}
).encode()


def passage(stream: bool) -> Translated:
    asked = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}], "stream": stream}
    form = DIALECTS["messages"].read_request(json.dumps({**asked, "nobody_knows": 1}).encode())
    made = Translated(WIRES["messages"], WIRES["chat"], Host(), form)
    made.request(model="m", ask_usage=True, max_output=None)
    return made


def test_what_the_client_cannot_be_told_is_named_beside_what_the_upstream_could_not() -> None:
    made = passage(stream=False)
    assert made.dropped == ("nobody_knows",)
    said, answer = made.whole(ANSWER)
    assert (json.loads(said)["content"][0]["text"], answer.failed) == ("a", False)
    assert made.dropped == ("nobody_knows", "choices[1]")


def test_of_a_stream_it_is_known_when_it_came() -> None:
    made = passage(stream=True)
    meter = made.meter()
    chunk = {"id": "1", "model": "m", "choices": [{"index": 1, "delta": {"content": "b"}}]}
    meter.feed(f"data: {json.dumps(chunk)}\n\n".encode())
    assert made.dropped == ("nobody_knows", "choices[1]")


def test_a_client_that_asked_for_a_stream_gets_one_from_a_plain_answer() -> None:
    said, answer = passage(stream=True).whole(ANSWER)
    assert said.startswith(b"event: message_start\n")
    assert b'"text_delta","text":"a"' in said and b"event: message_stop\n" in said
    assert answer.failed is False


def test_an_answer_that_cannot_be_read_is_an_error() -> None:
    said, answer = passage(stream=False).whole(b'{"choices":[{"message":7}]}')
    assert (said, answer.failed) == (b"", True)
