"""Events of a stream that differ from the one before in their text alone: they are compared, not decoded."""

import re

from tokenweir.protocol.answers import bytes_to_tokens

#: Text of a delta up to this many bytes counts as one token; few tokens of any vocabulary are longer.
ONE_TOKEN_BYTES = 24
#: A pattern is taken from at most this many events, and one in four of those counted: some hosts repeat none.
_PATTERNS_MIN = 8
_LONGEST_PATTERN_BYTES = 16 * 1024


def delta_tokens(size: int) -> int:
    """How many tokens a delta of `size` bytes of text bears: one, or more where the host packs several into it."""
    return bytes_to_tokens(size) if size > ONE_TOKEN_BYTES else min(size, 1)


class PlainEvents:
    """What stands around the text of the last plain event. `text` finds that text: a JSON string that is not empty."""

    def __init__(self, text: re.Pattern[bytes]) -> None:
        self._text = text
        self._before = self._after = b""
        self._patterns = 0

    def tokens(self, event: bytes) -> int:
        """Tokens of an event that differs from the last plain one in its text alone; 0: it has to be read."""
        before, after = self._before, self._after
        if not before or not event.startswith(before) or not event.endswith(after):
            return 0
        text = event[len(before) : -len(after)]
        if b'"' in text and (text.count(b'"') != text.count(b'\\"') or b"\\\\" in text):
            return 0  # it may end before the place where the last one ended
        if len(text) <= ONE_TOKEN_BYTES:
            return 1 if text else 0
        return 0 if b"\\" in text else bytes_to_tokens(len(text))

    def learn(self, event: bytes, counted: int) -> None:
        """Take what stands around the text of a plain event, if it is in one piece; `counted` tokens came so far."""
        if self._patterns > _PATTERNS_MIN + counted // 4 or len(event) > _LONGEST_PATTERN_BYTES:
            return
        self._patterns += 1
        found = list(self._text.finditer(event))
        if len(found) == 1:
            self._before, self._after = event[: found[0].start(1)], event[found[0].end(1) :]
