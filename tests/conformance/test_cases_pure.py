"""Every case through the protocol's code alone, with no I/O: however the answer is cut, the same comes out."""

import pytest
from wire_case import ALL, ERROR_EVENT, Case, Script

from tokenweir.catalog.pricing import cost, price_call
from tokenweir.core.money import parse_amount
from tokenweir.core.usage import Provenance
from tokenweir.protocol.answers import broken_usage, prompt_text_bytes

ANSWERED = [
    pytest.param(case, number, id=f"{case.name}-{number + 1}")
    for case in ALL.values()
    for number, script in enumerate(case.upstream)
    if script.status == 200
]


def cuts(script: Script) -> list[list[bytes]]:
    """As recorded, whole, byte by byte, and in two at every place."""
    body = script.body
    return [
        list(script.pieces),
        [body],
        [bytes([byte]) for byte in body],
        *([body[:place], body[place:]] for place in range(1, len(body))),
    ]


@pytest.mark.parametrize(("case", "number"), ANSWERED)
def test_one_right_reading(case: Case, number: int) -> None:
    script, expected = case.upstream[number], case.usage(number)
    prompt_bytes = prompt_text_bytes(case.request)
    if not script.streamed:
        if script.end == "whole":
            usage = case.passage().whole(script.body)[1].settled(prompt_bytes)
        else:
            usage = broken_usage(prompt_bytes, script.status, len(script.body))
        assert usage == expected or case.toml.client.hangs_up
        return
    outcome = case.toml.attempt[number].outcome
    for pieces in cuts(script):
        meter = case.passage().meter()
        passed = b"".join([meter.feed(piece) for piece in pieces])
        assert meter.settled(prompt_bytes) == expected, pieces
        if script.end == "whole":
            assert (meter.finished and meter.error is None) == (outcome == "ok"), pieces
            assert (meter.error is not None) >= (outcome == "upstream_error"), pieces
        if number == len(case.upstream) - 1:
            wanted = script.body if case.client_body is None else case.client_body
            own = wanted.partition(ERROR_EVENT)[0]
            tail = meter.tail() if ERROR_EVENT not in wanted else b""
            assert passed + tail == own, pieces


@pytest.mark.parametrize("case", ALL.values(), ids=list(ALL))
def test_one_right_cost(case: Case) -> None:
    if case.toml.listed:
        _costs_as_listed(case)
        return
    for number in range(len(case.upstream)):
        usage, (pico, currency) = case.usage(number), case.cost(number)
        if case.toml.price is None:
            assert (pico, currency) == (None, "")
            continue
        applied = price_call((case.price(),), usage.prompt, begun_us=0, ended_us=0)
        assert applied is not None and applied.currency == currency
        assert pico == (None if usage.provenance is Provenance.UNKNOWN else cost(applied, usage))


def _costs_as_listed(case: Case) -> None:
    prices, usage = case.listed_prices(), case.usage(0)
    assert case.toml.at
    for at in case.toml.at:
        begun_us, ended_us = (int(moment.timestamp()) * 1_000_000 for moment in (at.begun, at.ended))
        applied = price_call(prices, usage.prompt, begun_us=begun_us, ended_us=ended_us)
        assert applied is not None
        ((currency, amount),) = at.cost.items()
        assert (cost(applied, usage), applied.currency) == (parse_amount(amount), currency), at.begun
