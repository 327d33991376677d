"""A run that is over: its first refusal is told at once, further ones wait for its end, and nobody else waits with them."""

import json
import select
from collections.abc import Iterator
from pathlib import Path

import pytest
from http_parts import Door, Wire, free_port, raw_upstream, wait_for

from tokenweir.cli.system import SystemClock, random_bytes
from tokenweir.gateway.runs import HOLD_US, MOST_HELD, MOST_RESULTS, MOST_RUNS, Runs
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.messages import LimitState, OpenResult
from tokenweir.ledger.new_key import make_key
from tokenweir.ledger.terms import KeyRecord, Limit, RevokeKey, SetKey, SetLimit
from tokenweir.ledger.views import open_reader

CLOCK = SystemClock()


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    door = Door(tmp_path, raw_upstream(free_port()), server="workers = 1")
    yield door
    assert door.stop() == 0


def key_of(door: Door, run: str, *, launched: bool) -> tuple[str, str]:
    """A key of a run that has no token left: its id and secret."""
    key, secret = make_key(run, "default", now_us=CLOCK.now_us(), random_bytes=random_bytes)
    record = KeyRecord(**{**key_members(key), "run": run, "launched": launched})
    spent = SetLimit(f"run/{run}", Limit("tokens", 1, "total"))
    assert make_changes(door.data, [spent, SetKey(record)], CLOCK) == ""
    return key.id, secret


def key_members(key: KeyRecord) -> dict[str, object]:
    return {name: getattr(key, name) for name in key.__struct_fields__}


def asks(door: Door, secret: str) -> Wire:
    wire = door.connect()
    wire.send(door.chat().replace(door.key.encode(), secret.encode()))
    return wire


def refused(door: Door, run: str) -> int:
    db = open_reader(door.data)
    try:
        return int(
            db.execute("SELECT count(*) FROM entries WHERE kind = 'refused' AND run = ?", (run,)).fetchone()[
                0
            ]
        )
    finally:
        db.close()


def is_silent(wire: Wire) -> bool:
    return not select.select([wire.sock], [], [], 0)[0]


def test_further_refusals_wait_for_the_runs_end_and_nobody_else_does(door: Door) -> None:
    key, secret = key_of(door, "run_a", launched=True)
    with asks(door, secret) as first:
        assert first.message().status == 402
    with asks(door, secret) as second, asks(door, secret) as third:
        wait_for(lambda: refused(door, "run_a") == 3, "the refusals")
        _, other = key_of(door, "run_b", launched=True)
        with asks(door, other) as another:
            assert another.message().status == 402
        assert door.ask(door.chat()).status == 502  # its upstream is away; the gateway is not
        assert is_silent(second) and is_silent(third)
        make_changes(door.data, [RevokeKey(key, CLOCK.now_us())], CLOCK)
        assert [wire.message().status for wire in (second, third)] == [402, 402]
    with asks(door, secret) as late:
        assert late.message().status == 401


def test_a_key_that_no_launcher_watches_is_refused_at_once(door: Door) -> None:
    _, secret = key_of(door, "by-hand", launched=False)
    for _ in range(3):
        with asks(door, secret) as wire:
            assert wire.message().status == 402


def test_a_gateway_that_ends_lets_go_of_all_of_them(door: Door) -> None:
    _, secret = key_of(door, "run_c", launched=True)
    with asks(door, secret) as first:
        first.message()
    with asks(door, secret) as held, asks(door, secret) as gone:
        wait_for(lambda: refused(door, "run_c") == 3, "the refusals")
        gone.sock.close()
        assert door.stop() == 0
        answer = held.message()
        assert answer.status == 402 and json.loads(answer.body)["error"]["code"] == "insufficient_quota"


class Call:
    def __init__(self, key: KeyRecord) -> None:
        self.key, self.told = key, False

    def let_go(self) -> None:
        self.told = True


KEY = KeyRecord("k", "k", "a", b"h", "h", 0, run="r", launched=True)
TOTAL, MINUTE = (LimitState(Limit("tokens", 1, window), 1, 0, None) for window in ("total", "minute"))


@pytest.mark.parametrize(
    ("result", "ends"),
    [
        (OpenResult(1, 0, "limit", TOTAL, again=1), True),
        (OpenResult(1, 0, "unpriced", TOTAL, again=3), True),
        (OpenResult(1, 0, "account_closed", again=1), True),
        (OpenResult(1, 0, "limit", TOTAL), False),
        (OpenResult(1, 0, "limit", MINUTE, again=1), False),
        (OpenResult(1, 0, "key_revoked", again=1), False),
        (OpenResult(1, 10, again=1), False),
    ],
)
def test_what_is_held_back_is_a_further_refusal_that_stays(result: OpenResult, ends: bool) -> None:
    runs = Runs(lambda: 0, lambda _: True)
    assert runs.ends(KEY, result) is ends
    assert not runs.ends(KeyRecord("k", "k", "a", b"h", "h", 0, run="r"), result)


def test_it_is_held_no_longer_than_its_time_and_there_are_never_many() -> None:
    now, live = [0], [True]
    runs = Runs(lambda: now[0], lambda _: live[0])
    calls = [Call(KEY) for _ in range(MOST_HELD + 1)]
    assert [runs.hold(call) for call in calls] == [True] * MOST_HELD + [False]  # type: ignore[arg-type]
    runs.forget(calls[0])  # type: ignore[arg-type]
    now[0] = HOLD_US - 1
    runs.tick()
    assert not any(call.told for call in calls)
    now[0] = HOLD_US
    runs.tick()
    assert [call.told for call in calls] == [False] + [True] * (MOST_HELD - 1) + [False]
    later = Call(KEY)
    assert runs.hold(later)  # type: ignore[arg-type]
    live[0] = False
    runs.tick()
    assert later.told


def test_what_was_told_of_runs_is_remembered_within_bounds() -> None:
    runs = Runs(lambda: 0, lambda _: True)
    runs.tell("r0", [("t", f"i{n}", 0) for n in range(MOST_RESULTS + 5)])
    assert ("t", f"i{MOST_RESULTS + 4}", 0) in runs.told("r0") and ("t", "i4", 0) not in runs.told("r0")
    for number in range(1, MOST_RUNS + 1):
        runs.tell(f"r{number}", [("t", "i", 0)])
    assert ("t", "i9", 0) not in runs.told("r0") and ("t", "i", 0) in runs.told(f"r{MOST_RUNS}")
