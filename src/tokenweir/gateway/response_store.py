"""Where responses are kept, for clients that go on from one by its id: a file of its own, for the ledger holds no text.

Conversations are kept or forgotten as a whole: the one that was gone on with least lately goes first. Off unless the
operator wants it.
"""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from tokenweir.core.errors import TokenweirError
from tokenweir.gateway.config import KeepLimits
from tokenweir.protocol.stored_responses import MOST_RESPONSES, KeptResponse

DATABASE_NAME = "responses.sqlite3"
BUSY_MS = 2000
_SCHEMA_VERSION = 1
#: How many conversations are forgotten at a time, so that no call waits long.
_FORGET_AT_ONCE = 16
_SCHEMA = """
CREATE TABLE conversations (
    number   INTEGER PRIMARY KEY,
    owner    TEXT NOT NULL,
    bytes    INTEGER NOT NULL,
    touched_us INTEGER NOT NULL
) STRICT;
CREATE INDEX conversations_touched ON conversations (touched_us);
CREATE TABLE responses (
    owner        TEXT NOT NULL,   -- the account: no other can see it
    id           TEXT NOT NULL,
    conversation INTEGER NOT NULL REFERENCES conversations ON DELETE CASCADE,
    previous     TEXT,
    input        BLOB NOT NULL,
    response     BLOB NOT NULL,
    collided     INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (owner, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX responses_conversation ON responses (conversation);
CREATE TABLE total (one INTEGER PRIMARY KEY CHECK (one = 1), bytes INTEGER NOT NULL) STRICT;
INSERT INTO total VALUES (1, 0);
"""


class ResponseStoreError(TokenweirError):
    """The file of kept responses cannot be read or written."""


class ResponseStore(Protocol):
    """Keeps responses by their owner and id."""

    def put(self, owner: str, kept: KeptResponse) -> None:
        """Keep it. Raises ResponseStoreError."""
        ...

    def get(self, owner: str, response_id: str) -> KeptResponse | None:
        """The response, or None. Raises ResponseStoreError."""
        ...

    def chain(self, owner: str, response_id: str) -> list[KeptResponse] | None:
        """The conversation up to this response, the first one first; None where any of it is not there."""
        ...

    def delete(self, owner: str, response_id: str) -> bool:
        """Forget it; whether it was there. Raises ResponseStoreError."""
        ...

    def close(self) -> None:
        """Nothing is asked after this."""
        ...


class SqliteResponseStore:
    """In one SQLite file, which several processes may open at once."""

    def __init__(self, directory: Path, limits: KeepLimits, now_us: Callable[[], int]) -> None:
        """Raises ResponseStoreError."""
        self._limits = limits
        self._now_us = now_us
        path = directory / DATABASE_NAME
        try:
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # what people said is theirs alone
            self._db = sqlite3.connect(path, timeout=BUSY_MS / 1000, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute(
                "PRAGMA synchronous = NORMAL"
            )  # what a power cut loses is a conversation's last turn
            self._db.execute("PRAGMA foreign_keys = ON")
            self._db.execute("PRAGMA secure_delete = ON")  # forgotten text is not left in free pages
            self._migrate()
        except (OSError, sqlite3.Error) as error:
            raise ResponseStoreError(f"{path} cannot be opened: {error}.") from error

    def close(self) -> None:
        """Closes the file."""
        self._db.close()

    def _migrate(self) -> None:
        with _Transaction(self._db):
            (version,) = self._db.execute("PRAGMA user_version").fetchone()
            if version > _SCHEMA_VERSION:
                raise sqlite3.DatabaseError("it was written by a newer version of Tokenweir")
            if version == 0:
                for statement in _SCHEMA.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")

    def put(self, owner: str, kept: KeptResponse) -> None:
        """Keep it. An id that comes twice is no id: neither response can be had by it from then on."""
        with _Transaction(self._db):
            known = self._db.execute(
                "SELECT 1 FROM responses WHERE owner = ? AND id = ?", (owner, kept.id)
            ).fetchone()
            if known is not None:
                self._db.execute(
                    "UPDATE responses SET collided = 1 WHERE owner = ? AND id = ?", (owner, kept.id)
                )
                return
            size = len(kept.input) + len(kept.response)
            conversation = self._conversation(owner, kept.previous_id)
            self._db.execute(
                "INSERT INTO responses VALUES (?, ?, ?, ?, ?, ?, 0)",
                (owner, kept.id, conversation, kept.previous_id, kept.input, kept.response),
            )
            self._db.execute(
                "UPDATE conversations SET bytes = bytes + ?, touched_us = ? WHERE number = ?",
                (size, self._now_us(), conversation),
            )
            self._db.execute("UPDATE total SET bytes = bytes + ?", (size,))
            self._forget()

    def _conversation(self, owner: str, previous_id: str | None) -> int:
        """The conversation that the response before belongs to, or a new one."""
        found = self._db.execute(
            "SELECT conversation FROM responses WHERE owner = ? AND id = ?", (owner, previous_id)
        ).fetchone()
        if found is not None:
            return int(found[0])
        made = self._db.execute(
            "INSERT INTO conversations (owner, bytes, touched_us) VALUES (?, 0, ?)", (owner, self._now_us())
        )
        assert made.lastrowid is not None
        return made.lastrowid

    def _forget(self) -> None:
        """Forget conversations that are too old, or too much; the youngest stays, however large it is."""
        oldest_us = self._now_us() - self._limits.max_age_s * 1_000_000
        rows = self._db.execute(
            "SELECT number, bytes, touched_us FROM conversations ORDER BY touched_us, number LIMIT ?",
            (_FORGET_AT_ONCE,),
        ).fetchall()
        (total,) = self._db.execute("SELECT bytes FROM total").fetchone()
        (newest,) = self._db.execute(
            "SELECT number FROM conversations ORDER BY touched_us DESC, number DESC LIMIT 1"
        ).fetchone()
        for number, size, touched_us in rows:
            if number == newest or (touched_us >= oldest_us and total <= self._limits.max_bytes):
                return
            self._drop(number, size)
            total -= size

    def _drop(self, conversation: int, size: int) -> None:
        self._db.execute("DELETE FROM conversations WHERE number = ?", (conversation,))
        self._db.execute("UPDATE total SET bytes = bytes - ?", (size,))

    def get(self, owner: str, response_id: str) -> KeptResponse | None:
        """The response, or None."""
        oldest_us = self._now_us() - self._limits.max_age_s * 1_000_000
        try:
            row = self._db.execute(
                "SELECT id, previous, input, response FROM responses JOIN conversations ON number = conversation"
                " WHERE responses.owner = ? AND id = ? AND NOT collided AND touched_us >= ?",
                (owner, response_id, oldest_us),
            ).fetchone()
        except sqlite3.Error as error:
            raise ResponseStoreError(f"kept responses cannot be read: {error}.") from error
        return None if row is None else KeptResponse(*row)

    def chain(self, owner: str, response_id: str) -> list[KeptResponse] | None:
        """The conversation up to this response, the first one first; None where any of it is not there."""
        found: list[KeptResponse] = []
        wanted: str | None = response_id
        while wanted is not None:
            kept = self.get(owner, wanted)
            if kept is None or len(found) == MOST_RESPONSES:
                return None
            found.append(kept)
            wanted = kept.previous_id
        return found[::-1]

    def delete(self, owner: str, response_id: str) -> bool:
        """Forget it; whether it was there. What followed it cannot be gone on with."""
        with _Transaction(self._db):
            row = self._db.execute(
                "DELETE FROM responses WHERE owner = ? AND id = ?"
                " RETURNING conversation, length(input) + length(response)",
                (owner, response_id),
            ).fetchone()
            if row is None:
                return False
            conversation, size = row
            self._db.execute("UPDATE total SET bytes = bytes - ?", (size,))
            self._db.execute(
                "UPDATE conversations SET bytes = bytes - ? WHERE number = ?", (size, conversation)
            )
            self._db.execute(
                "DELETE FROM conversations WHERE number = ?"
                " AND NOT EXISTS (SELECT 1 FROM responses WHERE conversation = number)",
                (conversation,),
            )
            return True


class _Transaction:
    """A transaction that writes; its faults are the store's."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db

    def __enter__(self) -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise ResponseStoreError(f"responses cannot be kept: {error}.") from error

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        try:
            self._db.execute("COMMIT" if error is None else "ROLLBACK")
        except sqlite3.Error as fault:
            raise ResponseStoreError(f"responses cannot be kept: {fault}.") from fault
        if isinstance(error, sqlite3.Error):
            raise ResponseStoreError(f"responses cannot be kept: {error}.") from error
