"""Kept responses as calls and pages ask for them, where the store's file cannot be used."""

import asyncio
from pathlib import Path

import pytest

from tokenweir.gateway.config import KeepLimits
from tokenweir.gateway.kept_responses import KeptResponses
from tokenweir.gateway.response_keeper import ResponseKeeper
from tokenweir.gateway.response_store import DATABASE_NAME, SqliteResponseStore
from tokenweir.protocol.problems import Problem

TOLD = b'{"id":"resp_1","status":"completed","output":[]}'


def test_a_store_that_cannot_be_used_is_told_and_costs_no_answer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / DATABASE_NAME).write_bytes(b"this is no database" * 100)

    async def ask() -> list[bytes | Problem]:
        loop = asyncio.get_running_loop()
        store = lambda: SqliteResponseStore(tmp_path, KeepLimits(), lambda: 0)  # noqa: E731
        kept = KeptResponses(ResponseKeeper(store, loop))
        told: list[bytes | Problem] = []
        for question in (kept.get, kept.delete):
            answer: asyncio.Future[bytes | Problem] = loop.create_future()
            question("ann", "resp_1", answer.set_result)
            told.append(await answer)
        answer = loop.create_future()
        kept.join("ann", b'{"input":"x"}', "resp_1", 1000, answer.set_result)
        told.append(await answer)
        done: asyncio.Future[None] = loop.create_future()
        kept.keep("ann", b'{"input":"x"}', TOLD, lambda: done.set_result(None))
        await done
        kept.close()
        return told

    for problem in asyncio.run(ask()):
        assert isinstance(problem, Problem)
        assert (problem.status, problem.code, problem.retry_after_s) == (503, "responses_unavailable", 1)
    assert "responses.sqlite3 cannot be opened" in capsys.readouterr().err
