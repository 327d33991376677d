"""A worker's link and the writer over a real Unix socket: the writer away, silent, killed, full; keys; garbage."""

import asyncio
import os
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from made_terms import key, key_with
from test_verify import close, open_call
from weir_process import DEADLINE_S, wait_for

from tokenweir.core.clock import FakeClock
from tokenweir.core.errors import LedgerBusyError
from tokenweir.core.usage import Usage
from tokenweir.ledger import sqlite
from tokenweir.ledger.changing import make_changes
from tokenweir.ledger.database import DATABASE_NAME
from tokenweir.ledger.frames import frame
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.link import LedgerLink
from tokenweir.ledger.messages import CloseAttempt, OpenCall, OpenResult, Snapshot
from tokenweir.ledger.schema import SOCKET_NAME
from tokenweir.ledger.service import take_lock
from tokenweir.ledger.spill import DIRECTORY, Spill, left_behind, record
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Limit, RevokeKey, SetKey, Terms
from tokenweir.ledger.verify import verify
from tokenweir.ledger.views import call_detail, open_reader, total, usage
from tokenweir.ledger.views.terms import terms_now

WRITER = (
    "import sys, pathlib\nfrom tokenweir.cli.system import SystemClock\nfrom tokenweir.ledger.service import serve\n"
    "serve(pathlib.Path(sys.argv[1]), SystemClock(), durability='os')"
)


class WriterProcess:
    """The writer in a process of its own."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(self._data)], stderr=subprocess.PIPE
        )

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> str:
        self.process.send_signal(number)
        return self.process.communicate(timeout=DEADLINE_S)[1].decode()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    limits = (Limit("tokens", 20_000, "day"),)
    make_changes(tmp_path, key_with(limits).changes, FakeClock())
    return tmp_path


@pytest.fixture
def writer(data: Path) -> Iterator[WriterProcess]:
    writer = WriterProcess(data)
    yield writer
    if writer.process.poll() is None:
        writer.send(signal.SIGCONT)
        writer.end()


class Worker:
    """What a worker's calls do with its link, as coroutines."""

    def __init__(self, data: Path, name: str = "w", confirm_within_s: float = DEADLINE_S) -> None:
        self._loop = asyncio.get_running_loop()
        self.link = LedgerLink(
            self._loop,
            data,
            name,
            lambda: tuple(self.under_way),
            durability="os",
            confirm_within_s=confirm_within_s,
        )
        self.under_way: set[bytes] = set()
        self.link.connect()

    async def until(self, ready: Callable[[], object], what: str) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not ready():  # noqa: ASYNC110  # another process can only be polled
                await asyncio.sleep(0.005)
        assert ready(), what

    async def connected(self) -> None:
        await self.until(
            lambda: self.link.available and self.link.terms.key_by_hash(b"k" * 32, 0), "the connection"
        )

    async def open(self, number: int) -> OpenResult | None:
        answer: asyncio.Future[OpenResult | None] = self._loop.create_future()
        asked = open_call(number)
        self.link.open(OpenCall(self.link.next_seq(), *_after_seq(asked)), answer.set_result)
        result = await asyncio.wait_for(answer, DEADLINE_S)
        if result is not None and not result.refused:
            self.under_way.add(asked.call)
        return result

    async def settle(self, number: int, used: Usage) -> None:
        """Returns once the client may have its last bytes."""
        from test_verify import APPLIED

        durable: asyncio.Future[None] = self._loop.create_future()
        self.link.define_price(APPLIED)
        op = close(number, used)
        settled = CloseAttempt(self.link.next_seq(), *_after_seq(op))
        self.link.close_attempt(settled, lambda: durable.set_result(None))
        await asyncio.wait_for(durable, DEADLINE_S)
        self.under_way.discard(op.call)


def _after_seq(op: OpenCall | CloseAttempt) -> tuple[object, ...]:
    return tuple(getattr(op, name) for name in op.__struct_fields__[1:])


def usage_of(data: Path) -> tuple[int, int]:
    """Calls and tokens."""
    reader = open_reader(data)
    whole = total(usage(reader, ("key",)))
    reader.close()
    return whole.calls, whole.tokens


def spilled(data: Path) -> list[int]:
    """The sizes of files that hold settlements."""
    return [path.stat().st_size for path in (data / DIRECTORY).glob("*.spill") if path.stat().st_size]


def test_a_worker_serves_nobody_before_it_knows_the_keys(tmp_path: Path) -> None:
    """Otherwise a key that is good would be called unknown for a moment after each start."""

    async def scenario() -> None:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(tmp_path / SOCKET_NAME))
        listening.listen()
        listening.setblocking(False)
        worker = Worker(tmp_path)
        loop = asyncio.get_running_loop()
        accepted, _ = await loop.sock_accept(listening)
        await loop.sock_recv(accepted, 1000)  # its greeting: it is connected
        assert not worker.link.available
        await loop.sock_sendall(accepted, frame(Snapshot(Terms(keys={"k": key()}))))
        await worker.connected()
        worker.link.close()
        accepted.close()
        listening.close()

    asyncio.run(scenario())


def test_a_stream_ends_while_the_writer_is_away_and_is_settled_once_when_it_is_back(
    data: Path, writer: WriterProcess
) -> None:
    async def scenario() -> None:
        worker = Worker(data)
        await worker.connected()
        for number in (1, 2):
            assert await worker.open(number)
        writer.end(signal.SIGKILL)
        await worker.until(lambda: not worker.link.available, "the loss")
        await worker.settle(1, Usage(input=5, output=6))
        assert len(spilled(data)) == 1
        assert await worker.open(3) is None  # told at once that the ledger is away
        writer.start()
        await worker.connected()
        await worker.until(lambda: not worker.link.undelivered, "delivery")
        assert spilled(data) == []
        await worker.settle(2, Usage(input=1))
        worker.link.close()

    asyncio.run(scenario())
    assert usage_of(data) == (2, 12)
    assert verify(data).ok
    assert list((data / DIRECTORY).iterdir()) == []


def test_a_writer_that_is_silent_is_as_one_that_is_away(data: Path, writer: WriterProcess) -> None:
    async def scenario() -> None:
        worker = Worker(data, confirm_within_s=1.0)
        await worker.connected()
        assert await worker.open(1)
        writer.send(signal.SIGSTOP)
        opening = asyncio.create_task(worker.open(2))
        await worker.settle(1, Usage(input=5))
        assert await opening is None
        assert not worker.link.available
        writer.send(signal.SIGCONT)
        await worker.until(lambda: not worker.link.undelivered and worker.link.available, "delivery")
        assert await worker.open(3)
        await worker.settle(3, Usage(input=1))
        worker.link.close()

    asyncio.run(scenario())
    report = verify(data)
    assert (report.ok, report.calls, report.open_calls) == (True, 3, 0)
    assert usage_of(data) == (3, 6)
    detail = call_detail(open_reader(data), open_call(2).call)
    assert detail is not None and detail.row is not None
    assert "nothing was sent" in detail.row.reason  # its opening reached the writer; it is over, not leaked


def test_what_a_killed_worker_left_is_taken_in_at_the_next_start(data: Path, writer: WriterProcess) -> None:
    async def first() -> None:
        worker = Worker(data)
        await worker.connected()
        assert await worker.open(1)
        writer.end(signal.SIGKILL)
        await worker.until(lambda: not worker.link.available, "the loss")
        await worker.settle(1, Usage(input=5))
        os.close(worker.link._spill._file)  # as the kernel does when its process dies

    asyncio.run(first())
    assert len(spilled(data)) == 1
    assert verify(data).open_calls == 1
    writer.start()
    wait_for(lambda: verify(data).open_calls == 0, "the settlement")
    wait_for(lambda: not list((data / DIRECTORY).iterdir()), "the file's end")
    assert usage_of(data) == (1, 5)
    detail = call_detail(open_reader(data), open_call(1).call)
    assert detail is not None and detail.row is not None and detail.row.outcome == "ok"


def test_calls_go_on_while_writers_come_and_go(data: Path, writer: WriterProcess) -> None:
    async def scenario() -> tuple[int, int]:
        workers = [Worker(data, f"w{number}") for number in range(3)]
        finished = refused = 0

        async def client(first: int) -> None:
            nonlocal finished, refused
            worker = workers[first % 3]
            for number in range(first, first + 8):
                await worker.connected()
                result = await worker.open(number)
                if result is None or result.refused:
                    refused += 1
                    continue
                await worker.settle(number, Usage(input=1, output=1))
                finished += 1

        async def killer() -> None:
            for count in (20, 60, 100):
                await workers[0].until(lambda count=count: finished + refused >= count, "calls")
                writer.end(signal.SIGKILL)
                writer.start()

        await asyncio.gather(killer(), *(client(1000 * n) for n in range(1, 21)))
        for worker in workers:
            await worker.until(lambda worker=worker: not worker.link.undelivered, "delivery")
            worker.link.close()
        return finished, refused

    finished, refused = asyncio.run(scenario())
    assert finished + refused == 160
    assert finished > 0
    report = verify(data)
    assert report.ok, report.problems
    assert usage_of(data)[1] == 2 * finished
    assert report.open_calls == 0


def test_of_500_at_once_on_one_limit_as_many_are_opened_as_fit(data: Path, writer: WriterProcess) -> None:
    """20,000 tokens, 200 set aside for each: 100 fit, whoever asks; the rest is refused. Then the money is there again."""

    async def scenario() -> None:
        workers = [Worker(data, f"w{number}") for number in range(4)]
        for worker in workers:
            await worker.connected()
        results = await asyncio.gather(*(workers[n % 4].open(n) for n in range(1, 501)))
        opened = [n for n, result in enumerate(results, 1) if result is not None and not result.refused]
        assert all(result is not None and result.refused in ("", "limit") for result in results)
        assert len(opened) == 100
        await asyncio.gather(*(workers[n % 4].settle(n, Usage(input=1)) for n in opened))
        again = await asyncio.gather(*(workers[0].open(n) for n in range(1001, 1100)))
        assert [result.refused for result in again if result is not None] == [""] * 99
        for worker in workers:
            worker.link.close()

    asyncio.run(scenario())
    assert usage_of(data) == (100, 100)


@pytest.mark.parametrize(
    "garbage",
    [struct.pack(">I", 2**31) + b"x" * 100, struct.pack(">I", 5) + b"\xc1\xc1\xc1\xc1\xc1", os.urandom(5000)],
    ids=["oversized", "no message", "noise"],
)
def test_garbage_ends_its_own_connection_only(data: Path, writer: WriterProcess, garbage: bytes) -> None:
    async def scenario() -> None:
        worker = Worker(data)
        await worker.connected()
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(DEADLINE_S)
            stranger.connect(str(data / SOCKET_NAME))
            stranger.sendall(garbage)
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(100) == b""
        assert await worker.open(1)
        await worker.settle(1, Usage(input=1))
        worker.link.close()

    asyncio.run(scenario())
    assert usage_of(data) == (1, 1)


def test_a_second_writer_is_refused_and_told_who_the_first_is(data: Path, writer: WriterProcess) -> None:
    wait_for(lambda: (data / SOCKET_NAME).exists(), "the first writer")
    with pytest.raises(LedgerBusyError, match=f"is being written by process {writer.process.pid}$"):
        take_lock(data)


def test_keys_come_and_go_while_a_worker_is_connected(data: Path, writer: WriterProcess) -> None:
    async def scenario() -> None:
        worker = Worker(data)
        await worker.connected()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, make_changes, data, [SetKey(key("new"))], FakeClock())
        await worker.until(lambda: worker.link.terms.key_by_hash(b"w" * 32, 0), "the new key")
        await loop.run_in_executor(None, make_changes, data, [RevokeKey("k", 1)], FakeClock())
        result = await worker.open(1)  # the writer knows before the worker does
        assert result is not None and result.refused == "key_revoked"
        await worker.until(lambda: worker.link.terms.key_by_hash(b"k" * 32, 0) is None, "the revocation")
        worker.link.close()

    asyncio.run(scenario())
    assert {key.id: key.revoked_us is None for key in terms_now(data).keys.values()} == {
        "k": False,
        "new": True,
    }


# --- the file on local disk


def test_a_record_that_was_cut_off_is_kept_aside_and_those_before_it_count(tmp_path: Path) -> None:
    spill = Spill(tmp_path, "w", sync=True)
    bodies = [frame(close(number, Usage(input=number)))[4:] for number in (1, 2)]
    spill.append(b"".join(map(record, bodies)))
    path = next((tmp_path / DIRECTORY).iterdir())
    assert list(left_behind(tmp_path)) == []  # its worker lives
    with path.open("ab") as file:
        file.write(record(bodies[0])[:-1])
    os.close(spill._file)
    (left,) = left_behind(tmp_path)
    assert [op.usage.input for op in left.operations if isinstance(op, CloseAttempt)] == [1, 2]
    assert left.unread == len(record(bodies[0])) - 1
    left.remove()
    assert [p.suffix for p in (tmp_path / DIRECTORY).iterdir()] == [".damaged"]


@pytest.mark.parametrize("position", range(0, 60, 7))
def test_a_changed_byte_ends_the_reading(tmp_path: Path, position: int) -> None:
    spill = Spill(tmp_path, "w", sync=False)
    spill.append(record(frame(close(1, Usage(input=1)))[4:]))
    os.close(spill._file)
    path = next((tmp_path / DIRECTORY).iterdir())
    data = bytearray(path.read_bytes())
    data[position] ^= 0x10
    path.write_bytes(data)
    (left,) = left_behind(tmp_path)
    assert left.operations == []
    left.remove()


# --- the disk


@contextmanager
def small_disk(path: Path, size: str) -> Iterator[Path]:
    path.mkdir()
    if (
        os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)],
            capture_output=True,
            check=False,
        ).returncode
    ):
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def test_a_full_disk_refuses_new_calls_and_is_got_over(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as data:
        make_changes(data, [SetKey(key())], FakeClock())
        writer = WriterProcess(data)

        async def scenario() -> None:
            worker = Worker(data)
            await worker.connected()
            assert await worker.open(1)
            filler = data / "filler"
            with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
                while True:
                    file.write(b"x" * 4096)
            settling = asyncio.create_task(worker.settle(1, Usage(input=3)))
            refusals = 0
            for number in range(2, 400):  # what is left of a page may still take a few
                result = await worker.open(number)
                if result is None:
                    refusals += 1
                    if refusals > 3:
                        break
            assert refusals > 3
            reader = open_reader(data)  # reads go on
            assert reader.execute("SELECT count(*) FROM entries").fetchone()[0] >= 1
            reader.close()
            filler.unlink()
            await settling
            await worker.until(lambda: not worker.link.undelivered and worker.link.available, "space again")
            assert await worker.open(1000)
            await worker.settle(1000, Usage(input=4))
            worker.link.close()

        asyncio.run(scenario())
        told = writer.end()
        report = verify(data)
        assert report.ok, report.problems
        assert usage_of(data)[1] == 7
        assert "full" in told


def test_the_write_ahead_log_is_folded_though_there_is_always_a_reader(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "LOG_BYTES", 1_000_000)
    journal = Journal(Store(data, "os"), FakeClock())
    log = data / f"{DATABASE_NAME}-wal"
    ended, begun = threading.Event(), threading.Event()

    def read_on() -> None:
        """Two readers in turn: one begins before the other ends."""
        readers = [sqlite3.connect(data / DATABASE_NAME, isolation_level=None) for _ in range(2)]
        turn = 0
        while not ended.is_set():
            readers[turn].execute("BEGIN")
            readers[turn].execute("SELECT count(*) FROM entries").fetchone()
            begun.set()
            ended.wait(0.01)
            turn = 1 - turn
            if readers[turn].in_transaction:
                readers[turn].execute("ROLLBACK")
        for reader in readers:
            reader.close()

    thread = threading.Thread(target=read_on)
    thread.start()
    begun.wait(DEADLINE_S)
    try:
        for number in range(1, 200):
            asked = open_call(number)
            journal.apply(
                OpenCall(
                    *(
                        *(getattr(asked, n) for n in asked.__struct_fields__[:6]),
                        "m" * 9_000,
                        *(getattr(asked, n) for n in asked.__struct_fields__[7:]),
                    )
                )
            )
            journal.commit()
        assert log.stat().st_size > sqlite.LOG_BYTES
        wait_for(lambda: journal.store.fold() or log.stat().st_size == 0, "an empty log")
    finally:
        ended.set()
        thread.join()
        journal.store.close()
