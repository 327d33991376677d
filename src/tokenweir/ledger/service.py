"""The writer's process: one Unix socket, one SQLite file, one commit for all who wait.

The loop is single-threaded and the commit blocks it on purpose: while the disk works, operations gather in the
sockets' buffers, and the next commit takes all of them.
"""

import asyncio
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from tokenweir.core.clock import Clock
from tokenweir.core.errors import LedgerBusyError, LedgerError, WireError
from tokenweir.core.sentence import Sentence, say
from tokenweir.ledger.frames import FrameReader, frame, socket_address
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    Changed,
    ChangeRefused,
    Checkpoint,
    CloseAttempt,
    Committed,
    Counters,
    CountersResult,
    DefinePrice,
    Hello,
    Known,
    MakeChanges,
    OpenCall,
    OpenResult,
    Operation,
    ReadCounters,
    Reprice,
    Snapshot,
    Unavailable,
)
from tokenweir.ledger.schema import LOCK_NAME, SOCKET_NAME
from tokenweir.ledger.spill import Left, left_behind
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Change

#: How long the calls of a lost worker wait to be claimed by it, and those found at the start.
WORKER_GRACE_S = 2.0
START_GRACE_S = 5.0
#: How long after a failed commit the next one is tried.
RETRY_S = 0.5
#: How long who changed terms waits until every worker goes by them; one that is silent for longer is no reason to wait.
TOLD_WITHIN_S = 1.0
#: After a commit of so many entries others follow soon: the next one waits for them a little, since a commit costs as much as
#: ten entries do. (PostgreSQL's `commit_siblings` and `commit_delay` do the same.)
BUSY_ENTRIES = 16
GATHER_S = 0.001
#: How often a stand-by looks whether the writer on another machine is gone.
STAND_BY_S = 1.0
#: How often the size of the write-ahead log is looked at.
FOLD_EVERY_S = 10.0


def take_lock(data_dir: Path) -> int:
    """A descriptor that holds the writer's lock of this directory. Raises LedgerBusyError or LedgerError."""
    try:
        data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = os.open(data_dir / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise LedgerError(f"{data_dir} cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.pread(lock, 32, 0).decode("ascii", "replace").strip()
        os.close(lock)
        raise LedgerBusyError(
            f"the ledger in {data_dir} is being written by process {holder or '?'}"
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)
    return lock


class Connection(asyncio.Protocol):
    """A worker, or a command that changes terms."""

    def __init__(self, writer: "Writer") -> None:
        self._writer = writer
        self._frames = FrameReader()
        self._transport: asyncio.Transport | None = None
        self.calls: set[bytes] = set()  # open ones that this worker answers for
        self.counters: dict[str, float] = {}
        self.last_seq = 0
        self.results: list[OpenResult] = []
        self.is_worker = False
        self.changed = False  # it has changed terms, and waits until every worker knows

    # uvloop's transports have the methods of asyncio.Transport without deriving from it.
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._writer.connections[self] = None

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.feed(data):
                for operation in self._writer.decoder.decode(body):
                    self._writer.take(self, operation)
        except (WireError, msgspec.MsgspecError) as error:
            print(f"ledger: a connection sent what is no operation: {error}", file=sys.stderr)
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._writer.lost(self)

    def send(self, message: msgspec.Struct) -> None:
        """Answer. Answers are small and few beside operations, so they have no bound of their own."""
        if self._transport is not None:
            self._transport.write(frame(message))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


class Writer:
    """Gathers operations of all connections and commits them together."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop, data_dir: Path) -> None:
        self.journal = journal
        self._data_dir = data_dir
        self._left: list[Left] = []  # files of dead workers whose operations are in the batch
        self.connections: dict[Connection, None] = {}  # in the order in which they came
        self.decoder: msgspec.msgpack.Decoder[list[Operation]] = msgspec.msgpack.Decoder(list[Operation])
        self._loop = loop
        self._scheduled = False
        self._is_failing = False  # the last commit did
        self._is_busy = False  # the last commit had many entries
        self._told = 0  # number of the last change that workers were told
        #: By that number: workers that have yet to say that they know, and who waits for it.
        self._waiting: dict[int, tuple[set[Connection], Sequence[Connection]]] = {}
        self._touched: dict[Connection, None] = {}
        self._takes: dict[type, Callable[..., None]] = {
            OpenCall: self._open,
            CloseAttempt: self._close,
            Checkpoint: self._apply,
            DefinePrice: self._apply,
            Reprice: self._apply,
            MakeChanges: self._change,
            Hello: self._greet,
            Known: self._told_known,
            Counters: self._note,
            ReadCounters: self._sum,
        }
        self._take_in_left()
        self.flush()
        orphans = journal.open_calls
        if orphans:
            loop.call_later(START_GRACE_S, self._interrupt, orphans)
        loop.call_later(FOLD_EVERY_S, self._fold)

    def take(self, connection: Connection, operation: Operation) -> None:
        """One operation of one connection."""
        self._takes[type(operation)](connection, operation)

    def lost(self, connection: Connection) -> None:
        """A connection is gone. Its calls wait a little for their worker to come back."""
        self.connections.pop(connection, None)
        self._touched.pop(connection, None)
        self._heard(connection, self._told)
        if connection.is_worker:
            self._loop.call_later(WORKER_GRACE_S, self._interrupt, list(connection.calls))

    def flush(self) -> None:
        """Commit what has gathered, then answer all who wait."""
        self._scheduled = False
        self._is_busy = self.journal.gathered >= BUSY_ENTRIES
        try:
            self.journal.commit()
        except LedgerError as error:
            print(f"ledger: {error}; trying again", file=sys.stderr, flush=True)
            for connection in self._touched:
                if connection.results:
                    connection.send(Unavailable(tuple(r.seq for r in connection.results), str(error)))
                    connection.results.clear()
            self._scheduled = self._is_failing = True
            self._loop.call_later(RETRY_S, self.flush)
            return
        self._is_failing = False
        left, self._left = self._left, []
        for file in left:
            file.remove()
        changed, self.journal.changed = tuple(self.journal.changed), []
        if changed:
            self._tell(changed)
        for connection in self._touched:
            if connection.changed:
                continue  # it is answered once every worker knows
            connection.send(Committed(connection.last_seq, tuple(connection.results)))
            connection.results.clear()
        self._touched.clear()

    def _tell(self, changed: tuple[Change, ...]) -> None:
        """Let every worker know; those who changed terms are answered once all do."""
        self._told += 1
        workers = [connection for connection in self.connections if connection.is_worker]
        for worker in workers:
            worker.send(Changed(self._told, changed))
        changers = [connection for connection in self._touched if connection.changed]
        self._waiting[self._told] = set(workers), changers
        self._loop.call_later(TOLD_WITHIN_S, self._answer_changers, self._told)
        if not workers:
            self._answer_changers(self._told)

    def _heard(self, worker: Connection, number: int) -> None:
        for told, (silent, _) in tuple(self._waiting.items()):
            if told <= number:
                silent.discard(worker)
                if not silent:
                    self._answer_changers(told)

    def _answer_changers(self, told: int) -> None:
        _, changers = self._waiting.pop(told, (set(), ()))
        for changer in changers:
            changer.changed = False
            changer.send(Committed(changer.last_seq))

    def _open(self, connection: Connection, operation: OpenCall) -> None:
        result = self.journal.apply(operation)
        assert type(result) is OpenResult
        connection.results.append(result)
        if not result.refused:
            connection.calls.add(operation.call)
        self._answer_later(connection, operation.seq)

    def _close(self, connection: Connection, operation: CloseAttempt) -> None:
        self.journal.apply(operation)
        if operation.final:
            connection.calls.discard(operation.call)
        self._answer_later(connection, operation.seq)

    def _apply(self, connection: Connection, operation: Checkpoint | DefinePrice | Reprice) -> None:
        self.journal.apply(operation)
        self._answer_later(connection, operation.seq)

    def _greet(self, connection: Connection, hello: Hello) -> None:
        connection.calls.update(hello.open_calls)
        connection.is_worker = True
        connection.send(Snapshot(self.journal.state.terms))

    def _told_known(self, connection: Connection, known: Known) -> None:
        self._heard(connection, known.number)

    def _note(self, connection: Connection, counters: Counters) -> None:
        connection.counters = counters.values

    def _sum(self, connection: Connection, asked: ReadCounters) -> None:
        connection.send(CountersResult(asked.seq, self._summed()))

    def _change(self, connection: Connection, operation: MakeChanges) -> None:
        self.flush()  # what came before is decided by the terms before
        refused = (
            say("the ledger cannot be written now; see its log")
            if self._is_failing
            else self.journal.apply(operation)
        )
        if isinstance(refused, Sentence) and refused:
            connection.send(ChangeRefused(operation.seq, refused.said))
            return
        connection.changed |= bool(operation.changes)
        self._answer_later(connection, operation.seq)

    def _answer_later(self, connection: Connection, seq: int) -> None:
        connection.last_seq = seq
        self._touched[connection] = None
        if not self._scheduled:
            self._scheduled = True
            if self._is_busy:
                self._loop.call_later(GATHER_S, self.flush)
            else:
                self._loop.call_soon(self.flush)

    def _take_in_left(self) -> None:
        """What dead workers left on local disk; their files go once it is committed."""
        for file in left_behind(self._data_dir):
            if file.unread:
                print(f"ledger: {file.path}: {file.unread} bytes cannot be read", file=sys.stderr, flush=True)
            for operation in file.operations:
                self.journal.apply(operation)
            self._left.append(file)

    def _fold(self) -> None:
        self._loop.call_later(FOLD_EVERY_S, self._fold)
        self.journal.store.fold()

    def _interrupt(self, calls: list[bytes]) -> None:
        self._take_in_left()
        claimed = set().union(*(c.calls for c in self.connections)) if self.connections else set()
        self.journal.interrupt([call for call in calls if call not in claimed])
        self.flush()

    def _summed(self) -> dict[str, float]:
        total: dict[str, float] = {}
        for connection in self.connections:
            for name, value in connection.counters.items():
                total[name] = total.get(name, 0) + value
        return total


def serve(data_dir: Path, clock: Clock, *, durability: str = "fsync") -> None:
    """Be the writer of this directory until SIGTERM. Raises LedgerError."""
    lock = take_lock(data_dir)
    try:
        import uvloop

        uvloop.run(_serve(data_dir, clock, durability))
    finally:
        os.close(lock)


def _end_at_once(why: str) -> None:
    """The database is gone, perhaps with a commit that it had taken. What is true then stands in it, and is read at the next
    start; workers send again what was not confirmed, as they do when this process is killed.
    """
    print(f"ledger: the database is lost: {why}", file=sys.stderr, flush=True)
    os._exit(1)


def _store(data_dir: Path, durability: str) -> Store:
    """Once no other machine writes it: until then this one stands by, and whoever connects is not answered."""
    said = False
    while True:
        try:
            return Store(data_dir, durability, _end_at_once)
        except LedgerBusyError as error:
            if not said:
                print(f"ledger: {error}; standing by until it is gone", file=sys.stderr, flush=True)
            said = True
        time.sleep(STAND_BY_S)


async def _serve(data_dir: Path, clock: Clock, durability: str) -> None:
    loop = asyncio.get_running_loop()
    store = _store(data_dir, durability)
    writer = Writer(Journal(store, clock), loop, data_dir)
    path = data_dir / SOCKET_NAME
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listening.setblocking(False)
    with socket_address(path) as address:
        listening.bind(address)
    path.chmod(0o600)
    server = await loop.create_unix_server(lambda: Connection(writer), sock=listening)
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
    server.close()
    writer.flush()
    for connection in tuple(writer.connections):
        connection.close()
    path.unlink(missing_ok=True)
    store.close()
