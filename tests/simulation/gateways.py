"""Workers with calls, the writer over SQLite, and all that befalls them, in one simulated machine."""

import hashlib
import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from referee import Cap, Referee, WatchedJournal
from world import US, Machine, Process, Side, join

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.core.errors import LedgerError
from tokenweir.core.ids import uuid7
from tokenweir.core.usage import Usage
from tokenweir.ledger import terms as t
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.link import RECONNECT_S, SocketLedgerLink
from tokenweir.ledger.messages import (
    NO_CHARGE,
    Charge,
    Checkpoint,
    CloseAttempt,
    CostBound,
    MakeChanges,
    OpenCall,
    OpenResult,
)
from tokenweir.ledger.service import Connection, Writer
from tokenweir.ledger.store import Batch, Store
from tokenweir.ledger.terms import Limit
from tokenweir.ledger.verify import verify

INPUT, OUTPUT = 4, 16  # pico a token
CHARGED = (5, 20)  # of what some models are charged at
KEYS = {"k1": "person", "k2": "team", "k3": "other", "k4": "paying", "k5": "free"}
RUNS = {"k2": "r", "k3": "r"}
_KEYS = tuple(KEYS)
MODELS = ("small", "large", "charged")
PARENTS = {"org": "", "team": "org", "person": "team", "other": "org", "paying": "", "free": ""}
ZONES = {"org": "Asia/Shanghai", "other": "America/New_York"}
CHAINS = {
    name: tuple(a for a in (name, PARENTS[name], PARENTS.get(PARENTS[name], "")) if a) for name in PARENTS
}
APPLIED = {
    name: msgspec.json.encode(AppliedPrice(name, "CNY", Rates(*rates)), order="deterministic")
    for name, rates in (("cost", (INPUT, OUTPUT)), ("charge", CHARGED))
}
PRICE_IDS = {name: hashlib.blake2b(applied, digest_size=16).hexdigest() for name, applied in APPLIED.items()}
#: scope, model, unit, window, mode, how much of it: a few to a few hundred calls.
LIMITS = (
    ("account/org", "", "CNY", "day", "hard", 8_000_000),
    ("account/org", "l*", "tokens", "hour", "hard", 150_000),
    ("account/team", "", "tokens", "month", "hard", 5_000_000),
    ("account/team", "", "calls", "at once", "hard", 150),
    ("account/person", "", "calls", "minute", "hard", 300),
    ("account/other", "", "CNY", "day", "soft", 2_500_000),
    ("key/k1", "", "CNY", "total", "hard", 5_000_000),
    ("key/k3", "", "tokens", "minute", "hard", 60_000),
    ("run/r", "", "CNY", "hour", "hard", 1_500_000),
    ("account/paying", "small", "calls", "hour", "soft", 300),
)
CREDIT = 20_000_000


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


@dataclass
class Call:
    """A call as its worker and its client know it."""

    id: bytes
    model: str
    input_tokens: int
    granted: int = 0
    used: int = 0  # tokens of attempts before
    attempts: int = 0
    output: int = 0  # that the upstream will give in the end
    checkpoints: int = 0


class Worker:
    """A worker's link, which is the real one, and calls as its gateway would make them."""

    def __init__(self, gateways: "Gateways", name: str) -> None:
        self.machine, self.gateways, self.name = gateways.machine, gateways, name
        self.process = Process(self.machine, self._connect)
        self.under_way: dict[bytes, Call] = {}
        self.side: Side | None = None
        self.link = SocketLedgerLink(
            self.process, gateways.data, name, lambda: tuple(self.under_way), durability="os"
        )
        self.link.connect()

    def _connect(self) -> None:
        writer = self.gateways.writer
        if writer is None:
            self.process.call_later(RECONNECT_S, self._connect)
        else:
            self.side = writer.accept(self.process, self.link)

    def die(self) -> None:
        """kill -9: its file lies there, and nobody holds its lock."""
        self.process.is_alive = False
        if self.side is not None:
            self.side.cut()
        if self.link._spill._file >= 0:
            os.close(self.link._spill._file)
        self.gateways.seen["cut off by a worker's death"] += len(self.under_way)

    # --- calls

    def begin(self) -> None:
        """A client asks."""
        machine = self.machine
        key = machine.pick(_KEYS)
        call = Call(self.gateways.new_id(), machine.pick(MODELS), 20 + machine.upto(180))
        self.gateways.seen["calls"] += 1
        if not self.link.available:
            self.gateways.seen["503"] += 1
            return
        self.under_way[call.id] = call
        each_input, each_output = CHARGED if call.model == "charged" else (INPUT, OUTPUT)
        bounds = (CostBound("CNY", call.input_tokens * each_input, each_output),)
        op = OpenCall(
            self.link.next_seq(), call.id, self.machine.clock.now_us(), key, KEYS[key], RUNS.get(key, ""), call.model,
            "chat", bounds, False, call.input_tokens, 1 + machine.upto(160),
        )  # fmt: skip
        self.link.open(op, lambda result: self._opened(call, result))

    def _opened(self, call: Call, result: OpenResult | None) -> None:
        if result is None or result.refused:
            self.gateways.seen["503" if result is None else "refused"] += 1
            self.under_way.pop(call.id, None)
            return
        machine = self.machine
        call.granted = result.output_tokens
        call.output = machine.upto(call.granted)
        takes_s = machine.pick((0.001, 0.02, 0.02, 0.2, 1.0, 8.0))
        if takes_s >= 1 and machine.draw.random() < 0.5:
            self.process.call_later(takes_s / 2, self._checkpoint, call)
        elif machine.draw.random() < 0.03:
            self.process.call_later(takes_s / 2, self._try_again, call)
        self.process.call_later(takes_s, self._settle, call)

    def _usage(self, call: Call, output: int) -> tuple[Usage, int, Charge]:
        prompt = max(0, call.input_tokens - call.used)
        usage = Usage(input=prompt, output=output)
        charge = NO_CHARGE
        if call.model == "charged":
            charge = Charge(PRICE_IDS["charge"], prompt * CHARGED[0] + output * CHARGED[1], "CNY")
        return usage, prompt * INPUT + output * OUTPUT, charge

    def _prices(self) -> None:
        for applied in APPLIED.values():
            self.link.define_price(applied)

    def _checkpoint(self, call: Call) -> None:
        call.checkpoints += 1
        self._prices()
        usage, pico, charge = self._usage(call, call.output // 2)
        each_input, each_output = CHARGED if charge.price else (INPUT, OUTPUT)
        still = {
            "tokens": call.input_tokens + call.granted,
            "CNY": call.input_tokens * each_input + call.granted * each_output,
        }
        if self.machine.draw.random() < 0.5:  # the upstream has said that the prompt is shorter
            shorter = call.input_tokens // 2
            call.input_tokens -= shorter
            usage, pico, charge = self._usage(call, call.output // 2)
            still = {"tokens": still["tokens"] - shorter, "CNY": still["CNY"] - shorter * each_input}
        self.link.checkpoint(
            Checkpoint(
                self.link.next_seq(), call.id, b"1", call.checkpoints, self.machine.clock.now_us(), "u", "u/m", usage,
                PRICE_IDS["cost"], pico, "CNY", charge, still,
            )
        )  # fmt: skip

    def _try_again(self, call: Call) -> None:
        """An upstream broke after it had read some of the prompt; the next attempt has what is left."""
        call.attempts += 1
        prompt = call.input_tokens // 4
        usage = Usage(input=prompt)
        charge = NO_CHARGE
        if call.model == "charged":
            charge = Charge(PRICE_IDS["charge"], prompt * CHARGED[0], "CNY")
        self._prices()
        self._close(call, usage, prompt * INPUT, charge, final=False)
        call.used += prompt

    def _settle(self, call: Call) -> None:
        call.attempts += 1
        self._prices()
        self._close(call, *self._usage(call, call.output), final=True)

    def _close(self, call: Call, usage: Usage, pico: int, charge: Charge, *, final: bool) -> None:
        outcome = Outcome.OK if final else Outcome.UPSTREAM_BROKE
        op = CloseAttempt(
            self.link.next_seq(), call.id, b"%d" % call.attempts, call.attempts, final, self.machine.clock.now_us(), "u",
            "u/m", "m", usage, PRICE_IDS["cost"], pico, "CNY", 5, 10, 200, outcome, "", charge,
        )  # fmt: skip
        told = usage.total
        self.link.close_attempt(op, (lambda: self._finished(call, told)) if final else None)

    def _finished(self, call: Call, tokens: int) -> None:
        """The client has its last bytes."""
        self.gateways.finished[call.id] = tokens
        self.under_way.pop(call.id, None)


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

    def accept(self, process: Process, link: SocketLedgerLink) -> Side:
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
        self._ids = 0
        caps = {
            (scope, model, unit, window): Cap(
                Limit(unit, self._sized(amount), window, mode, model), _zone(scope)
            )
            for scope, model, unit, window, mode, amount in LIMITS
        }
        self.referee = Referee(caps, "paying", CHAINS)
        self.writer: WriterProcess | None = None
        self._start_writer()
        self._change(
            *(t.SetAccount(t.AccountRecord(name, parent, "", ZONES.get(name, ""))) for name, parent in PARENTS.items()),
            *(t.SetKey(t.KeyRecord(k, k, a, k.encode() * 16, k, 0)) for k, a in KEYS.items()),
            *(t.SetLimit(name[0], cap.limit) for name, cap in caps.items()),
            t.AddCredit(t.Credit("c0", "paying", "CNY", self._sized(CREDIT), 1)),
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
        if window == "total" and cap.in_force and self.machine.draw.random() < 0.5:
            self._change(t.RemoveLimit(scope, model, unit, window))
        else:
            size = self._sized(amount * self.machine.pick((0, 0.3, 1, 1, 2, 3)))
            self._change(t.SetLimit(scope, Limit(unit, size, window, mode, model)))

    def _top_up(self) -> None:
        credit = t.Credit(
            f"c{self.machine.draw.getrandbits(60)}", "paying", "CNY", self._sized(CREDIT // 10), 1
        )
        self._change(t.AddCredit(credit))

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
                assert live.reserved(name[0], cap.limit, now_us) == expected, name
                assert loaded.reserved(name[0], cap.limit, now_us) == expected, name
        left = self.referee.credit - self.referee.paid
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
        self.seen["entries"] += report.entries
        self.seen["finished"] += len(self.finished)

    def close(self) -> None:
        for worker in self.workers:
            worker.die()
        if self.writer is not None:
            self.writer.die()


_FATES = (
    *["kill a worker"] * 3, *["kill the writer"] * 3, "kill everything", *["cut a connection"] * 3, *["stop a worker"] * 3, *["fill the disk"] * 2,
    *["silence the writer"] * 2, *["change a limit"] * 6, *["top up"] * 2, *["step the clock"] * 8,
)  # fmt: skip


def _zone(scope: str) -> str:
    kind, _, id = scope.partition("/")
    account = {"account": id, "key": KEYS.get(id, "")}.get(kind, "")
    return next((ZONES[a] for a in CHAINS.get(account, ()) if a in ZONES), "UTC")
