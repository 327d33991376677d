"""Terms changed and entries corrected from outside the writer: through its socket while it lives, and without one."""

import os
import random
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import ParamSpec, TypeVar

import msgspec

from tokenweir.core.clock import Clock
from tokenweir.core.errors import LedgerBusyError, LedgerError, OutdatedError
from tokenweir.core.sentence import FINE, Sentence, heard
from tokenweir.ledger.frames import FrameReader, frame, socket_address
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    OUTDATED,
    Answer,
    ChangeRefused,
    Committed,
    DefinePrice,
    MakeChanges,
    Reprice,
    Unavailable,
)
from tokenweir.ledger.schema import SOCKET_NAME, is_older
from tokenweir.ledger.service import take_lock
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import Change

COMMAND_LINE = "command line"
ANSWER_TIMEOUT_S = 10.0
#: Between a writer's lock and its socket lie a few milliseconds of its start; a command waits that out.
START_TRIES = 50
START_PAUSE_S = 0.05
#: Corrections sent before the writer is waited for.
AT_ONCE = 1_000

#: How often who changes terms decides, where others change the same at the same time; and how long it waits in between at most,
#: by chance, so that two who meet do not go on meeting.
DECIDED_AT_MOST = 30
DECIDE_PAUSE_S = 0.02

Correction = DefinePrice | Reprice
P = ParamSpec("P")
T = TypeVar("T")


def make_changes(
    data_dir: Path,
    changes: Sequence[Change],
    clock: Clock,
    actor: str = COMMAND_LINE,
    after: int | None = None,
) -> Sentence:
    """Change terms, durably and on every worker at once, all or nothing; why not, or "".

    `after`: the number of the last change that they were decided by. Raises OutdatedError where a later one has replaced a
    record that they replace (`decided_anew` is for that), LedgerError.
    """
    refused = _submit(data_dir, [MakeChanges(1, actor, tuple(changes), after)], clock)
    if refused == OUTDATED:
        raise OutdatedError(refused)
    return refused


def migrate_older(data_dir: Path) -> None:
    """Bring a ledger of an older schema version to this program's, with a backup first where it is a file. Raises LedgerError."""
    if is_older(data_dir):
        lock = take_lock(data_dir)
        try:
            Store(data_dir).close()
        finally:
            os.close(lock)


def decided_anew(decide: Callable[P, T]) -> Callable[P, T]:
    """`decide` reads the terms, makes changes by them, and is done anew where they were outdated: it has said nothing by then."""

    @wraps(decide)
    def until_it_is_in_time(*args: P.args, **kwargs: P.kwargs) -> T:
        for _ in range(DECIDED_AT_MOST - 1):
            with suppress(OutdatedError):
                return decide(*args, **kwargs)
            time.sleep(random.random() * DECIDE_PAUSE_S)
        return decide(*args, **kwargs)

    return until_it_is_in_time


def correct(data_dir: Path, corrections: Sequence[Correction], clock: Clock) -> None:
    """Correct entries, durably. What has been done is not done again. Raises LedgerError."""
    for first in range(0, len(corrections), AT_ONCE):
        some = corrections[first : first + AT_ONCE]
        _submit(data_dir, [msgspec.structs.replace(op, seq=n) for n, op in enumerate(some, 1)], clock)


def _submit(data_dir: Path, operations: list[MakeChanges] | list[Correction], clock: Clock) -> Sentence:
    busy: LedgerError | None = None
    for _ in range(START_TRIES):
        try:
            return _write(data_dir, operations, clock)
        except LedgerBusyError as error:
            busy = error
            answer = _ask_writer(data_dir, operations)
            if answer is not None:
                return answer
        time.sleep(START_PAUSE_S)
    raise LedgerError(
        f"nothing was changed: {busy}, which does not answer; where it stands by for a writer on another machine, "
        "do this there, else see its log"
    )


def _write(data_dir: Path, operations: list[MakeChanges] | list[Correction], clock: Clock) -> Sentence:
    lock = take_lock(data_dir)
    try:
        store = Store(data_dir)
        try:
            journal = Journal(store, clock)
            refused = [told for told in map(journal.apply, operations) if isinstance(told, Sentence) and told]
            journal.commit()
        finally:
            store.close()
    finally:
        os.close(lock)
    return refused[0] if refused else FINE


def _ask_writer(data_dir: Path, operations: list[MakeChanges] | list[Correction]) -> Sentence | None:
    """What the writer says; None when its socket is not there yet, or any more."""
    decoder: msgspec.msgpack.Decoder[Answer] = msgspec.msgpack.Decoder(Answer)
    frames = FrameReader()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(ANSWER_TIMEOUT_S)
        try:
            with socket_address(data_dir / SOCKET_NAME) as address:
                sock.connect(address)
            sock.sendall(b"".join([frame([operation]) for operation in operations]))
            while data := sock.recv(65_536):
                for body in frames.feed(data):
                    match decoder.decode(body):
                        case Committed(seq=seq) if seq == operations[-1].seq:
                            return FINE
                        case ChangeRefused(reason=reason):
                            return heard(reason)
                        case Unavailable(reason=reason):
                            raise LedgerError(f"nothing was changed: {reason}")
        except TimeoutError:
            raise LedgerError("the ledger's writer did not answer; is the disk full? See its log") from None
        except OSError:
            return None
    return None
