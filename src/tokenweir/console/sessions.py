"""Who is signed in. In the memory of the control process alone: a restart signs everybody out, a stolen disk nobody in."""

import hashlib
from collections.abc import Callable

import msgspec

from tokenweir.admin.desk import Snapshot
from tokenweir.ledger.terms import KeyRecord

#: Sessions that are kept at a time; beyond these the one that was used longest ago ends.
MOST = 10_000


class Session(msgspec.Struct):
    """A browser that is signed in as a key: by its secret (`digest`), or by a password (its `hash`)."""

    key: str
    digest: bytes
    password_hash: str
    form_token: str
    began_us: int  # of the steady clock, as is the next
    seen_us: int
    trial: str = ""  # the secret of a key that was made to try models with …
    trial_until_us: int = 0  # … and how long it is good, by the calendar

    def holder(self, snapshot: Snapshot, now_us: int) -> KeyRecord | None:
        """The key as it is now; None once it is revoked or has expired, its secret is no longer good, or the password another."""
        if self.digest:
            return snapshot.known.key_by_hash(self.digest, now_us)
        key = snapshot.terms.keys.get(self.key)
        same = snapshot.terms.passwords.get(self.key) == self.password_hash
        return key if key is not None and same and key.is_live(now_us) else None


class Sessions:
    """Sessions by the hash of what their cookies hold. Called on one thread."""

    def __init__(self, random_bytes: Callable[[int], bytes], idle_us: int, longest_us: int) -> None:
        self._random_bytes = random_bytes
        self._idle_us = idle_us
        self._longest_us = longest_us
        self._by_hash: dict[bytes, Session] = {}  # in the order in which they were last used

    def token(self) -> str:
        """A value that nobody guesses: 256 bits."""
        return self._random_bytes(32).hex()

    def begin(self, key: str, now_us: int, *, digest: bytes = b"", password_hash: str = "") -> str:
        """What the cookie of a new session holds."""
        token = self.token()
        made = Session(key, digest, password_hash, self.token(), now_us, now_us)
        self._by_hash[_hash(token)] = made
        while len(self._by_hash) > MOST:
            del self._by_hash[next(iter(self._by_hash))]
        return token

    def find(self, token: str, now_us: int, *, touch: bool = True) -> Session | None:
        """The session of a cookie, unless it has ended; `touch`: it is used, and so goes on."""
        name = _hash(token)
        session = self._by_hash.pop(name, None)
        if session is None:
            return None
        too_old = now_us - session.began_us >= self._longest_us
        if too_old or now_us - session.seen_us >= self._idle_us:
            return None
        if touch:
            session.seen_us = now_us
        self._by_hash[name] = session
        return session

    def end(self, token: str) -> None:
        """Sign out."""
        self._by_hash.pop(_hash(token), None)

    def __len__(self) -> int:
        return len(self._by_hash)


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
