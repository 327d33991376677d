"""Keys: made, listed and revoked, while a writer lives (through its socket) and without one."""

import os
import socket
import sqlite3
import time
from pathlib import Path

import msgspec

from tokenweir.core.clock import Clock
from tokenweir.core.errors import LedgerBusyError, LedgerError
from tokenweir.ledger.frames import FrameReader, frame, socket_address
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import Answer, Committed, CreateKey, KeyRecord, RevokeKey
from tokenweir.ledger.schema import SOCKET_NAME
from tokenweir.ledger.service import take_lock
from tokenweir.ledger.store import Store, read_keys
from tokenweir.ledger.views import open_reader

ANSWER_TIMEOUT_S = 10.0
#: Between a writer's lock and its socket lie a few milliseconds of its start; a command waits that out.
START_TRIES = 50
START_PAUSE_S = 0.05


def create_key(data_dir: Path, record: KeyRecord, clock: Clock) -> None:
    """Add a key, durably. Raises LedgerError."""
    _submit(data_dir, CreateKey(1, record), clock)


def revoke_key(data_dir: Path, id: str, clock: Clock) -> None:
    """End a key, durably and on every worker at once. Raises LedgerError."""
    _submit(data_dir, RevokeKey(1, id, clock.now_us()), clock)


def list_keys(data_dir: Path) -> list[KeyRecord]:
    """Every key, oldest first, revoked ones too. Raises LedgerError."""
    db = open_reader(data_dir)
    try:
        return read_keys(db)
    except sqlite3.Error as error:
        raise LedgerError(f"the keys in {data_dir} cannot be read: {error}") from error
    finally:
        db.close()


def _submit(data_dir: Path, operation: CreateKey | RevokeKey, clock: Clock) -> None:
    for _ in range(START_TRIES):
        try:
            _write(data_dir, operation, clock)
            return
        except LedgerBusyError:
            if _ask_writer(data_dir, operation):
                return
        time.sleep(START_PAUSE_S)
    raise LedgerError(f"the writer of {data_dir} holds its lock but does not answer; see its log")


def _write(data_dir: Path, operation: CreateKey | RevokeKey, clock: Clock) -> None:
    lock = take_lock(data_dir)
    try:
        store = Store(data_dir)
        journal = Journal(store, clock)
        journal.apply(operation)
        journal.commit()
        store.close()
    finally:
        os.close(lock)


def _ask_writer(data_dir: Path, operation: CreateKey | RevokeKey) -> bool:
    """Whether the writer took it; False when its socket is not there yet, or any more."""
    decoder = msgspec.msgpack.Decoder(Answer)
    frames = FrameReader()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_TIMEOUT_S)
        try:
            with socket_address(data_dir / SOCKET_NAME) as address:
                sock.connect(address)
            sock.sendall(frame(operation))
            while data := sock.recv(65_536):
                if any(isinstance(decoder.decode(body), Committed) for body in frames.feed(data)):
                    return True
        except TimeoutError:
            raise LedgerError("the ledger's writer did not answer; is the disk full? See its log") from None
        except OSError:
            return False
    return False
