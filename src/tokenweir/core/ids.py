"""UUIDv7 (RFC 9562, section 5.7): 48 bits of milliseconds, then random bits; sorts by time."""

from collections.abc import Callable

#: The version and the variant, and the bits that they leave to chance.
_FIXED = 0x7 << 76 | 0x2 << 62
_RANDOM = 0xFFF << 64 | (1 << 62) - 1


def uuid7(now_us: int, entropy: bytes) -> bytes:
    """A UUIDv7 of 16 bytes from a time (µs since 1970 UTC) and 10 random bytes."""
    if len(entropy) != 10:
        raise ValueError("a UUIDv7 takes 10 random bytes")
    return ((now_us // 1000) << 80 | _tail(entropy)).to_bytes(16, "big")


def _tail(entropy: bytes) -> int:
    """What stands behind the time."""
    return _FIXED | (int.from_bytes(entropy, "big") & _RANDOM)


def uuid7_us(value: bytes) -> int | None:
    """When a UUIDv7 was made, to the millisecond, in µs since 1970 UTC; None: it is another kind of id."""
    bits = int.from_bytes(value, "big")
    return (bits >> 80) * 1000 if len(value) == 16 and bits >> 76 & 0xF == 0x7 else None


def uuid_text(value: bytes) -> str:
    """The 36-character form of 16 bytes."""
    text = value.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def parse_uuid(text: str) -> bytes:
    """The 16 bytes of a UUID's text, with or without dashes. Raises ValueError."""
    value = bytes.fromhex(text.replace("-", ""))
    if len(value) != 16:
        raise ValueError(f"not a UUID: {text!r}")
    return value


class IdSource:
    """Makes call and attempt ids from an injected clock and source of random bytes."""

    def __init__(self, now_us: Callable[[], int], random_bytes: Callable[[int], bytes]) -> None:
        self._now_us = now_us
        self._random_bytes = random_bytes
        self._tails: list[int] = []  # what is left to chance of the next ids

    def new(self, now_us: int | None = None) -> bytes:
        """A fresh UUIDv7, of this moment or now. Random bytes are drawn 4,090 at a time: one system call serves 409 ids."""
        if not self._tails:
            drawn = self._random_bytes(4_090)
            self._tails = [_tail(drawn[at : at + 10]) for at in range(4_080, -10, -10)]
        moment_us = self._now_us() if now_us is None else now_us
        return ((moment_us // 1000) << 80 | self._tails.pop()).to_bytes(16, "big")
