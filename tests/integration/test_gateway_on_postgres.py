"""A whole gateway whose ledger lies in PostgreSQL: calls, reading commands, and the database away for a while."""

import json
import subprocess
from pathlib import Path

from postgres_server import Server
from test_gateway import Gateway, free_port, upstream, wait_for

__all__ = ["upstream"]  # a fixture


def test_calls_are_metered_and_a_database_that_is_away_refuses_them_until_it_is_back(
    postgres: Server, tmp_path: Path, upstream: str
) -> None:
    gateway = Gateway(tmp_path, upstream, free_port())
    postgres.hold_ledger(gateway.data)
    gateway.start()
    try:
        gateway.key = json.loads(gateway.weir("keys", "create", "--name", "test", "--json"))["key"]
        wait_for(lambda: gateway.request("GET", "/v1/models")[0] == 200, "the key's arrival")
        assert [gateway.chat()[0] for _ in range(5)] == [200] * 5
        assert not (gateway.data / "ledger.sqlite3").exists()
        assert "5" in gateway.weir("usage", "--by", "model")
        assert "entries" in gateway.weir("doctor")
        postgres.stop()
        try:
            wait_for(lambda: gateway.chat()[0] == 503, "a refusal while the database is away")
        finally:
            postgres.start()
        wait_for(lambda: gateway.chat()[0] == 200, "a call after it is back")
        served = len(gateway.weir("calls", "--json", "--limit", "1000").splitlines())
        assert served >= 6
        assert gateway.weir("ledger", "verify")
    finally:
        assert gateway.stop() == 0
    assert len(gateway.weir("calls", "--json", "--limit", "1000").splitlines()) == served
    assert subprocess.run(["ls", gateway.data / "spill"], check=True, capture_output=True).stdout == b""
