"""Anthropic Messages by property: what is written is read back, any cut of a stream is the same stream, nothing crashes."""

import itertools

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from messages_forms import ANSWERS, requests

from tokenweir.protocol.chat import BadRequest
from tokenweir.protocol.meter_messages import MessagesStreamMeter
from tokenweir.protocol.translate.answer import (
    Answer,
    Closed,
    Delta,
    Ended,
    Event,
    Failed,
    Opened,
    Ping,
    Started,
    Used,
    fold,
    unfold,
)
from tokenweir.protocol.translate.form import Request
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.messages import MESSAGES

ASKED = Request(model="asked")
PLACES = st.lists(st.integers(0, 4000), max_size=6)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


def cut(data: bytes, places: list[int]) -> list[bytes]:
    borders = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(borders)]


def read(pieces: list[bytes]) -> list[Event]:
    reader = MESSAGES.reader()
    return [event for piece in pieces for event in reader.feed(piece)] + reader.end()


def written(events: list[Event]) -> bytes:
    return MESSAGES.writer(ASKED).write(events)


@given(requests())
def test_a_request_is_read_as_it_was_written(request: Request) -> None:
    out = MESSAGES.write_request(request, Host(system_turns=True))
    assert out.dropped == ()
    assert MESSAGES.read_request(out.body) == request


@given(ANSWERS)
def test_an_answer_is_read_as_it_was_written(answer: Answer) -> None:
    assert MESSAGES.read_answer(MESSAGES.write_answer(answer, ASKED)) == answer
    assert fold(read([written(unfold(answer))])) == answer


@given(ANSWERS, st.randoms(use_true_random=False))
def test_blocks_that_come_interleaved_are_written_one_after_another(answer: Answer, random: object) -> None:
    events = unfold(answer)
    of_blocks = [event for event in events if hasattr(event, "index")]
    others = [event for event in events if not hasattr(event, "index")]
    queues = [[e for e in of_blocks if e.index == index] for index in range(len(answer.blocks))]
    mixed = [queue.pop(0) for queue in queues]  # opened in their order, then told in any
    while left := [queue for queue in queues if queue]:
        mixed.append(random.choice(left).pop(0))
    assert fold(read([written([others[0], *mixed, *others[1:]])])) == answer


@given(ANSWERS, PLACES, st.booleans())
def test_any_cut_of_a_stream_is_the_same_stream(answer: Answer, places: list[int], carriage: bool) -> None:
    data = written(unfold(answer))
    data = data.replace(b"\n", b"\r\n") if carriage else data
    whole = read([data])
    assert read(cut(data, places)) == whole
    assert read([data[n : n + 1] for n in range(len(data))]) == whole
    assert fold(whole) == answer


@given(ANSWERS, PLACES)
def test_the_meter_reads_what_the_reader_reads(answer: Answer, places: list[int]) -> None:
    data = written(unfold(answer))
    end = data[data.index(b"event: message_stop") :]
    seen = []
    for pieces in ([data], cut(data, places), [data[n : n + 1] for n in range(len(data))]):
        meter = MessagesStreamMeter()
        passed = b"".join([meter.feed(piece) for piece in pieces])
        assert (passed, meter.tail()) == (data.removesuffix(end), end)
        assert meter.finished and meter.error is None and meter.model == answer.model
        assert meter.usage == answer.usage == meter.settled(100)
        seen.append(meter.counted)
    assert len(set(seen)) == 1


NAMES = st.sampled_from(
    ("message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta", "message_stop", "ping", "error", "x")
)  # fmt: skip
BLOCKS = st.fixed_dictionaries(
    {"type": st.sampled_from(("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"))},
    optional={
        "text": st.text(max_size=3),
        "thinking": st.text(max_size=3),
        "signature": st.text(max_size=3),
        "data": st.text(max_size=3),
        "id": st.text(max_size=3),
        "input": JSON,
    },
)
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "text": st.text(max_size=3),
        "thinking": st.text(max_size=3),
        "signature": st.text(max_size=3),
        "partial_json": st.text(max_size=3),
        "citation": JSON,
        "stop_reason": st.sampled_from(("end_turn", "refusal", "odd")),
        "stop_details": JSON,
    },
)
COUNTERS = st.dictionaries(
    st.sampled_from(("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation")),
    JSON | st.integers(0, 99),
)
EVENTS = st.fixed_dictionaries(
    {"type": NAMES},
    optional={
        "index": st.integers(0, 2),
        "content_block": BLOCKS | JSON,
        "delta": DELTAS | JSON,
        "message": JSON | st.fixed_dictionaries({"id": st.just("i"), "usage": COUNTERS}),
        "usage": COUNTERS,
        "error": JSON,
    },
)
STREAMS = st.lists(EVENTS, max_size=10).map(
    lambda events: b"".join(b"data: %b\n\n" % msgspec.json.encode(event) for event in events)
)


def assert_in_order(events: list[Event]) -> None:
    """Started first and once, blocks opened before they grow and closed once, nothing after the end."""
    told = [event for event in events if not isinstance(event, Ping)]
    opened: set[int] = set()
    closed: set[int] = set()
    for number, event in enumerate(told):
        if isinstance(event, Opened):
            assert event.index == len(opened)
            opened.add(event.index)
        elif hasattr(event, "index"):
            assert event.index in opened - closed
        if isinstance(event, Closed):
            closed.add(event.index)
        if isinstance(event, Ended | Failed):
            assert number == len(told) - 1
    assert sum(isinstance(event, Started) for event in told) <= 1
    if opened:
        assert any(isinstance(event, Started) for event in told)
    if any(isinstance(event, Ended) for event in told):
        assert opened == closed


@given(STREAMS, PLACES)
def test_odd_streams_give_events_in_order_however_they_are_cut(data: bytes, places: list[int]) -> None:
    events = read([data])
    assert_in_order(events)
    assert read(cut(data, places)) == events
    fold(events)
    MESSAGES.writer(ASKED).write(events)


@given(STREAMS, PLACES)
def test_odd_streams_are_metered_the_same_however_they_are_cut(data: bytes, places: list[int]) -> None:
    whole, pieces = MessagesStreamMeter(), MessagesStreamMeter()
    assert whole.feed(data) + whole.tail() == data
    assert b"".join([pieces.feed(piece) for piece in cut(data, places)]) + pieces.tail() == data
    assert whole.settled(70) == pieces.settled(70)
    assert (whole.error, whole.finished, whole.model) == (pieces.error, pieces.finished, pieces.model)
    last = [event.usage for event in read([data]) if isinstance(event, Used)]
    assert whole.error is not None or not last or whole.usage == last[-1]


@given(st.lists(st.binary(max_size=60), max_size=6))
def test_arbitrary_bytes_crash_no_reader(pieces: list[bytes]) -> None:
    events = read(pieces)
    assert_in_order(events)
    meter = MessagesStreamMeter()
    assert b"".join([meter.feed(piece) for piece in pieces]) + meter.tail() == b"".join(pieces)


@given(st.binary(max_size=200) | JSON.map(msgspec.json.encode))
def test_arbitrary_requests_are_refused_with_a_sentence(body: bytes) -> None:
    try:
        MESSAGES.read_request(body)
    except BadRequest as error:
        assert error.status in (400, 422) and str(error).endswith(".")


CONTENTS = st.text(max_size=3) | st.lists(
    BLOCKS | st.fixed_dictionaries({"type": st.sampled_from(("image", "document", "tool_result"))}, optional={"source": JSON, "content": JSON}),
    max_size=3,
) | JSON  # fmt: skip


@given(
    st.fixed_dictionaries(
        {"model": st.just("m"), "messages": st.lists(st.fixed_dictionaries({"role": st.sampled_from(("user", "assistant", "system")), "content": CONTENTS}), max_size=3)},
        optional=dict.fromkeys(("system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "cache_control", "odd"), JSON),
    )
)  # fmt: skip
def test_odd_requests_are_read_or_refused_with_the_place(body: dict[str, object]) -> None:
    try:
        request = MESSAGES.read_request(msgspec.json.encode(body))
    except BadRequest as error:
        assert error.param is not None and error.status in (400, 422)
        return
    assert ("odd" in request.unplaced) == (body.get("odd") not in (None, [], {}))
    again = MESSAGES.read_request(MESSAGES.write_request(request, Host()).body)
    assert again.unplaced == ()


@given(st.integers(100, 599), st.binary(max_size=100) | JSON.map(msgspec.json.encode))
def test_any_error_is_told_in_this_dialect(status: int, body: bytes) -> None:
    failure = MESSAGES.read_failure(status, body)
    told = msgspec.json.decode(MESSAGES.write_failure(failure))
    assert told["type"] == "error" and told["error"]["message"] == failure.message


@given(ANSWERS)
def test_deltas_of_nothing_are_not_written(answer: Answer) -> None:
    events = [
        e
        for event in unfold(answer)
        for e in ((event, Delta(event.index, "")) if isinstance(event, Opened) else (event,))
    ]
    assert written(events) == written(unfold(answer))
