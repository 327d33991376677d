"""kill -9 at random moments under load: no finished call is missing, none stands twice, and all sums agree.

`WEIR_KILL_SEED` and `WEIR_KILL_ROUNDS` repeat a run; the figures are printed (`pytest -s`).
"""

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import pytest
from weir_process import DEADLINE_S, Home, answers, free_port, simulated, wait_for

from tokenweir.core.ids import parse_uuid
from tokenweir.ledger.entries import Kind, Outcome
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import call_detail, open_reader

SEED = int(os.environ.get("WEIR_KILL_SEED", "1"))
CLIENTS = 50
CONFIG = """
[server]
port = {port}
workers = 2
[local]
enabled = false
[[upstream]]
name = "sim"
kind = "openai"
url = "{upstream}"
[[upstream]]
name = "dead"
kind = "openai"
url = "http://127.0.0.1:1/v1"
[[model]]
name = "ok"
deployments = ["dead/x", "sim/ok"]
price = {{ input = 4.0, cache_read = 1.0, output = 16.0, currency = "CNY" }}
[[model]]
name = "reasoning"
deployments = ["sim/reasoning"]
price = {{ input = 4.0, output = 16.0, currency = "USD" }}
[[model]]
name = "slow"
deployments = ["sim/slow"]
"""


class Clients:
    """Many at once; what each was told in full is kept: call -> (tokens in, tokens out)."""

    def __init__(self, port: int, key: str, seed: int, count: int = CLIENTS) -> None:
        self.finished: dict[str, tuple[int, int]] = {}
        self.statuses: Counter[int] = Counter()
        self.cut = 0
        self._port, self._key = port, key
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(f"{seed}/{number}"),), daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(DEADLINE_S)
            assert not thread.is_alive()

    def _work(self, draw: random.Random) -> None:
        while not self._stop.is_set():
            try:
                self._call(draw)
            except (OSError, HTTPException, EOFError):
                with self._lock:
                    self.cut += 1
                self._stop.wait(0.05)

    def _call(self, draw: random.Random) -> None:
        stream = draw.random() < 0.6
        body: dict[str, object] = {
            "model": draw.choice(("ok", "ok", "reasoning", "slow")),
            "messages": [{"role": "user", "content": "water " * draw.randrange(1, 40)}],
            "max_tokens": draw.randrange(1, 12),
            "stream": stream,
        }
        if stream:
            body["stream_options"] = {"include_usage": True}
        connection = HTTPConnection("127.0.0.1", self._port, timeout=DEADLINE_S)
        try:
            headers = {"Authorization": f"Bearer {self._key}"}
            connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
            answer = connection.getresponse()
            told = answer.read()
        finally:
            connection.close()
        with self._lock:
            self.statuses[answer.status] += 1
            if answer.status == 200:
                usage = _reported(told, stream)
                self.finished[answer.headers["x-weir-call"]] = (
                    usage["prompt_tokens"],
                    usage["completion_tokens"],
                )


def _reported(told: bytes, stream: bool) -> dict[str, int]:
    """The usage of an answer that came in full. Raises EOFError for one that did not."""
    if not stream:
        return json.loads(told)["usage"]  # type: ignore[no-any-return]
    if not told.endswith(b"data: [DONE]\n\n"):
        raise EOFError
    events = [json.loads(line[6:]) for line in told.splitlines() if line.startswith(b"data: {")]
    return next(event["usage"] for event in events if event.get("usage"))  # type: ignore[no-any-return]


class Victim:
    """A gateway that is killed, as a whole or in part, and comes back."""

    def __init__(self, home: Home, port: int) -> None:
        self._home, self._port = home, port
        self.data = home.directory / "data"
        self._log = (home.directory / "up.log").open("a")
        self.start()

    def start(self) -> None:
        command = self._home.command("up", "--config", "weir.toml", "--data", str(self.data))
        self.process = subprocess.Popen(
            command, cwd=self._home.directory, env=self._home.environ, stdout=self._log, stderr=self._log
        )
        wait_for(self._is_up, "the gateway's answer")

    def _is_up(self) -> bool:
        return answers(self._port)

    def children(self) -> list[int]:
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def kill(self, what: str, draw: random.Random) -> None:
        """kill -9. After the supervisor's end, the kernel kills its children."""
        writer = int((self.data / "ledger.lock").read_text())
        workers = [child for child in self.children() if child != writer]
        victims = {
            "everything": [self.process.pid, *self.children()],
            "supervisor": [self.process.pid],
            "writer": [writer],
            "worker": [draw.choice(workers)] if workers else [],
        }[what]
        for pid in draw.sample(victims, len(victims)):
            os.kill(pid, signal.SIGKILL)
        if self.process.pid in victims:
            self.process.wait(DEADLINE_S)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(DEADLINE_S)
        self._log.close()


def rounds_of_death(directory: Path, rounds: int, seed: int) -> dict[str, object]:
    """Load, kill, see that it comes back, compare; as often as asked. The figures."""
    draw = random.Random(seed)
    home, port = Home(directory), free_port()
    finished: dict[str, tuple[int, int]] = {}
    killed: Counter[str] = Counter()
    cut, refused, began = 0, 0, time.monotonic()
    with simulated() as upstream:
        (directory / "weir.toml").write_text(CONFIG.format(port=port, upstream=upstream))
        victim = Victim(home, port)
        created = home.good("keys", "create", "--name", "t", "--json", "--data", str(victim.data))
        key = json.loads(created)["key"]
        for number in range(rounds):
            clients = Clients(port, key, seed * 1000 + number)
            enough = draw.randrange(1, 120)
            wait_for(lambda clients=clients, enough=enough: len(clients.finished) >= enough, "some calls")
            time.sleep(draw.random() * 0.05)  # anywhere within a call
            what = draw.choice(("everything", "everything", "supervisor", "writer", "worker"))
            killed[what] += 1
            victim.kill(what, draw)
            if victim.process.poll() is None:  # the rest lives, and goes on with calls
                more = len(clients.finished) + CLIENTS
                wait_for(lambda clients=clients, more=more: len(clients.finished) >= more, "calls again")
            clients.end()
            if victim.process.poll() is not None:
                victim.start()
            report = verify(victim.data)
            assert report.ok, (number, what, report.problems)
            finished |= clients.finished
            cut, refused = cut + clients.cut, refused + clients.statuses[503]
            assert clients.statuses.keys() <= {200, 502, 503}, clients.statuses
        wait_for(lambda: verify(victim.data).open_calls == 0, "the end of interrupted calls")
        victim.stop()
    report = verify(victim.data)
    assert report.ok, report.problems
    compare(victim.data, finished)
    return {
        "rounds": rounds, "killed": dict(killed), "finished": len(finished), "cut or refused by a dead port": cut,
        "answered 503": refused, "entries": report.entries, "calls": report.calls,
        "seconds": round(time.monotonic() - began), "seed": seed,
    }  # fmt: skip


def compare(data: Path, finished: dict[str, tuple[int, int]]) -> None:
    """Each call whose answer a client has in full is settled once, with the tokens that the client was told."""
    reader = open_reader(data)
    twice = "SELECT count(*) FROM (SELECT 1 FROM entries WHERE kind = 'settled' GROUP BY call HAVING count(*) > 1)"
    assert reader.execute(twice).fetchone() == (0,)
    for call, told in finished.items():
        detail = call_detail(reader, parse_uuid(call))
        assert detail is not None, f"{call} is missing"
        assert detail.row is not None, f"{call} is not settled"
        kinds = Counter(priced.entry.kind for priced in detail.entries)
        assert kinds[Kind.OPENED] == kinds[Kind.SETTLED] == 1 and kinds[Kind.LATE] <= 1
        end = [priced.entry for priced in detail.entries if priced.entry.kind in (Kind.SETTLED, Kind.LATE)][
            -1
        ]
        assert end.outcome is Outcome.OK, call
        assert (end.usage.prompt, end.usage.completion) == told, call
    reader.close()


def test_nothing_finished_is_lost_and_nothing_stands_twice(tmp_path: Path) -> None:
    rounds_of_death(tmp_path, int(os.environ.get("WEIR_KILL_ROUNDS", "3")), SEED)


@pytest.mark.long
def test_nothing_finished_is_lost_in_a_hundred_rounds(tmp_path: Path) -> None:
    print(json.dumps(rounds_of_death(tmp_path, 100, SEED)))
