"""Two machines with one ledger in PostgreSQL: one writes and the other stands by; where the first dies, the other goes on."""

import json
import random
from pathlib import Path

from postgres_server import Server
from test_kill import CONFIG, Clients, Victim, compare
from weir_process import Home, answers, free_port, simulated, wait_for

from tokenweir.ledger.database import URL_NAME
from tokenweir.ledger.verify import verify


class Machine(Victim):
    """A gateway with a data directory of its own, as a machine of its own has it."""

    def __init__(self, directory: Path, upstream: str, url: str) -> None:
        (directory / "data").mkdir(parents=True)
        (directory / "data" / URL_NAME).write_text(url)
        self.port, self.home = free_port(), Home(directory)
        (directory / "weir.toml").write_text(CONFIG.format(port=self.port, upstream=upstream))
        super().__init__(self.home, self.port)

    def _is_up(self) -> bool:
        return "standing by" in self.log() or answers(self.port)

    def log(self) -> str:
        return (self.home.directory / "up.log").read_text()


def test_a_stand_by_takes_over_and_nothing_is_lost_or_twice(postgres: Server, tmp_path: Path) -> None:
    url = (postgres.hold_ledger(tmp_path / "named") / URL_NAME).read_text()
    with simulated() as upstream:
        first = Machine(tmp_path / "first", upstream, url)
        created = first.home.good("keys", "create", "--name", "t", "--json", "--data", str(first.data))
        key = json.loads(created)["key"]
        second = Machine(tmp_path / "second", upstream, url)
        try:
            assert "has a writer already; standing by until it is gone" in second.log()
            finished = killed_under_load(first, second, key)
            verified(second.data, finished)

            first.start()  # it stands by now, and takes over where the second ends in order
            second.stop()
            wait_for(lambda: answers(first.port), "the first machine's turn")
            clients = Clients(first.port, key, 3, 10)
            wait_for(lambda: len(clients.finished) >= 20, "calls on the first machine")
            clients.end()
            verified(first.data, finished | clients.finished)
        finally:
            first.stop()
            second.stop()


def killed_under_load(first: Machine, second: Machine, key: str) -> dict[str, tuple[int, int]]:
    """Calls on the first until it is killed, then on the second. Those whose answers a client has in full."""
    refused = Clients(second.port, key, 0, 2)
    clients = Clients(first.port, key, 1, 20)
    wait_for(lambda: len(clients.finished) >= 60 and refused.statuses.total() >= 10, "calls on both")
    refused.end()
    assert refused.statuses.keys() == {503} and not refused.finished  # the stand-by lets nothing through
    first.kill("everything", random.Random(1))
    clients.end()
    wait_for(lambda: answers(second.port), "the second machine's turn")
    after = Clients(second.port, key, 2, 10)
    wait_for(lambda: len(after.finished) >= 60, "calls on the second")
    after.end()
    return clients.finished | after.finished


def verified(data: Path, finished: dict[str, tuple[int, int]]) -> None:
    wait_for(lambda: verify(data).open_calls == 0, "the end of interrupted calls")
    assert verify(data).problems == ()
    compare(data, finished)
