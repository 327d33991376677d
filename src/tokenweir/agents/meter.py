"""What the ledger has of one run, read beside its writer: calls as they end, what they used, whether a limit said no."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tokenweir.core.errors import LedgerError
from tokenweir.core.usage import TOKEN_CLASSES, Usage
from tokenweir.ledger.database import FAULTS
from tokenweir.ledger.entries import ENDS, Entry, Kind, Outcome
from tokenweir.ledger.views import CallRow, call_detail, last_seq, open_reader, read_entry
from tokenweir.ledger.views.reader import COLUMNS
from tokenweir.ledger.views.run_tree import RunTree, run_tree
from tokenweir.protocol.steps import Step, tool_words

#: Entries that are looked at in one go.
_AT_ONCE = 5_000
_STEP: msgspec.json.Decoder[Step] = msgspec.json.Decoder(Step)
#: The word for requests that came after the run: its key had been revoked, or had expired.
REVOKED = "key_revoked"
#: Refusals for which no call of this run can ever be carried, budget or not: a word of the ledger's, and what to do.
NEVER = {
    "unpriced": "the model has no known price, so a budget in money cannot hold: set a price in weir.toml, or limit tokens",
    "currency": "the model is priced in another currency than the budget: name the budget in that one",
    "account_closed": "the account is closed",
}


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has used so far."""

    calls: int = 0  # that ended
    answered: int = 0  # of them, well
    open: int = 0  # under way
    refused: int = 0
    usage: Usage = Usage()
    cost_pico: dict[str, int] = {}
    unpriced: int = 0  # calls with tokens and no price
    refusals: tuple[str, ...] = ()  # their reasons, each once
    last_failed: str = ""  # why the last call failed; "" where it did not
    last_refused: bool = False  # whether the last that came was refused
    tool_calls: int = 0
    withheld: int = 0  # answers that asked for more tools than were left, and were not handed on
    last_tool: str = ""  # the last tool that was asked for, in short


class Ended(msgspec.Struct, frozen=True):
    """A call that has ended or been refused, and what is known of it as a step."""

    row: CallRow
    step: Step | None = None

    @property
    def withheld(self) -> bool:
        """Whether its answer was not handed on."""
        return self.step is not None and self.step.withheld


class RunMeter:
    """Follows one run. Use it from one thread; close it."""

    def __init__(self, data_dir: Path, run: str, after_seq: int) -> None:
        self._db = open_reader(data_dir)
        self._run = run
        self.seq = after_seq  # entries up to this one have been looked at
        self._open: set[bytes] = set()
        self._ended: dict[bytes, Ended] = {}
        self._refused: list[Entry] = []
        self._last: CallRow | None = None
        self._last_tool = ""
        self._last_refused = False

    def close(self) -> None:
        """Let go of the ledger."""
        self._db.close()

    def look(self) -> list[Ended]:
        """Calls of the run that have ended, or been refused, since the last look. Raises LedgerError."""
        new = []
        for entry in self._entries():
            if entry.kind is Kind.OPENED:
                self._open.add(entry.call)
            elif entry.kind in ENDS or entry.kind is Kind.REFUSED:
                self._open.discard(entry.call)
                if entry.reason != REVOKED:
                    new.append(self._take(entry))
        return new

    def _take(self, entry: Entry) -> Ended:
        ended = Ended(self._row(entry.call), self._step(entry.call))
        self._last_refused = entry.kind is Kind.REFUSED or ended.withheld
        if entry.kind is Kind.REFUSED:
            self._refused.append(entry)
        else:
            self._ended[entry.call] = ended
            self._last = ended.row
        if ended.step is not None and ended.step.asked:
            self._last_tool = tool_words(ended.step.asked[-1])
        return ended

    def _step(self, call: bytes) -> Step | None:
        found = self._db.execute("SELECT step FROM steps WHERE call = ?", (call,)).fetchone()
        return None if found is None else _STEP.decode(found[0])

    def _entries(self) -> list[Entry]:
        try:
            return self._read()
        except FAULTS as error:
            raise LedgerError(f"the ledger cannot be read: {error}") from None

    def _read(self) -> list[Entry]:
        upto = last_seq(self._db)
        found: list[Entry] = []
        while self.seq < upto:
            until = min(self.seq + _AT_ONCE, upto)
            query = f"SELECT {COLUMNS} FROM entries WHERE seq > ? AND seq <= ? AND run = ? ORDER BY seq"
            records = self._db.execute(query, (self.seq, until, self._run)).fetchall()
            found += [read_entry(record)[1] for record in records]
            self.seq = until
        return found

    def _row(self, call: bytes) -> CallRow:
        detail = call_detail(self._db, call)
        assert detail is not None and detail.row is not None
        return detail.row

    def spent(self) -> Spent:
        """The sums so far."""
        spent = summed(
            [ended.row for ended in self._ended.values()], open=len(self._open),
            refusals=[entry.refusal for entry in self._refused], last=self._last, last_refused=self._last_refused,
        )  # fmt: skip
        withheld = sum(ended.withheld for ended in self._ended.values())
        return msgspec.structs.replace(spent, withheld=withheld, last_tool=self._last_tool)


def summed(
    rows: Sequence[CallRow],
    *,
    open: int,
    refusals: Sequence[str],
    last: CallRow | None = None,
    last_refused: bool = False,
) -> Spent:
    """The sums of calls that have ended."""
    cost: dict[str, int] = {}
    for row in rows:
        for currency, pico in row.cost_pico.items():
            cost[currency] = cost.get(currency, 0) + pico
    counts = {name: sum(getattr(row.usage, name) for row in rows) for name in TOKEN_CLASSES}
    failed = last is not None and last.outcome not in (Outcome.OK, Outcome.CANCELLED)
    return Spent(
        calls=len(rows),
        answered=sum(row.outcome is Outcome.OK for row in rows),
        open=open,
        refused=len(refusals),
        usage=Usage(**counts),
        cost_pico=cost,
        unpriced=sum(row.unpriced for row in rows),
        refusals=tuple(dict.fromkeys(refusals)),
        last_failed=(last.reason or str(last.status)) if failed and last is not None else "",
        last_refused=last_refused,
        tool_calls=sum(row.tool_calls for row in rows),
    )


def tree_of(data_dir: Path, run: str, after_seq: int, upto_seq: int | None) -> RunTree:
    """The calls of a run that has entries in a span of the ledger (None: to its end), in their places. Raises LedgerError."""
    db = open_reader(data_dir)
    try:
        return run_tree(db, run, after_seq, upto_seq)
    except FAULTS as error:
        raise LedgerError(f"the ledger cannot be read: {error}") from None
    finally:
        db.close()
