"""The matrix through the protocol's code alone: what goes upstream, what the client gets, and what it means."""

import json

import msgspec
import pytest
from matrix_case import CELLS, NAMES, SCENARIOS, Cell
from sdk_readers import read, same_calls, told
from stream_order import PLACES

from tokenweir.catalog.pricing import cost, price_call
from tokenweir.protocol.sse import SseSplitter
from tokenweir.protocol.translate.table import DIALECTS
from tokenweir.protocol.wires import WIRES

#: Of a plain answer that breaks off nothing reaches the client but the gateway's own error.
ANSWERED = [cell for cell in CELLS if cell.way == "streamed" or cell.script.end == "whole"]
HEARD = [cell for cell in ANSWERED if cell.script.end != "hold" or cell.capped]
#: Places at which a stream is cut in two; byte by byte it is cut at all of them.
CUTS = 60
TRANSLATED = [cell for cell in CELLS if not cell.straight]


def test_every_cell_is_in_the_matrix() -> None:
    assert set(DIALECTS) == set(NAMES) <= set(WIRES)
    assert set(SCENARIOS) >= {
        "text", "tools", "parallel-tools", "thinking", "thinking-and-tools", "image", "error-before", "error-inside",
        "cut-off", "cancel",
    }  # fmt: skip
    assert len(CELLS) == len(SCENARIOS) * 3 * 3 * 2


@pytest.mark.parametrize("name", SCENARIOS)
def test_no_file_of_a_scenario_is_missing_or_read_by_nobody(name: str) -> None:
    scenario = SCENARIOS[name]
    wanted = {"case.toml", *(f"request.{name}.json" for name in NAMES)}
    for cell in CELLS:
        if cell.scenario is not scenario:
            continue
        wanted.add(f"upstream.{cell.upstream}.{'json' if cell.way == 'plain' else 'sse'}")
        if not cell.straight:
            wanted.add(cell.sent_file.name)
        if not cell.as_it_is and (cell.way == "streamed" or cell.script.end == "whole"):
            wanted.add(cell.client_file.name)
    assert {path.name for path in scenario.directory.iterdir()} == wanted


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_what_goes_upstream(cell: Cell) -> None:
    passage = cell.passage()
    sent = json.loads(cell.sent(passage))
    assert passage.dropped == cell.dropped
    assert sent == cell.right_request


@pytest.mark.parametrize("cell", [cell for cell in TRANSLATED if cell.way == "plain"], ids=str)
def test_what_goes_upstream_means_what_was_asked(cell: Cell) -> None:
    """Read again by the upstream's dialect it is the same conversation, and what its own clients say of the scenario."""
    asked = DIALECTS[cell.client].read_request(cell.request)
    sent = DIALECTS[cell.upstream].read_request(cell.sent(cell.passage()))
    own = DIALECTS[cell.upstream].read_request(cell.scenario.request(cell.upstream, "plain"))
    assert sent.unplaced == ()
    for said in (asked, own):
        assert _conversation(sent) == _conversation(said)


def _conversation(form: object) -> object:
    """Without the ids of items, which no dialect but Responses has."""
    found = msgspec.json.decode(msgspec.json.encode(form))
    for turn in found["turns"]:
        for part in turn["parts"]:
            for name in ("item_id", *(("id", "signature") if part["part"] == "reasoning" else ())):
                part.pop(name, None)
    for tool in found["tools"]:
        tool["strict"] = bool(tool["strict"])
    names = ("instructions", "turns", "tools", "max_output", "user", "stream")
    return {name: found[name] for name in names} | {"tool_choice": found["tool_choice"]["choice"] or "auto"}


@pytest.mark.parametrize("cell", ANSWERED, ids=str)
def test_what_the_client_gets(cell: Cell) -> None:
    script = cell.script
    wanted = script.body if cell.as_it_is else cell.client_file.read_bytes()
    for pieces in _cuts(cell):
        status, said, usage = cell.answer(pieces)
        assert status == cell.status
        if cell.way == "plain" or script.status != 200:
            assert (said == wanted) if cell.straight else (json.loads(said) == json.loads(wanted))
        elif cell.as_it_is and script.end != "whole":
            came = wanted[: wanted.rindex(b"\n\n") + 2]
            assert said.startswith(came) and said.count(b"\n\n") - came.count(b"\n\n") == (
                script.end == "cut"
            )
        else:
            assert said == wanted
        if usage is not None and cell.right.outcome in ("ok", "upstream_broke", "cancelled"):
            assert usage == cell.usage()


def _cuts(cell: Cell) -> list[list[bytes]]:
    """Whole, in its own pieces, byte by byte, and in two at places that lie everywhere."""
    script = cell.script
    body = script.body
    cuts = [[body]]
    if cell.way == "streamed":
        cuts += [list(script.pieces), [bytes([byte]) for byte in body]]
        cuts += [[body[:place], body[place:]] for place in range(1, len(body), 1 + len(body) // CUTS)]
    return cuts


@pytest.mark.parametrize("cell", HEARD, ids=str)
def test_the_sdk_reads_what_is_meant(cell: Cell) -> None:
    status, body, _ = cell.answer(list(cell.script.pieces))
    if cell.straight and cell.way == "plain" and cell.right.status != status:
        assert cell.scenario.toml.meaning.error.encode() in body  # an error behind 200, as it came
        return
    found, meant = read(cell.client, cell.way, status, body), cell.scenario.toml.meaning
    if meant.error:
        assert meant.error in found.meaning.error
        if cell.way == "streamed" and cell.script.status == 200:
            assert found.meaning.text == meant.text
            assert cell.straight or b"response.output_item.done" not in body, (
                "a call that is cut off is never whole"
            )
        return
    assert (found.meaning.text, found.meaning.reasoning) == (meant.text, meant.reasoning)
    assert found.meaning.finish == meant.finish
    assert same_calls(found.meaning.call, meant.call)
    assert found.usage == told(cell.usage(), cell.client)


@pytest.mark.parametrize("cell", [cell for cell in HEARD if cell.way == "streamed"], ids=str)
def test_every_event_stands_where_its_dialect_has_it(cell: Cell) -> None:
    status, body, _ = cell.answer(list(cell.script.pieces))
    if status == 200:
        PLACES[cell.client](body)


@pytest.mark.parametrize("client", NAMES)
@pytest.mark.parametrize("change", ["lost", "twice"])
def test_an_event_that_does_not_stand_there_is_noticed(client: str, change: str) -> None:
    """Of all but pings, and deltas and usage where nothing numbers them."""
    upstream = NAMES[(NAMES.index(client) + 1) % 3]
    cell = Cell(SCENARIOS["thinking-and-tools"], client, upstream, "streamed")
    told = SseSplitter().feed(cell.answer([cell.script.body])[1])
    for place, event in enumerate(told):
        delta = b'"delta"' in event and not any(
            word in event for word in (b'"role"', b"stop_reason", b'_reason":"')
        )
        silent = change == "lost" and b'"choices":[]' in event
        if b"ping" in event or (client != "responses" and (delta or silent)):
            continue
        changed = [*told[:place], *([event] * (0 if change == "lost" else 2)), *told[place + 1 :]]
        with pytest.raises((AssertionError, IndexError, KeyError)):
            PLACES[client](b"".join(changed))
            pytest.fail(f"{change}: {event!r}")


RESULTS = {
    "chat": lambda call: {"role": "tool", "tool_call_id": call, "content": "Fog"},
    "messages": lambda call: {"type": "tool_result", "tool_use_id": call, "content": "Fog"},
    "responses": lambda call: {"type": "function_call_output", "call_id": call, "output": "Fog"},
}


@pytest.mark.parametrize("cell", [c for c in CELLS if c.scenario.name == "thinking-and-tools"], ids=str)
def test_what_was_thought_goes_back_as_it_came(cell: Cell) -> None:
    """The client sends back what its SDK made of the answer: the upstream gets its own words, its proofs and its ids."""
    status, body, _ = cell.answer(list(cell.script.pieces))
    found = read(cell.client, cell.way, status, body)
    request = json.loads(cell.request)
    results = [RESULTS[cell.client](call.id) for call in found.meaning.call]
    if cell.client == "messages":
        request["messages"] += [found.turn, {"role": "user", "content": results}]
    else:
        request["messages" if cell.client == "chat" else "input"] += (
            [found.turn, *results] if cell.client == "chat" else [*found.turn, *results]
        )
    host = cell.scenario.script(cell.upstream, "plain").body
    went = _next_turn(cell, json.dumps(request).encode())
    came = DIALECTS[cell.upstream].read_answer(host).blocks
    kept = [
        msgspec.structs.replace(part, item_id=None) if hasattr(part, "item_id") else part for part in went
    ]
    own = [msgspec.structs.replace(part, item_id=None) if hasattr(part, "item_id") else part for part in came]
    assert [_words(part) for part in kept] == [_words(part) for part in own]


def _next_turn(cell: Cell, request: bytes):  # type: ignore[no-untyped-def]
    """The parts of the assistant's last turn as the upstream reads them."""
    again = Cell(cell.scenario, cell.client, cell.upstream, cell.way)
    form = DIALECTS[cell.client].read_request(request)
    passage = again.passage_of(request)
    sent = DIALECTS[cell.upstream].read_request(again.sent(passage))
    assert form.turns[-1].parts == sent.turns[-1].parts
    return sent.turns[-2].parts


def _words(part: object) -> object:
    found = msgspec.json.decode(msgspec.json.encode(part))
    if "arguments" in found:
        found["arguments"] = json.loads(found["arguments"])
    return found


@pytest.mark.parametrize("cell", [cell for cell in CELLS if cell.right.provenance == "reported"], ids=str)
def test_what_it_costs(cell: Cell) -> None:
    usage, (pico, currency) = cell.usage(), cell.cost()
    applied = price_call((cell.scenario.price(),), usage.prompt, begun_us=0, ended_us=0)
    assert applied is not None and (cost(applied, usage), applied.currency) == (pico, currency)


@pytest.mark.parametrize("upstream", ["messages", "responses"])
def test_a_client_of_chat_that_asks_for_no_usage_gets_no_tail_chunk(upstream: str) -> None:
    cell = Cell(SCENARIOS["text"], "chat", upstream, "streamed")
    request = json.loads(cell.request)
    del request["stream_options"]
    passage = cell.passage_of(json.dumps(request).encode())
    cell.sent(passage)
    meter = passage.meter()
    said = meter.feed(cell.script.body) + meter.tail()
    assert b'"choices":[]' not in said and b'"usage"' not in said and said.endswith(b"data: [DONE]\n\n")
    assert meter.settled(0) == cell.usage()
