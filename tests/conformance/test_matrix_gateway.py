"""The matrix through the whole gateway, in processes of its own: what goes upstream, the client's bytes, the ledger's entry."""

import json
import re
from collections.abc import Iterator

import openai
import pytest
from gateway_door import Door, answered, asked, attempts, opened, polled, price_line, reached, settled
from matrix_case import BROKE, CELLS, UPSTREAM_MODEL, Cell
from scripted_upstream import PATIENCE_S, ScriptedUpstream
from sdk_readers import read, told

from tokenweir.ledger.verify import verify
from tokenweir.protocol.wires import WIRES

#: What each upstream takes, as `matrix_case.HOSTS` has it; of chat it is what ships for any address.
_TABLES = {"responses": "[upstream.responses]\nreasoning_text = true\n"}
_INPUT = re.compile(rb'"(?:prompt|input|total)_tokens":\d+')
#: A model for each cell, and one whose responses are kept.
MODELS = {str(cell): cell for cell in CELLS}
MODELS["kept"] = MODELS["text-responses-from-chat-plain"]


def settings(upstream: ScriptedUpstream) -> Iterator[str]:
    """An upstream and a model for each cell, both named as the cell."""
    for name, cell in MODELS.items():
        url = f"http://127.0.0.1:{upstream.port}/{name}/1"
        yield f'[[upstream]]\nname = "{name}"\nkind = "openai"\nurl = "{url}"\n'
        yield f'dialects = ["{cell.upstream}"]\n' + _TABLES.get(cell.upstream, "")
        yield f'[[model]]\nname = "{name}"\ndeployments = ["{name}/{UPSTREAM_MODEL}"]\n'
        yield price_line(cell.scenario.toml.price)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    upstream = ScriptedUpstream({name: (cell.script,) for name, cell in MODELS.items()})
    directory, server = tmp_path_factory.mktemp("matrix"), "keep_responses = true\n"
    with opened(directory, upstream, list(settings(upstream)), server) as door:
        yield door


def ask(door: Door, cell: Cell) -> tuple[int, str, bytes] | None:
    """Status, dropped names and body as the client gets them, up to where it hangs up; None: it has to ask again."""
    body = json.dumps(json.loads(cell.request) | {"model": str(cell)}, ensure_ascii=False).encode()
    key = door.limited if cell.scenario.toml.granted else door.key
    with asked(door, f"/v1{WIRES[cell.client].path}", key, body) as connection:
        hangs_up = cell.right.status == 0
        if hangs_up and cell.way == "plain":
            return (0, "", b"") if reached(door, str(cell), connection) else None
        answer = answered(connection)
        if answer is None:
            return None
        said = answer.read(len(_right_body(cell))) if hangs_up else answer.read()
        return answer.status, answer.headers.get("x-weir-dropped", ""), said


def _right_body(cell: Cell) -> bytes:
    if cell.as_it_is:
        body = cell.script.body
        return body if cell.script.end == "whole" else body[: body.rindex(b"\n\n") + 2]
    return cell.client_file.read_bytes()


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_cell(door: Door, cell: Cell) -> None:
    status, dropped, said = polled(lambda: ask(door, cell), "an answer")
    (detail,) = settled(door, str(cell), 1)
    pico, currency = cell.cost()
    assert attempts(detail) == [(cell.right.outcome, cell.usage(str(cell)), pico, currency)]
    (sent,) = door.upstream.seen[str(cell), 1]
    assert json.loads(sent) == cell.right_request
    if cell.script.end == "hold":
        assert door.upstream.hung_up[str(cell)].wait(PATIENCE_S), "the upstream was left running"
    if cell.right.status == 0:
        assert said == (_right_body(cell) if cell.way == "streamed" else b"")
        return
    assert status == cell.status
    if status == 200 and cell.right.outcome == "ok":
        assert dropped == ", ".join(cell.dropped)
    if cell.script.end == "cut":
        found = read(cell.client, cell.way, status, said)
        assert BROKE in found.meaning.error if cell.way == "streamed" else found.meaning.error
        said = re.sub(rb'"message":"[^"]*' + BROKE.encode(), b'"message":"' + BROKE.encode(), said)
        if cell.way == "plain":
            assert "in the middle of its answer" in found.meaning.error
            return
    right = _right_body(cell)
    if cell.capped:  # what went in is counted from the request, which names another model here
        found = read(cell.client, cell.way, status, said)
        assert found.usage == told(cell.usage(str(cell)), cell.client)
        said, right = (_INPUT.sub(b"", body) for body in (said, right))
    if cell.straight and cell.script.end == "cut":
        assert said.startswith(right)
    elif cell.as_it_is or (cell.way == "streamed" and cell.script.status == 200):
        assert said == right.replace(
            b'"model":"' + cell.scenario.name.encode(), b'"model":"' + str(cell).encode()
        )
    else:
        assert json.loads(said) == json.loads(right)


def test_a_kept_response_that_is_fetched_again_is_no_call(door: Door) -> None:
    """BerriAI/litellm#17814: fetched answers were billed again."""
    client = openai.OpenAI(base_url=f"http://127.0.0.1:{door.port}/v1", api_key=door.key)
    with client:
        made = client.responses.create(model="kept", input="In words.", store=True)
        again = [client.responses.retrieve(made.id) for _ in range(3)]
    assert {found.output_text for found in again} == {made.output_text}
    (detail,) = settled(door, "kept", 1)
    assert [usage for _, usage, _, _ in attempts(detail)] == [MODELS["kept"].usage()]
    assert verify(door.data).ok and len(settled(door, "kept", 1)) == 1


def test_the_ledger_of_the_matrix_replays(door: Door) -> None:
    report = verify(door.data)
    assert report.ok, report.problems
