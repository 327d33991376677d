"""Every case through the whole gateway, in processes of its own: the client's bytes and the ledger's entry."""

import json
from collections.abc import Iterator

import pytest
from gateway_door import Door, answered, asked, attempts, opened, polled, price_line, reached, settled
from scripted_upstream import PATIENCE_S, ScriptedUpstream
from wire_case import ALL, Case

from tokenweir.catalog.pricing import cost, price_call
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import CallDetail
from tokenweir.protocol.translate.table import DIALECTS


def settings(upstream: ScriptedUpstream) -> Iterator[str]:
    """An upstream for each attempt of each case, and a model named as the case."""
    for case in ALL.values():
        names = [f"{case.name}.{number + 1}" for number in range(len(case.upstream + case.spare))]
        for number, name in enumerate(names, 1):
            url = f"http://127.0.0.1:{upstream.port}/{case.name}/{number}"
            yield f'[[upstream]]\nname = "{name}"\nkind = "{case.kind}"\nurl = "{url}"\napi_key = "k"\n'
            if case.spoken in DIALECTS:
                yield f'dialects = ["{case.spoken}"]\n'
        deployments = [f"{name}/{case.sent_model}" for name in names]
        yield f'[[model]]\nname = "{case.name}"\ndeployments = {json.dumps(deployments)}\n'
        if case.toml.price is not None:
            yield price_line(case.toml.price)


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    upstream = ScriptedUpstream({name: case.upstream + case.spare for name, case in ALL.items()})
    with opened(tmp_path_factory.mktemp("conformance"), upstream, list(settings(upstream))) as door:
        yield door


def ask(door: Door, case: Case) -> tuple[int, str, bytes] | None:
    """Status, call and body as the client gets them, up to where it hangs up; None: it has to ask again."""
    with asked(door, case.toml.path, door.key, case.request) as connection:
        if case.toml.client.hangs_up and case.client_body is None:
            return (0, "", b"") if reached(door, case.name, connection) else None
        answer = answered(connection)
        if answer is None:
            return None
        if case.toml.client.hangs_up:
            assert case.client_body is not None
            body = answer.read(len(case.client_body))
        else:
            body = answer.read()
        return answer.status, answer.headers["x-weir-call"], body


@pytest.mark.parametrize("case", ALL.values(), ids=list(ALL))
def test_the_client_and_the_ledger_get_what_is_right(door: Door, case: Case) -> None:
    answers = [polled(lambda: ask(door, case), "an answer") for _ in range(case.toml.client.times)]
    details = settled(door, case.name, case.toml.client.times)
    for status, call, body in answers:
        if case.client_body is not None or not case.toml.client.hangs_up:
            assert status == case.toml.client.status
            assert case.gets(body), body
            assert call in {detail.row.call for detail in details if detail.row}
    for detail in details:
        assert attempts(detail) == [
            (expected.outcome, case.usage(number), *(_listed(case, detail) or case.cost(number)))
            for number, expected in enumerate(case.toml.attempt)
        ]
    if any(script.end == "hold" for script in case.upstream):
        assert door.upstream.hung_up[case.name].wait(PATIENCE_S), "the upstream was left running"
    for number in range(len(case.spare)):
        assert (case.name, len(case.upstream) + 1 + number) not in door.upstream.seen, "a spare one was asked"
    for number in range(1, len(case.upstream) + 1):
        for body in door.upstream.seen[case.name, number]:
            sent = json.loads(body)
            assert sent["model"] == case.sent_model
            assert {name: sent.get(name) for name in case.toml.sent} == case.toml.sent


def _listed(case: Case, detail: CallDetail) -> tuple[int, str] | None:
    """What the catalog says that the call costs: it was made just now, whatever the hour is."""
    if not case.toml.listed:
        return None
    opened, end = detail.entries[0].entry, detail.entries[-1].entry
    usage = case.usage(0)
    applied = price_call(case.listed_prices(), usage.prompt, begun_us=opened.at_us, ended_us=end.at_us)
    assert applied is not None
    return cost(applied, usage), applied.currency


def test_the_ledger_of_all_cases_replays(door: Door) -> None:
    report = verify(door.data)
    assert report.ok, report.problems
