"""A stream whose upstream tells more than was granted ends here, as its dialect ends one that its length ends."""

import json
from collections.abc import Callable

import anthropic
import httpx2
import openai
import pytest

from tokenweir.core.usage import Provenance, Usage
from tokenweir.protocol.sse import SseSplitter, event_data
from tokenweir.protocol.translate.host import Host
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.translate.translation import Translation
from tokenweir.protocol.wires import WIRES, Meter

CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m1"}


def event(data: dict[str, object]) -> bytes:
    name = data.get("type")
    head = f"event: {name}\n".encode() if name else b""
    return head + b"data: " + json.dumps(data, separators=(",", ":")).encode() + b"\n\n"


def chat(delta: dict[str, object], index: int = 0, reason: str | None = None) -> bytes:
    return event(CHUNK | {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]})


def told(body: bytes) -> list[dict[str, object]]:
    datas = [event_data(each) for each in SseSplitter().feed(body)]
    return [json.loads(data) for data in datas if data != b"[DONE]"]


def metered(dialect: str, most: int, pieces: list[bytes], **members: object) -> tuple[Meter, bytes]:
    """A meter that let `most` tokens pass, and what the client got with the end."""
    request = {
        "model": "m",
        "stream": True,
        "messages": [],
        "input": "x",
        "max_tokens": 9,
        "prompt": "x",
        **members,
    }
    meter = WIRES[dialect].meter(WIRES[dialect].parse(json.dumps(request).encode()))
    return meter, _fed(meter, most, pieces)


def translated(
    client: str, upstream: str, most: int, pieces: list[bytes], **members: object
) -> tuple[Meter, bytes]:
    request = {"model": "m", "stream": True, "max_tokens": 9, **members}
    request |= {"input": "x"} if client == "responses" else {"messages": [{"role": "user", "content": "x"}]}
    form = DIALECTS[client].read_request(json.dumps(request).encode())
    meter = Translation(DIALECTS[client], DIALECTS[upstream], Host(), form).stream()
    return meter, _fed(meter, most, pieces)


def _fed(meter: Meter, most: int, pieces: list[bytes]) -> bytes:
    meter.bound(most)
    passed = b""
    for piece in pieces:
        if not meter.full:
            passed += meter.feed(piece)
    return passed + meter.capped(meter.settled(35)) if meter.full else passed + meter.tail()


# --- chat and completions


def test_each_choice_that_is_open_gets_its_reason_and_one_that_has_ended_keeps_its_own() -> None:
    pieces = [
        chat({"content": "a"}),
        chat({"content": "b"}, 1),
        chat({}, 1, "stop"),
        chat({"content": "c"}, 2),
    ]
    meter, body = metered("chat", 3, [*pieces, chat({"content": "d"}), chat({"content": "e"}, 2)], n=3)
    assert body.startswith(b"".join(pieces)) and body.endswith(b"data: [DONE]\n\n") and b'"d"' not in body
    ends = [(c["index"], c["finish_reason"]) for t in told(body) for c in t["choices"] if c["finish_reason"]]
    assert ends == [(1, "stop"), (0, "length"), (2, "length")]
    assert all(CHUNK.items() <= chunk.items() for chunk in told(body))
    assert meter.settled(35) == Usage(input=10, output=3, provenance=Provenance.COUNTED)


@pytest.mark.parametrize("asked", [True, False])
def test_the_usage_is_told_to_a_client_of_chat_that_asked_for_it(asked: bool) -> None:
    options = {"include_usage": asked}
    _, body = metered("chat", 1, [chat({"content": "a"}), chat({"content": "b"})], stream_options=options)
    usages = [chunk["usage"] for chunk in told(body) if chunk.get("usage")]
    assert [usage["total_tokens"] for usage in usages] == [11] * asked


def test_completions_end_in_their_own_shape() -> None:
    head = CHUNK | {"object": "text_completion"}
    pieces = [event(head | {"choices": [{"index": 0, "text": t, "finish_reason": None}]}) for t in "ab"]
    _, body = metered("completions", 1, pieces)
    choice = {"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}
    assert told(body)[1] == head | {"choices": [choice]} and b'"b"' not in body


def test_a_stream_that_its_upstream_ends_at_the_border_passes_as_it_is() -> None:
    pieces = [chat({"content": "a"}), chat({"content": "b"}), chat({}, 0, "length"), b"data: [DONE]\n\n"]
    meter, body = metered("chat", 2, pieces)
    assert body == b"".join(pieces) and not meter.full


def test_a_delta_of_several_tokens_passes_the_border_and_counts_to_it_alone() -> None:
    """Its size is a guess: an answer in one piece must not be lost to it."""
    packed = "The weir holds back the water of the whole valley."
    meter, body = metered("chat", 5, [chat({"content": packed}), chat({"content": "a"})])
    assert meter.full and packed.encode() in body and meter.settled(0).completion == 5
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    last = event(CHUNK | {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
    meter, body = metered("chat", 5, [chat({"content": packed}), last, b"data: [DONE]\n\n"])
    assert not meter.full and meter.settled(0) == Usage(input=3, output=4)


def test_a_report_beyond_the_border_is_cut_to_it_where_the_stream_is() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12, "completion_tokens_details": {"reasoning_tokens": 8}}  # fmt: skip
    piece = event(CHUNK | {"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": usage})
    meter, _ = metered("chat", 2, [piece, piece, piece])
    assert meter.full and meter.settled(0) == Usage(input=3, reasoning=2, provenance=Provenance.COUNTED)


# --- messages


def block(index: int, kind: dict[str, object], *deltas: dict[str, object]) -> list[bytes]:
    begin = event({"type": "content_block_start", "index": index, "content_block": kind})
    return [begin, *(event({"type": "content_block_delta", "index": index, "delta": d}) for d in deltas)]


START = event(
    {
        "type": "message_start",
        "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "m1", "content": [], "stop_reason": None,
            "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 1},
        },
    }
)  # fmt: skip
TEXT = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "Rain"})
STOP = event({"type": "content_block_stop", "index": 0})


@pytest.mark.parametrize(
    ("most", "kind", "delta", "ends"),
    [
        (2, {"type": "text", "text": ""}, {"type": "text_delta", "text": "y"}, ["content_block_stop"]),
        (2, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "y"}, ["content_block_stop"]),
        (3, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, {"type": "input_json_delta", "partial_json": "y"}, ["content_block_stop"]),
        (1, {"type": "tool_use", "id": "t", "name": "f", "input": {}}, {"type": "input_json_delta", "partial_json": "y"}, []),
    ],
    ids=["text", "thinking", "a call", "before a call"],
)  # fmt: skip
def test_the_block_that_is_open_stops(
    most: int, kind: dict[str, object], delta: dict[str, object], ends: list[str]
) -> None:
    meter, body = metered("messages", most, [START, *TEXT, STOP, *block(1, kind, delta, delta, delta)])
    events = told(body)
    last = events[[e["type"] for e in events].index("content_block_stop") + 1 :]
    assert [e["type"] for e in last if e["type"] not in ("content_block_start", "content_block_delta")] == [
        *ends, "message_delta", "message_stop",
    ]  # fmt: skip
    assert events[-2]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert events[-2]["usage"]["output_tokens"] == meter.settled(0).completion == most
    assert events[-2]["usage"]["input_tokens"] == 7


# --- responses


def response(number: int, kind: str, **members: object) -> bytes:
    return event({"type": f"response.{kind}", "sequence_number": number, **members})


CREATED = response(
    0, "created", response={"id": "resp_1", "created_at": 7, "model": "m1", "status": "in_progress"}
)
CALL = {
    "id": "fc_1",
    "type": "function_call",
    "status": "in_progress",
    "call_id": "c",
    "name": "f",
    "arguments": "",
}


def arguments(number: int, text: str) -> bytes:
    return response(number, "function_call_arguments.delta", item_id="fc_1", output_index=1, delta=text)


def test_all_items_are_told_and_a_call_that_is_cut_is_never_said_to_be_done() -> None:
    whole = {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "r"}],
    }
    pieces = [
        CREATED,
        response(1, "output_item.added", output_index=0, item=whole | {"content": []}),
        response(2, "reasoning_text.delta", item_id="rs_1", output_index=0, content_index=0, delta="r"),
        response(3, "output_item.done", output_index=0, item=whole),
        response(4, "output_item.added", output_index=1, item=CALL),
        arguments(5, '{"a'),
        arguments(6, '": 1'),
        arguments(7, "}"),
    ]
    meter, body = metered("responses", 4, pieces)
    assert meter.full and body.startswith(b"".join(pieces[:-1]))
    (end,) = told(body)[7:]
    assert (end["type"], end["sequence_number"]) == ("response.incomplete", 7)
    assert end["response"]["incomplete_details"] == {"reason": "max_output_tokens"}
    cut = CALL | {"status": "incomplete", "arguments": '{"a": 1'}
    assert end["response"]["output"] == [whole, cut]
    assert end["response"]["usage"]["output_tokens"] == meter.settled(0).completion == 4


def test_what_is_open_is_closed_in_order_with_the_next_numbers() -> None:
    message = {"id": "msg_1", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
    first = {"type": "output_text", "text": "a", "annotations": [{"n": 1}], "logprobs": []}
    at = {"item_id": "msg_1", "output_index": 0}
    pieces = [
        CREATED,
        response(1, "output_item.added", output_index=0, item=message),
        response(2, "output_text.delta", **at, content_index=0, delta="a"),
        response(3, "content_part.done", **at, content_index=0, part=first),
        response(4, "content_part.added", **at, content_index=1, part={"type": "refusal", "refusal": ""}),
        response(5, "refusal.delta", **at, content_index=1, delta="b é"),
        response(6, "refusal.delta", **at, content_index=1, delta="c"),
    ]
    _, body = metered("responses", 2, pieces)
    ends = told(body)[6:]
    assert [e["type"] for e in ends] == [
        "response.refusal.done", "response.content_part.done", "response.output_item.done", "response.incomplete",
    ]  # fmt: skip
    assert [e["sequence_number"] for e in ends] == [6, 7, 8, 9]
    part = {"type": "refusal", "refusal": "b é"}
    assert ends[0]["refusal"] == part["refusal"] and ends[1]["part"] == part
    item = message | {"status": "incomplete", "content": [first, part]}
    assert ends[2]["item"] == item and ends[3]["response"]["output"] == [item]


def test_summaries_are_closed_as_such_and_a_host_without_items_has_its_text_told() -> None:
    where = {"item_id": "rs_1", "output_index": 0, "summary_index": 0}
    item = {"id": "rs_1", "type": "reasoning", "summary": []}
    pieces = [
        response(1, "output_item.added", output_index=0, item=item),
        response(2, "reasoning_summary_text.delta", **where, delta="a"),
        response(3, "reasoning_summary_text.delta", **where, delta="b"),
    ]
    ends = told(metered("responses", 1, pieces)[1])[2:]
    assert [e["type"].removeprefix("response.") for e in ends] == [
        "reasoning_summary_text.done", "reasoning_summary_part.done", "output_item.done", "incomplete",
    ]  # fmt: skip
    assert ends[2]["item"] == item | {"summary": [{"type": "summary_text", "text": "a"}]}
    bare = [response(n, "output_text.delta", output_index=0, delta="x") for n in (1, 2)]
    end = told(metered("responses", 1, bare)[1])[-1]
    assert end["response"]["output"][0]["content"][0]["text"] == "x"


def test_calls_whose_pieces_alternate_keep_their_own() -> None:
    """Places 1 and 10 differ in their last digit alone, and a text may look like one."""
    pieces = [CREATED]
    for place in (1, 10):
        pieces.append(
            response(place, "output_item.added", output_index=place, item=CALL | {"id": f"fc_{place}"})
        )
    for number, (place, text) in enumerate(
        [(1, "a"), (10, "b"), (10, '"output_index":1,'), (1, "c"), (1, "d")]
    ):
        where = {"item_id": f"fc_{place}", "output_index": place}
        pieces.append(response(20 + number, "function_call_arguments.delta", delta=text, **where))
    _, body = metered("responses", 6, pieces)
    output = told(body)[-1]["response"]["output"]
    assert [item["arguments"] for item in output] == ["ac", 'b"output_index":1,']


def test_nothing_is_kept_of_a_stream_that_no_limit_holds() -> None:
    meter = WIRES["responses"].meter(WIRES["responses"].parse(b'{"model":"m","input":"x","stream":true}'))
    meter.feed(response(1, "output_text.delta", output_index=0, delta="x"))
    assert vars(meter)["_so_far"] is None


# --- between dialects

UPSTREAMS: dict[str, list[bytes]] = {
    "chat": [chat({"role": "assistant", "reasoning_content": "r"}), *(chat({"content": t}) for t in "abc")],
    "messages": [
        START,
        *block(0, {"type": "thinking", "thinking": "", "signature": ""}, {"type": "thinking_delta", "thinking": "r"}),
        event({"type": "content_block_stop", "index": 0}),
        *block(1, {"type": "text", "text": ""}, *({"type": "text_delta", "text": t} for t in "abc")),
    ],
    "responses": [
        CREATED,
        *(response(n, "output_text.delta", item_id="msg_1", output_index=0, content_index=0, delta=t) for n, t in enumerate("rabc", 1)),
    ],
}  # fmt: skip


def _openai(body: bytes) -> openai.OpenAI:
    answer = httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})
    transport = httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))
    return openai.OpenAI(api_key="k", base_url="http://weir/v1", max_retries=0, http_client=transport)


def _reads_chat(body: bytes) -> tuple[str, str, int]:
    chunks = list(_openai(body).chat.completions.create(model="m", messages=[], stream=True))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    usage = chunks[-1].usage
    assert usage is not None
    text = "".join(choice.delta.content or "" for choice in choices)
    return text, choices[-1].finish_reason or "", usage.completion_tokens


def _reads_messages(body: bytes) -> tuple[str, str, int]:
    answer = httpx2.Response(200, content=body, headers={"content-type": "text/event-stream"})
    transport = httpx2.Client(transport=httpx2.MockTransport(lambda _: answer))
    client = anthropic.Anthropic(api_key="k", base_url="http://weir", max_retries=0, http_client=transport)
    with client.messages.stream(model="m", max_tokens=1, messages=[]) as stream:
        message = stream.get_final_message()
    text = "".join(part.text for part in message.content if part.type == "text")
    return text, message.stop_reason or "", message.usage.output_tokens


def _reads_responses(body: bytes) -> tuple[str, str, int]:
    events = list(_openai(body).responses.create(model="m", input="x", stream=True))
    assert events[-1].type == "response.incomplete"
    found = events[-1].response
    assert found.usage is not None and found.incomplete_details is not None
    return found.output_text, found.incomplete_details.reason or "", found.usage.output_tokens


READS: dict[str, tuple[Callable[[bytes], tuple[str, str, int]], str]] = {
    "chat": (_reads_chat, "length"),
    "messages": (_reads_messages, "max_tokens"),
    "responses": (_reads_responses, "max_output_tokens"),
}


@pytest.mark.parametrize("client", READS)
@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_the_sdk_reads_that_its_length_ended_it(client: str, upstream: str) -> None:
    way = metered if client == upstream else lambda *a, **m: translated(client, *a, **m)
    meter, body = way(upstream, 3, UPSTREAMS[upstream], stream_options={"include_usage": True})
    reads, reason = READS[client]
    text, why, output = reads(body)
    assert text.removeprefix("r") == "ab" and why == reason
    assert meter.full and output == meter.settled(35).completion == 3


def test_a_call_that_is_cut_between_dialects_is_never_said_to_be_done() -> None:
    def call(text: str, **more: object) -> bytes:
        return chat({"tool_calls": [{"index": 0, "function": {"arguments": text, **more}, "id": "c"}]})

    tools = [{"type": "function", "name": "f", "parameters": {}}]
    _, body = translated(
        "responses", "chat", 2, [call("", name="f"), call('{"a'), call('": 1}')], tools=tools
    )
    end = told(body)[-1]
    assert b"output_item.done" not in body and b"arguments.done" not in body
    (item,) = end["response"]["output"]
    assert (item["status"], item["arguments"]) == ("incomplete", '{"a')


def test_a_client_that_asked_for_a_whole_answer_gets_one_that_its_length_ended() -> None:
    _, body = translated("messages", "chat", 2, UPSTREAMS["chat"], stream=False)
    found = json.loads(body)
    assert (found["stop_reason"], found["content"][1]["text"]) == ("max_tokens", "a")
