"""Who is signed in. Kept in memory, and beside the ledger so that a restart signs nobody out; of a token only its hash."""

import hashlib
import hmac
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from tokenweir.admin.desk import Snapshot
from tokenweir.console.session_file import Kept, read_sessions, write_sessions
from tokenweir.core.clock import Clock
from tokenweir.ledger.terms import KeyRecord

#: Sessions that are kept at a time; beyond these the one that was used longest ago ends.
MOST = 10_000
#: When somebody was there last is written no more often.
WRITE_EVERY_US = 60_000_000


class Session(msgspec.Struct):
    """A browser that is signed in as a key."""

    key: str
    mark: bytes  # of the key's secret and password when it began, or changed them itself
    began_us: int  # of the steady clock, as is the next
    seen_us: int
    form_token: str = ""  # made of the cookie's token, so it is nowhere but with the browser
    trial: str = ""  # the secret of a key that was made to try models with …
    trial_until_us: int = 0  # … and how long it is good, by the calendar

    def holder(self, snapshot: Snapshot, now_us: int) -> KeyRecord | None:
        """The key as it is now; None once it is revoked or has expired, or its secret or password is another."""
        key = snapshot.terms.keys.get(self.key)
        good = key is not None and key.is_live(now_us) and mark_of(snapshot, self.key) == self.mark
        return key if good else None


def mark_of(snapshot: Snapshot, key: str) -> bytes:
    """A hash of what a key is signed in with: another secret or password makes another."""
    record = snapshot.terms.keys.get(key)
    secret = b"" if record is None else record.hash
    return hashlib.sha256(secret + snapshot.terms.passwords.get(key, "").encode()).digest()


class Sessions:
    """Sessions by the hash of what their cookies hold. Its methods are called from many threads."""

    def __init__(
        self,
        data_dir: Path,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        idle_us: int,
        longest_us: int,
    ) -> None:
        self._data_dir, self._clock = data_dir, clock
        self._random_bytes = random_bytes
        self._idle_us = idle_us
        self._longest_us = longest_us
        self._lock = threading.Lock()
        ahead_us = self._ahead_us()
        self._by_hash: dict[bytes, Session] = {  # in the order in which they were last used
            kept.hash: Session(kept.key, kept.mark, kept.began_us - ahead_us, kept.seen_us - ahead_us)
            for kept in read_sessions(data_dir, clock.now_us())
        }
        self._written_us = clock.steady_us()

    def token(self) -> str:
        """A value that nobody guesses: 256 bits."""
        return self._random_bytes(32).hex()

    def begin(self, key: str, mark: bytes) -> str:
        """What the cookie of a new session holds."""
        token, now_us = self.token(), self._clock.steady_us()
        with self._lock:
            self._by_hash[_hash(token)] = Session(key, mark, now_us, now_us)
            while len(self._by_hash) > MOST:
                del self._by_hash[next(iter(self._by_hash))]
            self._write()
        return token

    def find(self, token: str, *, touch: bool = True) -> Session | None:
        """The session of a cookie, unless it has ended; `touch`: it is used, and so goes on."""
        name, now_us = _hash(token), self._clock.steady_us()
        with self._lock:
            session = self._by_hash.pop(name, None)
            if session is None or self._is_over(session, now_us):
                return None
            if touch:
                session.seen_us = now_us
            session.form_token = hmac.digest(token.encode(), b"form", "sha256").hex()
            self._by_hash[name] = session
            if now_us - self._written_us >= WRITE_EVERY_US:
                self._write()
        return session

    def end(self, token: str) -> None:
        """Sign out."""
        with self._lock:
            if self._by_hash.pop(_hash(token), None) is not None:
                self._write()

    def renew(self, session: Session, mark: bytes) -> None:
        """It goes on with another secret or password of its key."""
        with self._lock:
            session.mark = mark
            self._write()

    def _write(self) -> None:
        """Keep those that go on."""
        ahead_us, now_us = self._ahead_us(), self._clock.steady_us()
        kept = [
            Kept(name, one.key, one.mark, one.began_us + ahead_us, one.seen_us + ahead_us)
            for name, one in self._by_hash.items()
            if not self._is_over(one, now_us)
        ]
        write_sessions(self._data_dir, kept)
        self._written_us = now_us

    def _is_over(self, session: Session, now_us: int) -> bool:
        too_old = now_us - session.began_us >= self._longest_us
        return too_old or now_us - session.seen_us >= self._idle_us

    def _ahead_us(self) -> int:
        """The calendar less the steady clock, which begins anew with the machine."""
        return self._clock.now_us() - self._clock.steady_us()

    def __len__(self) -> int:
        return len(self._by_hash)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
