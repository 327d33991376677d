"""Work of the admin API that lasts longer than its answer is waited for: it becomes a job, which is asked after."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from admin_inside import ask as ask_app
from admin_inside import desk_of, inside

from tokenweir.admin import app, verifying, works
from tokenweir.admin.app import make_app
from tokenweir.admin.desk import Desk
from tokenweir.core.clock import FakeClock
from tokenweir.core.errors import LedgerError
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.new_key import make_key
from tokenweir.ledger.terms import AccountRecord, RemoveLimit, SetAccount, SetKey
from tokenweir.ledger.verify import Verification, verify

CLOCK = FakeClock(1_795_392_000_000_000)
WAIT_S = 20.0


class Place:
    """A ledger with a key for each role, and its desk."""

    def __init__(self, data: Path, clock: FakeClock) -> None:
        self.data, self.clock = data, clock
        self.desk: Desk = desk_of(data, clock)
        self.secrets: dict[str, str] = {}
        changes: list[Any] = [SetAccount(AccountRecord("acme"))]
        for number, role in enumerate(("owner", "auditor", "other auditor", "member")):
            record, secret = make_key(
                role, "acme", now_us=clock.now_us(), random_bytes=lambda n, x=number: bytes([x]) * n
            )
            self.secrets[role] = secret
            changes.append(SetKey(msgspec.structs.replace(record, role=role.split()[-1])))
        make_changes(data, changes, clock)

    def ask(self, role: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
        return inside(self.desk)(self.secrets[role], method, path, body)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path, FakeClock(1_795_392_000_000_000))


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """A verification goes on until this is set."""
    go_on = threading.Event()

    def wait_and_verify(data: Path) -> Verification:
        assert go_on.wait(WAIT_S)
        return verify(data)

    monkeypatch.setattr(verifying, "verify", wait_and_verify)
    yield go_on
    go_on.set()


@pytest.fixture
def held(slow: threading.Event, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """The same, and nobody waits for an answer."""
    monkeypatch.setattr(app, "WAIT_S", 0.0)
    return slow


def ended(place: Place) -> None:
    for work in place.desk.works.known():
        assert work.done.wait(WAIT_S)


def test_what_is_soon_done_is_answered_at_once(place: Place) -> None:
    status, told = place.ask("auditor", "GET", "/verify")
    assert (status, told) == (200, {"ok": True, "entries": 0, "calls": 0, "open_calls": 0, "problems": []})
    assert place.ask("auditor", "GET", "/jobs") == (200, {"items": [], "next": None})
    assert place.ask("member", "GET", "/verify")[0] == 403


def test_what_takes_longer_becomes_a_job_of_who_asked(place: Place, held: threading.Event) -> None:
    status, told = place.ask("auditor", "GET", "/verify")
    assert (status, told) == (202, None)
    (job,) = place.ask("auditor", "GET", "/jobs")[1]["items"]
    assert (job["state"], job["operation"], job["result"], job["ended"]) == (
        "running",
        "verify_ledger",
        None,
        None,
    )
    path = f"/jobs/{job['id']}"
    assert place.ask("other auditor", "GET", path)[0] == 404
    assert place.ask("other auditor", "GET", "/jobs")[1]["items"] == []
    assert place.ask("owner", "GET", path)[0] == 200
    held.set()
    ended(place)
    job = place.ask("auditor", "GET", path)[1]
    assert (job["state"], job["status"], job["result"]["ok"], job["error"]) == ("done", 200, True, None)


def test_where_it_is_asked_for_every_long_answer_is_a_job(place: Place, slow: threading.Event) -> None:
    sent: list[tuple[bytes, bytes]] = []
    status, _ = ask_app(
        make_app(place.desk), "GET", "/api/v1/verify", b"", b"", place.secrets["owner"].encode(),
        more=[(b"prefer", b"respond-async")], headers=sent,
    )  # fmt: skip
    slow.set()
    ended(place)
    (work,) = place.desk.works.known()
    assert status == 202
    assert dict(sent)[b"location"] == f"/api/v1/jobs/{work.id}".encode()


def test_what_is_refused_in_the_end_is_told_by_the_job(
    place: Place, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    for fault, code in ((LedgerError("the disk is gone"), "unavailable"), (ZeroDivisionError(), "failed")):
        held.clear()

        def fails(_data: Path, fault: Exception = fault) -> Verification:
            assert held.wait(WAIT_S)
            raise fault

        monkeypatch.setattr(verifying, "verify", fails)
        assert place.ask("auditor", "GET", "/verify")[0] == 202
        held.set()
        ended(place)
        jobs = place.ask("auditor", "GET", "/jobs")[1]["items"]
        assert [job["state"] for job in jobs if job["error"]["code"] == code] == ["refused"]
    assert place.ask("auditor", "POST", "/invoices", {"account": "acme", "month": "2026-11"})[0] == 403


def test_there_are_only_so_many_and_none_stays_for_ever(
    place: Place, held: threading.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(works.MOST_RUNNING):
        assert place.ask("auditor", "GET", "/verify")[0] == 202
    status, told = place.ask("auditor", "GET", "/verify")
    assert (status, told["code"]) == (409, "busy")
    held.set()
    ended(place)
    monkeypatch.setattr(works, "MOST_KEPT", 3)
    assert len(place.desk.works.known()) == 2  # and one more has room
    place.clock.step(works.KEPT_S * 1_000_000 + 1)
    assert place.ask("auditor", "GET", "/jobs") == (200, {"items": [], "next": None})


def test_a_limit_that_is_lifted_while_it_is_set_is_told_as_it_was_made(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its change and its answer somebody lifts it."""
    from tokenweir.admin import desk

    def lifted(data: Path, changes: Any, clock: Any, *more: Any, **words: Any) -> str:
        told = make_changes(data, changes, clock, *more, **words)
        make_changes(data, [RemoveLimit("account/acme", "", "calls", "day")], clock)
        return told

    monkeypatch.setattr(desk, "make_changes", lifted)
    status, told = place.ask("owner", "PUT", "/limits", {"scope": "account/acme", "text": "7 calls/day"})
    assert (status, told["amount"], told["text"]) == (200, "7", "7 calls/day")
