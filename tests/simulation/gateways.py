"""Workers with calls, the writer over SQLite, and all that befalls them, in one simulated machine."""

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from callers import (
    ACCOUNTS,
    ALLOWANCE,
    APPLIED,
    CORRECTED,
    CREDIT,
    KEYS,
    LIMITS,
    MOVES,
    PLANNED_ZONES,
    PRICE_IDS,
    ZONES,
    Worker,
)
from referee import Cap, Referee, WatchedJournal
from world import US, Machine, Process, Side, join

from tokenweir.core.errors import LedgerError
from tokenweir.core.ids import uuid7
from tokenweir.ledger import terms as t
from tokenweir.ledger.link import LedgerLink
from tokenweir.ledger.messages import (
    NO_CHARGE,
    CloseAttempt,
    DefinePrice,
    MakeChanges,
    Reprice,
)
from tokenweir.ledger.service import Connection, Writer
from tokenweir.ledger.store import Batch, Store
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.verify import verify

#: What a commit takes, while operations gather.
COMMIT_US = 10_000


class DiskStore(Store):
    """The real store, on a disk that takes its time and can be full."""

    is_full = False
    process: Process
    machine: Machine

    def write(self, batch: Batch, open_since_seq: int) -> None:
        if self.is_full:
            raise LedgerError("the ledger cannot be written: database or disk is full")
        super().write(batch, open_since_seq)
        self.process.frozen_until_us = max(self.process.frozen_until_us, self.machine.now_us + COMMIT_US)


class WriterProcess:
    """The real writer."""

    def __init__(self, gateways: "Gateways") -> None:
        self._machine = gateways.machine
        self.process = Process(gateways.machine)
        self.store = DiskStore(gateways.data, "os")
        self.store.process, self.store.machine = self.process, gateways.machine
        self.journal = WatchedJournal(self.store, gateways.machine.clock).watch(gateways.referee)
        self.writer = Writer(self.journal, self.process, gateways.data)
        self._sides: list[Side] = []

    def accept(self, process: Process, link: LedgerLink) -> Side:
        side = join(self._machine, (process, link), (self.process, Connection(self.writer)))
        self._sides = [known for known in self._sides if known.other is not None] + [side]
        return side

    def die(self) -> None:
        self.process.is_alive = False
        for side in self._sides:
            side.cut()
        for left in self.writer._left:
            os.close(left._number)
        self.store._db.close()


@dataclass
class Figures:
    """What a run has seen."""

    seen: Counter[str] = field(default_factory=Counter)
    simulated_s: float = 0.0


class Gateways:
    """The whole of it, and what befalls it."""

    def __init__(self, seed: int, data: Path, calls: int, workers: int = 4) -> None:
        self.calls = calls
        # Limits and fates are sized so that limits are met, and something befalls, in small worlds too.
        self.size = min(1.0, calls / 40_000)
        self.fate_every_s = 0.25 if self.size == 1 else 0.08
        self.pause_s = 0.002 if self.size == 1 else 0.01
        self.machine = Machine(
            seed, 1_793_487_600_000_000
        )  # 2026-10-31T23:00Z: soon a month and New York's clocks turn
        self.data = data
        self.seen: Counter[str] = Counter()
        self.finished: dict[bytes, int] = {}
        self.closed: list[CloseAttempt] = []
        self._ids = 0
        caps = {
            (scope, model, unit, window): Cap(Limit(unit, self._sized(amount), window, mode, model), "")
            for scope, model, unit, window, mode, amount in LIMITS
        }
        self.referee = Referee(caps, "paying", ACCOUNTS, KEYS)
        for name, cap in caps.items():
            cap.zone = self.referee.zone(name[0])
        self.writer: WriterProcess | None = None
        self._start_writer()
        self._change(
            *(t.SetAccount(t.AccountRecord(name, parent, "", zone)) for name, (parent, zone) in ACCOUNTS.items()),
            *(t.SetKey(t.KeyRecord(k, k, a, k.encode() * 16, k, 0)) for k, a in KEYS.items()),
            *(t.SetLimit(name[0], cap.limit) for name, cap in caps.items()),
            t.AddCredit(t.Credit("c0", "paying", "CNY", self._sized(CREDIT), 1)),
            self._planned(ACCOUNTS["planned"][1]), self._plan(1),
        )  # fmt: skip
        self.workers = [Worker(self, f"w{n}") for n in range(workers)]
        self._born = workers

    def _sized(self, amount: float) -> int:
        return int(amount * self.size) + (1 if amount else 0)

    def new_id(self) -> bytes:
        self._ids += 1
        return uuid7(self.machine.clock.now_us(), self._ids.to_bytes(10, "big"))

    def _start_writer(self) -> None:
        if self.writer is None:
            self.writer = WriterProcess(self)

    def _change(self, *changes: t.Change) -> None:
        """Somebody changes terms, if the writer takes it."""
        writer = self.writer
        if writer is not None:
            writer.process.call_soon(
                writer.writer.take, Connection(writer.writer), MakeChanges(1, "test", changes)
            )

    # --- what befalls it

    def _arrivals(self, left: int) -> None:
        """Clients come in crowds."""
        crowd = min(left, 1 + self.machine.upto(4))
        for _ in range(crowd):
            worker = self.machine.pick(self.workers)
            if self.machine.now_us >= worker.process.frozen_until_us:
                worker.begin()
        if left > crowd:
            self.machine.after(self.machine.draw.random() * self.pause_s, self._arrivals, left - crowd)
        else:
            self.all_came = True

    def _fate(self) -> None:
        what = self.machine.pick(_FATES)
        self.seen[what] += 1
        getattr(self, f"_{what.replace(' ', '_')}")()
        self.machine.after(self.machine.draw.expovariate(1 / self.fate_every_s), self._fate)

    def _kill_a_worker(self) -> None:
        place = self.machine.draw.randrange(len(self.workers))
        self.workers[place].die()
        self._born += 1
        self.workers[place] = Worker(self, f"w{self._born}")

    def _kill_the_writer(self) -> None:
        if self.writer is not None:
            self.writer.die()
            self.writer = None
            self.referee.lost()
            self.machine.after(self.machine.pick((0.05, 0.2, 1.0)), self._start_writer)

    def _kill_everything(self) -> None:
        self._kill_the_writer()
        for _ in self.workers:
            self._kill_a_worker()

    def _cut_a_connection(self) -> None:
        side = self.machine.pick(self.workers).side
        if side is not None:
            side.cut()

    def _stop_a_worker(self) -> None:
        """SIGSTOP; the writer may lose it meanwhile, and close its calls."""
        worker = self.machine.pick(self.workers)
        worker.process.frozen_until_us = self.machine.now_us + int(self.machine.pick((0.3, 3, 7)) * US)
        if worker.side is not None and self.machine.draw.random() < 0.7:
            worker.side.cut()

    def _fill_the_disk(self) -> None:
        if self.writer is not None:
            self.writer.store.is_full = True
            self.machine.after(self.machine.pick((0.05, 0.4)), self._free_the_disk, self.writer.store)

    def _free_the_disk(self, store: DiskStore) -> None:
        store.is_full = False

    def _silence_the_writer(self) -> None:
        if self.writer is not None:
            self.writer.process.frozen_until_us = self.machine.now_us + int(
                self.machine.pick((0.1, 0.3, 2.5)) * US
            )

    def _change_a_limit(self) -> None:
        scope, model, unit, window, mode, amount = self.machine.pick(LIMITS)
        cap = self.referee.caps[scope, model, unit, window]
        if cap.in_force and self.machine.draw.random() < (0.5 if window == "total" else 0.25):
            self._change(t.RemoveLimit(scope, model, unit, window))
        else:
            size = self._sized(amount * self.machine.pick((0, 0.3, 1, 1, 2, 3)))
            self._change(t.SetLimit(scope, Limit(unit, size, window, mode, model)))

    def _top_up(self) -> None:
        machine = self.machine
        good_for_s = machine.pick((None, 0.5, 3, 10, 60, 3_600))
        expires_us = None if good_for_s is None else machine.clock.now_us() + int(good_for_s * US)
        id = f"c{machine.draw.getrandbits(60)}"
        self._change(t.AddCredit(t.Credit(id, "paying", "CNY", self._sized(CREDIT // 10), 1, expires_us)))

    def _planned(self, zone: str) -> t.SetAccount:
        return t.SetAccount(t.AccountRecord("planned", "", "", zone, "bill"))

    def _plan(self, size: float) -> t.SetPlan:
        return t.SetPlan(
            "planned", t.Plan("p", "CNY", allowance=self._sized(ALLOWANCE * size), allowance_unit="tokens")
        )

    def _change_a_plan(self) -> None:
        """What it includes, or whose months it goes by."""
        machine = self.machine
        if machine.draw.random() < 0.7:
            self._change(self._plan(machine.pick((0, 0.3, 1, 1.5, 3))))
        else:
            self._change(self._planned(machine.pick(PLANNED_ZONES)))

    def _end_a_credit(self) -> None:
        now_us = self.machine.clock.now_us()
        good = [lot.id for lot in self.referee.lots[1:] if lot.expires_us > now_us]
        if good:
            self._change(t.EndCredit("paying", self.machine.pick(good), now_us))

    def _move_an_account(self) -> None:
        name, parents = self.machine.pick(MOVES)
        parent = self.machine.pick(parents)
        self._change(t.SetAccount(t.AccountRecord(name, parent, "", self.referee.accounts[name][1])))

    def _change_a_zone(self) -> None:
        name, zones = self.machine.pick(ZONES)
        zone = self.machine.pick(zones)
        self._change(t.SetAccount(t.AccountRecord(name, self.referee.accounts[name][0], "", zone)))

    def _correct_prices(self) -> None:
        """What some of the latest calls cost turns out to be something else; now and then it is said twice."""
        writer, machine = self.writer, self.machine
        if writer is None:
            return
        connection = Connection(writer.writer)
        take = writer.writer.take
        writer.process.call_soon(
            take, connection, DefinePrice(1, PRICE_IDS["corrected"], APPLIED["corrected"])
        )
        id = f"correction-{machine.draw.getrandbits(60)}"
        for op in self.closed[-200 :: 1 + machine.upto(40)]:
            pico = op.usage.input * CORRECTED[0] + op.usage.output * CORRECTED[1]
            charge = op.charge if machine.draw.random() < 0.5 else NO_CHARGE
            told = Reprice(1, op.call, op.attempt, op.usage, id, PRICE_IDS["corrected"], pico, "CNY", charge)
            for _ in range(1 + (machine.draw.random() < 0.1)):
                writer.process.call_soon(take, connection, told)

    def _step_the_clock(self) -> None:
        """Windows turn in the middle of calls; now and then clocks step back."""
        self.machine.clock.step(int(self.machine.pick((-30, -2, 20, 60, 600, 3_600, 20_000)) * US))

    # --- a run

    def run(self) -> None:
        """So many calls, then peace; everything is compared."""
        self.all_came = False
        self.machine.after(0, self._arrivals, self.calls)
        fates = self._fate
        self.machine.after(0.5, fates)
        self.machine.run(lambda: self.all_came)
        self._fate = lambda: None  # type: ignore[method-assign]
        self._start_writer()
        assert self.writer is not None
        self.writer.store.is_full = False
        self.machine.run(self._is_quiet, 60)
        self.compare()

    def _is_quiet(self) -> bool:
        writer = self.writer
        return (
            writer is not None
            and not any(worker.under_way or worker.link.undelivered for worker in self.workers)
            and not writer.journal.open_calls
            and not writer.journal._batch
            and not writer.writer._left
        )

    def compare(self) -> None:
        """Nothing is set aside any more, the file says what is known, and what clients have is in it, once."""
        assert self.writer is not None
        self.referee.nothing_is_left_open()
        live, (loaded, _) = self.writer.journal.state, self.writer.store.load()
        for name, cap in self.referee.caps.items():
            if cap.in_force:
                now_us = max(live.latest_us, loaded.latest_us)
                expected = cap.spent[cap.window(now_us)], 0
                for state in (live, loaded):
                    found = state.reserved(name[0], cap.limit, now_us)
                    assert found == expected, f"{name}: {found}, and not {expected}"
        left = self.referee.left()
        assert live._purses["paying"].left("CNY", live.latest_us) == left
        assert loaded._purses["paying"].left("CNY", live.latest_us) == left
        report = verify(self.data)
        assert report.ok, report.problems
        query = "SELECT call, kind, outcome, input + output FROM entries WHERE kind IN ('settled', 'late') ORDER BY seq"
        told: dict[bytes, tuple[str, int]] = {}
        for call, kind, outcome, tokens in self.writer.store._db.execute(query):
            assert (kind == "late") == (call in told), f"{kind} of {call.hex()}"
            told[call] = outcome, tokens
        for call, tokens in self.finished.items():
            assert told.get(call) == ("ok", tokens), (
                f"{call.hex()}: the client has {tokens}, the ledger {told.get(call)}"
            )
        covered = "SELECT count(*) FROM entries WHERE covered_tokens > 0"
        self.seen["covered by an allowance"] += self.writer.store._db.execute(covered).fetchone()[0]
        self.seen["entries"] += report.entries
        self.seen["finished"] += len(self.finished)

    def close(self) -> None:
        for worker in self.workers:
            worker.die()
        if self.writer is not None:
            self.writer.die()


_FATES = (
    *["kill a worker"] * 3, *["kill the writer"] * 3, "kill everything", *["cut a connection"] * 3, *["stop a worker"] * 3, *["fill the disk"] * 2,
    *["silence the writer"] * 2, *["change a limit"] * 6, *["top up"] * 3, "end a credit", *["move an account"] * 2, *["change a zone"] * 2, *["change a plan"] * 3, *["correct prices"] * 2,
    *["step the clock"] * 8,
)  # fmt: skip
