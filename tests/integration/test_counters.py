"""The workers' counters, asked of a real writer by a process that is no worker: what the console tells of this moment."""

import asyncio
from pathlib import Path

import pytest
from test_ledger_link import Worker, WriterProcess, data, writer  # noqa: F401  # the last two are fixtures

from tokenweir.core.errors import LedgerError
from tokenweir.ledger.counters import read_counters


def test_a_process_that_is_no_worker_is_told_the_counters(data: Path, writer: WriterProcess) -> None:  # noqa: F811
    async def go() -> None:
        worker = Worker(data)
        await worker.connected()
        worker.link.push_counters({"weir_in_flight": 3})
        await worker.open(1)  # answered after what was sent before it
        assert read_counters(data) == {"weir_in_flight": 3}

    asyncio.run(go())
    writer.end()
    with pytest.raises(LedgerError, match="counters"):
        read_counters(data)
