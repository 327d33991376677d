"""Every case through the whole gateway, in processes of its own: the client's bytes and the ledger's entry."""

import contextlib
import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse

import pytest
from gateway_door import Door, attempts, opened, price_line, settled
from scripted_upstream import PATIENCE_S, ScriptedUpstream
from wire_case import ALL, Case

from tokenweir.ledger.verify import verify
from tokenweir.protocol.translate.table import DIALECTS


def settings(upstream: ScriptedUpstream) -> Iterator[str]:
    """An upstream for each attempt of each case, and a model named as the case."""
    for case in ALL.values():
        names = [f"{case.name}.{number + 1}" for number in range(len(case.upstream))]
        for number, name in enumerate(names, 1):
            url = f"http://127.0.0.1:{upstream.port}/{case.name}/{number}"
            yield f'[[upstream]]\nname = "{name}"\nkind = "openai"\nurl = "{url}"\n'
            if case.spoken in DIALECTS:
                yield f'dialects = ["{case.spoken}"]\n'
        deployments = [f"{name}/upstream-model" for name in names]
        yield f'[[model]]\nname = "{case.name}"\ndeployments = {json.dumps(deployments)}\n'
        if case.toml.price is not None:
            yield price_line(case.toml.price)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    upstream = ScriptedUpstream({name: case.upstream for name, case in ALL.items()})
    with opened(tmp_path_factory.mktemp("conformance"), upstream, list(settings(upstream))) as door:
        yield door


def ask(door: Door, case: Case) -> tuple[int, str, bytes]:
    """Status, call and body as the client gets them, up to where it hangs up."""
    with contextlib.closing(HTTPConnection("127.0.0.1", door.port, timeout=PATIENCE_S)) as connection:
        headers = {"authorization": f"Bearer {door.key}", "content-type": "application/json"}
        connection.request("POST", case.toml.path, case.request, headers)
        if case.toml.client.hangs_up and case.client_body is None:
            assert door.upstream.arrived[case.name].wait(PATIENCE_S)
            return 0, "", b""
        answer: HTTPResponse = connection.getresponse()
        if case.toml.client.hangs_up:
            assert case.client_body is not None
            body = answer.read(len(case.client_body))
        else:
            body = answer.read()
        return answer.status, answer.headers["x-weir-call"], body


@pytest.mark.parametrize("case", ALL.values(), ids=list(ALL))
def test_the_client_and_the_ledger_get_what_is_right(door: Door, case: Case) -> None:
    answers = [ask(door, case) for _ in range(case.toml.client.times)]
    details = settled(door, case.name, case.toml.client.times)
    for status, call, body in answers:
        if case.client_body is not None or not case.toml.client.hangs_up:
            assert status == case.toml.client.status
            assert case.gets(body), body
            assert call in {detail.row.call for detail in details if detail.row}
    for detail in details:
        assert attempts(detail) == [
            (expected.outcome, case.usage(number), *case.cost(number))
            for number, expected in enumerate(case.toml.attempt)
        ]
    if any(script.end == "hold" for script in case.upstream):
        assert door.upstream.hung_up[case.name].wait(PATIENCE_S), "the upstream was left running"
    for number in range(1, len(case.upstream) + 1):
        for body in door.upstream.seen[case.name, number]:
            sent = json.loads(body)
            assert sent["model"] == "upstream-model"
            assert {name: sent.get(name) for name in case.toml.sent} == case.toml.sent


def test_the_ledger_of_all_cases_replays(door: Door) -> None:
    report = verify(door.data)
    assert report.ok, report.problems
