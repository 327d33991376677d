"""The parsers beside the three dialects: what is passed through, counted, kept and sealed. As `test_parsers.py`, over changed bytes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded import changed, recorded

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.count_tokens import estimate_count, is_count, parse_count_tokens
from tokenweir.protocol.passage import Straight
from tokenweir.protocol.stored_responses import final_response, join, keep
from tokenweir.protocol.translate.envelope import seal, unseal
from tokenweir.protocol.translate.form import Reasoning
from tokenweir.protocol.wires import WIRES

REQUESTS = {
    "embeddings": changed(
        [b'{"model":"m","input":["a","b"],"dimensions":8}', b'{"model":"m","input":[[1,2],[3]]}']
    ),
    "completions": changed(
        [
            b'{"model":"m","prompt":["a","b"],"n":2,"best_of":3,"max_tokens":9,"stream":true,"stream_options":{"x":1}}',
            b'{"model":"m","prompt":[1,2,3]}',
        ]
    ),
    "rerank": changed(
        [b'{"model":"m","query":"q","documents":["a",{"text":"b"},{"image":"http://x/y"}],"top_n":1}']
    ),
}
ANSWERS = {
    "embeddings": changed([b'{"object":"list","data":[{"index":0,"embedding":[0.5]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}']),
    "completions": changed([b'{"id":"c","model":"m","choices":[{"index":0,"text":"a b","finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}']),
    "rerank": changed(
        [
            b'{"results":[{"index":0,"relevance_score":0.5}],"model":"m","usage":{"total_tokens":7}}',
            b'{"results":[],"meta":{"billed_units":{"search_units":1,"input_tokens":4},"tokens":{"input_tokens":4}}}',
            b'[{"index":0,"score":0.5}]',
        ]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
@given(data=st.data())
def test_a_request_passes_or_is_refused(name: str, data: st.DataObject) -> None:
    body, wire = data.draw(REQUESTS[name]), WIRES[name]
    try:
        request = wire.parse(body)
    except BadRequest as error:
        assert str(error) and error.status in (400, 413, 422)
        return
    assert request.n >= 1 and (wire.clamps or request.max_output == 0)
    again = wire.parse(Straight(wire, request, body).request(model="other", ask_usage=True, max_output=7))
    assert (again.model, again.stream, again.n) == ("other", request.stream, request.n)
    assert again.include_usage == (request.stream and wire.clamps)
    assert again.max_output == (7 if wire.clamps else 0)


@pytest.mark.parametrize("name", ANSWERS)
@given(data=st.data())
def test_an_answer_is_metered(name: str, data: st.DataObject) -> None:
    found = WIRES[name].read_answer(data.draw(ANSWERS[name]))
    usage = found.settled(35)
    assert (
        min(getattr(usage, token_class) for token_class in ("input", "cache_read", "output", "reasoning"))
        >= 0
    )
    assert found.failed or found.usage is not None or usage.input == 10


@given(changed(recorded("matrix/*/request.messages.json")))
def test_tokens_are_counted_or_the_request_is_refused(body: bytes) -> None:
    assert is_count(estimate_count(body))
    try:
        found = parse_count_tokens(body)
    except BadRequest as error:
        assert str(error)
    else:
        assert found.model and found.max_output == 0


@given(changed([b'{"input_tokens":41}', b'{"input_tokens":0,"cache":{}}']))
def test_a_count_is_one_or_is_none(body: bytes) -> None:
    if is_count(body):
        assert json.loads(body.decode("utf-8", "replace"))["input_tokens"] >= 0


RESPONSES = recorded("matrix/*/upstream.responses.json")
ASKED = recorded("matrix/*/request.responses.json")


@given(changed(ASKED), changed(RESPONSES), changed(ASKED))
def test_what_is_kept_can_be_gone_on_from(request: bytes, response: bytes, further: bytes) -> None:
    try:
        WIRES["responses"].parse(further)
        kept = keep(request, response)
        joined = None if kept is None else join(further, [kept], max_bytes=1 << 20)
    except BadRequest as error:
        assert str(error)
        return
    if joined is not None and kept is not None:
        found = json.loads(joined)
        assert "previous_response_id" not in found
        before = json.loads(kept.input) + json.loads(kept.response)["output"]
        assert found["input"][: len(before)] == before


@given(changed(recorded("matrix/*/upstream.responses.sse")))
def test_the_end_of_a_stream_is_a_response_or_is_none(tail: bytes) -> None:
    found = final_response(tail)
    if found is not None:
        keep(b'{"input":"x"}', found)
        assert found in tail


@given(st.builds(Reasoning, text=st.text(max_size=9), signature=st.none() | st.text(max_size=9)), st.data())
def test_what_was_sealed_is_opened_and_what_was_changed_breaks_nothing(
    reasoning: Reasoning, data: st.DataObject
) -> None:
    sealed = seal(reasoning)
    assert unseal(sealed) == reasoning
    found = unseal(data.draw(changed([sealed.encode()])).decode("latin-1"))
    assert found is None or isinstance(found, Reasoning)
