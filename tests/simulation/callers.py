"""Workers of the simulated machine, and the calls that their gateways would make."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from world import Process, Side

from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.core.usage import Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.link import RECONNECT_S, LedgerLink
from tokenweir.ledger.messages import (
    NO_CHARGE,
    Charge,
    Checkpoint,
    CloseAttempt,
    CostBound,
    OpenCall,
    OpenResult,
)

if TYPE_CHECKING:
    from gateways import Gateways

INPUT, OUTPUT = 4, 16  # pico a token
CHARGED = (5, 20)  # of what some models are charged at
CORRECTED = (3, 30)  # what calls turn out to have cost
KEYS = {"k1": "person", "k2": "team", "k3": "other", "k4": "paying", "k5": "free", "k6": "planned"}
RUNS = {"k2": "r", "k3": "r"}
_KEYS = tuple(KEYS)
MODELS = ("small", "large", "charged")
#: The account above, and the time zone, at the beginning; then what they may become.
ACCOUNTS = {
    "org": ("", "Asia/Shanghai"), "team": ("org", ""), "person": ("team", ""), "other": ("org", "America/New_York"),
    "paying": ("", ""), "free": ("", ""), "planned": ("", "Asia/Tokyo"),
}  # fmt: skip
MOVES = (
    ("person", ("team", "other", "")),
    ("team", ("org", "")),
    ("other", ("org", "")),
    ("free", ("", "paying")),
)
ZONES = (
    ("org", ("Asia/Shanghai", "America/New_York", "UTC", "")),
    ("other", ("America/New_York", "Asia/Tokyo", "")),
    ("team", ("", "Pacific/Auckland")),
)
APPLIED = {
    name: msgspec.json.encode(AppliedPrice(name, "CNY", Rates(*rates)), order="deterministic")
    for name, rates in (("cost", (INPUT, OUTPUT)), ("charge", CHARGED), ("corrected", CORRECTED))
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
#: Tokens a month of the account "planned", whose calls beyond them are billed; and whose zones its months may become.
ALLOWANCE = 1_500_000
PLANNED_ZONES = ("Asia/Tokyo", "UTC", "America/New_York")


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

    def __init__(self, gateways: Gateways, name: str) -> None:
        self.machine, self.gateways, self.name = gateways.machine, gateways, name
        self.process = Process(self.machine, self._connect)
        self.under_way: dict[bytes, Call] = {}
        self.side: Side | None = None
        self.link = LedgerLink(
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
        self.gateways.closed.append(op)
        told = usage.total
        self.link.close_attempt(op, (lambda: self._finished(call, told)) if final else None)

    def _finished(self, call: Call, tokens: int) -> None:
        """The client has its last bytes."""
        self.gateways.finished[call.id] = tokens
        self.under_way.pop(call.id, None)
