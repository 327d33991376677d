"""An organisation's ledger of some weeks, for pages that are to be looked at: always the same from the same seed and moment.

    python -m seeded_ledger DIR     (from this directory)

Two teams of six people, seven models in two currencies, one of them without a price, a customer that is charged by a price of
its own, limits of every kind, weekends, failures, a model that grows, and runs of agents with tools and a sub-agent.
"""

import math
import random
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import msgspec

from tokenweir.agents.records import Records, RunEnd, RunStart, Tokens
from tokenweir.agents.verdict import Check, Ending, Verdict
from tokenweir.billing.invoicing import issue
from tokenweir.billing.months import month_at
from tokenweir.catalog.charges import ChargeRule
from tokenweir.catalog.price import AppliedPrice, Rates
from tokenweir.catalog.pricing import cost, price_id
from tokenweir.core.clock import FakeClock
from tokenweir.core.ids import uuid7
from tokenweir.core.money import PICO, format_pico
from tokenweir.core.usage import NOTHING_USED, Provenance, Usage
from tokenweir.ledger.entries import Outcome
from tokenweir.ledger.journal import Journal
from tokenweir.ledger.messages import (
    NO_CHARGE,
    Charge,
    Checkpoint,
    CloseAttempt,
    CostBound,
    DefinePrice,
    MakeChanges,
    OpenCall,
)
from tokenweir.ledger.store import Store
from tokenweir.ledger.terms import (
    AccountRecord,
    AddCredit,
    Change,
    Credit,
    ExchangeRate,
    KeyRecord,
    Limit,
    SetAccount,
    SetCharge,
    SetKey,
    SetLimit,
    SetRate,
)
from tokenweir.protocol.steps import AskedTool, Step, ToolResult

DAYS = 45
DAY_US, HOUR_US = 86_400_000_000, 3_600_000_000
ZONE = "Asia/Shanghai"
ACCOUNTS = (
    AccountRecord("acme", name="Acme", time_zone=ZONE, beyond_credit="bill"),
    AccountRecord("research", "acme", "Research"), AccountRecord("product", "acme", "Product"),
    *(AccountRecord(name, "research", name.title()) for name in ("ann", "bo", "chen")),
    *(AccountRecord(name, "product", name.title()) for name in ("dana", "eli", "farah", "gus")),
    AccountRecord("northwind", name="Northwind (customer)", time_zone=ZONE, beyond_credit="bill"),
)  # fmt: skip
#: Who may look: of the organisation's own, and of a customer's.
VIEWERS = {"owner": "acme", "member": "northwind"}
SECRETS = {role: f"sk-weir-{role}-of-these-weeks" for role in VIEWERS}
#: How much of the work is whose; gus has no call.
SHARES = {"ann": 9, "bo": 4, "chen": 6, "dana": 7, "eli": 3, "farah": 2, "northwind": 5}


class Kind(NamedTuple):
    """A model: where it is served, what it costs, how fast it is, and how its share changes over the weeks."""

    upstream: str
    price: AppliedPrice | None
    per_s: int
    first_ms: int
    share: int
    growth: float


def _price(ref: str, currency: str, *rates: int) -> AppliedPrice:
    return AppliedPrice(ref, currency, Rates(rates[0], rates[1], cache_read=rates[2]))


MODELS = {
    "kimi-k2.5": Kind("moonshot", _price("moonshotai-cn", "CNY", 4_000_000, 21_000_000, 700_000), 62, 700, 30, 1.6),
    "deepseek-v3.2": Kind("deepseek", _price("deepseek", "CNY", 2_000_000, 3_000_000, 200_000), 41, 950, 26, 1.0),
    "qwen3-max": Kind("dashscope", _price("alibaba-cn", "CNY", 2_500_000, 10_000_000, 500_000), 55, 520, 14, 0.7),
    "glm-4.7": Kind("zhipu", _price("zhipuai", "CNY", 2_000_000, 8_000_000, 400_000), 58, 610, 10, 1.2),
    "gpt-5.2": Kind("openai", _price("openai", "USD", 1_750_000, 14_000_000, 175_000), 74, 880, 8, 0.8),
    "claude-sonnet-4.5": Kind("anthropic", _price("anthropic", "USD", 3_000_000, 15_000_000, 300_000), 66, 1_150, 8, 1.0),
    "qwen3-32b": Kind("gpu-box", None, 38, 240, 4, 1.0),
}  # fmt: skip
#: A model that is served elsewhere as well, and where.
ELSEWHERE, NEXT = "kimi-k2.5", "siliconflow"
_FAILURES = (
    (Outcome.UPSTREAM_ERROR, "the upstream answered 503"), (Outcome.TIMEOUT, "no first byte within 60 s"),
    (Outcome.UPSTREAM_BROKE, "the stream ended without its last event"), (Outcome.CANCELLED, "the client went away"),
)  # fmt: skip


class Seeding:
    """Writes calls in the order of their time."""

    def __init__(self, data: Path, now_us: int, seed: int) -> None:
        self.draw = random.Random(seed)
        self.now_us = now_us
        self.start_us = now_us - DAYS * DAY_US
        self.clock = FakeClock(self.start_us)
        self.data = data
        self.store = Store(data, "os")
        self.journal = Journal(self.store, self.clock)
        self.number = 0
        self.charged: dict[str, AppliedPrice] = {}
        self.due: list[tuple[int, int, str, str, int, Verdict | None]] = []  # runs, the first last

    def change(self, *changes: Change) -> None:
        refused = self.journal.apply(MakeChanges(0, "command line", changes))
        assert refused == "", refused

    def terms(self) -> None:
        self.change(*(SetAccount(msgspec.structs.replace(a, created_us=self.start_us)) for a in ACCOUNTS))
        self.change(
            *(SetKey(KeyRecord(f"key-{who}", f"{who}'s laptop", who, f"{who:32}".encode(), f"weir_{who[:3]}", self.start_us)) for who in SHARES),
            *(SetKey(KeyRecord(f"viewer-{role}", role, account, sha256(SECRETS[role].encode()).digest(), "sk-weir-", self.start_us, role=role)) for role, account in VIEWERS.items()),
            SetCharge("northwind", ChargeRule(markup_bp=2_000)),
            SetRate(ExchangeRate("USD", "CNY", "2026-01-01", 7_050_000_000_000, "seed")),
            # Hard limits in money refuse what has no price, or one in another currency: so they are for some models only.
            SetLimit("account/acme", Limit("CNY", 400 * PICO, "month", "soft")),
            SetLimit("account/research", Limit("CNY", 120 * PICO, "month", model="kimi*")),
            SetLimit("account/product", Limit("tokens", 90_000_000, "month", "soft")),
            SetLimit("account/northwind", Limit("USD", 40 * PICO, "month", model="gpt*")),
            SetLimit("key/key-ann", Limit("CNY", 30 * PICO, "day", "soft")),
            SetLimit("key/key-dana", Limit("calls", 8, "at once")),
            *(SetLimit(f"run/{run}", limit) for run in ("run-000-kimi", "run-001-kimi") for limit in (Limit("CNY", 5 * PICO, "total"), Limit("tool calls", 40, "total"))),
            AddCredit(Credit("welcome", "northwind", "CNY", 150 * PICO, self.start_us)),
        )  # fmt: skip
        for kind in MODELS.values():
            if kind.price is not None:
                each = kind.price.rates
                raised = Rates(*(rate * 12 // 10 for rate in (each.input, each.output, each.cache_read or 0)))
                self.charged[kind.price.ref] = msgspec.structs.replace(
                    kind.price, ref=f"{kind.price.ref}, +20 %", rates=raised
                )
                for price in (kind.price, self.charged[kind.price.ref]):
                    self.journal.apply(DefinePrice(0, *price_id(price)))
        self.journal.commit()

    def call(
        self, at_us: int, who: str, model: str, run: str = "", *, input: int, cached: int, output: int, outcome: Outcome = Outcome.OK,
        reason: str = "", step: Step | None = None, key: str = "",
    ) -> int:  # fmt: skip
        """One call; when it ended."""
        self.number += 1
        call, kind = uuid7(at_us, self.number.to_bytes(10, "big")), MODELS[model]
        bounds = (
            ()
            if kind.price is None
            else (
                CostBound(
                    kind.price.currency, (input + cached) * kind.price.rates.input, kind.price.rates.output
                ),
            )
        )
        opened = OpenCall(
            0,
            call,
            at_us,
            key or f"key-{who}",
            who,
            run,
            model,
            "chat",
            bounds,
            kind.price is None,
            input + cached,
            max(16, output),
        )
        self.clock.step(at_us - self.clock.now_us())
        result = self.journal.apply(opened)
        if getattr(result, "refused", ""):
            return at_us
        first_us = (
            int(self.draw.lognormvariate(math.log(kind.first_ms), 0.45) * 1_000) + (input // 40) * 1_000
        )
        reasoning = output // 3 if model.startswith(("kimi", "deepseek", "gpt")) else 0
        used = Usage(input=input, cache_read=cached, output=output - reasoning, reasoning=reasoning)
        if outcome in (Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT):
            used = NOTHING_USED
        elif outcome is not Outcome.OK:
            used = msgspec.structs.replace(used, output=used.output // 4, provenance=Provenance.COUNTED)
        duration_us = first_us + used.completion * 1_000_000 // kind.per_s
        price, pico, currency, charge = "", None, "", NO_CHARGE
        if kind.price is not None:
            price, pico, currency = price_id(kind.price)[0], cost(kind.price, used), kind.price.currency
            if who == "northwind":
                charged = self.charged[kind.price.ref]
                charge = Charge(price_id(charged)[0], cost(charged, used), charged.currency)
        self.journal.apply(
            CloseAttempt(
                0, call, call, 1, True, at_us + duration_us, kind.upstream, f"{kind.upstream}/{model}", model, used, price, pico, currency,
                None if used is NOTHING_USED else first_us, duration_us, 200 if outcome is Outcome.OK else 503, outcome, reason, charge, step,
            )
        )  # fmt: skip
        return at_us + duration_us

    def day(self, number: int, calls: int) -> None:
        """Office hours, fewer at weekends, a little more each week."""
        draw, begin = self.draw, (self.start_us // DAY_US + number) * DAY_US
        weekend = (begin // DAY_US + 4) % 7 in (0, 6)
        count = int(calls * (0.35 if weekend else 1) * (0.6 + 0.8 * number / DAYS) * draw.uniform(0.85, 1.15))
        moments = sorted(begin + int(min(23.9, max(0, draw.gauss(7, 3.2))) * HOUR_US) for _ in range(count))
        weights = [kind.share * kind.growth ** (number / DAYS * 2) for kind in MODELS.values()]
        for at_us in moments:
            while self.due and self.due[-1][0] <= min(at_us, self.now_us):
                self.run(*self.due.pop())
            if at_us >= self.now_us:
                break
            if at_us < self.start_us:
                continue
            who = draw.choices(list(SHARES), list(SHARES.values()))[0]
            model = draw.choices(list(MODELS), weights)[0]
            prompt = int(draw.lognormvariate(10.0, 0.9))
            cached = int(prompt * max(0.0, min(0.95, draw.gauss(0.45 + 0.3 * number / DAYS, 0.2))))
            outcome, reason = (Outcome.OK, "") if draw.random() > 0.022 else draw.choice(_FAILURES)
            self.call(
                at_us, who, model, input=prompt - cached, cached=cached, output=int(draw.lognormvariate(6.3, 0.8)) + 16, outcome=outcome,
                reason=reason, key="key-lost" if draw.random() < 0.004 else "",
            )  # fmt: skip
        self.journal.commit()

    def run(self, at_us: int, number: int, who: str, model: str, steps: int, verdict: Verdict | None) -> None:
        """An agent's run: it reads, edits and tests; in its midst a sub-agent looks something up."""
        name, draw = f"run-{number:03d}-{model.partition('-')[0]}", self.draw
        began_us, after_seq = at_us, self.store.last_seq
        cached, waiting = 0, ""
        tools = (
            ("read_file", ("src/app.py",), ()),
            ("bash", (), ("pytest",)),
            ("edit_file", ("src/app.py",), ()),
            ("task", (), ()),
        )
        for turn in range(steps):
            inner = turn and tools[(turn - 1) % 4][0] == "task"
            tool = tools[turn % 4]
            asked = (
                ()
                if turn == steps - 1
                else (
                    AskedTool(
                        f"{name}-{turn}",
                        tool[0],
                        f"{turn:016x}",
                        80 + turn * 7,
                        tool[1],
                        tool[2],
                        "inner" if tool[0] == "task" else "",
                    ),
                )
            )
            results = (ToolResult(waiting, draw.randrange(200, 9_000), False),) if waiting else ()
            prompt = 2_200 + cached + draw.randrange(300, 1_800)
            if inner:
                step = Step(thread="inner", turns=1, tools=4)
                at_us = (
                    self.call(at_us, who, model, name, input=1_800, cached=900, output=220, step=step)
                    + 400_000
                )
            step = Step(thread="main", turns=turn + 1, tools=6, asked=asked, results=results)
            at_us = self.call(
                at_us,
                who,
                model,
                name,
                input=prompt - cached,
                cached=cached,
                output=draw.randrange(120, 900),
                step=step,
            ) + draw.randrange(300_000, 4_000_000)
            cached, waiting = int(prompt * 0.93), asked[0].id if asked else ""
        self.journal.commit()
        self._record(name, who, model, began_us, at_us, after_seq, steps, verdict)

    def failover(self, at_us: int, who: str) -> None:
        """A call whose first upstream refused it, so that the next one answered."""
        self.number += 1
        kind, call = MODELS[ELSEWHERE], uuid7(at_us, self.number.to_bytes(10, "big"))
        assert kind.price is not None
        self.clock.step(at_us - self.clock.now_us())
        bound = CostBound(kind.price.currency, 40_000 * kind.price.rates.input, kind.price.rates.output)
        self.journal.apply(
            OpenCall(0, call, at_us, f"key-{who}", who, "", ELSEWHERE, "chat", (bound,), False, 40_000, 2_000)
        )
        used = Usage(input=3_412, cache_read=18_944, output=486, reasoning=243)
        priced = price_id(kind.price)[0], cost(kind.price, used), kind.price.currency
        tries = (
            (
                NOTHING_USED,
                ("", None, ""),
                None,
                Outcome.UPSTREAM_ERROR,
                503,
                f"{kind.upstream} answered 503",
            ),
            (used, priced, 1_240_000, Outcome.OK, 200, ""),
        )
        for number, (usage, price, first_us, outcome, status, reason) in enumerate(tries, 1):
            upstream, ended_us = (
                (kind.upstream, NEXT)[number - 1],
                number * 420_000 + usage.completion * 15_000,
            )
            self.journal.apply(
                CloseAttempt(
                    0, call, uuid7(at_us, bytes([number]) * 10), number, number == len(tries), at_us + ended_us, upstream,
                    f"{upstream}/{ELSEWHERE}", ELSEWHERE if price[0] else "", usage, *price, first_us, ended_us, status, outcome, reason,
                    route=f"{number} of 2: as configured",
                )
            )  # fmt: skip
        self.journal.commit()

    def under_way(self, at_us: int, who: str, model: str, run: str) -> None:
        """The next step of a run, which has not ended yet."""
        self.number += 1
        kind, call = MODELS[model], uuid7(at_us, self.number.to_bytes(10, "big"))
        assert kind.price is not None
        self.clock.step(at_us - self.clock.now_us())
        bound = CostBound(kind.price.currency, 12_000 * kind.price.rates.input, kind.price.rates.output)
        self.journal.apply(
            OpenCall(0, call, at_us, f"key-{who}", who, run, model, "chat", (bound,), False, 12_000, 4_000)
        )
        used = Usage(input=1_204, cache_read=9_820, output=318, provenance=Provenance.COUNTED)
        self.journal.apply(
            Checkpoint(
                0, call, call, 1, at_us + 9_000_000, kind.upstream, f"{kind.upstream}/{model}", used,
                price_id(kind.price)[0], cost(kind.price, used), kind.price.currency,
            )
        )  # fmt: skip
        self.journal.commit()

    def _record(
        self,
        name: str,
        who: str,
        model: str,
        began_us: int,
        ended_us: int,
        after_seq: int,
        calls: int,
        verdict: Verdict | None,
    ) -> None:
        records = Records(self.data)
        records.make(name)
        records.begin(RunStart(
            id=name, agent="kimi-cli", version="1.4", model=model, task_digest="0" * 64, account=who, key=f"key-{who}", limits=("¥5",), time_s=1_800,
            started_us=began_us, after_seq=after_seq, root="/srv/app", base="4f2c1d0", in_place=False, sandbox="bubblewrap", verify="pytest -q", pid=0,
        ))  # fmt: skip
        if verdict is not None:
            check = Check.PASSED if verdict is Verdict.SOLVED else Check.FAILED
            records.finish(name, RunEnd(
                ended_us=ended_us, duration_us=ended_us - began_us, verdict=verdict, ending=Ending.FINISHED, check=check, exit_code=0,
                upto_seq=self.store.last_seq, calls=calls, tokens=Tokens(), cost={"CNY": format_pico(0)}, files_changed=2,
            ), b"")  # fmt: skip


def seed_ledger(data: Path, now_us: int, *, calls_a_day: int = 150, seed: int = 7) -> None:
    """Write it all into a directory that has no ledger yet."""
    data.mkdir(parents=True, exist_ok=True)
    seeding = Seeding(data, now_us, seed)
    seeding.terms()
    runs = (
        ("chen", "kimi-k2.5", 6, None), ("ann", "kimi-k2.5", 9, Verdict.SOLVED), ("dana", "deepseek-v3.2", 12, Verdict.FAILED), ("chen", "glm-4.7", 7, Verdict.SOLVED),
        ("ann", "qwen3-max", 5, Verdict.SOLVED), ("bo", "kimi-k2.5", 14, Verdict.SOLVED), ("eli", "gpt-5.2", 6, Verdict.OUT_OF_BUDGET),
    )  # fmt: skip
    # The first of them began some minutes ago and goes on.
    seeding.due = [
        (now_us - (number * 7 * HOUR_US or HOUR_US // 10), number, *run) for number, run in enumerate(runs)
    ]
    for number in range(DAYS + 1):
        seeding.day(number, calls_a_day)
    seeding.failover(now_us - 35_000_000, "ann")
    seeding.under_way(now_us - 12_000_000, "chen", "kimi-k2.5", "run-000-kimi")
    seeding.store.close()
    for account in ("acme", "northwind"):
        issue(data, account, month_at(now_us - 31 * DAY_US, ZONE), FakeClock(now_us), "key_ops")


if __name__ == "__main__":
    seed_ledger(Path(sys.argv[1]), time.time_ns() // 1_000)
