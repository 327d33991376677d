"""Responses kept in a real SQLite file: who sees them, how long they live, what a collision does."""

import asyncio
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tokenweir.gateway import response_keeper
from tokenweir.gateway.config import KeepLimits
from tokenweir.gateway.response_keeper import ResponseKeeper
from tokenweir.gateway.response_store import (
    DATABASE_NAME,
    ResponseStore,
    ResponseStoreError,
    SqliteResponseStore,
)
from tokenweir.protocol.stored_responses import MOST_RESPONSES, KeptResponse

DAY_US = 24 * 3600 * 1_000_000


class Clock:
    now_us = 1_000 * DAY_US


def response(name: str, previous: str | None = None, size: int = 10) -> KeptResponse:
    return KeptResponse(name, previous, b"[]", b"x" * (size - 2))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> Iterator[SqliteResponseStore]:
    limits = KeepLimits(max_bytes=100, max_age_s=10 * 24 * 3600)
    opened = SqliteResponseStore(tmp_path, limits, lambda: clock.now_us)
    yield opened
    opened.close()


def ids(found: list[KeptResponse] | None) -> list[str] | None:
    return None if found is None else [kept.id for kept in found]


def test_a_conversation_is_found_from_its_end(store: SqliteResponseStore) -> None:
    store.put("ann", response("a"))
    store.put("ann", response("b", "a"))
    store.put("ann", response("b2", "a"))
    store.put("ann", response("c", "b"))
    assert ids(store.chain("ann", "c")) == ["a", "b", "c"]
    assert ids(store.chain("ann", "b2")) == ["a", "b2"]
    assert store.get("ann", "b") == response("b", "a")
    assert store.chain("ann", "z") is None


def test_nobody_sees_what_is_another_s(store: SqliteResponseStore) -> None:
    store.put("ann", response("a"))
    assert store.get("bob", "a") is None
    assert not store.delete("bob", "a")
    store.put("bob", response("b", "a"))
    assert store.chain("bob", "b") is None
    store.put("bob", response("a", size=20))
    assert store.get("bob", "a") != store.get("ann", "a") != None  # noqa: E711


def test_an_id_that_comes_twice_is_no_id(store: SqliteResponseStore) -> None:
    store.put("ann", response("a", size=10))
    store.put("ann", response("a", size=20))
    assert store.get("ann", "a") is None
    store.put("ann", response("b", "a"))
    assert store.chain("ann", "b") is None


def test_what_is_deleted_is_gone(store: SqliteResponseStore, tmp_path: Path) -> None:
    store.put("ann", response("a"))
    store.put("ann", response("b", "a"))
    assert store.delete("ann", "a")
    assert not store.delete("ann", "a")
    assert store.get("ann", "a") is None
    assert store.chain("ann", "b") is None
    assert store.delete("ann", "b")
    assert counts(tmp_path) == (0, 0, 0)


def counts(directory: Path) -> tuple[int, int, int]:
    with sqlite3.connect(directory / DATABASE_NAME) as db:
        found = db.execute(
            "SELECT (SELECT count(*) FROM conversations), (SELECT count(*) FROM responses), bytes FROM total"
        ).fetchone()
    db.close()
    return tuple(found)


def test_the_conversation_gone_on_with_least_lately_goes_first(
    store: SqliteResponseStore, clock: Clock, tmp_path: Path
) -> None:
    for name, previous in (("a", None), ("b", None), ("a2", "a"), ("c", None)):
        clock.now_us += 1
        store.put("ann", response(name, previous, size=30))
    assert ids(store.chain("ann", "a2")) == ["a", "a2"]
    assert store.get("ann", "b") is None
    assert counts(tmp_path) == (2, 3, 90)
    clock.now_us += 1
    store.put("ann", response("large", size=500))
    assert store.get("ann", "large") is not None
    assert counts(tmp_path) == (1, 1, 500)


def test_what_is_old_is_not_found_and_goes(store: SqliteResponseStore, clock: Clock, tmp_path: Path) -> None:
    store.put("ann", response("a"))
    clock.now_us += 9 * DAY_US
    store.put("ann", response("b", "a"))
    clock.now_us += 9 * DAY_US
    assert ids(store.chain("ann", "b")) == ["a", "b"]
    clock.now_us += 2 * DAY_US
    assert store.get("ann", "b") is None
    store.put("ann", response("c"))
    assert counts(tmp_path) == (1, 1, 10)


def test_a_chain_has_a_longest(tmp_path: Path, clock: Clock) -> None:
    store = SqliteResponseStore(tmp_path, KeepLimits(), lambda: clock.now_us)
    for number in range(MOST_RESPONSES + 1):
        store.put("ann", response(str(number), str(number - 1) if number else None))
    assert len(store.chain("ann", str(MOST_RESPONSES - 1)) or ()) == MOST_RESPONSES
    assert store.chain("ann", str(MOST_RESPONSES)) is None
    store.put("ann", response("loop", "loop"))
    assert store.chain("ann", "loop") is None
    store.close()


def test_two_processes_see_the_same(tmp_path: Path, clock: Clock, store: SqliteResponseStore) -> None:
    other = SqliteResponseStore(tmp_path, KeepLimits(), lambda: clock.now_us)
    store.put("ann", response("a"))
    other.put("ann", response("b", "a"))
    assert ids(store.chain("ann", "b")) == ["a", "b"]
    other.close()


def test_the_file_is_its_owner_s_alone(store: SqliteResponseStore, tmp_path: Path) -> None:
    assert stat.S_IMODE((tmp_path / DATABASE_NAME).stat().st_mode) == 0o600


def test_faults_are_told(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"no database" * 100)
    with pytest.raises(ResponseStoreError, match="cannot be opened"):
        SqliteResponseStore(tmp_path, KeepLimits(), lambda: clock.now_us)
    with pytest.raises(ResponseStoreError, match="cannot be opened"):
        SqliteResponseStore(tmp_path / "missing", KeepLimits(), lambda: clock.now_us)


def test_a_newer_file_is_left_alone(store: SqliteResponseStore, tmp_path: Path, clock: Clock) -> None:
    with sqlite3.connect(tmp_path / DATABASE_NAME) as db:
        db.execute("PRAGMA user_version = 9")
    db.close()
    with pytest.raises(ResponseStoreError, match="newer version"):
        SqliteResponseStore(tmp_path, KeepLimits(), lambda: clock.now_us)


# --- off the event loop


def test_the_event_loop_asks_in_order(tmp_path: Path, clock: Clock) -> None:
    async def ask() -> list[object]:
        keeper = ResponseKeeper(
            lambda: SqliteResponseStore(tmp_path, KeepLimits(), lambda: clock.now_us),
            asyncio.get_running_loop(),
        )
        told: list[object] = []
        over = asyncio.Event()
        keeper.ask(lambda store: store.put("ann", response("a")), told.append)
        keeper.ask(lambda store: store.put("ann", response("b", "a")), told.append)
        keeper.ask(lambda store: ids(store.chain("ann", "b")), told.append)
        keeper.ask(lambda store: store.delete("ann", "a"), lambda answer: (told.append(answer), over.set()))
        assert keeper.waiting == 4
        await over.wait()
        assert keeper.waiting == 0
        keeper.close()
        return told

    assert asyncio.run(ask()) == [None, None, ["a", "b"], True]


def test_a_fault_of_the_store_is_its_answer(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_store() -> ResponseStore:
        return SqliteResponseStore(tmp_path / "missing", KeepLimits(), lambda: clock.now_us)

    async def ask() -> list[object]:
        keeper = ResponseKeeper(open_store, asyncio.get_running_loop())
        told: list[object] = []
        over = asyncio.Event()
        keeper.ask(lambda store: store.get("ann", "a"), lambda answer: (told.append(answer), over.set()))
        keeper.ask(lambda store: store.get("ann", "a"), told.append)
        await over.wait()
        keeper.close()
        return told

    monkeypatch.setattr(response_keeper, "MOST_WAITING", 1)
    full, missing = asyncio.run(ask())
    assert isinstance(full, ResponseStoreError) and "wait" in str(full)
    assert isinstance(missing, ResponseStoreError) and "cannot be opened" in str(missing)
