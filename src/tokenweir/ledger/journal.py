"""From operations to entries: one batch at a time, decided by the laws and written by the store."""

from collections.abc import Callable

import msgspec

from tokenweir.core.clock import Clock
from tokenweir.core.errors import LedgerError
from tokenweir.core.sentence import FINE, Sentence
from tokenweir.ledger.budgets import NOTHING, Counted, Spent, spent_by
from tokenweir.ledger.checks import wrong_with
from tokenweir.ledger.entries import ENDS, WORKER_GONE, Entry, Kind, Outcome
from tokenweir.ledger.limit_text import format_limit
from tokenweir.ledger.messages import (
    OUTDATED,
    Checkpoint,
    CloseAttempt,
    DefinePrice,
    LimitState,
    MakeChanges,
    OpenCall,
    OpenResult,
    Reprice,
)
from tokenweir.ledger.room import CREDIT
from tokenweir.ledger.store import Batch, Store
from tokenweir.ledger.terms import Change, Limit, record_of
from tokenweir.ledger.under_way import Open

# Members by names of their own: in Python 3.11 they are slow to look up.
_OPENED, _REFUSED, _SETTLED, _ATTEMPT, _OUTCOME_REFUSED = (
    Kind.OPENED, Kind.REFUSED, Kind.SETTLED, Kind.ATTEMPT, Outcome.REFUSED,
)  # fmt: skip
_OVER = (*ENDS, _REFUSED)
#: How many calls that have ended are remembered: for so long no other call has to be looked for in the file.
REMEMBERED_CALLS = 8_192
#: Runs of which it is remembered how many of their calls were refused.
MOST_REFUSED_RUNS = 10_000
#: What a column holds. Only a call that no hard limit bounds can have asked for more.
MOST_PICO = 2**63 - 1
Durable = OpenCall | Checkpoint | CloseAttempt | DefinePrice | MakeChanges | Reprice


class Journal:
    """The writer's mind: the state of the laws, the file, and the batch that is being gathered."""

    def __init__(self, store: Store, clock: Clock, remembered_calls: int = REMEMBERED_CALLS) -> None:
        self.store = store
        self._clock = clock
        self.state, self._opened_seq = store.load()
        self._batch = Batch()
        self._opened_now: list[bytes] = []  # calls whose opening is not yet durable
        self._ended_now: set[bytes] = set()
        # Ids of calls rise with time. One above `_forgotten_upto` that is not remembered is a new call's.
        self._remembered_calls = remembered_calls
        self._ended: dict[bytes, None] = {}
        self._forgotten_upto = store.last_call
        self._refused: dict[str, int] = {}  # calls that were refused, by run
        self.changed: list[Change] = []  # what workers have to be told once it is durable
        self._applies: dict[type, Callable[..., OpenResult | Sentence | None]] = {
            OpenCall: self._open,
            CloseAttempt: self._close,
            Checkpoint: self._checkpoint,
            DefinePrice: self._define,
            Reprice: self._reprice,
            MakeChanges: self._change,
        }

    @property
    def open_calls(self) -> list[bytes]:
        """Calls under way, oldest first."""
        return list(self.state.open_calls)

    def apply(self, operation: Durable) -> OpenResult | Sentence | None:
        """Take one operation into the batch. An OpenCall has a result; so has a change that is refused: why."""
        return self._applies[type(operation)](operation)

    @property
    def gathered(self) -> int:
        """Entries that the batch has so far."""
        return len(self._batch.entries)

    def commit(self) -> None:
        """Make the batch durable. Raises LedgerError; then its openings are undone and the rest is kept.

        Terms that could not be written are in force all the same until the next try succeeds: they were taken.
        """
        if not self._batch:
            return
        first_open = next(iter(self._opened_seq.values()), self.store.last_seq + 1)
        try:
            self.store.write(self._batch, min(first_open, self.store.last_seq + 1))
        except LedgerError:
            self._undo_openings()
            raise
        seq = self.store.last_seq - len(self._batch.entries)
        for number, entry in enumerate(self._batch.entries, 1):
            if entry.kind is _OPENED:
                self._opened_seq[entry.call] = seq + number
        for call in self._ended_now:
            self._opened_seq.pop(call, None)
            self._remember(call)
        self._reset()

    def interrupt(self, calls: list[bytes]) -> None:
        """Settle calls whose worker is gone from their last checkpoint; the caller commits."""
        now_us = self._clock.now_us()
        for call in calls:
            record = self.state.open_calls.get(call)
            if record is None:
                continue
            known = self._last(call, Kind.CHECKPOINT) or Entry(kind=Kind.CHECKPOINT, at_us=now_us, call=call)
            ended = msgspec.structs.replace(
                known, kind=Kind.SETTLED, at_us=now_us, ordinal=0, also_reserved="", account=record.account, key=record.key,
                run=record.run, model=record.model, dialect=record.dialect,
                duration_us=max(0, now_us - record.opened_us), outcome=Outcome.INTERRUPTED,
                reason=WORKER_GONE,
            )  # fmt: skip
            self._end(ended)

    # --- operations

    def _open(self, op: OpenCall) -> OpenResult:
        known = op.call in self.state.open_calls
        if not known and self._has_ended(op.call):
            return OpenResult(op.seq, 0, "ended")  # sent again after its end: nobody waits for it
        result = self.state.decide_open(op)
        if known:
            return result
        if result.refused:
            result = self._counted_refusal(op.run, result)
            self._ended_now.add(op.call)
        else:
            self._opened_now.append(op.call)
        record = self.state.open_calls.get(op.call)
        currency, pico, also = _reserved(record) if op.bounds and record is not None else ("", None, "")
        self._batch.add(
            Entry(
                kind=_REFUSED if result.refused else _OPENED, at_us=self.state.latest_us, call=op.call,
                account=op.account, key=op.key, run=op.run, model=op.model, dialect=op.dialect,
                outcome=_OUTCOME_REFUSED if result.refused else None, reason=_cut(op, result),
                bound_input=op.input_tokens, bound_output=result.output_tokens, currency=currency,
                reserved_pico=pico, also_reserved=also,
                covered_tokens=record.reserves["tokens"] if record is not None and record.by_allowance else 0,
            )
        )  # fmt: skip
        return result

    def _define(self, op: DefinePrice) -> None:
        self._batch.prices.append((op.id, op.applied))

    def _checkpoint(self, op: Checkpoint) -> None:
        record = self.state.open_calls.get(op.call)
        if record is None or self._has(op.call, Kind.CHECKPOINT, op.ordinal):
            return
        self._batch.add(
            Entry(
                kind=Kind.CHECKPOINT, at_us=op.at_us, call=op.call, attempt=op.attempt, ordinal=op.ordinal,
                account=record.account, key=record.key, run=record.run, model=record.model, dialect=record.dialect,
                upstream=op.upstream, deployment=op.deployment, usage=op.usage, price=op.price,
                cost_pico=op.cost_pico, currency=op.currency, charge_price=op.charge.price,
                charge_pico=op.charge.pico, charge_currency=op.charge.currency,
                also_reserved=msgspec.json.encode(op.reserves).decode() if op.reserves else "", route=op.route,
            )
        )  # fmt: skip
        if op.reserves:
            self.state.shrink(op.call, op.reserves)

    def _close(self, op: CloseAttempt) -> None:
        if not op.final and self._has(op.call, Kind.ATTEMPT, op.ordinal):
            return  # sent again
        record = self.state.open_calls.get(op.call)
        if record is None:
            self._close_afterwards(op)
            return
        if op.final:
            self._note_step(op, record.run)
            self._end(_closing(_SETTLED, op, record))
        else:
            self._batch.add(self._spend(_closing(_ATTEMPT, op, record)))

    def _close_afterwards(self, op: CloseAttempt) -> None:
        """A worker reports a call that has been closed without it, or that this ledger never saw."""
        end = self._last(op.call, *_OVER)
        settled, late = self._last(op.call, Kind.SETTLED), self._last(op.call, Kind.LATE)
        closed_in_its_stead = settled is not None and settled.reason == WORKER_GONE and late is None
        if end is not None and not closed_in_its_stead and (op.final or late is None):
            return  # sent again, or it had been refused
        if end is None and not op.usage.total and not op.cost_pico:
            return  # its opening was never written, and nothing was used
        who = self._last(op.call, Kind.OPENED) or end or Entry(kind=Kind.OPENED, at_us=op.at_us, call=op.call)
        entry = _closing(Kind.LATE if op.final else Kind.ATTEMPT, op, who)
        if op.final:
            self._note_step(op, who.run)
            self._ended_now.add(op.call)
        self._correct(entry, who.at_us, spent_by(end) if op.final and end is not None else NOTHING)

    def _reprice(self, op: Reprice) -> None:
        """The entry that stands for an attempt, at another price. One that is under way has none to correct yet."""
        standing = self._standing(op.call, op.attempt)
        if standing is None or standing.reason == op.correction or op.call in self.state.open_calls:
            return
        if standing.usage != op.usage:
            return
        ends = standing.kind in ENDS
        entry = msgspec.structs.replace(
            standing, kind=Kind.REPRICED if ends else Kind.REPRICED_ATTEMPT,
            ordinal=self._corrections(op.call) + 1, price=op.price, cost_pico=op.cost_pico, currency=op.currency,
            charge_price=op.charge.price, charge_pico=op.charge.pico, charge_currency=op.charge.currency,
            reason=op.correction,
        )  # fmt: skip
        opened = self._last(op.call, Kind.OPENED)
        self._correct(entry, standing.at_us if opened is None else opened.at_us, spent_by(standing))

    def _change(self, op: MakeChanges) -> Sentence:
        """All of them or, where one is refused, none. A limit that is new begins with what the entries say."""
        if self._batch.entries:
            self.commit()
        if self._is_outdated(op):
            return OUTDATED
        at_us = max(self._clock.now_us(), self.state.latest_us)
        trial = self.state.terms.copy()
        for change in op.changes:
            wrong = wrong_with(trial, change)
            if wrong:
                return wrong
            trial.apply(change)
        for change in op.changes:
            rows = self.state.change(change, at_us, self._history)
            self._batch.changes.append((at_us, op.actor, change))
            self._batch.counted += [(b"", row) for row in rows]
        self.changed += op.changes
        return FINE

    # --- parts

    def _counted_refusal(self, run: str, result: OpenResult) -> OpenResult:
        """A refusal with how many of its run came before it, as far as is remembered."""
        return msgspec.structs.replace(result, again=self._count_refusal(run)) if run else result

    def _count_refusal(self, run: str) -> int:
        """How many there were before."""
        if len(self._refused) > MOST_REFUSED_RUNS:
            self._refused.clear()
        before = self._refused.get(run, 0)
        self._refused[run] = before + 1
        return before

    def _note_step(self, op: CloseAttempt, run: str) -> None:
        """What an agent did; an answer that was withheld from it is a refusal as well."""
        if op.step is not None:
            self._batch.steps.append((op.call, run, op.step))
            if op.step.withheld:
                self._count_refusal(run)

    def _is_outdated(self, op: MakeChanges) -> bool:
        if op.after is None:
            return False
        gathered = (change for _, _, change in self._batch.changes)
        later = {record_of(change) for change in (*self.store.changes_after(op.after), *gathered)}
        return bool(later & {record for record in map(record_of, op.changes) if record is not None})

    def _has_ended(self, call: bytes) -> bool:
        if call > self._forgotten_upto and call not in self._ended and call not in self._ended_now:
            return False
        return self._last(call, *_OVER) is not None

    def _remember(self, call: bytes) -> None:
        self._ended[call] = None
        if len(self._ended) > self._remembered_calls:
            first = next(iter(self._ended))
            del self._ended[first]
            self._forgotten_upto = max(self._forgotten_upto, first)

    def _has(self, call: bytes, kind: Kind, ordinal: int) -> bool:
        gathered = self._batch.by_call.get(call, ())
        known = any(entry.kind is kind and entry.ordinal == ordinal for entry in gathered)
        return known or self.store.entry(call, kind, ordinal) is not None

    def _last(self, call: bytes, *kinds: Kind, attempt: bytes = b"") -> Entry | None:
        """The last entry of a call of these kinds (and of one attempt, if it is named), be it written or about to be."""
        for entry in reversed(self._batch.by_call.get(call, ())):
            if entry.kind in kinds and attempt in (b"", entry.attempt):
                return entry
        return self.store.last_entry(call, *kinds, attempt=attempt)

    def _standing(self, call: bytes, attempt: bytes) -> Entry | None:
        """The entry that counts for an attempt."""
        end = self._last(call, *ENDS)
        if end is not None and end.attempt == attempt:
            return end
        return self._last(call, Kind.ATTEMPT, Kind.REPRICED_ATTEMPT, attempt=attempt)

    def _corrections(self, call: bytes) -> int:
        gathered = self._batch.by_call.get(call, ())
        fresh = sum(entry.kind in (Kind.REPRICED, Kind.REPRICED_ATTEMPT) for entry in gathered)
        return fresh + self.store.corrections(call)

    def _end(self, entry: Entry) -> None:
        entry = self._spend(entry, closes=True)
        self._count(entry.call, self.state.close(entry.call))
        self._ended_now.add(entry.call)
        self._batch.add(entry)

    def _spend(self, entry: Entry, *, closes: bool = False) -> Entry:
        """Count an attempt of an open call; the entry, with what an allowance covers of it."""
        covered, rows = self.state.spend(entry.call, spent_by(entry), closes=closes)
        self._count(entry.call, rows)
        return msgspec.structs.replace(entry, covered_tokens=covered) if covered else entry

    def _correct(self, entry: Entry, opened_us: int, before: Spent) -> None:
        who = (entry.key, entry.account, entry.model, entry.run)
        covered, rows = self.state.correct(who, opened_us, before, spent_by(entry, covered=0))
        self._count(entry.call, rows)
        self._batch.add(msgspec.structs.replace(entry, covered_tokens=covered))

    def _count(self, call: bytes, rows: list[Counted]) -> None:
        for row in rows:
            self._batch.counted.append((call, row))

    def _history(self, scope: str, limit: Limit, since_us: int) -> int:
        return self.store.history(self.state.terms.below, scope, limit, since_us)

    def _undo_openings(self) -> None:
        undone = set(self._opened_now)
        for call in undone:
            self.state.undo_open(call)
        self.state.undo([row for call, row in self._batch.counted if call in undone])
        self._batch.forget(undone)
        self._batch.beside_undone |= bool(undone)
        self._opened_now.clear()

    def _reset(self) -> None:
        self._batch = Batch()
        self._opened_now.clear()
        self._ended_now.clear()


def _reserved(record: Open) -> tuple[str, int | None, str]:
    """Money that a call sets aside where that is limited, now or later: currency, pico, and what it does in further currencies."""
    money = sorted((c, pico) for c, pico in record.reserves.items() if c not in ("tokens", "calls"))
    if not money:
        return "", None, ""
    (currency, pico), also = money[0], dict(money[1:])
    return currency, min(pico, MOST_PICO), msgspec.json.encode(also).decode() if also else ""


def _cut(op: OpenCall, result: OpenResult) -> str:
    """The reason of an opening: why it was refused, or how far its output was cut."""
    if result.refused and result.limit is not None:
        return f"{result.refused}: {_named(result.limit)}"
    if result.refused or result.output_tokens >= op.output_tokens:
        return result.refused
    return f"output cut from {op.output_tokens} to {result.output_tokens} tokens"


def _named(state: LimitState) -> str:
    """Which limit, and what it stands on."""
    limit = state.limit
    of_model = f" for {limit.model}" if limit.model else ""
    return f"{'credit' if limit.window == CREDIT else format_limit(limit)}{of_model} on {state.scope}"


def _closing(kind: Kind, op: CloseAttempt, who: Entry | Open) -> Entry:
    """The entry for the end of an attempt; `who` says whose call it is."""
    return Entry(
        kind=kind, at_us=op.at_us, call=op.call, attempt=op.attempt, ordinal=0 if op.final else op.ordinal,
        account=who.account, key=who.key, run=who.run, model=who.model, dialect=who.dialect,
        upstream=op.upstream, deployment=op.deployment, served_model=op.served_model, usage=op.usage,
        price=op.price, cost_pico=op.cost_pico, currency=op.currency, ttft_us=op.ttft_us,
        duration_us=op.duration_us, status=op.status, outcome=op.outcome, reason=op.reason,
        charge_price=op.charge.price, charge_pico=op.charge.pico, charge_currency=op.charge.currency,
        tool_calls=0 if op.step is None else op.step.tool_calls, route=op.route,
    )  # fmt: skip
