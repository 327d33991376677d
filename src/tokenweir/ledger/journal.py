"""From operations to entries: one batch at a time, decided by the laws and written by the store."""

import msgspec

from tokenweir.core.clock import Clock
from tokenweir.core.errors import LedgerError
from tokenweir.ledger.entries import Entry, Kind, Outcome
from tokenweir.ledger.messages import (
    Checkpoint,
    CloseAttempt,
    CreateKey,
    DefinePrice,
    KeyRecord,
    OpenCall,
    OpenResult,
    RevokeKey,
)
from tokenweir.ledger.store import Batch, Store

Durable = OpenCall | Checkpoint | CloseAttempt | DefinePrice | CreateKey | RevokeKey


class Journal:
    """The writer's mind: the state of the laws, the file, and the batch that is being gathered."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self.state, self._opened_seq = store.load()
        self._batch = Batch()
        self._opened_now: list[bytes] = []  # calls whose opening is not yet durable
        self._ended_now: set[bytes] = set()
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
        self._reset()

    def interrupt(self, calls: list[bytes]) -> None:
        """Settle calls whose worker is gone from their last checkpoint; the caller commits."""
        now_us = self._clock.now_us()
        for call in calls:
            record = self.state.open_calls.get(call)
            if record is None:
                continue
            known = self.store.last_checkpoint(call) or Entry(kind=Kind.CHECKPOINT, at_us=now_us, call=call)
            self._end(
                msgspec.structs.replace(
                    known,
                    kind=Kind.SETTLED,
                    at_us=now_us,
                    ordinal=0,
                    account=record.account,
                    key=record.key,
                    run=record.run,
                    model=record.model,
                    dialect=record.dialect,
                    duration_us=max(0, now_us - record.opened_us),
                    outcome=Outcome.INTERRUPTED,
                    reason="the gateway's process ended during this call",
                )
            )

    # --- operations

    def _open(self, op: OpenCall) -> OpenResult:
        if op.call not in self.state.open_calls and self.store.has_ended(op.call):
            return OpenResult(op.seq, 0, "ended")  # sent again after its end: nobody waits for it
        known = op.call in self.state.open_calls
        result = self.state.decide_open(op)
        if known:
            return result
        common = Entry(
            kind=Kind.REFUSED if result.refused else Kind.OPENED,
            at_us=op.at_us, call=op.call, account=op.account, key=op.key, run=op.run, model=op.model,
            dialect=op.dialect, bound_input=op.input_tokens, bound_output=result.output_tokens,
        )  # fmt: skip
        if result.refused:
            entry = msgspec.structs.replace(common, outcome=Outcome.REFUSED, reason=result.refused)
        else:
            currency, pico = self.state.reserved_money(op.call)
            entry = msgspec.structs.replace(common, currency=currency, reserved_pico=pico)
            self._opened_now.append(op.call)
        self._batch.entries.append(entry)
        return result

    def _checkpoint(self, op: Checkpoint) -> None:
        record = self.state.open_calls.get(op.call)
        if record is None or self.store.has_entry(op.call, Kind.CHECKPOINT, op.ordinal):
            return
        self._batch.entries.append(
            Entry(
                kind=Kind.CHECKPOINT, at_us=op.at_us, call=op.call, attempt=op.attempt, ordinal=op.ordinal,
                account=record.account, key=record.key, run=record.run, model=record.model, dialect=record.dialect,
                upstream=op.upstream, deployment=op.deployment, usage=op.usage, price=op.price,
                cost_pico=op.cost_pico, currency=op.currency,
            )
        )  # fmt: skip

    def _close(self, op: CloseAttempt) -> None:
        record = self.state.open_calls.get(op.call)
        if record is None:
            return  # sent again, or settled as interrupted before
        kind = Kind.SETTLED if op.final else Kind.ATTEMPT
        if not op.final and self.store.has_entry(op.call, kind, op.ordinal):
            return
        entry = Entry(
            kind=kind, at_us=op.at_us, call=op.call, attempt=op.attempt, ordinal=0 if op.final else op.ordinal,
            account=record.account, key=record.key, run=record.run, model=record.model, dialect=record.dialect,
            upstream=op.upstream, deployment=op.deployment, served_model=op.served_model, usage=op.usage,
            price=op.price, cost_pico=op.cost_pico, currency=op.currency, ttft_us=op.ttft_us,
            duration_us=op.duration_us, status=op.status, outcome=op.outcome, reason=op.reason,
        )  # fmt: skip
        if op.final:
            self._end(entry)
        else:
            self._spend(entry)
            self._batch.entries.append(entry)

    # --- parts

    def _end(self, entry: Entry) -> None:
        key = self.state.open_calls[entry.call].key
        self._spend(entry)
        for limit, start_us, amount in self.state.close(entry.call):
            self._batch.spending.append((key, limit, start_us, amount))
        self._ended_now.add(entry.call)
        self._batch.entries.append(entry)

    def _spend(self, entry: Entry) -> None:
        key = self.state.open_calls[entry.call].key
        for limit, start_us, amount in self.state.spend(
            entry.call, entry.usage, entry.cost_pico, entry.currency
        ):
            self._batch.spending.append((key, limit, start_us, amount))

    def _change_key(self, key: KeyRecord) -> None:
        self.state.set_key(key)
        self.keys_changed = True

    def _undo_openings(self) -> None:
        undone = set(self._opened_now)
        for call in undone:
            self.state.undo_open(call)
        self._batch.entries = [
            e for e in self._batch.entries if e.call not in undone and e.kind is not Kind.REFUSED
        ]
        self._opened_now.clear()

    def _reset(self) -> None:
        self._batch = Batch()
        self._opened_now.clear()
        self._ended_now.clear()
