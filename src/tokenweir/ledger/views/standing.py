"""The entries that stand: of each attempt the last one that says what it cost. Those of calls under way are not among them."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase

import msgspec

from tokenweir.ledger.database import Connection
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
    SELECT max(seq) FROM entries AS l WHERE l.call = e.call AND CASE WHEN e.kind = 'attempt'
    THEN l.seq = e.seq OR l.kind = 'repriced_attempt' AND l.attempt = e.attempt ELSE l.kind IN ({_ENDS}) END)
LEFT JOIN entries AS opened ON opened.call = e.call AND opened.kind = 'opened'
WHERE e.seq > :after AND e.seq <= :upto AND e.kind IN ('attempt', 'settled', 'late')
AND e.upstream <> '' AND length(e.attempt) > 0 AND {{asked}}
AND CASE WHEN e.kind = 'attempt'
    THEN EXISTS (SELECT 1 FROM entries AS l WHERE l.call = e.call AND l.kind IN ({_ENDS}))
    ELSE NOT EXISTS (SELECT 1 FROM entries AS l WHERE l.call = e.call AND l.kind = 'late' AND l.seq > e.seq) END
ORDER BY e.seq
"""


def _asked(connection: Connection, asked: Asked) -> tuple[list[str], dict[str, int | str]]:
    """What is asked for as conditions, and their parameters."""
    names = connection.database.names
    conditions = ["e.at_us >= :since", "e.at_us < :until"]
    values: dict[str, int | str] = {"since": asked.since_us, "until": asked.until_us}
    if asked.upstream:
        conditions.append("e.upstream = :upstream")
        values["upstream"] = asked.upstream
    if asked.accounts:
        conditions.append(f"e.account IN ({names.format(':accounts')})")
        values["accounts"] = json.dumps(asked.accounts)
    if asked.model:  # by the sums, which know every model that has entries
        known = connection.execute("SELECT DISTINCT model FROM daily").fetchall()
        conditions.append(f"e.model IN ({names.format(':models')})")
        values["models"] = json.dumps([model for (model,) in known if fnmatchcase(model, asked.model)])
    return conditions, values


def standing(
    connection: Connection, asked: Asked, upto: int | None = None, at_once: int = AT_ONCE
) -> Iterator[Standing]:
    """Attempts as they stand, in an order that corrected prices do not change; of entries up to one, or up to the newest."""
    last = last_seq(connection) if upto is None else upto
    conditions, values = _asked(connection, asked)
    query = _STANDING.format(asked=" AND ".join(conditions))
    for after in range(0, last, at_once):
        bounds = {**values, "after": after, "upto": min(after + at_once, last)}
        for used_seq, opened_us, opened_seq, *record in connection.execute(query, bounds).fetchall():
            yield Standing(read_entry(record)[1], used_seq, opened_us, opened_seq)
