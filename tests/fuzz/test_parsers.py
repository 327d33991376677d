"""Every parser of a dialect over recorded bytes that were changed: it reads them or refuses them, and nothing else.

A few examples run each time; `./dev test --long tests/fuzz` runs a thousand of each.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import bodies, changed, pieces, recorded

from tokenweir.core.errors import WireError
from tokenweir.core.usage import Usage
from tokenweir.protocol.answers import prompt_text_bytes
from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.passage import Straight
from tokenweir.protocol.problems import upstream_failed
from tokenweir.protocol.sse import SseSplitter, event_data
from tokenweir.protocol.translate.form import Request
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.translate.translation import Translation
from tokenweir.protocol.wires import WIRES

NAMES = tuple(DIALECTS)
PLACES = st.lists(st.integers(0, 1 << 14), max_size=5)
ASKED = Request(model="m", stream=True, include_usage=True)
_CASES = {"chat": "[!mr]*", "messages": "messages*", "responses": "responses*"}
REQUESTS = {name: changed(recorded(f"matrix/*/request.{name}.json")) for name in NAMES}
ANSWERS = {
    name: changed(recorded(f"matrix/*/upstream.{name}.json") + bodies(_CASES[name], b"application/json"))
    if name != "responses"
    else changed(recorded(f"matrix/*/upstream.{name}.json"))
    for name in NAMES
}
STREAMS = {
    name: changed(recorded(f"matrix/*/upstream.{name}.sse") + bodies(_CASES[name], b"text/event-stream"))
    for name in NAMES
}


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_request_is_read_or_refused(name: str, data: st.DataObject) -> None:
    body = data.draw(REQUESTS[name])
    assert 0 <= prompt_text_bytes(body) <= len(body)
    try:
        form = DIALECTS[name].read_request(body)
    except BadRequest as error:
        assert str(error) and error.status in (400, 413, 422)
        return
    for upstream in DIALECTS.values():
        written = upstream.write_request(form, Host())
        assert isinstance(json.loads(written.body), dict)
        upstream.read_request(written.body)  # what is written can be read


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data())
def test_a_request_passes_or_is_refused(name: str, data: st.DataObject) -> None:
    body, wire = data.draw(REQUESTS[name]), WIRES[name]
    try:
        request = wire.parse(body)
    except BadRequest as error:
        assert str(error)
        return
    sent = Straight(wire, request, body).request(model="other", ask_usage=True, max_output=7)
    again = wire.parse(sent)
    assert (again.model, again.stream) == ("other", request.stream)


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), status=st.sampled_from([200, 400, 429, 500]))
def test_an_answer_is_read_or_refused(name: str, data: st.DataObject, status: int) -> None:
    body = data.draw(ANSWERS[name])
    metered = WIRES[name].read_answer(body)
    assert metered.settled(9).total >= 0
    failure = DIALECTS[name].read_failure(status, body)
    for client in DIALECTS.values():
        assert json.loads(client.write_failure(failure))["error"]["message"]
    try:
        answer = DIALECTS[name].read_answer(body)
    except WireError as error:
        assert str(error)
        return
    for client in DIALECTS.values():
        client.read_answer(client.write_answer(answer, ASKED))


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("upstream", NAMES)
@given(data=st.data(), places=PLACES, broken=st.booleans())
def test_a_stream_is_told_however_it_is_cut(
    upstream: str, client: str, data: st.DataObject, places: list[int], broken: bool
) -> None:
    body = data.draw(STREAMS[upstream])
    told = [_told(upstream, client, cut, broken) for cut in ([body], pieces(body, places))]
    assert told[0] == told[1]
    said = told[0][0]
    assert len(said) <= 200 * len(body) + 100_000
    for event in SseSplitter().feed(said):
        found = event_data(event)
        assert found in (b"", b"[DONE]") or isinstance(json.loads(found), dict)


def _told(upstream: str, client: str, cut: list[bytes], broken: bool) -> tuple[object, ...]:
    stream = Translation(DIALECTS[client], DIALECTS[upstream], Host(), ASKED).stream()
    said = b"".join([stream.feed(piece) for piece in cut])
    said += stream.broken(upstream_failed("It broke.")) if broken else stream.tail()
    return said, stream.settled(9), stream.finished, stream.error


@pytest.mark.parametrize("name", NAMES)
@given(data=st.data(), places=PLACES)
def test_a_stream_passes_and_is_metered_however_it_is_cut(
    name: str, data: st.DataObject, places: list[int]
) -> None:
    body = data.draw(STREAMS[name])
    request = WIRES[name].parse(
        b'{"model":"m","messages":[],"stream":true,"stream_options":{"include_usage":true}}'
    )
    seen = []
    for cut in ([body], pieces(body, places)):
        meter = WIRES[name].meter(request)
        passed = b"".join([meter.feed(piece) for piece in cut])
        assert passed + meter.tail() == body
        seen.append((meter.settled(9), meter.finished, meter.error is None, meter.model))
        assert json.loads(event_data(meter.broken(upstream_failed("It broke."))))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("upstream", NAMES)
@given(data=st.data(), places=PLACES, most=st.integers(1, 12))
def test_a_stream_ends_at_its_limit_however_it_is_cut(
    upstream: str, client: str, data: st.DataObject, places: list[int], most: int
) -> None:
    body = data.draw(STREAMS[upstream])
    told = [_capped(upstream, client, cut, most) for cut in ([body], pieces(body, places))]
    assert told[0] == told[1]
    said, full, usage = told[0]
    events = [event_data(event) for event in SseSplitter().feed(said)]
    if full:
        assert usage.completion <= most
        assert events[-1] == b"[DONE]" or json.loads(events[-1])["type"] in (
            "message_stop",
            "response.incomplete",
        )
    elif upstream == client:
        assert body.startswith(said)


def _capped(upstream: str, client: str, cut: list[bytes], most: int) -> tuple[bytes, bool, Usage]:
    body = b'{"model":"m","messages":[],"input":"","stream":true,"stream_options":{"include_usage":true}}'
    straight = WIRES[client].meter(WIRES[client].parse(body))
    translated = Translation(DIALECTS[client], DIALECTS[upstream], Host(), ASKED).stream()
    meter = straight if upstream == client else translated
    meter.bound(most)
    said = b""
    for piece in cut:
        said += b"" if meter.full else meter.feed(piece)
    usage = meter.settled(9)
    return said + (meter.capped(usage) if meter.full else b""), meter.full, usage


@given(st.one_of([STREAMS[name] for name in NAMES]), PLACES)
def test_events_are_cut_the_same_and_none_is_lost(body: bytes, places: list[int]) -> None:
    splitters = SseSplitter(), SseSplitter()
    whole = splitters[0].feed(body)
    parts = [event for piece in pieces(body, places) for event in splitters[1].feed(piece)]
    assert whole == parts and splitters[0].rest == splitters[1].rest
    assert b"".join(whole) + splitters[0].rest == body
