"""A call may not come to take much more work unseen: its bytecodes are counted, on a fixed exchange, without a clock."""

import pytest

from bench.bytecodes import MEASURED, VERSION, of_a_call, recorded

#: Of what is recorded; growth beyond it has to be meant, and recorded with `python -m bench.bytecodes --write`.
MOST = 1.10


@pytest.mark.parametrize("name", MEASURED)
def test_a_call_takes_no_more_bytecodes_than_recorded(name: str) -> None:
    known = recorded()
    if VERSION not in known:
        pytest.skip(f"nothing is recorded for Python {VERSION}")
    each = of_a_call(name)
    total = sum(each.values())
    most = list(each.items())[:8]
    assert total <= MOST * known[VERSION][name], f"{total:.0f} bytecodes a call; the most are in {most}"
    assert total >= known[VERSION][name] / MOST / MOST, "a call takes far less: record it anew"
