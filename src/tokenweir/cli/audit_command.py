"""`weir audit`: who changed what, and when."""

from pathlib import Path

import msgspec

from tokenweir.cli import show
from tokenweir.cli.moments import parse_moment
from tokenweir.core.clock import Clock
from tokenweir.ledger.changing import COMMAND_LINE
from tokenweir.ledger.terms import Audited, KeyRecord, Terms
from tokenweir.ledger.views import iso_time
from tokenweir.ledger.views.audit import in_words
from tokenweir.ledger.views.terms import changes


class AuditLine(msgspec.Struct, frozen=True):
    """One line of `--json`. `after_seq`: it was decided after this entry of the ledger."""

    seq: int
    at: str
    actor: str
    actor_name: str
    kind: str
    what: str
    after_seq: int


def audit_line(audited: Audited, keys: dict[str, KeyRecord]) -> AuditLine:
    """The JSON form of a change; nothing of a secret in it."""
    key = keys.get(audited.actor)
    return AuditLine(
        seq=audited.seq,
        at=iso_time(audited.at_us),
        actor=audited.actor,
        actor_name=key.name if key else "",
        kind=str(type(audited.change).__struct_config__.tag),
        what=str(in_words(audited.change)),
        after_seq=audited.after_seq,
    )


def run(directory: Path, since: str, as_json: bool, clock: Clock) -> None:
    """Print changes, oldest first. Raises ValueError for wrong words, LedgerError."""
    since_us = parse_moment(since, clock.now_us()) if since else 0
    terms, lines = Terms(), []
    for audited in changes(directory):
        terms.apply(audited.change)
        if audited.at_us >= since_us:
            lines.append(audit_line(audited, terms.keys))
    if as_json:
        for line in lines:
            show.print_json(line)
        return
    rows = [[str(line.seq), line.at[:19].replace("T", " "), _who(line), line.what] for line in lines]
    show.print_table(("change", "time (UTC)", "who", "what"), rows)
    if not lines:
        show.console().print("No changes.")


def _who(line: AuditLine) -> str:
    if line.actor == COMMAND_LINE or not line.actor_name:
        return line.actor
    return f"{line.actor_name} ({line.actor})"
