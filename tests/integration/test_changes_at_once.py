"""Two who change the same record at the same moment: neither loses what the other has said."""

import multiprocessing
import os
from itertools import pairwise
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import msgspec
import pytest
from admin_inside import desk_of, inside
from command_line import writer_of
from made_terms import key

from tokenweir.admin import desk
from tokenweir.cli.accounts_command import AccountWords, set_account
from tokenweir.cli.keys_command import KeyWords, set_key
from tokenweir.core.clock import FakeClock
from tokenweir.core.errors import LedgerError, OutdatedError
from tokenweir.ledger import changing
from tokenweir.ledger.changing import decided_anew, make_changes
from tokenweir.ledger.new_key import make_key
from tokenweir.ledger.service import take_lock
from tokenweir.ledger.terms import AccountRecord, Limit, RevokeKey, SetAccount, SetKey, SetLimit
from tokenweir.ledger.views.terms import changes, terms_now

CLOCK = FakeClock(1_795_392_000_000_000)
TIMES = 12


def _names(data: Path, meet: Barrier) -> None:
    meet.wait()
    for number in range(TIMES):
        set_account(data, "acme", AccountWords(name=f"name {number}"), False, True, CLOCK)


def _zones(data: Path, meet: Barrier) -> None:
    meet.wait()
    for number in range(TIMES):
        zone = ("UTC", "Asia/Shanghai")[number % 2]
        set_account(data, "acme", AccountWords(time_zone=zone), False, True, CLOCK)


@pytest.mark.parametrize("beside", [False, True])
def test_two_processes_lose_nothing_of_each_other(tmp_path: Path, beside: bool) -> None:
    """Each changes a field of its own; one that wrote back what it had read before would undo the other's."""
    make_changes(tmp_path, [SetAccount(AccountRecord("acme"))], CLOCK)
    started = multiprocessing.get_context("spawn")
    meet = started.Barrier(2)
    writer = writer_of(tmp_path) if beside else None
    if writer is not None:
        writer.__enter__()
    both = [started.Process(target=play, args=(tmp_path, meet)) for play in (_names, _zones)]
    for process in both:
        process.start()
    for process in both:
        process.join()
    if writer is not None:
        writer.__exit__(None, None, None)
    assert [process.exitcode for process in both] == [0, 0]
    made = [one.change.account for one in changes(tmp_path) if isinstance(one.change, SetAccount)]
    assert len(made) == 1 + 2 * TIMES
    for before, after in pairwise(made):  # each says one thing
        assert (before.name != after.name) + (before.time_zone != after.time_zone) == 1


def test_what_was_decided_by_older_terms_is_refused_where_it_replaces_the_same_record(tmp_path: Path) -> None:
    make_changes(tmp_path, [SetAccount(AccountRecord("a")), SetKey(key("k", "a"))], CLOCK)
    terms = terms_now(tmp_path)
    assert terms.seq == 2
    assert make_changes(tmp_path, [SetLimit("key/k", Limit("calls", 1, "day"))], CLOCK, after=terms.seq) == ""
    assert make_changes(tmp_path, [SetAccount(AccountRecord("a", name="A"))], CLOCK, after=terms.seq) == ""
    for change in (SetAccount(AccountRecord("a")), RevokeKey("k", 1)):
        if isinstance(change, RevokeKey):
            make_changes(tmp_path, [SetKey(key("k", "a", run="r"))], CLOCK)
        with pytest.raises(OutdatedError, match="decide anew"):
            make_changes(tmp_path, [change], CLOCK, after=terms.seq)
    assert make_changes(tmp_path, [SetAccount(AccountRecord("b"))], CLOCK, after=terms.seq) == ""


def test_deciding_anew_has_an_end() -> None:
    tried: list[int] = []

    @decided_anew
    def decide() -> None:
        tried.append(1)
        raise OutdatedError("again")

    with pytest.raises(OutdatedError):
        decide()
    assert len(tried) == changing.DECIDED_AT_MOST


def test_the_admin_api_decides_anew_where_the_command_line_was_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its look at the terms and its change comes one from the command line."""
    record, secret = make_key("boss", "acme", now_us=CLOCK.now_us(), random_bytes=bytes)
    owner = msgspec.structs.replace(record, role="owner")
    make_changes(
        tmp_path, [SetAccount(AccountRecord("acme")), SetKey(owner), SetKey(key("k", "acme"))], CLOCK
    )
    ask = inside(desk_of(tmp_path, CLOCK))
    faster = [lambda: set_key(tmp_path, "k", KeyWords(name="renamed"), True, CLOCK)]

    def beaten(*args: Any, **kwargs: Any) -> str:
        if faster:
            faster.pop()()
        return make_changes(*args, **kwargs)

    monkeypatch.setattr(desk, "make_changes", beaten)
    status, told = ask(secret, "PATCH", "/keys/k", {"models": ["kimi-k2"]})
    assert status == 200, told
    assert (told["name"], told["models"]) == ("renamed", ["kimi-k2"])


def test_a_writer_that_stands_by_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changing, "START_PAUSE_S", 0.0)
    lock = take_lock(tmp_path)
    told = rf"nothing was changed: .*written by process {os.getpid()}, which does not answer; where it stands by .* do this there"
    with pytest.raises(LedgerError, match=told):
        make_changes(tmp_path, [SetAccount(AccountRecord("a"))], CLOCK)
    os.close(lock)
    assert make_changes(tmp_path, [SetAccount(AccountRecord("a"))], CLOCK) == ""
