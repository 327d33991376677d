"""From operations to entries: one batch at a time, decided by the laws and written by the store."""

import msgspec

from tokenweir.core.clock import Clock
from tokenweir.core.errors import LedgerError
from tokenweir.ledger.entries import WORKER_GONE, Entry, Kind, Outcome
from tokenweir.ledger.laws import Spent
from tokenweir.ledger.messages import (
    Checkpoint,
    CloseAttempt,
    CreateKey,
    DefinePrice,
    KeyRecord,
    Limit,
    OpenCall,
    OpenResult,
    RevokeKey,
)
from tokenweir.ledger.store import Batch, Spending, Store

_ENDS = (Kind.SETTLED, Kind.LATE, Kind.REFUSED)
#: How many calls that have ended are remembered: for so long no other call has to be looked for in the file.
REMEMBERED_CALLS = 8_192
Durable = OpenCall | Checkpoint | CloseAttempt | DefinePrice | CreateKey | RevokeKey


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
        self.keys_changed = False

    @property
    def open_calls(self) -> list[bytes]:
        """Calls under way, oldest first."""
        return list(self.state.open_calls)

    def apply(self, operation: Durable) -> OpenResult | None:
        """Take one operation into the batch. Only an OpenCall has a result."""
        match operation:
            case OpenCall():
                return self._open(operation)
            case Checkpoint():
                self._checkpoint(operation)
            case CloseAttempt():
                self._close(operation)
            case DefinePrice(id=id, applied=applied):
                self._batch.prices.append((id, applied))
            case CreateKey(key=key):
                self._batch.created.append(key)
                self._change_key(key)
            case RevokeKey(id=id, at_us=at_us):
                self._batch.revoked.append((at_us, id))
                known = self.state.keys.get(id)
                if known is not None:
                    self._change_key(msgspec.structs.replace(known, revoked_us=at_us))
        return None

    def commit(self) -> None:
        """Make the batch durable. Raises LedgerError; then its openings are undone and the rest is kept."""
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
            if entry.kind is Kind.OPENED:
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
                known, kind=Kind.SETTLED, at_us=now_us, ordinal=0, account=record.account, key=record.key,
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
            self._ended_now.add(op.call)
        else:
            self._opened_now.append(op.call)
        currency, pico = self.state.reserved_money(op.call)
        self._batch.add(
            Entry(
                kind=Kind.REFUSED if result.refused else Kind.OPENED, at_us=op.at_us, call=op.call,
                account=op.account, key=op.key, run=op.run, model=op.model, dialect=op.dialect,
                outcome=Outcome.REFUSED if result.refused else None, reason=result.refused,
                bound_input=op.input_tokens, bound_output=result.output_tokens, currency=currency,
                reserved_pico=pico,
            )
        )  # fmt: skip
        return result

    def _checkpoint(self, op: Checkpoint) -> None:
        record = self.state.open_calls.get(op.call)
        if record is None or self._has(op.call, Kind.CHECKPOINT, op.ordinal):
            return
        self._batch.add(
            Entry(
                kind=Kind.CHECKPOINT, at_us=op.at_us, call=op.call, attempt=op.attempt, ordinal=op.ordinal,
                account=record.account, key=record.key, run=record.run, model=record.model, dialect=record.dialect,
                upstream=op.upstream, deployment=op.deployment, usage=op.usage, price=op.price,
                cost_pico=op.cost_pico, currency=op.currency,
            )
        )  # fmt: skip

    def _close(self, op: CloseAttempt) -> None:
        if not op.final and self._has(op.call, Kind.ATTEMPT, op.ordinal):
            return  # sent again
        record = self.state.open_calls.get(op.call)
        if record is None:
            self._close_afterwards(op)
            return
        who = Entry(
            kind=Kind.OPENED, at_us=record.opened_us, call=op.call, account=record.account, key=record.key,
            run=record.run, model=record.model, dialect=record.dialect,
        )  # fmt: skip
        if op.final:
            self._end(_closing(Kind.SETTLED, op, who))
        else:
            entry = _closing(Kind.ATTEMPT, op, who)
            self._count(op.call, record.key, self.state.spend(op.call, _spent(entry)))
            self._batch.add(entry)

    def _close_afterwards(self, op: CloseAttempt) -> None:
        """A worker reports a call that has been closed without it, or that this ledger never saw."""
        end = self._last(op.call, *_ENDS)
        closed_in_its_stead = end is not None and end.kind is Kind.SETTLED and end.reason == WORKER_GONE
        if end is not None and not closed_in_its_stead and (op.final or end.kind is not Kind.LATE):
            return  # sent again, or it had been refused
        if end is None and not op.usage.total and not op.cost_pico:
            return  # its opening was never written, and nothing was used
        who = self._last(op.call, Kind.OPENED) or end or Entry(kind=Kind.OPENED, at_us=op.at_us, call=op.call)
        entry = _closing(Kind.LATE if op.final else Kind.ATTEMPT, op, who)
        before = _spent(end) if op.final and end is not None else None
        if op.final:
            self._ended_now.add(op.call)
        self._count(op.call, who.key, self.state.correct(who.key, who.at_us, before, _spent(entry)))
        self._batch.add(entry)

    # --- parts

    def _has_ended(self, call: bytes) -> bool:
        if call > self._forgotten_upto and call not in self._ended and call not in self._batch.by_call:
            return False
        return self._last(call, *_ENDS) is not None

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

    def _last(self, call: bytes, *kinds: Kind) -> Entry | None:
        """The last entry of a call of these kinds, be it written or about to be."""
        for entry in reversed(self._batch.by_call.get(call, ())):
            if entry.kind in kinds:
                return entry
        return self.store.last_entry(call, *kinds)

    def _end(self, entry: Entry) -> None:
        key = self.state.open_calls[entry.call].key
        self._count(entry.call, key, self.state.spend(entry.call, _spent(entry)))
        self._count(entry.call, key, self.state.close(entry.call))
        self._ended_now.add(entry.call)
        self._batch.add(entry)

    def _count(self, call: bytes, key: str, counted: tuple[tuple[Limit, int, int], ...]) -> None:
        self._batch.spending += [
            Spending(call, key, limit, start, amount) for limit, start, amount in counted
        ]

    def _change_key(self, key: KeyRecord) -> None:
        self.state.set_key(key)
        self.keys_changed = True

    def _undo_openings(self) -> None:
        undone = set(self._opened_now)
        for call in undone:
            self.state.undo_open(call)
        for s in self._batch.spending:
            if s.call in undone:
                self.state.unspend(s.key, s.limit, s.start_us, s.amount)
        self._batch.forget(undone)
        self._opened_now.clear()

    def _reset(self) -> None:
        self._batch = Batch()
        self._opened_now.clear()
        self._ended_now.clear()


def _closing(kind: Kind, op: CloseAttempt, who: Entry) -> Entry:
    """The entry for the end of an attempt; `who` says whose call it is."""
    return Entry(
        kind=kind, at_us=op.at_us, call=op.call, attempt=op.attempt, ordinal=0 if op.final else op.ordinal,
        account=who.account, key=who.key, run=who.run, model=who.model, dialect=who.dialect,
        upstream=op.upstream, deployment=op.deployment, served_model=op.served_model, usage=op.usage,
        price=op.price, cost_pico=op.cost_pico, currency=op.currency, ttft_us=op.ttft_us,
        duration_us=op.duration_us, status=op.status, outcome=op.outcome, reason=op.reason,
    )  # fmt: skip


def _spent(entry: Entry) -> Spent:
    return Spent(entry.usage, entry.cost_pico, entry.currency)
