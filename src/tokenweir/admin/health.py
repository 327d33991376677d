"""How the control process and the ledger that it reads are."""

import msgspec

from tokenweir.admin.desk import Asked
from tokenweir.admin.forms import Moment, moment
from tokenweir.ledger.views import last_seq


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """It answers, so it is well. `entries`, `changes`: the newest of the ledger."""

    status: str
    version: str
    started: Moment  # the control process
    entries: int
    changes: int


def get_health(asked: Asked) -> Health:
    """Whether the control process and the ledger are there, and how far the ledger has come."""
    return Health(
        status="ok",
        version=asked.desk.version,
        started=moment(asked.desk.started_us),
        entries=last_seq(asked.db),
        changes=asked.desk.snapshot(asked.db).seq,
    )
