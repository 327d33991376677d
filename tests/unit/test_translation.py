"""What lies between two dialects, beyond what each reads and writes: names of what is lost, and whole answers of streams."""

import json

import msgspec
import pytest

from tokenweir.protocol.problems import upstream_failed
from tokenweir.protocol.translate.answer import Answer, Finish
from tokenweir.protocol.translate.form import Request, Text
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.translate.translation import Translation

PASSAGE = b'[{"type":"page_location","cited_text":"so","document_index":0,"start_page_number":1,"end_page_number":2}]'
CITED = Answer(
    id="a", model="m", finish=Finish.STOP, blocks=(Text(text="so it is", citations=msgspec.Raw(PASSAGE)),)
)
LOGPROBS = msgspec.Raw(b'[{"token":"so","logprob":-0.5,"bytes":[115,111],"top_logprobs":[]}]')
LIKELY = Answer(id="a", model="m", finish=Finish.STOP, blocks=(Text(text="so"),), logprobs=LOGPROBS)


def between(client: str, upstream: str, *, stream: bool) -> Translation:
    return Translation(DIALECTS[client], DIALECTS[upstream], Host(), Request(model="m", stream=stream))


@pytest.mark.parametrize(
    ("client", "upstream", "answer", "lost"),
    [
        ("chat", "messages", CITED, "citations"),
        ("responses", "messages", CITED, "citations"),
        ("messages", "chat", LIKELY, "logprobs"),
    ],
)
def test_what_an_answer_loses_is_named(client: str, upstream: str, answer: Answer, lost: str) -> None:
    asked = Request(model="m")
    body = DIALECTS[upstream].write_answer(answer, asked)
    assert between(client, upstream, stream=False).answer(body).dropped == (lost,)
    told = between(upstream, upstream, stream=True).answer(body)
    assert told.dropped == ()
    stream = between(client, upstream, stream=True).stream()
    stream.feed(told.body)
    stream.tail()
    assert tuple(stream.unplaced) == (lost,)


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("upstream", DIALECTS)
def test_a_client_that_asked_for_a_whole_answer_gets_one_of_a_host_that_streams(
    client: str, upstream: str
) -> None:
    answer = Answer(id="a", model="m", finish=Finish.STOP, blocks=(Text(text="so it is"),))
    body = DIALECTS[upstream].write_answer(answer, Request(model="m"))
    streamed = between(upstream, upstream, stream=True).answer(body).body
    stream = between(client, upstream, stream=False).stream()
    pieces = [stream.feed(streamed[at : at + 7]) for at in range(0, len(streamed), 7)]
    assert not any(pieces)
    assert DIALECTS[client].read_answer(stream.tail()).blocks[0].text == "so it is"
    assert stream.finished


def test_it_is_told_an_error_where_that_stream_breaks() -> None:
    stream = between("messages", "chat", stream=False).stream()
    stream.feed(b'data: {"choices":[{"index":0,"delta":{"content":"so"}}]}\n\n')
    assert json.loads(stream.broken(upstream_failed("It broke.")))["error"]["message"] == "It broke."
