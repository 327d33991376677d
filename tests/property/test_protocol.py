"""The wire: however bytes are cut, the same comes out; whatever comes in, nothing crashes."""

import itertools
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tokenweir.protocol.chat import BadRequest, parse_chat, rewrite_chat
from tokenweir.protocol.exchange import MOVES, State, mermaid
from tokenweir.protocol.meter import ChatStreamMeter
from tokenweir.protocol.sse import SseSplitter, event_data

ENDS = st.sampled_from([b"\n\n", b"\r\n\r\n"])
LINES = st.binary(max_size=20).map(lambda b: b"data: " + b.replace(b"\n", b"").replace(b"\r", b""))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=10,
)
STREAM = (
    b'data: {"model":"m","choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    b'data: {"model":"m","choices":[{"delta":{"content":"water"}}]}\n\n'
    b": ping\n\n"
    b'data: {"model":"m","choices":[{"delta":{"reasoning_content":"\xe6\xb0\xb4"}}]}\n\n'
    b'data: {"model":"m","choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"model":"m","choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    b"data: [DONE]\n\n"
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(p % (len(data) + 1) for p in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(borders)]


@given(st.lists(st.tuples(LINES, ENDS), max_size=6), st.lists(st.integers(0, 500), max_size=6))
def test_events_are_the_same_however_they_are_cut(
    events: list[tuple[bytes, bytes]], places: list[int]
) -> None:
    data = b"".join(line + end for line, end in events)
    splitter = SseSplitter()
    found = [e for piece in cut(data, places) for e in splitter.feed(piece)]
    assert b"".join(found) + splitter.rest == data
    assert [event_data(e) for e in found] == [line[6:] for line, _ in events]


@given(st.lists(st.integers(0, len(STREAM)), max_size=8), st.booleans())
def test_a_stream_is_metered_the_same_however_it_is_cut(places: list[int], forward: bool) -> None:
    meter = ChatStreamMeter(forward_usage=forward)
    passed = b"".join(meter.feed(piece) for piece in cut(STREAM, places))
    usage_chunk = STREAM[STREAM.index(b'data: {"model":"m","choices":[],') : STREAM.index(b"data: [DONE]")]
    whole = STREAM if forward else STREAM.replace(usage_chunk, b"")
    assert passed == whole.removesuffix(b"data: [DONE]\n\n")
    assert meter.tail() == b"data: [DONE]\n\n"
    assert meter.finished and meter.error is None and meter.model == "m"
    assert meter.usage is not None and (meter.usage.input, meter.usage.output) == (3, 2)
    assert meter.counted in (2, 3)  # an untouched piece of one event counts as one token


@given(st.lists(st.binary(max_size=80), max_size=8))
def test_arbitrary_bytes_never_crash_the_meter_and_none_is_lost(pieces: list[bytes]) -> None:
    meter = ChatStreamMeter(forward_usage=True)
    passed = b"".join(meter.feed(piece) for piece in pieces)
    assert passed + meter.tail() == b"".join(pieces)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_with_a_sentence(body: bytes) -> None:
    try:
        parse_chat(body)
    except BadRequest as error:
        assert error.status in (400, 422) and str(error).endswith(".")


@given(st.dictionaries(st.text(max_size=8), JSON, max_size=5), st.booleans(), st.none() | st.integers(1, 99))
def test_a_rewrite_changes_only_what_it_must(
    extra: dict[str, object], stream: bool, most: int | None
) -> None:
    known = {"model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "n"}
    extra = {k: v for k, v in extra.items() if k not in known}
    body = msgspec.json.encode({**extra, "model": "a", "messages": [{"role": "user"}], "stream": stream})
    request = parse_chat(body)
    changed = msgspec.json.decode(rewrite_chat(body, request, model="b", ask_usage=stream, max_output=most))
    expected = {**msgspec.json.decode(body), "model": "b"}
    if stream:
        expected["stream_options"] = {"include_usage": True}
    if most is not None:
        expected["max_tokens"] = most
    assert changed == expected
    escaped = b"\\" in msgspec.json.encode(list(extra))  # a name that is spelled so is written anew
    assert escaped or rewrite_chat(body, request, model="a", ask_usage=False, max_output=None) is body


def test_a_name_that_stands_twice_goes_upstream_as_it_was_read() -> None:
    body = b'{"model":"dear","messages":[],"model":"cheap"}'
    request = parse_chat(body)
    sent = rewrite_chat(body, request, model=request.model, ask_usage=False, max_output=None)
    assert sent.count(b'"model"') == 1 and msgspec.json.decode(sent)["model"] == request.model


@given(
    st.lists(
        st.tuples(st.sampled_from(["model", "n", "x\u6c34", "mo\\u0064el", "\\ud800"]), JSON), max_size=4
    ),
    st.sampled_from([(b",", b":"), (b", ", b": "), (b",\n", b" :")]),
)
def test_what_goes_on_as_it_is_says_each_name_once(
    members: list[tuple[str, object]], marks: tuple[bytes, bytes]
) -> None:
    between, after = marks
    written = [b'"%b"%b%b' % (name.encode(), after, msgspec.json.encode(value)) for name, value in members]
    body = b"{%b}" % between.join([b'"model"%b"m"' % after, b'"messages"%b[]' % after, *written])
    try:
        request = parse_chat(body)
    except BadRequest:
        return
    sent = rewrite_chat(body, request, model=request.model, ask_usage=False, max_output=None)
    names = [name for name, _ in json.loads(sent, object_pairs_hook=list)]
    assert names.count("model") == names.count("messages") == 1
    assert json.loads(sent)["model"] == request.model


@pytest.mark.parametrize("state", [s for s in State if s is not State.DONE])
def test_every_state_has_a_way_to_the_end(state: State) -> None:
    reached, more = {state}, True
    while more:
        following = {t for (s, _), t in MOVES.items() if s in reached} | reached
        more, reached = following != reached, following
    assert State.DONE in reached
    assert state.value in mermaid()
