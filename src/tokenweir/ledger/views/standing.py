"""The entries that stand: of each attempt the last one that says what it cost. Those of calls under way are not among them."""

import json
import sqlite3
from collections.abc import Iterator

import msgspec

from tokenweir.ledger.entries import ENDS, Entry
from tokenweir.ledger.schema import ENTRY_COLUMNS
from tokenweir.ledger.views.reader import last_seq, read_entry

#: Entries that are read in one read transaction.
AT_ONCE = 10_000


class Asked(msgspec.Struct, frozen=True):
    """Which attempts: that ended in a span of time, at an upstream, for a model (`*` and `?` as in file names), by accounts."""

    since_us: int = 0
    until_us: int = 2**62
    upstream: str = ""
    model: str = ""
    accounts: tuple[str, ...] = ()  # empty: all


class Standing(msgspec.Struct, frozen=True):
    """An attempt as it stands; `opened_us` and `opened_seq` say when its call was opened.

    `used_seq` is the entry that said what was used; those that only correct its price have other numbers.
    """

    entry: Entry
    used_seq: int
    opened_us: int
    opened_seq: int


_ENDS = ", ".join(f"'{kind}'" for kind in ENDS)
# A price that was corrected moves nothing: entries keep the place of the one that said what was used.
_STANDING = f"""
SELECT e.seq, coalesce(opened.at_us, e.at_us), coalesce(opened.seq, e.seq), {", ".join(f"s.{name}" for name in ENTRY_COLUMNS)}
FROM entries AS e
JOIN entries AS s ON s.seq = (
    SELECT max(seq) FROM entries AS l WHERE l.call = e.call AND iif(
        e.kind = 'attempt', l.seq = e.seq OR l.kind = 'repriced_attempt' AND l.attempt = e.attempt, l.kind IN ({_ENDS})))
LEFT JOIN entries AS opened ON opened.call = e.call AND opened.kind = 'opened'
WHERE e.seq > :after AND e.seq <= :upto AND e.kind IN ('attempt', 'settled', 'late')
AND e.at_us >= :since AND e.at_us < :until AND e.upstream <> '' AND e.attempt <> x''
AND (:upstream = '' OR e.upstream = :upstream) AND (:model = '' OR e.model GLOB :model)
AND (:accounts = '[]' OR e.account IN (SELECT value FROM json_each(:accounts)))
AND iif(
    e.kind = 'attempt',
    EXISTS (SELECT 1 FROM entries AS l WHERE l.call = e.call AND l.kind IN ({_ENDS})),
    NOT EXISTS (SELECT 1 FROM entries AS l WHERE l.call = e.call AND l.kind = 'late' AND l.seq > e.seq))
ORDER BY e.seq
"""


def standing(
    connection: sqlite3.Connection, asked: Asked, upto: int | None = None, at_once: int = AT_ONCE
) -> Iterator[Standing]:
    """Attempts as they stand, in an order that corrected prices do not change; of entries up to one, or up to the newest."""
    last = last_seq(connection) if upto is None else upto
    values = {
        "since": asked.since_us,
        "until": asked.until_us,
        "upstream": asked.upstream,
        "model": asked.model,
        "accounts": json.dumps(asked.accounts),
    }
    for after in range(0, last, at_once):
        bounds = {**values, "after": after, "upto": min(after + at_once, last)}
        for used_seq, opened_us, opened_seq, *record in connection.execute(_STANDING, bounds).fetchall():
            yield Standing(read_entry(record)[1], used_seq, opened_us, opened_seq)
